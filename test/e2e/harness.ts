/**
 * One vehicle, one server, one client: the simulator in this process, databases in a temporary folder, the server as `serve` starts
 * it, everything on free ports of the loopback. One per test file: tests share it and put back what they change.
 */
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parse } from "smol-toml";
import { readConfig } from "#config/load.ts";
import { merge, type Tree } from "#config/tree.ts";
import type { Config } from "#config/types.ts";
import { toHex } from "#core/bytes.ts";
import type { EcuView } from "#fleet/api.ts";
import type { EcuStateWord } from "#fleet/messages.ts";
import type { EcuData } from "#mdd/generated/description.ts";
import { writeMdd } from "#mdd/writer/mdd.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { DEMO_ECUS, demoEntities } from "#sim/demo/vehicle.ts";
import { defaultEntities } from "#sim/vehicle.default.ts";
import { type EntityOptions, type RunningVehicle, startVehicle } from "#sim/vehicle.ts";
import { deflateLzma } from "#store/lzma.ts";
import { createLogger } from "#telemetry/logger.ts";
import { type RunningServer, startServer } from "../../src/main.ts";
import { scratchFolder } from "../fixtures/cleanup.ts";

const HOST = "127.0.0.1";
/** Tester and gateways must not share address and port. */
const TESTER = "127.0.0.2";
/** Gateways have an address each, as in a vehicle. */
const GATEWAYS = ["127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.4", "127.0.1.5"];
const REAL = fileURLToPath(new URL("../../../shared/mdd", import.meta.url));
/** For what will not come at all: what merely comes late has come by then. */
const DEFAULT_TIMEOUT_MS = 60_000;
/** ECUs are in this thread: a machine that stalls is no silence of theirs. */
const P6_MS = 3_000;
/** A communication parameter that stands whatever the database says. */
export const forced = (ms: number): Tree => ({
  precedence: "Config",
  value: { secs: Math.floor(ms / 1_000), nanos: (ms % 1_000) * 1_000_000 },
});

/** Why tests on the real databases are skipped; false where the files are there. */
export const withoutRealFiles: string | false = existsSync(join(REAL, "FLXC1000.mdd"))
  ? false
  : "needs ../shared/mdd, which is not there";

export interface HarnessOptions {
  /** `real`: the seven databases of a vehicle that others made; `demo`: our own six. Default `demo`. */
  readonly databases?: "demo" | "real";
  /** Changes or adds databases before the server starts. */
  readonly prepare?: (databases: string) => Promise<void>;
  /** Laid over the configuration. */
  readonly config?: Tree;
  readonly entities?: (entities: EntityOptions[]) => EntityOptions[];
  /** Default true: wait until discovery has begun. */
  readonly awaitReady?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
  readonly text: string;
  /** Parsed body; undefined when it is no JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly json: any;
}

export interface SendOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Name in the token; null: no token. */
  readonly as?: string | null;
  readonly signal?: AbortSignal;
}

/** `body`: bytes go as octet-stream, anything else as JSON. Paths are below `/vehicle/v15` unless they begin with `//`. */
export interface Http {
  get(path: string, options?: SendOptions): Promise<Answer>;
  put(path: string, body?: unknown, options?: SendOptions): Promise<Answer>;
  post(path: string, body?: unknown, options?: SendOptions): Promise<Answer>;
  delete(path: string, options?: SendOptions): Promise<Answer>;
  send(method: string, path: string, init: RequestInit): Promise<Answer>;
}

/** A request as the ECU got it. */
export interface Received {
  readonly ecu: string;
  /** Upper-case hex. */
  readonly uds: string;
  /** `performance.now()`. */
  readonly atMs: number;
}

export interface Harness {
  readonly server: RunningServer;
  readonly vehicle: RunningVehicle;
  readonly http: Http;
  readonly base: string;
  readonly origin: string;
  readonly folder: string;
  readonly config: Config;
  /** Everything since the last `clear`, oldest first. */
  readonly traffic: Traffic;
  state(ecu: string): EcuStateWord | undefined;
  /** Resolves when all of these ECUs are online. */
  online(...ecus: string[]): Promise<void>;
  becomes(ecu: string, state: EcuStateWord): Promise<EcuView>;
  /** Resolves when so many calls to the ECU run and wait: what was sent over HTTP stands in its queue. */
  called(ecu: string, count: number): Promise<void>;
  /** Runs `work` under the ECU's lock. */
  locked<T>(ecu: string, work: () => Promise<T>, as?: string): Promise<T>;
  close(): Promise<void>;
}

