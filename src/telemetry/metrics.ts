/** What is counted and measured, as one table, in Prometheus' text format. */
import { createCounter, createGauge, createHistogram, type Labels, type Series } from "./series.ts";

export type { Series } from "./series.ts";

interface MetricSpec {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds of a histogram, seconds. */
  readonly buckets?: readonly number[];
}

const SECONDS = [0.000_1, 0.000_25, 0.001, 0.002_5, 0.01, 0.025, 0.1, 0.25, 1, 2.5, 10];

export const METRICS = {
  sovd_http_requests_total: { type: "counter", help: "Requests answered.", labels: ["method", "route", "status"] },
  sovd_http_request_seconds: {
    type: "histogram",
    help: "Time from the request's head to its answer.",
    labels: ["method", "route"],
    buckets: SECONDS,
  },
  sovd_http_in_flight: { type: "gauge", help: "Requests being worked on.", labels: [] },
  sovd_http_refused_total: {
    type: "counter",
    help: "Requests refused before they were looked at.",
    labels: ["reason"],
  },
  sovd_http_connections: { type: "gauge", help: "Open connections.", labels: [] },
  sovd_http_connections_refused_total: { type: "counter", help: "Connections closed as too many.", labels: [] },
  sovd_http_counted_clients: { type: "gauge", help: "Client addresses whose requests are counted.", labels: [] },
  sovd_http_upload_bytes: { type: "gauge", help: "Bytes of uploads received and not taken yet.", labels: [] },
  sovd_http_upload_peak_bytes: { type: "gauge", help: "The most such bytes since start.", labels: [] },
  sovd_http_uploads_cut_total: {
    type: "counter",
    help: "Connections closed because uploads came faster than they were stored.",
    labels: [],
  },
  sovd_http_event_streams: { type: "gauge", help: "Clients that follow server-sent events.", labels: [] },
  sovd_ecu_online: { type: "gauge", help: "1 while the ECU is online.", labels: ["ecu"] },
  sovd_ecu_calls: { type: "gauge", help: "Calls to the ECU, running and waiting.", labels: ["ecu"] },
  sovd_ecu_queue: { type: "gauge", help: "Requests that wait for their turn at the ECU.", labels: ["ecu"] },
  sovd_ecu_refused_total: { type: "counter", help: "Calls refused because the ECU's queue was full.", labels: ["ecu"] },
  sovd_gateway_connected: { type: "gauge", help: "1 while the gateway's connection stands.", labels: ["gateway"] },
  sovd_shard_restarts_total: {
    type: "counter",
    help: "Shards started again after their thread died.",
    labels: ["shard"],
  },
  sovd_shard_in_flight: { type: "gauge", help: "Calls a shard is working on.", labels: ["shard"] },
  sovd_shard_refused_total: {
    type: "counter",
    help: "Calls refused because the shard had too many.",
    labels: ["shard"],
  },
  sovd_shard_heap_bytes: { type: "gauge", help: "Heap in use by the shard's thread.", labels: ["shard"] },
  sovd_databases_open: { type: "gauge", help: "Diagnostic databases the shard has open.", labels: ["shard"] },
  sovd_plans: { type: "gauge", help: "Compiled services kept.", labels: ["shard"] },
  sovd_plan_bytes: {
    type: "gauge",
    help: "Bytes of compiled services, all databases of the shard.",
    labels: ["shard"],
  },
  sovd_plans_compiled_total: {
    type: "counter",
    help: "Services compiled; steady while nothing is new.",
    labels: ["shard"],
  },
  sovd_tokens: { type: "gauge", help: "Verified tokens remembered.", labels: [] },
  sovd_locks: { type: "gauge", help: "Locks held.", labels: ["kind"] },
  sovd_subscriptions: { type: "gauge", help: "Cyclic subscriptions and triggers.", labels: ["kind"] },
  sovd_updates_need_service: {
    type: "gauge",
    help: "Components that an update left unable to go back.",
    labels: [],
  },
  sovd_executions: { type: "gauge", help: "Executions kept, running and ended.", labels: [] },
  sovd_store_used_bytes: { type: "gauge", help: "Live data of a part of the store.", labels: ["part"] },
  sovd_store_file_bytes: { type: "gauge", help: "Size of its file.", labels: ["part"] },
  sovd_uploads_refused_total: {
    type: "counter",
    help: "Uploads of bulk data for which there was no place.",
    labels: [],
  },
  sovd_jobs_waiting: { type: "gauge", help: "Jobs that wait for the jobs thread.", labels: [] },
  sovd_log_dropped_total: { type: "counter", help: "Log records lost.", labels: ["sink"] },
  sovd_limit: { type: "gauge", help: "What is configured: the bounds of all these.", labels: ["key"] },
  sovd_stage_total: { type: "counter", help: "Passes of a stage, while stages are timed.", labels: ["stage"] },
  sovd_stage_microseconds: {
    type: "gauge",
    help: "Time of a stage, while stages are timed.",
    labels: ["stage", "figure"],
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;

export type MetricName = keyof typeof METRICS;
export type LabelsOf<N extends MetricName> = Readonly<Record<(typeof METRICS)[N]["labels"][number], string>>;

export interface Metrics {
  /** The series with these labels. Beyond the bound all further ones share a series whose labels are `other`. */
  series<N extends MetricName>(name: N, labels: LabelsOf<N>): Series;
  /** `look` is run before each scrape: for what is only a number of the moment. */
  onScrape(look: () => void | Promise<void>): void;
  /** Everything, with the process's own metrics, which are followed from the first call on, in Prometheus' text format. */
  text(): Promise<string>;
  readonly contentType: string;
}

const OTHER = "other";
const keyOf = (values: readonly string[]) => values.join("\u0000");
const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Metrics of their own; `maxSeries` bounds the label combinations of each. */
export function createMetrics(maxSeries: number): Metrics {
  const names = Object.keys(METRICS) as MetricName[];
  const made = new Map(names.map((name) => [name, new Map<string, Series>()]));
  const looks: (() => void | Promise<void>)[] = [];
  let exposition: Promise<() => Promise<string>> | undefined;
  const expose = () => {
    exposition ??= import("./exposition.ts").then(({ createExposition }) =>
      createExposition(
        names.map((name) => {
          const { help, type } = METRICS[name];
          return { name, help, type, lines: () => [...made.get(name)!.values()].flatMap((one) => one.lines(name)) };
        }),
      ),
    );
    return exposition;
  };
  return {
    series(name, labels) {
      const known = made.get(name)!;
      const labelNames: readonly string[] = METRICS[name].labels;
      const wanted = labelNames.map((label) => String((labels as Record<string, string>)[label]));
      const isFull = known.size >= maxSeries && !known.has(keyOf(wanted));
      const values = isFull ? labelNames.map(() => OTHER) : wanted;
      const found = known.get(keyOf(values));
      if (found !== undefined) return found;
      const series = seriesOf(METRICS[name], Object.fromEntries(labelNames.map((label, i) => [label, values[i]!])));
      known.set(keyOf(values), series);
      return series;
    },
    onScrape: (look) => {
      looks.push(look);
    },
    text: async () => {
      await Promise.all(looks.map((look) => look()));
      return (await expose())();
    },
    contentType: CONTENT_TYPE,
  };
}

function seriesOf({ type, buckets = SECONDS }: MetricSpec, labels: Labels): Series {
  switch (type) {
    case "counter":
      return createCounter(labels);
    case "gauge":
      return createGauge(labels);
    case "histogram":
      return createHistogram(labels, buckets);
  }
}
