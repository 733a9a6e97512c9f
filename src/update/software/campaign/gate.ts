/**
 * The health gate: a target that runs new software is asked again and again, until it was well for the whole soak time or is found
 * unwell. Silence is neither: it only counts against the time a target may need to come up.
 */
import { Fault } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import { isUnreachable, type TargetFault, type UpdateJob, type UpdateProvider } from "#update/software/provider.ts";
import { sleep } from "#update/software/sleep.ts";
import { ResetCounter } from "./reset-reason.ts";

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

/** What a target was like before its new software was started. Plain JSON. */
export interface Baseline {
  /** Active ones. */
  readonly faults: readonly TargetFault[];
  readonly resetReason?: string;
}

export interface GateRun {
  readonly provider: UpdateProvider;
  readonly job: UpdateJob;
  readonly baseline: Baseline;
  readonly settings: GateSettings;
  readonly clock: Clock;
  /** Why the target was last reset; absent where it does not tell. */
  readonly resetReason?: () => Promise<string> | undefined;
  /** Hears what the target is like, when it is not like before, for the record. */
  readonly onSample?: (seen: string) => void;
}

/** Resolves when the target is healthy. @throws Fault conflict when it is not, notResponding when it stays silent */
export async function runGate(run: GateRun): Promise<void> {
  const { provider, job, baseline, settings, clock } = run;
  const resets = new ResetCounter(baseline.resetReason);
  const sample = sampler(run.onSample);
  let lastAnswerMs = clock.now();
  let wellSinceMs: number | undefined;
  for (let polls = 0; ; await sleep(clock, settings.intervalMs, job.signal)) {
    try {
      await provider.verify(job);
      const faults = (await provider.faults?.(job.component, job.signal)) ?? [];
      const reason = await run.resetReason?.();
      sample(seenOf(faults, reason));
      refuseNewFaults(faults, baseline.faults, settings);
      refuseWorseFaults(faults, baseline.faults, settings);
      if (reason !== undefined) resets.read(reason);
      lastAnswerMs = clock.now();
      wellSinceMs ??= lastAnswerMs;
      polls++;
    } catch (error) {
      if (!isUnreachable(error) || job.signal.aborted) throw error;
      sample(`silent: ${error.message}`);
      resets.silence();
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

/** Samples of one health check that are kept: a target that comes and goes must not fill the record. */
const MAX_SAMPLES = 32;

function sampler(onSample: GateRun["onSample"]): (seen: string) => void {
  let last: string | undefined;
  let left = MAX_SAMPLES;
  return (seen) => {
    if (seen === last || left === 0) return;
    last = seen;
    left--;
    onSample?.(seen);
  };
}

function seenOf(faults: readonly TargetFault[], resetReason: string | undefined): string {
  const codes = faults.filter(({ active }) => active).map(({ code }) => code);
  const reset = resetReason === undefined ? "" : `, reset reason ${resetReason}`;
  return `${codes.length === 0 ? "no faults" : `faults ${codes.join(", ")}`}${reset}`;
}

/** What was there before is no excuse for what is worse now: more severe, or confirmed where it was only suspected. */
function refuseWorseFaults(
  faults: readonly TargetFault[],
  baseline: readonly TargetFault[],
  settings: GateSettings,
): void {
  const worse = faults.filter((fault) => {
    const before = baseline.find(({ code }) => code === fault.code);
    if (before === undefined || !weighs(fault, settings)) return false;
    const severer = fault.severity !== undefined && before.severity !== undefined && fault.severity < before.severity;
    return severer || (fault.confirmed === true && before.confirmed === false);
  });
  if (worse.length === 0) return;
  const codes = worse.map(({ code }) => code);
  throw new Fault("conflict", `Health check: faults became worse: ${codes.join(", ")}`, { faults: codes });
}

function refuseNewFaults(
  faults: readonly TargetFault[],
  baseline: readonly TargetFault[],
  settings: GateSettings,
): void {
  const isNew = ({ code: wanted }: TargetFault) => !baseline.some(({ code }) => code === wanted);
  const fresh = faults.filter((fault) => weighs(fault, settings) && isNew(fault));
  if (fresh.length <= settings.maxFaults) return;
  const codes = fresh.map(({ code }) => code);
  throw new Fault("conflict", `Health check: new faults ${codes.join(", ")}`, { faults: codes });
}
