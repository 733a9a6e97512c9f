/**
 * Locks of components, functional groups and the vehicle: who blocks whom, expiry, and what acquiring and letting go set off.
 * They live in memory; they survive a change of databases, not a restart.
 */
import { randomUUID } from "node:crypto";
import { Fault, type FaultKind } from "#core/errors.ts";
import type { Clock, TimerHandle } from "#core/time.ts";

export type LockScope = "ecu" | "group" | "vehicle";

export interface Lock {
  readonly id: string;
  readonly scope: LockScope;
  /** Lower-case name of the component or group; empty for the vehicle. */
  readonly entity: string;
  readonly owner: string;
  /** End on the clock's scale. */
  expiresAtMs: number;
  /** The same as RFC 3339 text, whole seconds. */
  expiration: string;
  /** Component locks a group lock has put aside and gives back when it ends. */
  readonly suspended: readonly Lock[];
}

/** What locks set off in the fleet. Called in order, never awaited: a lock is not refused because an ECU is silent. */
export interface LockEffects {
  ecuAcquired(ecu: string): void;
  ecuReleased(ecu: string): void;
  groupAcquired(group: string): void;
  groupReleased(group: string): void;
  /** Ends the keep-alive of every ECU and resets its session and security. */
  vehicleReleased(): void;
}

export interface LockOptions {
  readonly clock: Clock;
  /** Milliseconds since 1970 for the texts; default `Date.now`. */
  readonly wallClock?: () => number;
  /** Lower-case names of the components of a group. */
  readonly members: (group: string) => readonly string[];
  readonly effects: LockEffects;
  readonly lockStatus: "cda" | "iso";
  readonly restoreEcuLocks: boolean;
  readonly maxExpirationS: number;
}

/** Longest delay a timer takes. */
const MAX_TIMER_MS = 0x7fff_ffff;

type Holder = "own" | "other";
type Verdict = "ok" | "blocked" | "conflict";

/**
 * Who blocks whom on POST. Row: scope wanted; column: a lock that stands (of the same entity, for the vehicle of any; a group's
 * columns `ecu` mean its members).
 */
export const LOCK_MATRIX: Readonly<Record<LockScope, Readonly<Record<LockScope, Readonly<Record<Holder, Verdict>>>>>> =
  {
    ecu: {
      vehicle: { own: "ok", other: "blocked" },
      group: { own: "conflict", other: "conflict" },
      ecu: { own: "ok", other: "blocked" },
    },
    group: {
      vehicle: { own: "ok", other: "blocked" },
      group: { own: "ok", other: "blocked" },
      ecu: { own: "ok", other: "conflict" },
    },
    vehicle: {
      vehicle: { own: "ok", other: "blocked" },
      group: { own: "ok", other: "blocked" },
      ecu: { own: "ok", other: "blocked" },
    },
  };

const NOUN: Readonly<Record<LockScope, string>> = { ecu: "ECU", group: "functional group", vehicle: "vehicle" };

export class LockRegistry {
  readonly #options: LockOptions;
  readonly #locks = new Map<string, Lock>();
  readonly #listeners = new Set<(lock: Lock) => void>();
  #timer: TimerHandle | undefined;

  constructor(options: LockOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#locks.size;
  }

