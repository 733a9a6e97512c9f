/**
 * A histogram that costs an addition per value: that of prom-client looks up its labels each time, which took longer than all else of
 * the observation of a request.
 */

type Labels = Readonly<Record<string, string>>;

interface Line {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

class Values {
  readonly #labels: Labels;
  readonly #bounds: readonly number[];
  /** Values per bucket; the last one is of those beyond all bounds. */
  readonly #counts: number[];
  #sum = 0;

  constructor(labels: Labels, bounds: readonly number[]) {
    this.#labels = labels;
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > this.#bounds[bucket]!) bucket++;
    this.#counts[bucket]!++;
    this.#sum += value;
  }

  /** In the text format's order: buckets, each with those below it, sum, count. */
  lines(name: string): Line[] {
    let count = 0;
    const lines: Line[] = this.#counts.map((inBucket, i) => {
      count += inBucket;
      return {
        metricName: `${name}_bucket`,
        labels: { le: this.#bounds[i] ?? "+Inf", ...this.#labels },
        value: count,
      };
    });
    lines.push({ metricName: `${name}_sum`, labels: this.#labels, value: this.#sum });
    lines.push({ metricName: `${name}_count`, labels: this.#labels, value: count });
    return lines;
  }
}

/** What a prom-client registry asks of a metric, and nothing else. */
export class PlainHistogram {
  readonly name: string;
  readonly help: string;
  readonly type = "histogram";
  readonly aggregator = "sum";
  readonly #bounds: readonly number[];
  readonly #series: Values[] = [];

  constructor(name: string, help: string, bounds: readonly number[]) {
    this.name = name;
    this.help = help;
    this.#bounds = bounds;
  }

  /** A series of its own; the caller keeps it. */
  add(labels: Labels): { observe(value: number): void } {
    const values = new Values(labels, this.#bounds);
    this.#series.push(values);
    return values;
  }

  async get() {
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values: this.#series.flatMap((series) => series.lines(name)) };
  }
}
