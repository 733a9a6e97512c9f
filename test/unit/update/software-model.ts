/** The world of the model test: ECUs that keep what was done to them, a clock that jumps, a store that dies at a given write. */
import { Fault } from "#core/errors.ts";
import type { Clock, TimerHandle } from "#core/time.ts";
import { createMemoryPersistence } from "#store/memory-persistence.ts";
import type { Persistence } from "#store/persistence.ts";
import { Campaigns, type MemberCalls } from "#update/software/campaign/campaigns.ts";
import {
  type CampaignLimits,
  type CampaignRecord,
  freshMember,
  IDLE_STATES,
  type MemberCall,
} from "#update/software/campaign/states.ts";
import { Journal } from "#update/software/journal/journal.ts";

export const ID = "fw";
export const LIMITS: CampaignLimits = {
  prepareMs: 10_000,
  executeMs: 10_000,
  commitMs: 10_000,
  rollbackMs: 10_000,
  maxRestarts: 2,
  maxParallel: 2,
};

/** Time that passes when nobody has anything else to do. */
export class JumpClock implements Clock {
  #now = 1_000_000;
  /** How far the wall clock was set from where it began. */
  wallOffsetMs = 0;
  #timers: { readonly id: number; readonly atMs: number; readonly handler: () => void }[] = [];
  #ids = 0;
  now(): number {
    return this.#now;
  }
  readonly wallMs = (): number => this.#now + this.wallOffsetMs;
  setTimeout(handler: () => void, delayMs: number): TimerHandle {
    const id = ++this.#ids;
    this.#timers.push({ id, atMs: this.#now + delayMs, handler });
    return id as unknown as TimerHandle;
  }
  clearTimeout(handle: TimerHandle): void {
    this.#timers = this.#timers.filter(({ id }) => id !== (handle as unknown as number));
  }
  /** Runs the earliest timer; false when there is none. */
  jump(): boolean {
    const [first] = this.#timers.sort((a, b) => a.atMs - b.atMs || a.id - b.id);
    if (first === undefined) return false;
    this.clearTimeout(first.id as unknown as TimerHandle);
    this.#now = Math.max(this.#now, first.atMs);
    first.handler();
    return true;
  }
  /** Timers of a process that is no more. */
  clear(): void {
    this.#timers = [];
  }
}

/**
 * How a call ends: `refused` without effect, `refusedLate` after it; `lost`: done, but the answer never came; `silent`: neither.
 */
export type Outcome = "ok" | "refused" | "refusedLate" | "lost" | "silent";
export interface Script {
  readonly call: MemberCall;
  readonly component: string;
  readonly outcome: Exclude<Outcome, "ok">;
  /** How often, before it is ok. */
  readonly times: number;
}

export type Software = "old" | "trial" | "new" | "newForGood";

/** ECUs outlive the process. */
export class World {
  readonly software = new Map<string, Software>();
  readonly #left: Map<Script, number>;
  readonly single: ReadonlySet<string>;

  constructor(components: readonly string[], scripts: readonly Script[], single: readonly string[]) {
    for (const component of components) this.software.set(component, "old");
    this.#left = new Map(scripts.map((script) => [script, script.times]));
    this.single = new Set(single);
  }

  isOld(component: string): boolean {
    return this.software.get(component) === "old";
  }

  /** Power was cut: a trial that nobody committed boots its old software. */
  fallBack(): void {
    for (const [component, software] of this.software) {
      if (software === "trial" && !this.single.has(component)) this.software.set(component, "old");
    }
  }

  readonly calls: MemberCalls = {
    prepare: async (_record, { component }) => {
      this.#play("prepare", component, () => undefined);
      return { supportsTrial: !this.single.has(component) };
    },
    execute: async (_record, { component }) => {
      this.#play("execute", component, () => {
        if (this.isOld(component)) this.software.set(component, "trial");
      });
    },
    gate: async (_record, { component }) => {
      this.#play("gate", component, () => undefined);
      if (this.isOld(component)) throw new Fault("conflict", "fell back");
    },
    commit: async (_record, { component }) => {
      if (this.isOld(component)) throw new Fault("conflict", "fell back before the verdict");
      this.#play("commit", component, () => {
        if (this.software.get(component) === "trial") this.software.set(component, "new");
      });
    },
    close: async (_record, { component }) => {
      this.#play("close", component, () => this.software.set(component, "newForGood"));
    },
    rollback: async (_record, { component }) => {
      this.#play("rollback", component, () => this.software.set(component, "old"));
    },
    cancel: async () => {},
  };

  #play(call: MemberCall, component: string, effect: () => void): void {
    const script = [...this.#left].find(
      ([each, left]) => left > 0 && each.call === call && each.component === component,
    )?.[0];
    if (script === undefined) {
      effect();
      return;
    }
    this.#left.set(script, this.#left.get(script)! - 1);
    if (script.outcome === "refusedLate" || script.outcome === "lost") effect();
    const silent = script.outcome === "lost" || script.outcome === "silent";
    throw new Fault(silent ? "notResponding" : "conflict", `${call} ${component}: ${script.outcome}`);
  }
}

