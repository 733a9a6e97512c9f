/** Executions of `operations/comparam`: one per component; its overrides are in force while it exists. */
import { randomUUID } from "node:crypto";
import { Fault } from "#core/errors.ts";

export interface ComParamExecution {
  readonly id: string;
  readonly ecu: string;
}

export class ComParamRegistry {
  readonly #byEcu = new Map<string, ComParamExecution>();

  get size(): number {
    return this.#byEcu.size;
  }

  /** The component's execution, if it has one. */
  of(ecu: string): ComParamExecution | undefined {
    return this.#byEcu.get(ecu);
  }

  /** `notFound` unless the component's execution has this id. */
  get(ecu: string, id: string): ComParamExecution {
    const execution = this.#byEcu.get(ecu);
    if (execution?.id !== id) throw new Fault("notFound", `Execution with id ${id} not found`);
    return execution;
  }

  /** `conflict` when the component has one already. */
  create(ecu: string): ComParamExecution {
    if (this.#byEcu.has(ecu)) {
      throw new Fault("conflict", "An execution for operation 'comparam' is already in progress");
    }
    const execution = { id: randomUUID(), ecu };
    this.#byEcu.set(ecu, execution);
    return execution;
  }

  remove(ecu: string): void {
    this.#byEcu.delete(ecu);
  }

  /** Forgets executions of components that are no more. */
  retain(isKnown: (ecu: string) => boolean): void {
    for (const ecu of this.#byEcu.keys()) if (!isKnown(ecu)) this.#byEcu.delete(ecu);
  }
}