export class Traffic {
  #received: Received[] = [];
  readonly #waiting = new Set<(received: Received) => void>();

  add(received: Received): void {
    this.#received.push(received);
    for (const wake of this.#waiting) wake(received);
  }
  clear(): void {
    this.#received = [];
  }
  /** Requests to an ECU, keep-alives left out. */
  to(ecu: string): string[] {
    return this.of(ecu)
      .map(({ uds }) => uds)
      .filter((uds) => !uds.startsWith("3E"));
  }
  of(ecu: string): readonly Received[] {
    return this.#received.filter((received) => received.ecu === ecu);
  }
  /** The next `count` requests from now on that the test accepts. */
  next(accepts: (received: Received) => boolean, count = 1): Promise<Received[]> {
    const found: Received[] = [];
    return bounded(`${count} requests that were expected`, (resolve) => {
      const wake = (received: Received) => {
        if (!accepts(received) || found.push(received) < count) return;
        this.#waiting.delete(wake);
        resolve(found);
      };
      this.#waiting.add(wake);
      return () => this.#waiting.delete(wake);
    });
  }
}

/** A promise that fails with a word instead of letting the test file hang. */
export function bounded<T>(
  what: string,
  begin: (resolve: (value: T) => void) => unknown,
  timeoutMs = DEFAULT_TIMEOUT_MS,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not seen in ${timeoutMs} ms: ${what}`)), timeoutMs);
    begin((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

export async function startHarness(options: HarnessOptions = {}): Promise<Harness> {
  const kind = options.databases ?? "demo";
  const folder = scratchFolder("e2e");
  const databases = join(folder, "databases");
  await mkdir(databases);
  await (kind === "real" ? copyRealDatabases(databases) : writeDemoDatabases(databases));
  await options.prepare?.(databases);
  const entities = (kind === "real" ? defaultEntities(GATEWAYS, 0) : demoEntities(HOST, 0)).map((entity, at) => ({
    ...entity,
    address: GATEWAYS[at % GATEWAYS.length]!,
  }));
  const vehicle = await startVehicle({ entities: options.entities?.(entities) ?? entities, announce: false });
  const traffic = new Traffic();
  vehicle.events.subscribe((event) => {
    if (event.kind === "request") {
      traffic.add({ ecu: event.ecu, uds: toHex(event.uds), atMs: performance.now() });
    }
  });
  let started: RunningServer | undefined;
  const close = async () => {
    try {
      await started?.close();
    } finally {
      await vehicle.close();
    }
  };
  // What was left open would keep the test file from ending, and nobody would see why it failed.
  const orClose = async (error: unknown) => {
    await close();
    throw error;
  };
  const config = await configOf(kind, folder, databases, vehicle, options.config ?? {}).catch(orClose);
  const server = await startServer(config, createLogger(config.logging)).catch(orClose);
  started = server;
  if (options.awaitReady !== false) await server.ready.catch(orClose);
  else server.ready.catch(() => {});
  const origin = `http://${HOST}:${server.port}`;
  const base = `${origin}/vehicle/v15`;
  const http = client(origin, base);
  const harness: Harness = {
    server,
    vehicle,
    http,
    base,
    origin,
    folder,
    config,
    traffic,
    close,
    state: (ecu) => server.fleet.ecu(ecu)?.state,
    online: async (...ecus) => {
      await Promise.all(ecus.map((ecu) => harness.becomes(ecu, "Online")));
    },
    becomes: (ecu, state) =>
      bounded(`${ecu} ${state}, it is ${server.fleet.ecu(ecu)?.state}`, (resolve) => {
        const now = server.fleet.ecu(ecu);
        if (now?.state === state) return resolve(now);
        const stop = server.fleet.onEcu((changed) => {
          if (changed.id !== ecu.toLowerCase() || changed.state !== state) return;
          stop();
          resolve(changed);
        });
      }),
    called: async (ecu, count) => {
      const open = () => [...server.fleet.ecuLoads()].find(({ id }) => id === ecu.toLowerCase())?.open ?? 0;
      const endMs = performance.now() + DEFAULT_TIMEOUT_MS;
      while (open() < count) {
        if (performance.now() > endMs) throw new Error(`${open()} calls to ${ecu} instead of ${count}`);
        await setImmediate();
      }
    },
    locked: async (ecu, work, as) => {
      const who = as === undefined ? {} : { as };
      const lock = await http.post(`/components/${ecu}/locks`, { lock_expiration: 60 }, who);
      if (lock.status !== 201) throw new Error(`lock of ${ecu}: ${lock.status} ${lock.text}`);
      try {
        return await work();
      } finally {
        await http.delete(`/components/${ecu}/locks/${lock.json.id}`, who);
      }
    },
  };
  return harness;
}

/** Writes one database file of ours; `embedded` adds EMBEDDED_FILE chunks. */
export async function writeDatabase(
  folder: string,
  description: EcuData,
  more: Partial<Parameters<typeof writeMdd>[0]> = {},
): Promise<void> {
  const mdd = await writeMdd({
    description,
    deflate: deflateLzma,
    metadata: { converter: "sovd-edge tests" },
    ...more,
  });
  await writeFile(join(folder, `${description.ecu_name}.mdd`), mdd);
}

async function writeDemoDatabases(folder: string): Promise<void> {
  for (const ecu of DEMO_ECUS) await writeDatabase(folder, demoDatabase(ecu));
}

async function copyRealDatabases(folder: string): Promise<void> {
  const files = (await readdir(REAL)).filter((file) => file.endsWith(".mdd"));
  await Promise.all(files.map((file) => copyFile(join(REAL, file), join(folder, file))));
}

async function configOf(
  kind: "demo" | "real",
  folder: string,
  databases: string,
  vehicle: RunningVehicle,
  more: Tree,
): Promise<Config> {
  const given = kind === "real" ? parse(await readFile(join(REAL, "opensovd-cda.toml"), "utf8")) : {};
  const own: Tree = {
    server: { address: HOST, port: 0 },
    doip: { tester_address: TESTER, tester_subnet: "255.0.0.0", gateway_port: vehicle.port },
    database: { path: databases },
    com_params: { uds: { timeout_default: forced(P6_MS), rc_78_timeout: forced(P6_MS) } },
    discovery: { targets: [...new Set(vehicle.endpoints.map(({ address }) => address))], wait_ms: 300 },
    store: { path: join(folder, "store") },
    runtime_update_config: { storage_dir: join(folder, "storage") },
    logging: { level: process.env.SOVD_TEST_LOG ?? "off" },
    flash_files_path: join(folder, "flash"),
    shards: { workers: 1 },
    process: { shutdown_timeout_ms: 2_000 },
  };
  await mkdir(join(folder, "flash"));
  const tree = [given as Tree, own, more].reduce(merge);
  const { config, problems } = readConfig({ flags: { tree, names: new Map() }, cwd: folder });
  if (problems.length > 0) throw new Error(problems.map(({ key, message }) => `${key}: ${message}`).join("\n"));
  return config;
}

function client(origin: string, base: string): Http {
  const tokens = new Map<string, Promise<string>>();
  const url = (path: string) => (path.startsWith("//") ? `${origin}${path.slice(1)}` : `${base}${path}`);
  const tokenOf = (name: string) => {
    const known = tokens.get(name) ?? authorize(base, name);
    tokens.set(name, known);
    return known;
  };
  const send: Http["send"] = async (method, path, init) => {
    const response = await fetch(url(path), { ...init, method });
    const bytes = new Uint8Array(await response.arrayBuffer());
    const text = new TextDecoder().decode(bytes);
    return { status: response.status, headers: response.headers, bytes, text, json: parsed(text) };
  };
  const call = async (method: string, path: string, body: unknown, options: SendOptions = {}) => {
    const headers: Record<string, string> = {};
    if (options.as !== null) headers.authorization = `Bearer ${await tokenOf(options.as ?? "tester")}`;
    const isBytes = body instanceof Uint8Array;
    if (body !== undefined) headers["content-type"] = isBytes ? "application/octet-stream" : "application/json";
    const content = body === undefined || isBytes || typeof body === "string" ? body : JSON.stringify(body);
    return send(method, path, {
      headers: { ...headers, ...options.headers },
      ...(content === undefined ? {} : { body: content as string }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
  };
  return {
    get: (path, options) => call("GET", path, undefined, options),
    put: (path, body, options) => call("PUT", path, body, options),
    post: (path, body, options) => call("POST", path, body, options),
    delete: (path, options) => call("DELETE", path, undefined, options),
    send,
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function authorize(base: string, name: string): Promise<string> {
  const response = await fetch(`${base}/authorize`, {
    method: "POST",
    body: JSON.stringify({ client_id: name, client_secret: "secret" }),
  });
  return ((await response.json()) as { access_token: string }).access_token;
}
