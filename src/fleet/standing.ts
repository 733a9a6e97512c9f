/** Effects of calls that outlive the call: a thread that starts anew must be told of them again. */
import type { EcuCallName, GroupCallName } from "./messages.ts";

type Name = EcuCallName | GroupCallName;

/** What a call begins or ends. */
const EFFECTS: Partial<Readonly<Record<Name, { readonly effect: string; readonly ends: (args: unknown) => boolean }>>> =
  {
    lockAcquired: { effect: "lock", ends: () => false },
    lockReleased: { effect: "lock", ends: () => true },
    groupLockAcquired: { effect: "groupLock", ends: () => false },
    groupLockReleased: { effect: "groupLock", ends: () => true },
    comParamsOverride: {
      effect: "comParams",
      ends: (args) => (args as { overrides: unknown }).overrides === null,
    },
  };

export interface StandingCall {
  /** ECU or group, lower case. */
  readonly entity: string;
  readonly call: Name;
  readonly args: unknown;
}

export class StandingCalls {
  readonly #calls = new Map<string, StandingCall>();

  /** Takes note of a call that begins or ends a lasting effect; costs a look-up for all others. */
  note(entity: string, call: Name, args: unknown): void {
    const row = EFFECTS[call];
    if (row === undefined) return;
    const key = `${row.effect} ${entity}`;
    if (row.ends(args)) this.#calls.delete(key);
    else this.#calls.set(key, { entity, call, args });
  }

  /** In the order in which they began. */
  [Symbol.iterator](): Iterator<StandingCall> {
    return this.#calls.values();
  }
}
