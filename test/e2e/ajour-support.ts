/** A server without a vehicle, and devices that fetch their firmware from it. */
import { createHash, randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { readConfig } from "#config/load.ts";
import { merge, type Tree } from "#config/tree.ts";
import { AjourDevice, type AjourDeviceEvent, type AjourDeviceOptions, type AjourFlash } from "#sim/ajour-device.ts";
import { createLogger } from "#telemetry/logger.ts";
import { type RunningServer, startServer } from "../../src/main.ts";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";
import { bounded } from "./harness.ts";

export const HOST = "127.0.0.1";
export const PASSWORD = "secret of the sensors";
/** One component that is a device, and what a test would otherwise wait for. */
const BASE: Tree = {
  server: { address: HOST, port: 0 },
  doip: { tester_address: HOST, gateway_port: 1 },
  logging: { level: process.env.SOVD_TEST_LOG ?? "off" },
  shards: { workers: 1 },
  process: { shutdown_timeout_ms: 2_000 },
  // a node that only takes updates: no vehicle, no databases
  update: {
    role: "secondary",
    soak_ms: 0,
    health_interval_ms: 20,
    health_min_polls: 2,
    retry_ms: 20,
    targets: { bms: { provider: "ajour" } },
    ajour: {
      enabled: true,
      gate_poll_secs: 1,
      retry_secs: 1,
      applications: { default: { password: PASSWORD } },
      devices: { "bms-1": { component: "bms" } },
    },
  },
};

export interface AjourNode {
  readonly server: RunningServer;
  readonly origin: string;
  readonly folder: string;
  call(
    method: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<{ status: number; json: Record<string, unknown> }>;
  /** Registers an update of `bms` and begins with it. Resolves with its id. */
  begin(image: Uint8Array, version: string, more?: Tree): Promise<string>;
  /** The same, to its end. Resolves with its last status. */
  update(image: Uint8Array, version: string, more?: Tree): Promise<Record<string, unknown>>;
  upload(image: Uint8Array, component?: string, name?: string): Promise<string>;
  /** The status as soon as `accepts` it. */
  status(id: string, accepts: (status: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}

const DONE = new Set(["completed", "failed", "rolledBack", "partial", "needsService"]);
/** Nothing more happens without a new request. */
export const isOver = ({ "x-state": state }: Record<string, unknown>): boolean => DONE.has(String(state));
const PATIENCE_MS = 120_000;

/** `folder`: of a node that was closed before, to go on with. */
export async function startNode(t: TestContext, config: Tree = {}, folder?: string): Promise<AjourNode> {
  const own = folder ?? (await newFolder());
  const tree = merge(
    merge(BASE, { store: { path: join(own, "store") }, database: { path: join(own, "mdd") } }),
    config,
  );
  const { config: read, problems } = readConfig({ flags: { tree, names: new Map() }, cwd: own });
  if (problems.length > 0) throw new Error(problems.map(({ key, message }) => `${key}: ${message}`).join("\n"));
  const server = await startServer(read, createLogger(read.logging));
  cleanup(t, () => server.close());
  await server.ready;
  const origin = `http://${HOST}:${server.port}`;
  const token = await authorize(origin);
  let updates = 0;
  const call: AjourNode["call"] = async (method, path, body, more = {}) => {
    const bytes = body instanceof Uint8Array;
    const type = bytes ? "application/octet-stream" : "application/json";
    const response = await fetch(`${origin}/vehicle/v15${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "content-type": type }), ...more },
      ...(body === undefined ? {} : { body: bytes ? new Uint8Array(body) : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, json: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
  };
  const status: AjourNode["status"] = (id, accepts) =>
    bounded(
      `status of ${id}`,
      (resolve) => {
        const updates = server.context.softwareUpdates!;
        const look = () => {
          const body: Record<string, unknown> = updates.status(id, false);
          if (!accepts(body)) return;
          stop();
          resolve(body);
        };
        const stop = updates.watch(id, { changed: look });
        look();
      },
      PATIENCE_MS,
    );
  const upload: AjourNode["upload"] = async (image, component = "bms", name) => {
    const named = name === undefined ? {} : { "content-disposition": `attachment; filename="${name}"` };
    const answer = await call("POST", `/components/${component}/bulk-data/firmware`, image, named);
    if (answer.status !== 201) throw new Error(`upload: ${answer.status} ${JSON.stringify(answer.json)}`);
    return `/components/${component}/bulk-data/firmware/${answer.json.id}`;
  };
  const begin: AjourNode["begin"] = async (image, version, more = {}) => {
    const id = String(more.id ?? `fw-${++updates}-${version}`);
    const about = {
      id,
      automated: true,
      origins: ["proximity"],
      target_version: version,
      updated_components: ["bms"],
    };
    const body = { ...about, artifact_uri: await upload(image), ...more };
    const registered = await call("POST", "/updates", body);
    if (registered.status !== 201) throw new Error(JSON.stringify(registered.json));
    const begun = await call("PUT", `/updates/${id}/automated`);
    if (begun.status !== 202) throw new Error(JSON.stringify(begun.json));
    return id;
  };
  return {
    server,
    origin,
    folder: own,
    call,
    upload,
    status,
    begin,
    update: async (...about) => status(await begin(...about), isOver),
    close: () => server.close(),
  };
}

async function newFolder(): Promise<string> {
  const folder = scratchFolder("ajour");
  await mkdir(join(folder, "mdd"));
  return folder;
}

async function authorize(origin: string): Promise<string> {
  const body = JSON.stringify({ client_id: "tester", client_secret: "secret" });
  const response = await fetch(`${origin}/vehicle/v15/authorize`, { method: "POST", body });
  return ((await response.json()) as { access_token: string }).access_token;
}

export type DeviceSettings = Partial<AjourDeviceOptions> & Pick<AjourDeviceOptions, "link">;

export interface TestDevice {
  readonly device: AjourDevice;
  readonly events: readonly AjourDeviceEvent[];
  /** The first event of this type, or the next one. */
  seen(type: AjourDeviceEvent["type"], accepts?: (event: AjourDeviceEvent) => boolean): Promise<AjourDeviceEvent>;
}

/** A device that runs until the test ends. */
export function startDevice(t: TestContext, flash: AjourFlash, settings: DeviceSettings): TestDevice {
  const events: AjourDeviceEvent[] = [];
  const waiting = new Set<(event: AjourDeviceEvent) => void>();
  const device = new AjourDevice(flash, {
    blockBytes: 4_096,
    backoffMs: 0,
    retryMs: 20,
    maxPollMs: 50,
    correlationId: 9,
    ...settings,
    onEvent: (event) => {
      settings.onEvent?.(event);
      events.push(event);
      for (const wake of waiting) wake(event);
    },
  });
  cleanup(t, () => device.stop());
  device.start();
  const seen: TestDevice["seen"] = (type, accepts = () => true) => {
    const matches = (event: AjourDeviceEvent) => event.type === type && accepts(event);
    const known = events.find(matches);
    if (known !== undefined) return Promise.resolve(known);
    return bounded(
      `${type} of the device`,
      (resolve) => {
        const wake = (event: AjourDeviceEvent) => {
          if (!matches(event)) return;
          waiting.delete(wake);
          resolve(event);
        };
        waiting.add(wake);
      },
      PATIENCE_MS,
    );
  };
  return { device, events, seen };
}

export const MIB = 1 << 20;
export const image = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes));
export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
