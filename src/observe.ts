/** What the running parts report, as metrics. Labels are bounded by the registry; hot series are held. */

import type { Config } from "#config/types.ts";
import { formatAddress } from "#core/bytes.ts";
import type { VehicleFleet } from "#fleet/fleet.ts";
import { MAX_IN_FLIGHT, type Shard } from "#fleet/shard.ts";
import { REFUSALS } from "#http/admission.ts";
import type { HttpServer, RequestRecord } from "#http/server-options.ts";
import type { SovdContext } from "#sovd/context.ts";
import { METHODS } from "#sovd/route.ts";
import { ENVIRONMENT_NAMES, type Store } from "#store/environments.ts";
import { LOG_SINKS, type Log } from "#telemetry/logger.ts";
import type { Metrics, Series } from "#telemetry/metrics.ts";
import type { StageFigures, StageTimes } from "#telemetry/stages.ts";

interface RouteSeries {
  readonly seconds: Series;
  readonly byStatus: Map<number, Series>;
}

type ByMethod = Map<string, RouteSeries>;

/** A method that no route has is the client's own word: as a label of its own it would be without bound. */
const UNKNOWN = "unknown";
const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS);

/** Takes each finished request. No allocation for a route and status seen before. */
export function requestObserver(metrics: Metrics): (record: RequestRecord) => void {
  // by route and by method, whose hashes are known: a key made of both would be hashed at each request
  const known = new Map<string, ByMethod>();
  return ({ method: sent, route = UNKNOWN, status, durationMs }) => {
    const method = KNOWN_METHODS.has(sent) ? sent : UNKNOWN;
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
  // not at each change: while a thousand ECUs come online each of them is one
  metrics.onScrape(() => {
    for (const { logicalAddress, connected } of fleet.gateways) {
      metrics.series("sovd_gateway_connected", { gateway: formatAddress(logicalAddress) }).set(connected ? 1 : 0);
    }
  });
  metrics.onScrape(() => {
    for (const { id: ecu, open, refused } of fleet.ecuLoads()) {
      metrics.series("sovd_ecu_calls", { ecu }).set(open);
      metrics.series("sovd_ecu_refused_total", { ecu }).set(refused);
    }
  });
  metrics.onScrape(async () => {
    await Promise.all(fleet.shards.map((shard) => lookAtShard(shard, metrics)));
  });
  for (const { index } of fleet.shards) metrics.series("sovd_shard_restarts_total", { shard: String(index) }).inc(0);
  return { shardDied: (index) => metrics.series("sovd_shard_restarts_total", { shard: String(index) }).inc() };
}

async function lookAtShard(shard: Shard, metrics: Metrics): Promise<void> {
  const labels = { shard: String(shard.index) };
  metrics.series("sovd_shard_in_flight", labels).set(shard.inFlight);
  metrics.series("sovd_shard_refused_total", labels).set(shard.refused);
  const stats = await shard.stats();
  if (stats === undefined) return;
  metrics.series("sovd_shard_heap_bytes", labels).set(stats.heapBytes);
  metrics.series("sovd_databases_open", labels).set(stats.databases);
  metrics.series("sovd_plans", labels).set(stats.plans);
  metrics.series("sovd_plan_bytes", labels).set(stats.planBytes);
  metrics.series("sovd_plans_compiled_total", labels).set(stats.plansCompiled);
  for (const [ecu, waiting] of Object.entries(stats.queued)) {
    metrics.series("sovd_ecu_queue", { ecu: ecu.toLowerCase() }).set(waiting);
  }
  if (stats.stages !== undefined) showStages(stats.stages, metrics);
}

/** Of several shards the last one is shown: they do the same work. */
function showStages(stages: StageFigures, metrics: Metrics): void {
  for (const [stage, { count, sumUs, p50Us, p99Us }] of Object.entries(stages)) {
    metrics.series("sovd_stage_total", { stage }).set(count);
    for (const [figure, us] of Object.entries({ mean: sumUs / count, p50: p50Us, p99: p99Us })) {
      metrics.series("sovd_stage_microseconds", { stage, figure }).set(us);
    }
  }
}

export interface ProcessParts {
  readonly config: Config;
  readonly store: Store;
  readonly jobs: { readonly waiting: number };
  readonly bulk: { readonly refused: number };
  readonly log: Pick<Log, "dropped">;
}

/** Store, jobs thread and log; and the bounds themselves, which do not change. */
export function observeProcess({ config, store, jobs, bulk, log }: ProcessParts, metrics: Metrics): void {
  for (const [key, limit] of limitsOf(config)) metrics.series("sovd_limit", { key }).set(limit);
  metrics.onScrape(() => {
    for (const part of ENVIRONMENT_NAMES) {
      const { usedBytes, fileBytes } = store[part].space();
      metrics.series("sovd_store_used_bytes", { part }).set(usedBytes);
      metrics.series("sovd_store_file_bytes", { part }).set(fileBytes);
    }
    metrics.series("sovd_jobs_waiting", {}).set(jobs.waiting);
    metrics.series("sovd_uploads_refused_total", {}).set(bulk.refused);
    const { dropped } = log;
    for (const sink of LOG_SINKS) metrics.series("sovd_log_dropped_total", { sink }).set(dropped[sink]);
  });
}

function limitsOf({ limits, http, store, update, shards }: Config): [string, number][] {
  const section = (name: string, keys: object) =>
    Object.entries(keys).flatMap(([key, value]): [string, number][] =>
      typeof value === "number" ? [[`${name}.${key}`, value]] : [],
    );
  return [
    ...section("limits", limits),
    ...section("store.max_bytes", store.max_bytes),
    ["http.max_connections", http.max_connections],
    ["http.max_body_bytes", http.max_body_bytes],
    ["shards.in_flight", MAX_IN_FLIGHT],
    ["shards.max_heap_mib", shards.max_heap_mib],
    ["update.max_status_subscribers", update.max_status_subscribers],
    ["update.max_subscriptions", update.max_subscriptions],
  ];
}

export interface HttpParts {
  readonly http: HttpServer;
  readonly context: SovdContext;
  readonly stages: StageTimes | undefined;
}

/** The HTTP front end and what its resources keep. */
export function observeHttp({ http, context, stages }: HttpParts, metrics: Metrics): void {
  const { locks, executions, authenticator, subscriptions, triggers } = context;
  metrics.onScrape(() => {
    metrics.series("sovd_http_in_flight", {}).set(http.inFlight);
    metrics.series("sovd_http_connections", {}).set(http.connections);
    metrics.series("sovd_http_connections_refused_total", {}).set(http.connectionsRefused);
    metrics.series("sovd_http_counted_clients", {}).set(http.clients);
    metrics.series("sovd_http_upload_bytes", {}).set(http.uploads.usedBytes);
    metrics.series("sovd_http_upload_peak_bytes", {}).set(http.uploads.peakBytes);
    metrics.series("sovd_http_uploads_cut_total", {}).set(http.uploads.cut);
    metrics.series("sovd_http_event_streams", {}).set(http.eventStreams);
    for (const reason of REFUSALS) metrics.series("sovd_http_refused_total", { reason }).set(http.refused[reason]);
    for (const kind of ["ecu", "group", "vehicle"] as const) {
      metrics.series("sovd_locks", { kind }).set(locks.list(kind).length);
    }
    metrics.series("sovd_subscriptions", { kind: "cyclic" }).set(subscriptions.size);
    metrics.series("sovd_subscriptions", { kind: "trigger" }).set(triggers.size);
    metrics.series("sovd_executions", {}).set(executions.size);
    metrics.series("sovd_updates_need_service", {}).set(context.softwareUpdates?.faults().length ?? 0);
    metrics.series("sovd_tokens", {}).set(authenticator.rememberedTokens ?? 0);
    if (stages !== undefined) showStages(stages.figures(), metrics);
  });
}
