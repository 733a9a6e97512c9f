/** Answer times as text, for the command line. */
import type { Delay } from "./misbehaviour.ts";

const NUMBER = String.raw`(\d+(?:\.\d+)?)`;
const CONSTANT = new RegExp(`^${NUMBER}$`);
const UNIFORM = new RegExp(`^${NUMBER}-${NUMBER}$`);
const NORMAL = new RegExp(`^${NUMBER}~${NUMBER}$`);
const WEIGHTED = new RegExp(`^${NUMBER}:${NUMBER}(?:,${NUMBER}:${NUMBER})*$`);

/**
 * Milliseconds: `5`, from a range `2-8`, around a mean with a deviation `10~3`, or by weight `5:90,50:10` (9 of 10 take 5 ms).
 * Undefined for anything else.
 */
export function parseDelay(text: string): Delay | undefined {
  if (CONSTANT.test(text)) return Number(text);
  const range = UNIFORM.exec(text);
  if (range !== null) {
    const [minMs, maxMs] = [Number(range[1]), Number(range[2])];
    return minMs <= maxMs ? { kind: "uniform", minMs, maxMs } : undefined;
  }
  const around = NORMAL.exec(text);
  if (around !== null) return { kind: "normal", meanMs: Number(around[1]), deviationMs: Number(around[2]) };
  if (!WEIGHTED.test(text)) return undefined;
  const values = text.split(",").map((part) => {
    const [ms, weight] = part.split(":").map(Number) as [number, number];
    return { ms, weight };
  });
  return values.every(({ weight }) => weight > 0) ? { kind: "weighted", values } : undefined;
}