/** Power goes at write number `at`: before it reaches the disk, or right after. */
export interface Crash {
  readonly at: number;
  readonly when: "before" | "after";
}

/** Counts writes, and dies at one. */
export class DyingPersistence implements Persistence {
  readonly #inner: Persistence;
  readonly #crash: Crash | undefined;
  writes = 0;
  dead = false;

  constructor(inner: Persistence, crash?: Crash) {
    this.#inner = inner;
    this.#crash = crash;
  }
  get(bucket: string, key: string): string {
    return this.#inner.get(bucket, key);
  }
  contains(bucket: string, key: string): boolean {
    return this.#inner.contains(bucket, key);
  }
  listKeys(bucket: string): string[] {
    return this.#inner.listKeys(bucket);
  }
  set(bucket: string, key: string, value: string): Promise<void> {
    return this.#write(() => this.#inner.set(bucket, key, value));
  }
  delete(bucket: string, key: string): Promise<void> {
    return this.#write(() => this.#inner.delete(bucket, key));
  }
  flush(): Promise<void> {
    return this.#inner.flush();
  }
  async #write(write: () => Promise<void>): Promise<void> {
    if (this.dead) throw new Fault("storageIo", "no power");
    const hit = this.#crash?.at === ++this.writes ? this.#crash.when : undefined;
    if (hit !== "before") await write();
    if (hit === undefined) return;
    this.dead = true;
    throw new Fault("storageIo", "no power");
  }
}

export interface Process {
  readonly campaigns: Campaigns;
  readonly journal: Journal;
  readonly alarms: readonly (readonly string[])[];
}

/** A process over what the former one left on the disk. */
export async function startProcess(
  persistence: Persistence,
  world: Pick<World, "calls">,
  clock: JumpClock,
): Promise<Process> {
  const journal = new Journal({ persistence, nowMs: clock.wallMs, maxRecords: 10_000 });
  await journal.open();
  const alarms: (readonly string[])[] = [];
  const campaigns = new Campaigns({
    journal,
    calls: world.calls,
    clock,
    nowMs: clock.wallMs,
    limits: LIMITS,
    retryMs: 10,
    serviceRetryMs: 1_000_000,
    rollbackTries: 3,
    onChange: () => undefined,
    onAlarm: (_record, stuck) => alarms.push(stuck),
    onProblem: () => undefined,
  });
  if (journal.campaigns().length === 0) await campaigns.resume();
  return { campaigns, journal, alarms };
}

export const freshPersistence = (): Persistence => createMemoryPersistence();

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Until nothing happens by itself any more, or the store is dead. */
export async function settle(process: Process, clock: JumpClock, persistence: DyingPersistence): Promise<void> {
  for (;;) {
    await turn();
    if (persistence.dead) return;
    const record = process.campaigns.get(ID);
    if (record === undefined || (IDLE_STATES.has(record.state) && !(record.state === "prepared" && record.thenExecute)))
      return;
    if (!clock.jump()) throw new Error(`stuck in ${record.state}: nothing is under way and no timer runs`);
  }
}

export function registered(
  components: readonly string[],
  policy: CampaignRecord["policy"],
  watchdogMs?: number,
): CampaignRecord {
  return {
    id: ID,
    policy,
    state: "registered",
    attempt: 0,
    thenExecute: false,
    members: components.map((component) => freshMember(component, "idle")),
    auditSeq: 0,
    changedAtMs: 0,
    package: { id: ID },
    ...(watchdogMs === undefined ? {} : { watchdogMs }),
  };
}

/** Registers a campaign that goes on by itself: it executes when it is prepared. */
export async function begin({ campaigns }: Process, ...about: Parameters<typeof registered>): Promise<void> {
  await campaigns.register(registered(...about), "tester");
  await campaigns.apply(ID, { type: "prepare", thenExecute: true }, "tester");
}
