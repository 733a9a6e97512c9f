/** Latencies of one measurement: an HDR histogram in tenths of a microsecond, three significant digits. */
import { build, type Histogram } from "hdr-histogram-js";

const UNITS_PER_MS = 10_000;
const LONGEST_MS = 600_000;

export const PERCENTILES = [50, 90, 99, 99.9] as const;

export class Latencies {
  readonly #histogram: Histogram = build({
    bitBucketSize: 32,
    lowestDiscernibleValue: 1,
    highestTrackableValue: LONGEST_MS * UNITS_PER_MS,
    numberOfSignificantValueDigits: 3,
  });

  record(ms: number): void {
    const units = Math.round(Math.min(ms, LONGEST_MS) * UNITS_PER_MS);
    this.#histogram.recordValue(Math.max(units, 1));
  }

  get count(): number {
    return this.#histogram.totalCount;
  }

  /** Milliseconds below which `percent` of the values lie; 0 without values. */
  at(percent: number): number {
    return this.count === 0 ? 0 : this.#histogram.getValueAtPercentile(percent) / UNITS_PER_MS;
  }

  get maxMs(): number {
    return this.count === 0 ? 0 : this.#histogram.maxValue / UNITS_PER_MS;
  }

  add(other: Latencies): void {
    this.#histogram.add(other.#histogram);
  }
}
