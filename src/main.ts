/** Start-up and shutdown order of the server, nothing else. */
import { randomBytes } from "node:crypto";
import { needsVehicle, shardCount, storePath, strictness } from "#config/derived.ts";
import type { Config } from "#config/types.ts";
import { Fault, toFaultData } from "#core/errors.ts";
import { networkClock, systemClock } from "#core/time.ts";
import { PRODUCT, VERSION } from "#core/version.ts";
import { Communication } from "#fleet/communication.ts";
import { workerEntry } from "#fleet/entries.ts";
import { VehicleFleet } from "#fleet/fleet.ts";
import { Jobs } from "#fleet/jobs.ts";
import { withDocumentation } from "#http/openapi.ts";
import { startHttpServer } from "#http/server.ts";
import type { HttpServer } from "#http/server-options.ts";
import { createAuthenticator } from "#security/authenticator.ts";
import type { SovdContext } from "#sovd/context.ts";
import { createEmbeddedFiles } from "#sovd/embedded-files.ts";
import { createFlashFiles } from "#sovd/flash-files.ts";
import { metricsRoutes } from "#sovd/metrics.ts";
import { sovdOptionsOf } from "#sovd/options.ts";
import { createPluginHost, type PluginHost } from "#sovd/plugins/host.ts";
import type { Route } from "#sovd/route.ts";
import { sovdRoutes } from "#sovd/routes.ts";
import { ownComponentRoutes } from "#sovd/updates.ts";
import { createSovdContext } from "#sovd/wiring.ts";
import { openStore } from "#store/environments.ts";
import { createLmdbPersistence } from "#store/lmdb-persistence.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import type { Persistence } from "#store/persistence.ts";
import { createHealth, type Health } from "#telemetry/health.ts";
import { createLogger, type Log } from "#telemetry/logger.ts";
import { createMetrics, type Metrics } from "#telemetry/metrics.ts";
import type { StageTimes } from "#telemetry/stages.ts";
import { startNotifier } from "#telemetry/systemd.ts";
import type { JobTable } from "#update/jobs.ts";
import type { LoadResult } from "#update/load.ts";
import type { Software } from "#update/software/create.ts";
import type { Updater } from "#update/updater.ts";
import { openBulk } from "./bulk.ts";
import { createDatabaseUpdater, jobRunner, setDatabaseHealth, type UpdaterParts } from "./database-updater.ts";
import { createDevices, type DevicePorts } from "./devices.ts";
import { discoveryOf } from "./discovery.ts";
import { observeFleet, observeHttp, observeProcess, requestObserver } from "./observe.ts";
import { createReloader, type Reloader } from "./reload.ts";
import { reloadableParts, tlsOptionsOf } from "./reload-parts.ts";
import { startSoftware } from "./software.ts";

/** Bytes of the key that signs tokens of mode `development`. */
const TOKEN_KEY_BYTES = 32;
const FLASH_FILES = { maxFiles: 10_000, maxDepth: 16 } as const;

export interface RunningServer {
  readonly port: number;
  /** Of protocols for devices. */
  readonly devicePorts: DevicePorts;
  /** In force. */
  readonly config: Config;
  readonly fleet: VehicleFleet;
  readonly communication: Communication;
  readonly context: SovdContext;
  readonly health: Health;
  readonly log: Log;
  /** Databases are loaded and communication has begun. Rejects when start-up fails after the port was opened. */
  readonly ready: Promise<void>;
  /** Takes over what can change without a restart. Never rejects. */
  reload: Reloader["reload"];
  close(): Promise<void>;
}

/** Opens the port first, then loads databases and starts shards; `ready` tells the rest. @throws Fault */
export async function startServer(config: Config, log: Log = createLogger(config.logging)): Promise<RunningServer> {
  const endings: Ending[] = [];
  try {
    return await assemble(config, log, endings);
  } catch (error) {
    // the store's lock and every socket go with it: the next start must not find a holder
    await endAll(endings).catch(() => {});
    throw error;
  }
}

/** Ends a part that has begun. */
type Ending = () => unknown;

