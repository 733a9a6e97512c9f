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
import { METADATA_CALLS } from "#fleet/messages.ts";
import type { Caller } from "#uds/job.ts";
import type { CallContext, EcuCall, EcuOptions } from "./calls/call.ts";
import { GROUP_CALLS } from "./calls/group.ts";
import { ECU_CALLS } from "./calls/index.ts";
import { restoreDefault } from "./calls/modes.ts";
import { applyOverrides } from "./com-param-overrides.ts";
import { Ecu } from "./ecu.ts";
import { describeGroup } from "./functional-description.ts";
import { Gateway, type GatewayEnvironment } from "./gateway.ts";
import { HeldDatabase, holding } from "./held-database.ts";
import { KeepAlives } from "./keep-alive.ts";
import type { LoadedDatabase } from "./loaded-database.ts";
import { detectFirst } from "./run.ts";
import type { SendCheck } from "./send-check.ts";
import { shardStats } from "./stats.ts";

export interface ShardEnvironment {
  readonly clock: Clock;
  readonly options: EcuOptions;
  readonly fallbackToBase: boolean;
  readonly maxQueued: number;
  /** Longest wait of a request for its turn, ms. */
  readonly maxWaitMs: number;
  /** Of plugins; asked before each frame. */
  readonly sendCheck?: SendCheck | undefined;
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

/** At the end ECUs get so long for going back to their default session. */
const SESSION_END_MS = 1_000;

/** Calls for which nothing is sent, or that run a detection of their own. */
const QUIET: ReadonlySet<string> = new Set<EcuCallName>([...METADATA_CALLS, "detect", "modeRead"]);

/** A call on its way: what its frames are marked with, and how main takes it back. */
class RunningCall implements Caller {
  readonly id: number;
  readonly #markSent: (callId: number) => void;
  cancelled = false;
  open: Caller["open"];

  constructor(id: number, markSent: (callId: number) => void) {
    this.id = id;
    this.#markSent = markSent;
  }

  sent(): void {
    this.#markSent(this.id);
  }

