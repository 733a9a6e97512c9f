/**
 * The health gate: a target that runs new software is asked again and again, until it was well for the whole soak time or is found
 * unwell. Silence is neither: it only counts against the time a target may need to come up.
 */
import { Fault } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import { type TargetFault, UNREACHABLE, type UpdateJob, type UpdateProvider } from "./provider.ts";
import { sleep } from "./sleep.ts";
import type { FaultRank } from "./states.ts";

export interface GateSettings {
  /** A target that is silent for longer has failed. */
  readonly bootTimeoutMs: number;
  readonly intervalMs: number;
  /** How long it must be well without a break. */
  readonly soakMs: number;
  /** Clean answers in a row, at least. */
  readonly minPolls: number;
  /** New faults that are let pass. */
  readonly maxFaults: number;
  /** Faults of a greater number (less severe; 1 is worst) do not count; 0: all count. */
  readonly maxSeverity: number;
}

export interface GateRun {
  readonly provider: UpdateProvider;
  readonly job: UpdateJob;
  /** Codes of the faults the target had before. */
  readonly baseline: readonly string[];
  /** How bad they were. */
  readonly baselineRanks?: Readonly<Record<string, FaultRank>>;
  readonly settings: GateSettings;
  readonly clock: Clock;
}

/** Resolves when the target is healthy. @throws Fault conflict when it is not, notResponding when it stays silent */
export async function runGate({
  provider,
  job,
  baseline,
  baselineRanks = {},
  settings,
  clock,
}: GateRun): Promise<void> {
  let lastAnswerMs = clock.now();
  let wellSinceMs: number | undefined;
  for (let polls = 0; ; await sleep(clock, settings.intervalMs, job.signal)) {
    try {
      await provider.verify(job);
      const faults = (await provider.faults?.(job.component, job.signal)) ?? [];
      refuseNewFaults(faults, baseline, settings);
      refuseWorseFaults(faults, baselineRanks, settings);
      lastAnswerMs = clock.now();
      wellSinceMs ??= lastAnswerMs;
      polls++;
    } catch (error) {
      if (!(error instanceof Fault) || !UNREACHABLE.has(error.kind)) throw error;
      if (clock.now() - lastAnswerMs >= settings.bootTimeoutMs) throw error;
      wellSinceMs = undefined;
      polls = 0;
      continue;
    }
    const wellMs = clock.now() - wellSinceMs;
    const percent = settings.soakMs === 0 ? 100 : Math.min(100, Math.floor((100 * wellMs) / settings.soakMs));
    job.progress({ percent, step: "health check" });
    if (wellMs >= settings.soakMs && polls >= settings.minPolls) return;
  }
}

function weighs({ active, severity = 1 }: TargetFault, { maxSeverity }: GateSettings): boolean {
  return active && (maxSeverity === 0 || severity <= maxSeverity);
}

/** What was there before is no excuse for what is worse now: more severe, or confirmed where it was only suspected. */
function refuseWorseFaults(
  faults: readonly TargetFault[],
  ranks: Readonly<Record<string, FaultRank>>,
  settings: GateSettings,
): void {
  const worse = faults.filter((fault) => {
    const before = Object.hasOwn(ranks, fault.code) ? ranks[fault.code] : undefined;
    if (before === undefined || !weighs(fault, settings)) return false;
    const severer = fault.severity !== undefined && before.severity !== undefined && fault.severity < before.severity;
    return severer || (fault.confirmed === true && before.confirmed === false);
  });
  if (worse.length === 0) return;
  const codes = worse.map(({ code }) => code);
  throw new Fault("conflict", `Health check: faults became worse: ${codes.join(", ")}`, { faults: codes });
}

function refuseNewFaults(faults: readonly TargetFault[], baseline: readonly string[], settings: GateSettings): void {
  const { maxFaults } = settings;
  const fresh = faults.filter((fault) => weighs(fault, settings) && !baseline.includes(fault.code));
  if (fresh.length <= maxFaults) return;
  const codes = fresh.map(({ code }) => code);
  throw new Fault("conflict", `Health check: new faults ${codes.join(", ")}`, { faults: codes });
}