/** The last one that has begun first; one that fails keeps none of the others. Rejects with what failed first. */
async function endAll(endings: readonly Ending[]): Promise<void> {
  const problems: unknown[] = [];
  for (const end of endings.toReversed()) {
    try {
      await end();
    } catch (error) {
      problems.push(error);
    }
  }
  if (problems.length > 0) throw problems[0];
}

async function assemble(config: Config, log: Log, endings: Ending[]): Promise<RunningServer> {
  const store = await openStore({ folder: storePath(config), maxBytes: config.store.max_bytes });
  endings.push(() => store.close());
  const health = createHealth();
  health.set("main", "Starting");
  const live = { config };
  const persistence = createLmdbPersistence(store.state);
  endings.push(() => persistence.flush());
  const jobs = new Jobs<JobTable>({
    entry: workerEntry("jobs"),
    idleTimeoutMs: config.jobs.idle_timeout_ms,
    maxHeapMb: config.jobs.max_heap_mib,
  });
  endings.push(() => jobs.stop());
  const uploads = openBulk(config, store);
  endings.push(() => uploads.stop());
  const metrics = createMetrics(config.limits.metric_series);
  observeProcess({ config, store, jobs, bulk: uploads.bulk, log }, metrics);
  const plugins = await createPluginHost(config.plugins, log);
  const { fleet, communication } = createFleet(live, health, log, metrics, plugins.safetyModules);
  endings.push(
    () => fleet.stop(),
    () => communication.close(),
    () => plugins.close(),
  );
  const authenticator = await createAuthenticator(config, await tokenKey(persistence));
  const storage = createLmdbStorage(store.databases, { maxMappedBytes: config.store.max_mapped_bytes });
  const parts: UpdaterParts = {
    get config() {
      return live.config;
    },
    jobs,
    fleet,
    communication,
    health,
    log,
    authenticator,
    storage,
  };
  const updater = createDatabaseUpdater(parts);
  endings.push(() => updater.idle());
  const devices = await createDevices({ config, persistence, bulk: uploads.bulk, authenticator, log });
  endings.push(() => devices.close());
  const { providers: more } = devices;
  const software = config.update.enabled
    ? await startSoftware({ config, fleet, bulk: uploads.bulk, persistence, log, context: () => context, more })
    : undefined;
  let ready: Promise<void> | undefined;
  endings.push(async () => {
    // what loads is let finish
    await ready?.catch(() => {});
    await software?.close();
  });
  const context: ReturnType<typeof createContext> = createContext(parts, updater, software);
  endings.push(() => context.close());
  await plugins.start({ fleet, trigger: () => communication.trigger() });
  const server = await listen(config, context, log, metrics, devices.routes, plugins);
  endings.push(() => server.close());
  software?.announce(server.port);
  endings.push(() => software?.withdraw());
  const devicePorts = await devices.start(software?.updates);
  const notifier = await startNotifier(health, { onProblem: (problem) => log.scope("systemd").warn(problem) });
  const reloader = createReloader({
    config,
    parts: reloadableParts(config, { log, authenticator, software, server }),
    log,
    notifier,
    onTaken: (taken) => {
      live.config = taken;
    },
  });
  ready = bringUp(parts).then(() => software?.resume());
  return {
    port: server.port,
    devicePorts,
    get config() {
      return live.config;
    },
    reload: (read) => reloader.reload(read),
    fleet,
    communication,
    context,
    health,
    log,
    ready,
    close: once(async () => {
      notifier?.stopping();
      await endAll(endings);
      notifier?.close();
      await log.close();
    }),
  };
}