  takeBack(): void {
    this.cancelled = true;
    this.open?.cancel(this);
  }
}

/** The worker's side: ECUs, gateways, and the dispatch of what main asks. */
export class EcuShard {
  readonly #environment: ShardEnvironment;
  readonly #ecus = new Map<string, Ecu>();
  readonly #gateways = new Map<number, Gateway>();
  readonly #gatewayOf = new Map<Ecu, Gateway>();
  readonly #keepAlives: KeepAlives;
  readonly #running = new Map<number, RunningCall>();
  #description: { readonly reference: DatabaseReference; readonly held: HeldDatabase } | undefined;

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
        this.#running.get(message.id)?.takeBack();
        return;
      case "gateway":
        this.#announce(message);
        return;
      case "assign":
        this.#assign(message);
        return;
      case "stats":
        this.#environment.post({ type: "stats", stats: shardStats(this.#ecus.values(), this.#description?.held) });
        return;
      case "stop":
        return;
    }
  }

  /** Keep-alives end, ECUs go back to their default session, sockets close. */
  async stop(): Promise<void> {
    this.#keepAlives.stopAll();
    const deadlineMs = this.#environment.clock.now() + SESSION_END_MS;
    const online = [...this.#ecus.values()].filter((ecu) => ecu.online);
    await Promise.all(online.map((ecu) => restoreDefault(ecu, "session", { deadlineMs })));
    await Promise.all([...this.#gateways.values()].map((gateway) => gateway.close()));
    for (const ecu of this.#ecus.values()) ecu.retire();
    this.#description?.held.retire();
  }

  // ---- calls ---------------------------------------------------------------------------------------------------------

  #call(message: CallMessage): void {
    const { id } = message;
    const running = new RunningCall(id, this.#environment.markSent);
    this.#running.set(id, running);
    if (message.call in GROUP_CALLS) {
      this.#groupCall(message, running).then(
        (reply) => this.#reply(id, reply),
        (error: unknown) => this.#fail(id, error),
      );
      return;
    }
    const ecu = this.#ecus.get(message.entity);
    if (ecu === undefined) this.#fail(id, new Fault("notFound", `Not found: ECU ${message.entity}`));
    else this.#ecuCall(ecu, message, running);
  }

  /** Holds the ECU's database. No promise but the call's own, as this is the way of every read. */
  #ecuCall(ecu: Ecu, message: CallMessage, caller: Caller): void {
    const { id } = message;
    const { held } = ecu;
    held.hold();
    const reply = (answer: Reply) => {
      held.letGo();
      this.#reply(id, answer);
    };
    const fail = (error: unknown) => {
      held.letGo();
      this.#fail(id, error);
    };
    let answer: Reply | Promise<Reply>;
    try {
      const detection = QUIET.has(message.call) ? undefined : detectFirst(ecu);
      answer =
        detection === undefined
          ? this.#run(ecu, message, caller)
          : detection.then(() => this.#run(ecu, message, caller));
    } catch (error) {
      fail(error);
      return;
    }
    if (answer instanceof Promise) answer.then(reply, fail);
    else reply(answer);
  }

  #run(ecu: Ecu, message: CallMessage, caller: Caller): Reply | Promise<Reply> {
    const call = ECU_CALLS[message.call as EcuCallName] as EcuCall<EcuCallName>;
    return call(ecu, message.args as never, this.#context(ecu, message.deadlineMs, caller));
  }

  /** Holds the description and what the members' own databases say of their states. */
  async #groupCall(message: CallMessage, caller: Caller): Promise<Reply> {
    const call = GROUP_CALLS[message.call as GroupCallName] as (
      context: unknown,
      args: unknown,
    ) => Reply | Promise<Reply>;
    const description = this.#description?.held;
    const group = describeGroup(description, message.entity);
    const target = {
      gateways: [...this.#gateways.values()],
      deadlineMs: message.deadlineMs,
      caller,
      isStrict: this.#environment.options.isStrict,
      onSkipped: (gateway: Gateway, reason: string) =>
        this.#log("warn", "uds", `gateway ${gateway.logicalAddress} is left out of ${message.entity}: ${reason}`),
    };
    const held = [description!, ...[...this.#ecus.values()].map((ecu) => ecu.held)];
    return holding(held, () => call({ group, target, keepAlives: this.#keepAlives }, message.args));
  }

  #context(ecu: Ecu, deadlineMs: number, caller: Caller): CallContext {
    const { clock, options } = this.#environment;
    return {
      clock,
      options,
      keepAlives: this.#keepAlives,
      send: { deadlineMs, caller, params: ecu.params.uds, isStrict: options.isStrict },
      onTransfer: (transfer) => this.#environment.post(transfer),
    };
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
      this.#ecus.set(assignment.name, this.#newEcu(assignment, old));
    }
    this.#describe(message, failed);
    this.#regroup();
    for (const ecu of before.values()) {
      if (!this.#ecus.has(ecu.name)) this.#keepAlives.stop(ecu);
      ecu.retire();
    }
    this.#environment.post({ type: "assigned", generation: message.generation, failed });
    for (const ecu of this.#ecus.values()) ecu.tell();
  }

  /** What a client has laid over the predecessor's communication parameters goes on. */
  #newEcu(assignment: EcuAssignment, predecessor: Ecu | undefined): Ecu {
    const ecu = new Ecu(assignment, {
      clock: this.#environment.clock,
      open: (wanted) => this.#environment.open(wanted),
      onState: (state) => this.#environment.post(state),
    });
    if (predecessor !== undefined) {
      ecu.overrides = predecessor.overrides;
      ecu.params = applyOverrides(assignment.comParams, predecessor.overrides);
    }
    return ecu;
  }

  #describe({ functionalDescription: reference }: AssignMessage, failed: Record<string, string>): void {
    if (this.#description?.reference.version === reference?.version) return;
    this.#description?.held.retire();
    this.#description = undefined;
    if (reference === undefined) return;
    const held = new HeldDatabase(() => this.#environment.open(reference));
    try {
      held.loaded.database;
      this.#description = { reference, held };
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
    for (const [address, gateway] of this.#gateways) {
      if (!groups.has(address)) gateway.replace([]);
    }
    this.#gatewayOf.clear();
    for (const [address, ecus] of groups) {
      const gateway = this.#gateways.get(address) ?? new Gateway(address, [], this.#gatewayEnvironment());
      this.#gateways.set(address, gateway);
      for (const ecu of ecus) this.#gatewayOf.set(ecu, gateway);
      gateway.replace(ecus);
    }
  }

  #gatewayEnvironment(): GatewayEnvironment {
    const { clock, fallbackToBase, maxQueued, maxWaitMs, sendCheck, connect } = this.#environment;
    return {
      sendCheck,
      clock,
      fallbackToBase,
      maxQueued,
      maxWaitMs,
      connect,
      onState: (state) => this.#environment.post(state),
      onProblem: (ecu, problem) =>
        this.#log("error", "detection", `variant detection of ${ecu} failed`, toFaultData(problem)),
      onUnused: (gateway) => {
        if (this.#gateways.get(gateway.logicalAddress) === gateway) this.#gateways.delete(gateway.logicalAddress);
        void gateway.close();
      },
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
