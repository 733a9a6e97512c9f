/**
 * Right after a start the vehicle is still being looked for. What a call will speak to is waited for then, as the health check waits for
 * a target that comes up: an ECU that nobody has found yet is not silent.
 */
import type { Clock } from "#core/time.ts";
import { type Fleet, membersOf } from "#fleet/api.ts";
import type { EcuStateWord } from "#fleet/messages.ts";
import { until } from "#fleet/until.ts";
import { aborted } from "#update/software/sleep.ts";

/** Words for an ECU that no detection has found since the start. */
const NOT_FOUND_YET: ReadonlySet<EcuStateWord | undefined> = new Set(["Offline", "NotTested"]);

/**
 * Resolves when all ECUs of these names, and of groups of these names, were found, at the latest at `untilMs`; names of neither are
 * passed over. Rejects as soon as the signal is aborted.
 */
export async function awaitFound(
  { fleet, clock }: { readonly fleet: Fleet; readonly clock: Clock },
  names: readonly string[],
  untilMs: number,
  signal: AbortSignal,
): Promise<void> {
  const wanted = [...new Set(names.flatMap((name) => ecusOf(fleet, name)))];
  const missing = () => wanted.filter((ecu) => NOT_FOUND_YET.has(fleet.ecu(ecu)?.state));
  const leftMs = untilMs - clock.now();
  if (leftMs <= 0 || missing().length === 0) return;
  if (signal.aborted) throw aborted(signal);
  // where communication begins on demand this is the demand
  for (const ecu of missing()) fleet.call(ecu, "detect", {}, { signal }).catch(() => undefined);
  await until(fleet, () => missing().length === 0, { clock, timeoutMs: leftMs, signal });
  if (signal.aborted) throw aborted(signal);
}

function ecusOf(fleet: Fleet, name: string): readonly string[] {
  const ecu = fleet.ecu(name);
  if (ecu !== undefined) return [ecu.id];
  const group = fleet.group(name.toLowerCase());
  return group === undefined ? [] : membersOf(fleet, group).map(({ id }) => id);
}
