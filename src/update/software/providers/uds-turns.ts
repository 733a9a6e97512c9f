/**
 * Flashes that reach one ECU go one after the other. Counting who has switched something off would not do: what begins a flash, such as
 * the extended session for all, reaches an ECU in the middle of another one and ends its programming session.
 */
import { type Fleet, membersOf } from "#fleet/api.ts";
import { aborted } from "#update/software/sleep.ts";
import { othersOf, type Recipe } from "./uds-recipe.ts";

/** Ids of all ECUs that a flash speaks to. What goes to a group is heard by every ECU behind the gateways of its members. */
export function reachOf(fleet: Fleet, component: string, recipe: Recipe): ReadonlySet<string> {
  const { ecus, groups } = othersOf(recipe);
  const known = groups.flatMap((name) => fleet.group(name.toLowerCase()) ?? []);
  const members = known.flatMap((group) => membersOf(fleet, group));
  const gateways = new Set(members.map(({ gatewayAddress }) => gatewayAddress));
  const heard = fleet.ecus.filter(({ gatewayAddress }) => gateways.has(gatewayAddress)).map(({ id }) => id);
  return new Set([component, ...ecus].map((name) => name.toLowerCase()).concat(heard));
}

interface Turn {
  readonly reach: ReadonlySet<string>;
  begin: (() => void) | undefined;
}

/** In the order of arrival; who shares nothing with those before begins at once. */
export class FlashTurns {
  readonly #turns: Turn[] = [];

  /** Resolves with what ends the turn, once it is there. `onWait` is called when it is not. Rejects as soon as the signal is aborted. */
  async take(reach: ReadonlySet<string>, signal: AbortSignal, onWait: () => void): Promise<() => void> {
    const turn: Turn = { reach, begin: undefined };
    const end = (): void => {
      this.#turns.splice(this.#turns.indexOf(turn), 1);
      for (const [at, { begin }] of this.#turns.entries()) if (this.#isFree(at)) begin?.();
    };
    if (signal.aborted) throw aborted(signal);
    this.#turns.push(turn);
    if (this.#isFree(this.#turns.length - 1)) return end;
    onWait();
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        end();
        reject(aborted(signal));
      };
      signal.addEventListener("abort", onAbort, { once: true });
      turn.begin = () => {
        turn.begin = undefined;
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
    });
    return end;
  }

  #isFree(at: number): boolean {
    const { reach } = this.#turns[at]!;
    return !this.#turns.slice(0, at).some((before) => [...before.reach].some((ecu) => reach.has(ecu)));
  }
}
