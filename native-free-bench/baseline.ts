/** What rows cost when the baseline was taken, as ratios to the calibration loop, and which ones cost more now. */
import type { Measured } from "./measure.ts";

export interface BaselineRow {
  /** Median ratio to the calibration loop. */
  readonly ratio: number;
  /** Distance of the quartiles of its rounds, as a share of the median. */
  readonly noise: number;
  readonly bytes: number;
}

export interface Baseline {
  /** Ratios of another Node or processor say less: V8 and caches differ. */
  readonly node: string;
  readonly arch: string;
  readonly rows: Readonly<Record<string, BaselineRow>>;
}

/** Noise is never taken for less: two runs of the same code differ by as much. */
const LEAST_NOISE = 0.06;
/** A row is slower when it is above the baseline by so many times the noise of both. */
const NOISES = 3;
/** Sizes of objects vary a little with what V8 has optimised. */
const BYTES_SHARE = 0.15;
const BYTES_SLACK = 64;

export interface Change {
  readonly name: string;
  readonly what: "slower" | "allocates more" | "missing";
  readonly before: number;
  readonly now: number;
  /** From which value on it counts. */
  readonly limit: number;
}

/** The baseline that these figures make. */
export function baselineOf(measured: Readonly<Record<string, Measured>>): Baseline {
  const rows = Object.entries(measured).map(([name, row]) => [name, baselineRow(row)]);
  return { node: process.version, arch: process.arch, rows: Object.fromEntries(rows) };
}

/** One row as it is stored. */
export function baselineRow({ ratios, bytesPerOperation }: Measured): BaselineRow {
  const [lower, median, upper] = quartiles(ratios);
  return { ratio: rounded(median), noise: rounded((upper - lower) / median), bytes: bytesPerOperation };
}

/** Rows that cost more than in the baseline by more than their noise, and rows that are gone. New rows are no change. */
export function changes(baseline: Baseline, measured: Readonly<Record<string, Measured>>): Change[] {
  return Object.entries(baseline.rows).flatMap(([name, before]): Change[] => {
    const row = measured[name];
    if (row === undefined) return [{ name, what: "missing", before: before.ratio, now: 0, limit: before.ratio }];
    const now = baselineRow(row);
    const noise = Math.max(LEAST_NOISE, before.noise, now.noise);
    const limit = before.ratio * (1 + NOISES * noise);
    const maxBytes = before.bytes * (1 + BYTES_SHARE) + BYTES_SLACK;
    return [
      ...(now.ratio > limit
        ? [{ name, what: "slower", before: before.ratio, now: now.ratio, limit: rounded(limit) } as const]
        : []),
      ...(now.bytes > maxBytes
        ? [{ name, what: "allocates more", before: before.bytes, now: now.bytes, limit: Math.round(maxBytes) } as const]
        : []),
    ];
  });
}

/** The better of two measurements of the same rows: what is slow only once was the machine. */
export function better(
  first: Readonly<Record<string, Measured>>,
  second: Readonly<Record<string, Measured>>,
): Record<string, Measured> {
  const merged: Record<string, Measured> = { ...first };
  for (const [name, again] of Object.entries(second)) {
    const before = merged[name];
    if (before === undefined || baselineRow(again).ratio <= baselineRow(before).ratio) {
      merged[name] = { ...again, bytesPerOperation: leastBytes(before, again) };
    } else merged[name] = { ...before, bytesPerOperation: leastBytes(before, again) };
  }
  return merged;
}

function leastBytes(before: Measured | undefined, again: Measured): number {
  return Math.min(before?.bytesPerOperation ?? again.bytesPerOperation, again.bytesPerOperation);
}

/** Lower quartile, median, upper quartile; by the nearest rank. */
function quartiles(values: readonly number[]): [number, number, number] {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!;
  return [at(0.25), at(0.5), at(0.75)];
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
