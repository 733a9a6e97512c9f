/** Also a server that says 0 is not asked without a pause. */
const MIN_MS = 100;

/**
 * How long a server wants not to be asked again, ms: seconds or a date in `Retry-After` (RFC 9110, 10.2.3) of an answer 429 or 503.
 * Undefined for any other answer, and where it says nothing that can be read.
 */
export function retryAfterMs(
  status: number,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  nowMs = Date.now(),
): number | undefined {
  if (status !== 429 && status !== 503) return undefined;
  const said = String(headers["retry-after"] ?? "").trim();
  const ms = /^\d+$/.test(said) ? 1_000 * Number(said) : Date.parse(said) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.max(MIN_MS, ms);
}
