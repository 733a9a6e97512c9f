/**
 * Why an ECU was last reset, as its data tells, and whether new software resets again and again. That an update resets its target is
 * right; that the same reason is behind two resets while its health is watched is not.
 */
import { Fault } from "#core/errors.ts";
import type { Fleet } from "#fleet/api.ts";
import { canonical } from "#update/software/canonical.ts";
import { dataOf } from "./preconditions.ts";

/**
 * `where`: a data resource, and behind its name where the reason is in the answer (RFC 6901; without: `/data`), e.g. `Reset/data/reason`.
 * @throws Fault misconfigured when there is nothing; as a read of the data
 */
export async function readResetReason(
  fleet: Fleet,
  component: string,
  where: string,
  signal: AbortSignal,
): Promise<string> {
  const ecu = fleet.ecu(component);
  if (ecu === undefined) throw new Fault("ecuOffline", `There is no ECU ${component}`);
  const slash = where.indexOf("/");
  const [data, pointer] = slash === -1 ? [where, undefined] : [where.slice(0, slash), where.slice(slash)];
  const reason = await dataOf(fleet, ecu.name, data, pointer, signal);
  if (reason === undefined) throw new Fault("misconfigured", `There is no reset reason of ${component} at ${where}`);
  return canonical(reason);
}

/** Counts resets behind readings: one that differs from the reading before, or that follows a silence, is a new reset. */
export class ResetCounter {
  readonly #counts = new Map<string, number>();
  #last: string | undefined;
  #silent = false;

  /** `before`: the reading before the new software was started. */
  constructor(before: string | undefined) {
    this.#last = before;
  }

  silence(): void {
    this.#silent = true;
  }

  /** @throws Fault conflict when the same reason is behind a second reset */
  read(reason: string): void {
    const isNew = this.#silent || reason !== this.#last;
    this.#last = reason;
    this.#silent = false;
    if (!isNew) return;
    const count = (this.#counts.get(reason) ?? 0) + 1;
    this.#counts.set(reason, count);
    if (count > 1) throw new Fault("conflict", `Health check: reset twice for the same reason, ${reason}`);
  }
}
