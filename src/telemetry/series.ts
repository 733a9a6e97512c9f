/**
 * The values of a metric's lines. Sums of our own, handed over when scraped: prom-client looks up its labels at each value, which took
 * longer than all else of the observation of a request.
 */

export type Labels = Readonly<Record<string, string>>;

/** A line of the text format; `metricName` where it is not the metric's own. */
export interface Line {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** One line of a metric. Hold it where the path is hot: finding it costs more than using it. */
export interface Series {
  /** Adds to a counter or gauge. */
  inc(by?: number): void;
  /** Sets a gauge. A counter is raised to what its source has counted; a source that began anew counts on top. */
  set(value: number): void;
  /** Takes a histogram's value. */
  observe(seconds: number): void;
  lines(name: string): readonly Line[];
}

const nothing = (): void => {};

export function createCounter(labels: Labels): Series {
  let sum = 0;
  let counted = 0;
  return {
    inc: (by = 1) => {
      sum += by;
    },
    set: (total) => {
      sum += total >= counted ? total - counted : total;
      counted = total;
    },
    observe: nothing,
    lines: () => [{ labels, value: sum }],
  };
}

export function createGauge(labels: Labels): Series {
  let value = 0;
  return {
    inc: (by = 1) => {
      value += by;
    },
    set: (now) => {
      value = now;
    },
    observe: nothing,
    lines: () => [{ labels, value }],
  };
}

/** `bounds`: upper ones of the buckets. */
export function createHistogram(labels: Labels, bounds: readonly number[]): Series {
  /** Values per bucket; the last one is of those beyond all bounds. */
  const counts = new Array<number>(bounds.length + 1).fill(0);
  let sum = 0;
  return {
    inc: nothing,
    set: nothing,
    observe: (value) => {
      let bucket = 0;
      while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
      counts[bucket]!++;
      sum += value;
    },
    lines: (name) => {
      let count = 0;
      const buckets = counts.map((inBucket, i): Line => {
        count += inBucket;
        return { metricName: `${name}_bucket`, labels: { le: bounds[i] ?? "+Inf", ...labels }, value: count };
      });
      const total = { metricName: `${name}_sum`, labels, value: sum };
      return [...buckets, total, { metricName: `${name}_count`, labels, value: count }];
    },
  };
}