function createFleet(
  live: { readonly config: Config },
  health: Health,
  log: Log,
  metrics: Metrics,
  safetyModules: readonly string[],
) {
  const { config } = live;
  const fleet: VehicleFleet = new VehicleFleet({
    // a thread that talks to nobody costs as much memory as all the rest
    shards: needsVehicle(config) ? shardCount(config) : 0,
    entry: workerEntry("gateway"),
    // a shard loads only plugins that it will ask
    shardConfig: { ...config, plugins: { ...config.plugins, modules: safetyModules } },
    clock: systemClock,
    requestTimeoutMs: config.http.request_timeout_ms,
    maxOpenPerEcu: config.limits.ecu_queue_length + 1,
    maxOpenPerOverloadedEcu: config.limits.ecu_queue_length_overloaded + 1,
    functionalDescription: config.functional_description.description_database,
    enabledGroups: config.functional_description.enabled_functional_groups,
    resourceLimits: {
      maxOldGenerationSizeMb: config.shards.max_heap_mib,
      maxYoungGenerationSizeMb: config.shards.max_young_heap_mib,
    },
    restartDelayMs: config.shards.restart_delay_ms,
    protocolName: config.doip.protocol_name,
    gate: () => communication.gate(),
    onLog: (message) => log.record(message),
    onShardDied: (index, deaths) => {
      observed.shardDied(index);
      if (deaths >= live.config.shards.max_restarts_per_minute)
        health.set("main", "Failed", { shard: index, deathsInAMinute: deaths });
    },
  });
  const observed = observeFleet(fleet, metrics);
  const communication = new Communication({
    mode: config.communication.init_mode,
    clock: systemClock,
    fleet,
    // a plugin may ask for it on a node that has no vehicle
    enabled: config.doip.enabled && needsVehicle(config),
    ...discoveryOf(config),
    detectionMs: config.discovery.wait_ms,
    onState: (state, problem) => health.set("doip", HEALTH_OF[state], problem === undefined ? undefined : { problem }),
    onLog: (message) => log.record(message),
  });
  return { fleet, communication };
}

const HEALTH_OF = { pending: "Pending", starting: "Starting", up: "Up", failed: "Failed" } as const;

function createContext(parts: UpdaterParts, updater: Updater, software: Software | undefined) {
  const { config, fleet, communication, health, log, authenticator, storage } = parts;
  return createSovdContext({
    fleet,
    clock: systemClock,
    options: sovdOptionsOf(config),
    authenticator,
    flashFiles: createFlashFiles({ folder: config.flash_files_path, ...FLASH_FILES }),
    embeddedFiles: createEmbeddedFiles(storage, (ecu) => fleet.databaseOf(ecu.id)),
    databaseUpdate: updater,
    ...(software === undefined ? {} : { softwareUpdates: software.updates }),
    vin: () => config.update.vin || communication.vin,
    version: { name: PRODUCT, version: VERSION, commit: "", buildDate: "" },
    health: () => health.snapshot(),
    switching: () => updater.switching,
    onTrigger: (level, fields) => log.scope("trigger")[level](fields, "a trigger fired"),
    onProblem: (problem, where) => log.scope("sovd").error({ error: problem, where }, "a problem beside an answer"),
  });
}

/** `stage_timing`: how long a token is looked at. */
function timedAuthenticator({ authenticator }: SovdContext, stages: StageTimes): SovdContext["authenticator"] {
  return {
    ...authenticator,
    get rememberedTokens() {
      return authenticator.rememberedTokens ?? 0;
    },
    verify: (header) => stages.time("auth", () => authenticator.verify(header)),
  };
}

/** Tokens outlive a restart, so their key does. */
async function tokenKey(persistence: Persistence): Promise<Uint8Array> {
  if (!persistence.contains("security", "token-key")) {
    await persistence.set("security", "token-key", randomBytes(TOKEN_KEY_BYTES).toString("base64"));
  }
  return Buffer.from(persistence.get("security", "token-key"), "base64");
}