  /** Calls back after a lock has ended, by whatever way. Returns the way to stop that. */
  onReleased(listener: (lock: Lock) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get(scope: LockScope, entity: string): Lock | undefined {
    this.#expire();
    return this.#locks.get(keyOf(scope, entity));
  }

  /** Locks of a scope, for an operator's view and the checks of an update. */
  list(scope: LockScope): readonly Lock[] {
    this.#expire();
    return [...this.#locks.values()].filter((lock) => lock.scope === scope);
  }

  /** A new lock, or the owner's own with a new end. Faults: `badRequest` for 0 seconds, `forbidden` or `conflict` by the matrix. */
  acquire(scope: LockScope, entity: string, owner: string, seconds: number): Lock {
    this.#checkBlocks(scope, entity, owner);
    checkSeconds(seconds);
    const own = this.#locks.get(keyOf(scope, entity));
    if (own !== undefined) return this.#prolong(own, seconds);
    const suspended = scope === "group" ? this.#takeMembers(entity) : [];
    const lock: Lock = {
      id: randomUUID(),
      scope,
      entity,
      owner,
      suspended,
      ...this.#endAfter(seconds),
    };
    this.#locks.set(keyOf(scope, entity), lock);
    this.#arm();
    if (scope === "ecu") this.#options.effects.ecuAcquired(entity);
    if (scope === "group") this.#options.effects.groupAcquired(entity);
    return lock;
  }

  /** New end for the owner's lock. Faults: `conflict` when there is none, `forbidden` for another id or owner. */
  extend(scope: LockScope, entity: string, id: string, owner: string, seconds: number): Lock {
    const lock = this.#owned(scope, entity, id, owner, "conflict");
    checkSeconds(seconds);
    return this.#prolong(lock, seconds);
  }

  /** Ends the owner's lock and does its clean-up. Faults: `notFound` when there is none, `forbidden` for another id or owner. */
  release(scope: LockScope, entity: string, id: string, owner: string): void {
    this.#end(this.#owned(scope, entity, id, owner, "notFound"));
    this.#arm();
  }

  /** The check on use: the caller holds the component's or the group's lock, or the vehicle's. */
  require(scope: LockScope, entity: string, owner: string): void {
    const vehicle = this.get("vehicle", "");
    if (scope === "vehicle") {
      this.#requireVehicle(vehicle, owner);
      return;
    }
    const lock = this.#locks.get(keyOf(scope, entity));
    if (lock === undefined && vehicle === undefined) throw this.#denied(`Required ${NOUN[scope]} lock is missing`);
    if (vehicle !== undefined && vehicle.owner !== owner) throw this.#denied("lock validation failed");
    if (lock !== undefined && lock.owner !== owner) throw this.#denied("lock validation failed");
  }

  /** Forgets locks of components and groups that are no more; nothing is sent to them. */
  retain(isKnown: (scope: LockScope, entity: string) => boolean): void {
    for (const [key, lock] of this.#locks) {
      if (lock.scope !== "vehicle" && !isKnown(lock.scope, lock.entity)) this.#locks.delete(key);
    }
    this.#arm();
  }

  /** Stops the timer. Locks are forgotten without clean-up: the shards reset their ECUs when they stop. */
  close(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#locks.clear();
  }

  #requireVehicle(vehicle: Lock | undefined, owner: string): void {
    if (vehicle === undefined) throw this.#denied("No Lock: Vehicle lock is missing");
    if (vehicle.owner !== owner) throw this.#denied("No Lock: Vehicle lock is owned by another user");
  }

  #denied(message: string): Fault {
    return new Fault(this.#options.lockStatus === "iso" ? "conflict" : "forbidden", message);
  }

  #owned(scope: LockScope, entity: string, id: string, owner: string, absent: FaultKind): Lock {
    const lock = this.get(scope, entity);
    if (lock === undefined) throw new Fault(absent, "No lock found");
    if (lock.id !== id || lock.owner !== owner) throw this.#denied("lock validation failed");
    return lock;
  }

  /** The vehicle's lock is looked at first, so that one of several reasons is always given. */
  #checkBlocks(scope: LockScope, entity: string, owner: string): void {
    const vehicle = this.get("vehicle", "");
    if (vehicle !== undefined) this.#checkBlock(vehicle, scope, entity, owner);
    for (const lock of this.#locks.values()) this.#checkBlock(lock, scope, entity, owner);
  }

  #checkBlock(lock: Lock, scope: LockScope, entity: string, owner: string): void {
    if (!this.#matters(lock, scope, entity)) return;
    const verdict = LOCK_MATRIX[scope][lock.scope][lock.owner === owner ? "own" : "other"];
    if (verdict === "ok") return;
    if (verdict === "blocked") throw this.#denied(`${NOUN[lock.scope]} lock is held by a different user`);
    throw new Fault(
      "conflict",
      scope === "ecu"
        ? "functional lock prevents setting ecu lock"
        : `ECU ${lock.entity} is locked by different user, cannot lock functional group`,
    );
  }

