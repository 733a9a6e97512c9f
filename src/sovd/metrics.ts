/** The program's own measurements, for a scraper. */
import { type Route, route } from "./route.ts";

/** Where the text of all metrics comes from. */
export interface MetricsSource {
  readonly contentType: string;
  text(): Promise<string>;
}

export function metricsRoutes(metrics: MetricsSource): readonly Route[] {
  return [
    route({
      method: "get",
      path: "/metrics",
      mount: "root",
      summary: "Metrics in Prometheus' text format",
      tag: "health",
      public: true,
      early: true,
      responses: { 200: { description: "All series.", contentType: metrics.contentType } },
      handle: async () => ({
        status: 200,
        contentType: metrics.contentType,
        body: new TextEncoder().encode(await metrics.text()),
      }),
    }),
  ];
}
