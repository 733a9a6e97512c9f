/** Progress as it is shown, whatever a backend says. */
import type { ProviderProgress } from "#update/software/provider.ts";

const MAX_STEP_CHARACTERS = 200;

/** What is shown after `said`: whole percents within 0…100 that do not fall, and a step in words; `shown` itself if that is the same. */
export function progressAfter(shown: ProviderProgress | undefined, said: unknown): ProviderProgress {
  const { percent, step } = (said ?? {}) as Partial<Record<keyof ProviderProgress, unknown>>;
  const before = shown?.percent ?? 0;
  const told = typeof percent === "number" && Number.isFinite(percent) ? Math.floor(percent) : before;
  const whole = Math.max(before, Math.min(100, told));
  const words = typeof step === "string" && step !== "" ? step.slice(0, MAX_STEP_CHARACTERS) : undefined;
  if (shown !== undefined && whole === before && words === shown.step) return shown;
  return words === undefined ? { percent: whole } : { percent: whole, step: words };
}