async function listen(
  config: Config,
  context: SovdContext,
  log: Log,
  metrics: Metrics,
  more: readonly Route[],
  plugins: PluginHost,
): Promise<HttpServer> {
  const { http, server, limits } = config;
  const options = context.options;
  const tls = tlsOptionsOf(config);
  const stages = config.process.stage_timing ? new (await import("#telemetry/stages.ts")).StageTimes() : undefined;
  const builtIn = [
    ...sovdRoutes(options),
    ...metricsRoutes(metrics),
    ...ownComponentRoutes(context.softwareUpdates?.ownComponents ?? []),
    ...more,
  ];
  return startHttpServer({
    address: server.address,
    port: server.port,
    routes: withDocumentation([...builtIn, ...plugins.routes(builtIn)], options),
    context: stages === undefined ? context : { ...context, authenticator: timedAuthenticator(context, stages) },
    clock: networkClock,
    ...(tls === undefined ? {} : { tls }),
    requestTimeoutMs: http.request_timeout_ms,
    maxBodyBytes: http.max_body_bytes,
    maxUploadBytes: config.runtime_update_config.upload_body_limit_bytes,
    maxBulkBytes: config.store.max_upload_bytes,
    maxUploadBufferBytes: limits.upload_buffer_bytes,
    uploadTimeoutMs: config.update.upload_timeout_ms,
    maxHeaderBytes: http.max_header_bytes,
    maxInFlight: limits.in_flight_requests,
    maxTurnMs: limits.turn_ms,
    maxClientRatePerS: limits.client_requests_per_second,
    maxClients: limits.counted_clients,
    maxConnections: http.max_connections,
    maxJsonDepth: limits.json_depth,
    trustForwarded: http.trust_forwarded,
    corsOrigins: http.cors_origins,
    heartbeatMs: http.event_heartbeat_ms,
    closeTimeoutMs: config.process.shutdown_timeout_ms,
    observe: requestObserver(metrics),
    stages,
  }).then((started) => {
    observeHttp({ http: started, context, stages }, metrics);
    log.scope("http").info({ address: server.address, port: started.port }, "listening");
    return started;
  });
}

async function bringUp({ config, jobs, fleet, communication, health, log }: UpdaterParts): Promise<void> {
  if (!needsVehicle(config)) {
    fleet.setReady();
    health.set("main", "Up");
    return;
  }
  health.set("database", "Starting");
  if (config.doip.enabled) health.set("doip", "Starting");
  try {
    fleet.start();
    // Gateways are asked for while databases load; what they answer is told to the fleet as soon as it knows whose they are.
    const begun = communication.begin();
    begun.catch(() => {});
    const loaded = await jobRunner({ jobs, config })("load", {});
    report(loaded, log);
    requireSound(loaded, config, log);
    await fleet.load({ ...loaded, broken: [...loaded.imported.broken, ...loaded.broken] });
    setDatabaseHealth(fleet, health);
    fleet.setReady();
    communication.replay();
    await begun;
    health.set("main", "Up");
  } catch (error) {
    const { message } = toFaultData(error);
    health.set("main", "Failed", { problem: message });
    log.scope("main").error({ error }, "start-up failed");
    throw error;
  }
}

function report({ imported, broken, warnings }: LoadResult, log: Log): void {
  const logger = log.scope("database");
  logger.info(
    { imported: imported.imported, unchanged: imported.unchanged.length, removed: imported.removed },
    "databases loaded",
  );
  for (const { file, problem } of [...imported.broken, ...broken]) logger.error({ file, problem }, "database skipped");
  for (const warning of warnings) logger.warn(warning);
}

/** What the operator wants to be fatal. @throws Fault misconfigured, invalidDatabase */
function requireSound({ entries, imported, broken }: LoadResult, config: Config, log: Log): void {
  const bad = [...imported.broken, ...broken][0];
  if (bad !== undefined && !config.database.ignore_invalid_mdd) {
    throw new Fault("invalidDatabase", `Invalid database: ${bad.file}: ${bad.problem}`);
  }
  const known = new Set(entries.map(({ name }) => name.toLowerCase()));
  const strangers = Object.keys(config.ecu).filter((name) => !known.has(name.toLowerCase()));
  for (const name of strangers) {
    if (strictness(config).ecuConfig) throw new Fault("misconfigured", `[ecu.${name}]: no database describes this ECU`);
    log.scope("config").warn(`[ecu.${name}]: no database describes this ECU`);
  }
}

function once(action: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= action());
}
