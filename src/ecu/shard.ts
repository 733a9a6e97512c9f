import { Fault, toFaultData } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import type {
  AssignMessage,
  CallMessage,
  DatabaseReference,
  EcuAssignment,
  EcuCallName,
  FromShard,
  GatewayMessage,
  GroupCallName,
  Reply,
  ToShard,
} from "#fleet/messages.ts";
import type { CallContext, EcuCall, EcuOptions } from "./calls/call.ts";
import { GROUP_CALLS } from "./calls/group.ts";
import { ECU_CALLS } from "./calls/index.ts";
import { Ecu } from "./ecu.ts";
import { describeGroup } from "./functional-description.ts";
import { Gateway, type GatewayEnvironment } from "./gateway.ts";
import { KeepAlives } from "./keep-alive.ts";
import type { LoadedDatabase } from "./loaded-database.ts";

export interface ShardEnvironment {
  readonly clock: Clock;
  readonly options: EcuOptions;
  readonly fallbackToBase: boolean;
  readonly maxQueued: number;
  /** Longest wait of a request for its turn, ms. */
  readonly maxWaitMs: number;
  /** Maps and opens a database of the current set. @throws Fault */
  open(reference: DatabaseReference): LoadedDatabase;
  connect: GatewayEnvironment["connect"];
  /** To main; the body of a reply is transferred. */
  post(message: FromShard): void;
  /** The frame of this call went out: what its caller is told if the thread dies. */
  markSent(callId: number): void;
}

/** ECUs without a resolved gateway stand behind one of their own that never speaks. */
const NO_GATEWAY = -1;

/** The worker's side: ECUs, gateways, and the dispatch of what main asks. */
export class EcuShard {
  readonly #environment: ShardEnvironment;
  readonly #ecus = new Map<string, Ecu>();
  readonly #gateways = new Map<number, Gateway>();
  readonly #gatewayOf = new Map<Ecu, Gateway>();
  readonly #keepAlives: KeepAlives;
  readonly #running = new Map<number, AbortController>();
  #description: { readonly reference: DatabaseReference; readonly loaded: LoadedDatabase } | undefined;

