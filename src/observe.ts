/** What the running parts report, as metrics. Labels are bounded by the registry; hot series are held. */

import { formatAddress } from "#core/bytes.ts";
import type { VehicleFleet } from "#fleet/fleet.ts";
import type { RequestRecord } from "#http/server.ts";
import type { SovdContext } from "#sovd/context.ts";
import type { MetricsSource } from "#sovd/metrics.ts";
import type { Metrics, Series } from "#telemetry/metrics.ts";

interface RouteSeries {
  readonly seconds: Series;
  readonly byStatus: Map<number, Series>;
}

type ByMethod = Map<string, RouteSeries>;

/** Takes each finished request. No allocation for a route and status seen before. */
export function requestObserver(metrics: Metrics): (record: RequestRecord) => void {
  // by route and by method, whose hashes are known: a key made of both would be hashed at each request
  const known = new Map<string, ByMethod>();
  return ({ method, route = "unknown", status, durationMs }) => {
    let byMethod = known.get(route);
    if (byMethod === undefined) {
      byMethod = new Map();
      known.set(route, byMethod);
    }
    let series = byMethod.get(method);
    if (series === undefined) {
      series = { seconds: metrics.series("sovd_http_request_seconds", { method, route }), byStatus: new Map() };
      byMethod.set(method, series);
    }
    let count = series.byStatus.get(status);
    if (count === undefined) {
      count = metrics.series("sovd_http_requests_total", { method, route, status: String(status) });
      series.byStatus.set(status, count);
    }
    count.inc();
    series.seconds.observe(durationMs / 1_000);
  };
}

/** Follows ECUs, gateways and shards; returns what to call when a shard died. */
export function observeFleet(fleet: VehicleFleet, metrics: Metrics): { shardDied(index: number): void } {
  fleet.onEcu((ecu) => metrics.series("sovd_ecu_online", { ecu: ecu.id }).set(ecu.state === "Online" ? 1 : 0));
  fleet.onChange(() => {
    for (const { logicalAddress, connected } of fleet.gateways) {
      metrics.series("sovd_gateway_connected", { gateway: formatAddress(logicalAddress) }).set(connected ? 1 : 0);
    }
    for (const shard of fleet.shards) {
      metrics.series("sovd_shard_in_flight", { shard: String(shard.index) }).set(shard.inFlight);
    }
  });
  return { shardDied: (index) => metrics.series("sovd_shard_restarts_total", { shard: String(index) }).inc() };
}

/** The metrics as a scraper gets them; what is only a number of the moment is looked up then. */
export function scraped(
  metrics: Metrics,
  { locks }: Pick<SovdContext, "locks">,
  inFlight: () => number,
): MetricsSource {
  return {
    contentType: metrics.contentType,
    text: () => {
      metrics.series("sovd_http_in_flight", {}).set(inFlight());
      for (const kind of ["ecu", "group", "vehicle"] as const) {
        metrics.series("sovd_locks", { kind }).set(locks.list(kind).length);
      }
      return metrics.text();
    },
  };
}