  /** Which standing locks a wish has to look at. Any group lock stops a component lock, as with the CDA. */
  #matters(lock: Lock, scope: LockScope, entity: string): boolean {
    if (lock.scope === "vehicle" || scope === "vehicle") return true;
    if (scope === "ecu") return lock.scope === "group" || lock.entity === entity;
    return lock.scope === "group" ? lock.entity === entity : this.#options.members(entity).includes(lock.entity);
  }

  #prolong(lock: Lock, seconds: number): Lock {
    Object.assign(lock, this.#endAfter(seconds));
    this.#arm();
    return lock;
  }

  #endAfter(seconds: number): Pick<Lock, "expiresAtMs" | "expiration"> {
    const { clock, maxExpirationS, wallClock = Date.now } = this.#options;
    const durationMs = Math.min(seconds, maxExpirationS) * 1000;
    const expiration = `${new Date(wallClock() + durationMs).toISOString().slice(0, 19)}Z`;
    return { expiresAtMs: clock.now() + durationMs, expiration };
  }

  /** Own component locks of the members end, with clean-up, before the group lock stands. */
  #takeMembers(group: string): Lock[] {
    const taken: Lock[] = [];
    for (const ecu of this.#options.members(group)) {
      const lock = this.#locks.get(keyOf("ecu", ecu));
      if (lock === undefined) continue;
      this.#end(lock);
      if (this.#options.restoreEcuLocks) taken.push(lock);
    }
    return taken;
  }

  #end(lock: Lock): void {
    this.#locks.delete(keyOf(lock.scope, lock.entity));
    const { effects } = this.#options;
    if (lock.scope === "ecu") effects.ecuReleased(lock.entity);
    if (lock.scope === "group") effects.groupReleased(lock.entity);
    if (lock.scope === "vehicle") this.#endVehicle();
    for (const listener of this.#listeners) listener(lock);
    for (const ecuLock of lock.suspended) this.#restore(ecuLock);
  }

  /** The reset of every ECU is the clean-up of the component locks too; they and the group locks go without giving anything back. */
  #endVehicle(): void {
    const { effects } = this.#options;
    const ended = [...this.#locks.values()];
    this.#locks.clear();
    effects.vehicleReleased();
    for (const lock of ended) {
      if (lock.scope === "group") effects.groupReleased(lock.entity);
      for (const listener of this.#listeners) listener(lock);
    }
  }

  #restore(lock: Lock): void {
    const key = keyOf(lock.scope, lock.entity);
    if (this.#locks.has(key) || lock.expiresAtMs <= this.#options.clock.now()) return;
    this.#locks.set(key, lock);
    this.#options.effects.ecuAcquired(lock.entity);
  }

  /** One timer for all: it stands at the nearest end. */
  #arm(): void {
    const { clock } = this.#options;
    if (this.#timer !== undefined) clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const lock of this.#locks.values()) nextMs = Math.min(nextMs, lock.expiresAtMs);
    if (nextMs === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.min(Math.max(nextMs - clock.now(), 0), MAX_TIMER_MS);
    this.#timer = clock.setTimeout(() => {
      this.#expire();
      this.#arm();
    }, Math.ceil(delayMs));
  }

  #expire(): void {
    const now = this.#options.clock.now();
    let ended = false;
    for (const lock of [...this.#locks.values()]) {
      if (lock.expiresAtMs > now || this.#locks.get(keyOf(lock.scope, lock.entity)) !== lock) continue;
      this.#end(lock);
      ended = true;
    }
    if (ended) this.#arm();
  }
}

function keyOf(scope: LockScope, entity: string): string {
  return `${scope}/${entity}`;
}

function checkSeconds(seconds: number): void {
  if (!(seconds > 0)) throw new Fault("badRequest", "Expiration date is in the past");
}