  constructor(environment: ShardEnvironment) {
    this.#environment = environment;
    this.#keepAlives = new KeepAlives({
      clock: environment.clock,
      gatewayOf: (ecu) => this.#gatewayOf.get(ecu),
      onProblem: (message) => this.#log("warn", "uds", message),
    });
  }

  /** Handles one message of main. `stop` is the caller's. Never throws. */
  receive(message: ToShard): void {
    switch (message.type) {
      case "call":
        this.#call(message);
        return;
      case "cancel":
        this.#running.get(message.id)?.abort();
        return;
      case "gateway":
        this.#announce(message);
        return;
      case "assign":
        this.#assign(message);
        return;
      case "stop":
        return;
    }
  }

  /** Keep-alives end, locked ECUs go back to their default session, sockets close. */
  async stop(): Promise<void> {
    const locked = [...this.#ecus.values()].filter((ecu) => this.#keepAlives.ecus.has(ecu.name) && ecu.online);
    this.#keepAlives.stopAll();
    await Promise.all(
      locked.map(async (ecu) => ECU_CALLS.lockReleased(ecu, {}, this.#context(0, Number.POSITIVE_INFINITY))),
    );
    await Promise.all([...this.#gateways.values()].map((gateway) => gateway.close()));
    for (const ecu of this.#ecus.values()) ecu.retire();
    this.#description?.loaded.release();
  }

  // ---- calls ---------------------------------------------------------------------------------------------------------

  #call(message: CallMessage): void {
    const { id } = message;
    try {
      const reply = this.#dispatch(message);
      if (reply instanceof Promise) reply.then(this.#replier(id), (error) => this.#fail(id, error));
      else this.#reply(id, reply);
    } catch (error) {
      this.#fail(id, error);
    }
  }

  #dispatch(message: CallMessage): Reply | Promise<Reply> {
    const ecu = this.#ecus.get(message.entity);
    if (message.call in GROUP_CALLS) return this.#groupCall(message);
    if (ecu === undefined) throw new Fault("notFound", `Not found: ECU ${message.entity}`);
    const call = ECU_CALLS[message.call as EcuCallName] as EcuCall<EcuCallName>;
    return ecu.use(async () => call(ecu, message.args as never, this.#context(message.id, message.deadlineMs, ecu)));
  }

  #groupCall(message: CallMessage): Reply | Promise<Reply> {
    const call = GROUP_CALLS[message.call as GroupCallName] as (
      context: unknown,
      args: unknown,
    ) => Reply | Promise<Reply>;
    const group = describeGroup(this.#description?.loaded, message.entity);
    const target = {
      gateways: [...this.#gateways.values()],
      deadlineMs: message.deadlineMs,
      onSkipped: (gateway: Gateway, reason: string) =>
        this.#log("warn", "uds", `gateway ${gateway.logicalAddress} is left out of ${message.entity}: ${reason}`),
    };
    return call({ group, target, keepAlives: this.#keepAlives }, message.args);
  }

  #context(id: number, deadlineMs: number, ecu?: Ecu): CallContext {
    return {
      clock: this.#environment.clock,
      options: this.#environment.options,
      keepAlives: this.#keepAlives,
      send: {
        deadlineMs,
        signal: this.#abortable(id),
        ...(ecu === undefined ? {} : { params: ecu.params.uds }),
      },
      onTransfer: (transfer) => this.#environment.post(transfer),
    };
  }

  #abortable(id: number): AbortSignal {
    const controller = new AbortController();
    this.#running.set(id, controller);
    return controller.signal;
  }

  #replier(id: number): (reply: Reply) => void {
    return (reply) => this.#reply(id, reply);
  }

  #reply(id: number, reply: Reply): void {
    this.#running.delete(id);
    this.#environment.post({ type: "reply", id, reply });
  }

  #fail(id: number, error: unknown): void {
    this.#running.delete(id);
    if (!(error instanceof Fault)) {
      const stack = error instanceof Error ? error.stack : String(error);
      this.#log("error", "shard", "a call failed for an unforeseen reason", { stack });
    }
    this.#environment.post({ type: "reply", id, fault: toFaultData(error) });
  }

  // ---- databases and gateways ----------------------------------------------------------------------------------------

  #announce(message: GatewayMessage): void {
    this.#gateways.get(message.logicalAddress)?.announce(message);
  }

  /** Takes a set of ECUs; those whose database and addresses did not change go on as they are. */
  #assign(message: AssignMessage): void {
    const before = new Map(this.#ecus);
    const failed: Record<string, string> = {};
    this.#ecus.clear();
    for (const assignment of message.ecus) {
      const old = before.get(assignment.name);
      if (old !== undefined && sameAssignment(old.assignment, assignment)) {
        this.#ecus.set(assignment.name, old);
        before.delete(assignment.name);
        continue;
      }
      this.#ecus.set(assignment.name, this.#newEcu(assignment));
    }
    this.#describe(message, failed);
    this.#regroup();
    for (const ecu of before.values()) {
      this.#keepAlives.stop(ecu);
      ecu.retire();
    }
    this.#environment.post({ type: "assigned", generation: message.generation, failed });
    for (const ecu of this.#ecus.values()) ecu.tell();
  }

  #newEcu(assignment: EcuAssignment): Ecu {
    return new Ecu(assignment, {
      clock: this.#environment.clock,
      open: (wanted) => this.#environment.open(wanted),
      onState: (state) => this.#environment.post(state),
    });
  }

  #describe({ functionalDescription: reference }: AssignMessage, failed: Record<string, string>): void {
    if (this.#description?.reference.version === reference?.version) return;
    this.#description?.loaded.release();
    this.#description = undefined;
    if (reference === undefined) return;
    try {
      this.#description = { reference, loaded: this.#environment.open(reference) };
    } catch (error) {
      failed[reference.database] = toFaultData(error).message;
    }
  }

  #regroup(): void {
    const groups = new Map<number, Ecu[]>();
    for (const ecu of this.#ecus.values()) {
      const address = ecu.assignment.gatewayAddress ?? NO_GATEWAY;
      groups.set(address, [...(groups.get(address) ?? []), ecu]);
    }
    this.#gatewayOf.clear();
    for (const [address, gateway] of this.#gateways) {
      if (groups.has(address)) continue;
      this.#gateways.delete(address);
      void gateway.close();
    }
    for (const [address, ecus] of groups) {
      const gateway = this.#gateways.get(address);
      if (gateway === undefined) this.#gateways.set(address, new Gateway(address, ecus, this.#gatewayEnvironment()));
      else gateway.replace(ecus);
      for (const ecu of ecus) this.#gatewayOf.set(ecu, this.#gateways.get(address)!);
    }
  }

  #gatewayEnvironment(): GatewayEnvironment {
    const { clock, fallbackToBase, maxQueued, maxWaitMs, connect } = this.#environment;
    return {
      clock,
      fallbackToBase,
      maxQueued,
      maxWaitMs,
      connect,
      onState: (state) => this.#environment.post(state),
      onProblem: (ecu, problem) =>
        this.#log("error", "detection", `variant detection of ${ecu} failed`, toFaultData(problem)),
      onReachable: (endpoint) => {
        for (const ecu of endpoint.members) this.#keepAlives.resume(ecu);
      },
    };
  }

  #log(level: "warn" | "error", scope: string, message: string, fields?: object): void {
    const log = { type: "log", level, scope, message } as const;
    this.#environment.post(fields === undefined ? log : { ...log, fields: { ...fields } });
  }
}

/** Com params count: they may hold another address or timing after the configuration was reloaded. */
function sameAssignment(a: EcuAssignment, b: EcuAssignment): boolean {
  return a.version === b.version && JSON.stringify(a) === JSON.stringify(b);
}
