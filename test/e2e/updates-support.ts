/** Nodes for update tests: servers of this process on free ports, each with a store of its own. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { Agent, request } from "undici";
import { readConfig } from "#config/load.ts";
import { merge, type Tree } from "#config/tree.ts";
import { createLogger } from "#telemetry/logger.ts";
import { type RunningServer, startServer } from "../../src/main.ts";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
export type Loose = any;

export interface Node {
  readonly server: RunningServer;
  /** Base path, `http://127.0.0.1:port/api/v1`. */
  readonly url: string;
  readonly folder: string;
  readonly token: string;
  /** Body and status of a call; bodies other than bytes go as JSON. */
  send(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  /** Polls the status until it is `completed` or `failed` in this phase, or the state is the wanted one. */
  until(id: string, state: string): Promise<Loose>;
  /** Ends it and starts it again on the same store. */
  restart(): Promise<void>;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly json: any;
  readonly bytes: Buffer;
}

/** A state that has not come by then never will. */
const PATIENCE_MS = 120_000;

/** Times that let a campaign run through in well under a second; what ends it when nothing happens is longer than a machine stalls. */
export const QUICK: Tree = {
  soak_ms: 30,
  health_interval_ms: 10,
  health_min_polls: 2,
  health_timeout_ms: 60_000,
  status_interval_ms: 10,
  retry_ms: 20,
};

/** How to speak to a node that has TLS. */
export interface TlsClient {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Starts a node in a folder of its own; `config` is laid over. With `tls` only its token is asked for. */
export async function startNode(t: TestContext, update: Tree, config: Tree = {}, tls?: TlsClient): Promise<Node> {
  const folder = scratchFolder("update");
  const databases = join(folder, "none");
  const base: Tree = {
    server: { address: "127.0.0.1", port: 0 },
    doip: { enabled: false },
    database: { path: databases },
    store: {
      path: join(folder, "store"),
      max_bytes: { databases: 64 << 20, state: 64 << 20, bulk: 512 << 20 },
      max_mapped_bytes: 32 << 20,
    },
    shards: { workers: 1 },
    process: { shutdown_timeout_ms: 500 },
    update: { role: "secondary", ...QUICK, ...update },
  };
  const tree = merge(base, config);
  const start = async (): Promise<RunningServer> => {
    const { config: read, problems } = readConfig({ flags: { tree, names: new Map() }, cwd: folder });
    if (problems.length > 0) throw new Error(JSON.stringify(problems));
    const server = await startServer(read, createLogger({ ...read.logging, level: "error" } as never));
    await server.ready.catch(async (error) => {
      await server.close();
      throw error;
    });
    return server;
  };
  let server = await start();
  cleanup(t, () => server.close());
  const token = await tokenOf(server.port, tls);
  const node: Node = {
    get server() {
      return server;
    },
    get url() {
      return `http://127.0.0.1:${server.port}/api/v1`;
    },
    folder,
    token,
    send: (method, path, body, headers = {}) => sendTo(node.url, token, method, path, body, headers),
    until: (id, state) => untilState(node.url, token, id, state),
    async restart() {
      await server.close();
      server = await start();
    },
  };
  return node;
}

export async function tokenOf(port: number, tls?: TlsClient, client = "tester"): Promise<string> {
  const dispatcher = new Agent(tls === undefined ? {} : { connect: { ...tls } });
  const { body } = await request(`http${tls === undefined ? "" : "s"}://127.0.0.1:${port}/vehicle/v15/authorize`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ client_id: client, client_secret: "secret" }),
    dispatcher,
  });
  const { access_token: token } = (await body.json()) as { access_token: string };
  await dispatcher.close();
  return token;
}

async function sendTo(
  url: string,
  token: string,
  method: string,
  path: string,
  body: unknown,
  headers: Record<string, string>,
): Promise<Reply> {
  const raw = body instanceof Uint8Array || body instanceof FormData;
  const typed =
    body === undefined || body instanceof FormData
      ? {}
      : { "content-type": raw ? "application/octet-stream" : "application/json" };
  const response = await fetch(path.startsWith("http") ? path : url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, ...typed, ...headers },
    ...(body === undefined ? {} : { body: raw ? (body as never) : JSON.stringify(body) }),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const type = response.headers.get("content-type") ?? "";
  const json = type.includes("json") && bytes.length > 0 ? JSON.parse(bytes.toString()) : undefined;
  return { status: response.status, headers: response.headers, json, bytes };
}

/** Follows the status by server-sent events: no polling, no waiting for luck. */
async function untilState(url: string, token: string, id: string, state: string): Promise<Loose> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(new Error(`${id} never became ${state}`)), PATIENCE_MS);
  const response = await fetch(`${url}/updates/${id}/status`, {
    headers: { accept: "text/event-stream", authorization: `Bearer ${token}` },
    signal: stop.signal,
  });
  let text = "";
  let last = "";
  try {
    for await (const chunk of response.body!) {
      text += Buffer.from(chunk as Uint8Array).toString();
      const events = text.split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) {
        last = event;
        const data = JSON.parse(/^data: (.*)$/m.exec(event)?.[1] ?? "{}") as Loose;
        if (data["x-state"] === state) return data;
        if (/^event: end$/m.test(event)) throw new Error(`${id} ended otherwise: ${event}`);
      }
    }
    throw new Error(`the stream ended at ${last}`);
  } catch (error) {
    throw new Error(`waiting for ${state}: ${(error as Error).message}; last: ${last}`);
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

/** Registers a package and executes it. */
export function run(node: Node, body: Record<string, unknown>): Promise<void> {
  return runOn(node.send, body);
}

async function runOn(send: SceneClient["send"], body: Record<string, unknown>): Promise<void> {
  const registered = await send("POST", "/updates", body);
  if (registered.status !== 201) throw new Error(`POST /updates: ${registered.status} ${registered.bytes}`);
  const executed = await send("PUT", `/updates/${body.id}/execute`);
  if (executed.status !== 202) throw new Error(`execute: ${executed.status} ${executed.bytes}`);
}

export async function upload(
  node: Node,
  component: string,
  content: string | Uint8Array,
  name = "image.bin",
): Promise<string> {
  const form = new FormData();
  form.append("file", new Blob([content as never]), name);
  const { status, json, bytes } = await node.send(
    "POST",
    `/components/${component}/bulk-data/firmware-artifacts`,
    form,
  );
  if (status !== 201) throw new Error(`upload: ${status} ${bytes}`);
  return `/components/${component}/bulk-data/firmware-artifacts/${json.id}`;
}

export async function writeText(path: string, text: string): Promise<string> {
  await writeFile(path, text);
  return path;
}

export interface SceneClient {
  send(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  upload(component: string, category: string, content: Uint8Array, name?: string): Promise<string>;
  run(body: Record<string, unknown>): Promise<void>;
  until(id: string, state: string): Promise<Loose>;
}

/** The same calls against a node of a scene. */
export function sceneClient({ url, token }: { readonly url: string; readonly token: string }): SceneClient {
  const send: SceneClient["send"] = (method, path, body, headers = {}) =>
    sendTo(url, token, method, path, body, headers);
  return {
    send,
    async upload(component, category, content, name = "image.bin") {
      const form = new FormData();
      form.append("file", new Blob([content as never]), name);
      const { status, json, bytes } = await send("POST", `/components/${component}/bulk-data/${category}`, form);
      if (status !== 201) throw new Error(`upload: ${status} ${bytes}`);
      return `/components/${component}/bulk-data/${category}/${json.id}`;
    },
    run: (body) => runOn(send, body),
    until: (id, state) => untilState(url, token, id, state),
  };
}
