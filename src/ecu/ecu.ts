import type { Clock } from "#core/time.ts";
import type { ComParamInput, EcuAssignment, EcuStateMessage } from "#fleet/messages.ts";
import type { ServicePlan } from "#mdd/codec/plan.ts";
import { invalidDatabase } from "#mdd/query/database.ts";
import { baseVariant, type Scope } from "#mdd/query/layers.ts";
import { type ServiceIndex, serviceIndex } from "#mdd/query/service-index.ts";
import { type StateCharts, stateChartsOf } from "#mdd/query/state-charts.ts";
import type { ComParams } from "#uds/com-params.ts";
import type { Endpoint } from "./endpoint.ts";
import { Expiries } from "./expiry.ts";
import type { FlashTransfer } from "./flash-transfer.ts";
import { HeldDatabase, holding } from "./held-database.ts";
import { BORN, type Life, type LifeEvent, live, wordOf } from "./life.ts";
import type { LoadedDatabase } from "./loaded-database.ts";
import { bornStates, type TrackedStates, UNKNOWN_STATES } from "./states.ts";

export interface EcuEnvironment {
  readonly clock: Clock;
  /** Maps and opens the ECU's database. @throws Fault */
  open(assignment: EcuAssignment): LoadedDatabase;
  onState(message: EcuStateMessage): void;
}

/** Modes that fall back to their default after a time. */
export type ExpiringMode = "session" | "security";

/** S3server (ISO 14229-2): an ECU that nobody spoke to for so long is in its default session. */
const S3_SERVER_MS = 5_000;

/** One ECU on this shard: its database, its life, and what is tracked of its state. What is done with it stands elsewhere. */
export class Ecu {
  readonly assignment: EcuAssignment;
  readonly expiries: Expiries<ExpiringMode>;
  readonly held: HeldDatabase;
  endpoint: Endpoint | undefined;
  states: TrackedStates = UNKNOWN_STATES;
  transfer: FlashTransfer | undefined;
  params: ComParams;
  /** What a comparam execution has laid over the parameters, as its caller wrote it. */
  overrides: Readonly<Record<string, ComParamInput>> = {};
  readonly #environment: EcuEnvironment;
  #life: Life = BORN;
  #silentMs = 0;

  constructor(assignment: EcuAssignment, environment: EcuEnvironment) {
    this.assignment = assignment;
    this.params = assignment.comParams;
    this.expiries = new Expiries(environment.clock);
    this.held = new HeldDatabase(() => environment.open(assignment));
    this.#environment = environment;
  }

  get name(): string {
    return this.assignment.name;
  }
  get life(): Life {
    return this.#life;
  }
  get online(): boolean {
    return this.#life.connectivity === "Online" && this.#life.finding.kind === "Detected";
  }

  /** Opened at first use. @throws Fault */
  get loaded(): LoadedDatabase {
    return this.held.loaded;
  }

  /** The detected variant, else the base variant. @throws Fault invalidDatabase when the file has none */
  get scope(): Scope {
    const finding = this.#life.finding;
    const scope = finding.kind === "Detected" ? finding.variant : baseVariant(this.loaded.database);
    if (scope === undefined) throw invalidDatabase(this.name, "no base variant");
    return scope;
  }
  get index(): ServiceIndex {
    return serviceIndex(this.loaded.database, this.scope);
  }
  get charts(): StateCharts {
    return stateChartsOf(this.loaded.database, this.scope);
  }
  plan(table: number): ServicePlan {
    return this.loaded.plan(table);
  }

  /** Applies an event; tells main when the ECU's word or variant changed. */
  event(event: LifeEvent): void {
    const before = this.#life;
    this.#life = live(before, event);
    if (this.#life === before) return;
    const nowMs = this.#environment.clock.now();
    if (event.kind === "silent") this.#silentMs = nowMs;
    // Behind a living gateway only its silence tells that an ECU was gone; in a short one its session has not run out.
    const wasAway =
      event.kind === "found" && before.connectivity === "Offline" && nowMs - this.#silentMs >= S3_SERVER_MS;
    if (event.kind === "gatewayConnected" || wasAway) this.forgetStates();
    this.tell();
  }

  /** A retired one is silent: a call that still runs on it must not speak for the ECU that took its name. */
  tell(): void {
    if (this.held.retired) return;
    const finding = this.#life.finding;
    const variant = finding.kind === "Detected" ? finding.variant : undefined;
    this.#environment.onState({
      type: "ecu",
      name: this.name,
      state: wordOf(this.#life),
      ...(variant === undefined ? {} : { variant: variant.name }),
      isBaseVariant: variant?.isBaseVariant ?? false,
    });
  }

  /** An ECU that (re)appears is in its default session, whatever was tracked before. */
  forgetStates(): void {
    this.states = UNKNOWN_STATES;
    this.expiries.clearAll();
  }

  /** Start states, where nothing is tracked yet. */
  seedStates(): void {
    if (this.states === UNKNOWN_STATES) this.states = bornStates(this.charts);
  }

  /** Runs `work` with the database held. */
  use<T>(work: () => Promise<T>): Promise<T> {
    return holding([this.held], work);
  }

  /** The ECU is gone from the set, or another version took its place. */
  retire(): void {
    this.expiries.clearAll();
    this.transfer?.abort("the database was replaced");
    this.held.retire();
  }
}
