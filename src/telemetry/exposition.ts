/** Prometheus' text format. Loaded at the first scrape: prom-client brings node:https, which most nodes never need. */
import { collectDefaultMetrics, type Metric, Registry } from "prom-client";
import type { Line } from "./series.ts";

/** What a registry asks of a metric. */
export interface Exposed {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  lines(): readonly Line[];
}

/** The text of these metrics and of the process's own, which are followed from now on. */
export function createExposition(metrics: readonly Exposed[]): () => Promise<string> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const { name, help, type, lines } of metrics) {
    const get = async () => ({ name, help, type, aggregator: "sum", values: lines() });
    registry.registerMetric({ name, get } as unknown as Metric);
  }
  return () => registry.metrics();
}
