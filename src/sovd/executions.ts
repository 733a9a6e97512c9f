/** Executions of asynchronous operations: one runs per operation and entity, a bounded number of ended ones is kept to be read. */
import { randomUUID } from "node:crypto";
import { Fault } from "#core/errors.ts";
import type { OperationFacts } from "#fleet/messages.ts";

export type ExecutionState = "starting" | "running" | "completed" | "gone";
export type ExecutionInput = "started" | "refused" | "results" | "stopped" | "forced";

/** A refusal of results or stop is no input: the execution stays as it is, and the caller sees the refusal. */
export const EXECUTION_TRANSITIONS: Readonly<
  Record<ExecutionState, Readonly<Partial<Record<ExecutionInput, ExecutionState>>>>
> = {
  starting: { started: "running", refused: "gone" },
  running: { results: "completed", stopped: "gone", forced: "gone" },
  completed: { stopped: "gone", forced: "gone" },
  gone: {},
};

/** State after an input; a stray input changes nothing. */
export function nextExecution(state: ExecutionState, input: ExecutionInput): ExecutionState {
  return EXECUTION_TRANSITIONS[state][input] ?? state;
}

export interface Execution {
  readonly id: string;
  /** `components/<ecu>` or `functionalgroups/<group>`. */
  readonly entity: string;
  readonly operation: string;
  readonly owner: string;
  readonly facts: OperationFacts;
  state: ExecutionState;
  /** A request for results or stop is under way. */
  busy: boolean;
  /** JSON text of the members that the last results or the start brought. */
  result: string;
}

/** A place taken before the start is sent, so that two starts cannot cross. */
export interface Reservation {
  /** The start was accepted; the execution now runs. */
  start(facts: OperationFacts, result: string): Execution;
  /** The start failed or the operation ended at once. */
  free(): void;
}

export class ExecutionRegistry {
  readonly #byOperation = new Map<string, Execution[]>();
  readonly #reserved = new Set<string>();
  readonly #maxEnded: number;

  /** `maxEnded`: ended executions kept per operation. */
  constructor(maxEnded: number) {
    this.#maxEnded = maxEnded;
  }

  /** Executions that run or start; an update waits for none of them. */
  get running(): number {
    let count = this.#reserved.size;
    for (const list of this.#byOperation.values()) count += list.filter((one) => one.state === "running").length;
    return count;
  }

  /** `conflict` while the same operation of the same entity starts or runs. */
  reserve(entity: string, operation: string, owner: string): Reservation {
    this.requireFree(entity, operation);
    const key = keyOf(entity, operation);
    this.#reserved.add(key);
    return {
      start: (facts, result) => {
        this.#reserved.delete(key);
        const execution: Execution = {
          id: randomUUID(),
          entity,
          operation,
          owner,
          facts,
          state: nextExecution("starting", "started"),
          busy: false,
          result,
        };
        this.#listOf(key).push(execution);
        return execution;
      },
      free: () => this.#reserved.delete(key),
    };
  }

  /** `conflict` while the same operation of the same entity starts or runs. */
  requireFree(entity: string, operation: string): void {
    const key = keyOf(entity, operation);
    if (this.#reserved.has(key) || this.#running(key) !== undefined) {
      throw new Fault("conflict", `An execution for operation '${operation}' is already in progress`);
    }
  }

  /** All that are kept, running and ended. */
  get size(): number {
    let count = 0;
    for (const list of this.#byOperation.values()) count += list.length;
    return count;
  }

  /** In order of creation. */
  list(entity: string, operation: string): readonly Execution[] {
    return this.#byOperation.get(keyOf(entity, operation)) ?? [];
  }

  /** `notFound` when there is none of that id. */
  get(entity: string, operation: string, id: string): Execution {
    const execution = this.list(entity, operation).find((one) => one.id === id);
    if (execution === undefined) throw new Fault("notFound", `Execution with id ${id} not found`);
    return execution;
  }

  /** True when a newer execution of the same operation runs: a stop for this one would hit that. */
  isSuperseded(execution: Execution): boolean {
    const running = this.#running(keyOf(execution.entity, execution.operation));
    return running !== undefined && running !== execution;
  }

  /** Runs one request of an execution; `conflict` while another is under way. */
  async exclusively<T>(execution: Execution, work: () => Promise<T>): Promise<T> {
    if (execution.busy) throw new Fault("conflict", `Execution ${execution.id} is busy with another request`);
    execution.busy = true;
    try {
      return await work();
    } finally {
      execution.busy = false;
    }
  }

  /** Takes an input; an execution that is gone leaves the list, and too many ended ones push out the oldest. */
  apply(execution: Execution, input: ExecutionInput): void {
    execution.state = nextExecution(execution.state, input);
    const list = this.#listOf(keyOf(execution.entity, execution.operation));
    if (execution.state === "gone") remove(list, execution);
    const ended = list.filter((one) => one.state !== "running");
    if (ended.length > this.#maxEnded) remove(list, ended[0]!);
    if (list.length === 0) this.#byOperation.delete(keyOf(execution.entity, execution.operation));
  }

  /** Forgets everything of entities that are no more. */
  retain(isKnown: (entity: string) => boolean): void {
    for (const [key, list] of this.#byOperation) {
      if (!isKnown(list[0]!.entity)) this.#byOperation.delete(key);
    }
  }

  #running(key: string): Execution | undefined {
    return this.#byOperation.get(key)?.find((one) => one.state === "running");
  }

  #listOf(key: string): Execution[] {
    let list = this.#byOperation.get(key);
    if (list === undefined) {
      list = [];
      this.#byOperation.set(key, list);
    }
    return list;
  }
}

function keyOf(entity: string, operation: string): string {
  return `${entity}/${operation}`;
}

function remove(list: Execution[], execution: Execution): void {
  const index = list.indexOf(execution);
  if (index >= 0) list.splice(index, 1);
}
