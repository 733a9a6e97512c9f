/**
 * What loads lazily, once each, by the program as a process: with `SOVD_TEST_PROGRAM` the packed one, whose bundle may lack what the source
 * has. A vehicle, a secondary, a primary with devices; each test goes on where the one before ended.
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { SignJWT } from "jose";
import { DgramSocket } from "node-unix-socket";
import { stringify } from "smol-toml";
import type { Tree } from "#config/tree.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { cli, type Started, start } from "../e2e/cli-support.ts";
import { bounded } from "../e2e/harness.ts";
import { ask, socketIo, tcp, webSocket } from "../e2e/skybrush-support.ts";
import { QUICK } from "../e2e/updates-support.ts";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";
import { everything } from "../unit/mdd/odx-every.ts";
import { newKeys, repositoryOf, rootOf } from "../unit/update/tuf-support.ts";

const HOST = "127.0.0.1";
const SECRET = "a secret that only this test and its nodes know";
const PASSWORD = "secret of the devices";
const IMAGE = randomBytes(40_000);
const YEAR_MS = 365 * 24 * 3_600_000;

/** Lives as long as the file's tests. */
let endAll: () => unknown = () => {};
const whole = {
  after: (end: () => unknown) => {
    endAll = end;
  },
} as unknown as TestContext;
after(() => endAll());

let folder: string;
let token: string;
let broker: string;
let secondary: Started & { port: string };
let primary: Started & { port: string; coap: string; tcp: string; webSocket: string };
const at = (...names: string[]) => join(folder, ...names);
const base = () => `http://${HOST}:${primary.port}/api/v1`;

before(async () => {
  folder = scratchFolder("program");
  await mkdir(at("mdd"));
  const lifetime = Math.floor((Date.now() + YEAR_MS) / 1_000);
  const claims = new SignJWT({ sub: "operator" }).setProtectedHeader({ alg: "HS256" }).setExpirationTime(lifetime);
  token = await claims.sign(Buffer.from(SECRET));
  broker = `mqtt://${HOST}:${await listenTcp(await brokerHandle())}`;
  await writeFile(at("fw.bin"), IMAGE);
  await writeFile(at("recipe.toml"), '[version]\nrequest = "22 F1 90"\n\n[[step]]\nrequest = "10 03"\n');
});

test("mdd: a database is built, packed, unpacked, checked and shown; ODX is converted", async () => {
  const ecu = { name: "FLXC1000", title: "Body", logicalAddress: 0x1000, gatewayAddress: 0x1000 };
  await writeFile(at("ecu.json"), JSON.stringify(demoDatabase(ecu)));
  await succeeds("mdd", "build", at("ecu.json"), "-o", at("mdd", "FLXC1000.mdd"), "--compression", "lzma");
  await succeeds("mdd", "verify", at("mdd", "FLXC1000.mdd"));
  assert.match(await succeeds("mdd", "inspect", at("mdd", "FLXC1000.mdd")), /FLXC1000/);
  await writeFile(at("every.odx-d"), everything());
  await succeeds("mdd", "convert", at("every.odx-d"), "-o", at("converted"));
});

test("simulate and serve: an ECU is read, systemd and a collector are told, the metrics are there", async () => {
  const vehicle = start(whole, ["simulate", "--port", "0", "--control-port", "0", "--no-announce"]);
  const gateway_port = Number((await vehicle.line(/DoIP entity on .*:(\d+)/))[1]);
  const collected = new Set<string>();
  const collector = await listen((path) => void collected.add(path));
  const systemd = new DgramSocket();
  const ready = once(systemd, "data");
  systemd.bind(at("notify"));
  cleanup(whole, () => systemd.close());
  await writeFile(at("root.json"), rootOf(keys, 1, keys.root, LATER));
  const slot = (name: string) => ({ provider: "slot", folder: at(name) });
  secondary = await node("secondary", {
    update: {
      role: "secondary",
      trusted_root: at("root.json"),
      mdns: { announce: true },
      targets: { body: slot("body") },
    },
  });
  const repository = await listen((path) => repositoryFiles[path]);
  primary = (await node(
    "primary",
    {
      doip: { enabled: true, tester_address: HOST, gateway_port },
      discovery: { targets: [HOST] },
      database: { path: at("mdd") },
      logging: { otel: { enabled: true, endpoint: `http://${HOST}:${collector}` } },
      skybrush: { enabled: true, tcp_port: 0, websocket_port: 0 },
      update: {
        role: "primary",
        component: "compute",
        token,
        trusted_root: at("root.json"),
        repository: `http://${HOST}:${repository}`,
        mdns: { browse: true, nodes: ["nobody@127.0.0.1"] },
        targets: {
          compute: slot("compute"),
          flxc1000: { provider: "uds-flash", recipe: at("recipe.toml") },
          body: { provider: "sovd-secondary", url: `http://${HOST}:${secondary.port}/api/v1` },
          ...Object.fromEntries(["coap", "mqtt", "http"].map((name) => [name, { provider: "ajour" }])),
        },
        ajour: {
          enabled: true,
          poll_secs: 1,
          gate_poll_secs: 1,
          coap: { port: 0 },
          mqtt: { url: broker },
          applications: { default: { password: PASSWORD } },
          devices: Object.fromEntries(["coap", "mqtt", "http"].map((name) => [`${name}-1`, { component: name }])),
        },
      },
    },
    { NOTIFY_SOCKET: at("notify") },
  )) as typeof primary;
  assert.match(String(await bounded("READY=1", (resolve) => void ready.then(resolve))), /READY=1/);
  await primary.line(/"connected"/);
  const vin = await until(
    () => call("GET", "/components/flxc1000/data/vin"),
    ({ status }) => status === 200,
  );
  assert.ok(vin.text.includes("VIN"), vin.text);
  const target = await call("GET", "/components/flxc1000/x-medkit-update");
  assert.match(target.text, /"provider":"uds-flash".*"current_version":"\w{17}"/);
  assert.match((await call("GET", "/metrics", undefined, {}, "")).text, /process_cpu_seconds_total/);
  for (const page of ["/swagger-ui/", "/openapi.json"]) {
    assert.equal((await call("GET", page, undefined, {}, "")).status, 200, page);
  }
  await until(
    async () => collected,
    (seen) => seen.has("/v1/logs"),
  );
});

test("an upload by form; a push that is relayed; metadata and images of a repository", async () => {
  const form = new FormData();
  form.append("file", new Blob([IMAGE]), "fw.bin");
  const uploaded = await call("POST", "/components/compute/bulk-data/firmware-artifacts", form);
  assert.equal(uploaded.status, 201, uploaded.text);
  assert.equal(JSON.parse(uploaded.text).hash, sha256(IMAGE));

  const to = ["--to", base(), "--token", token];
  const pushed = ["update", "push", at("fw.bin"), ...to, "--components", "compute,body", "--version", "2.0", "--watch"];
  assert.match(await succeeds(...pushed), /execute completed/);
  assert.match(await succeeds("update", "list", ...to), /^fw\.bin$/m);

  const about = { id: "fw-3", origins: ["remote"], affected_components: ["compute", "body"], automated: true };
  assert.equal((await call("POST", "/updates", JSON.stringify(about))).status, 201);
  assert.equal((await call("PUT", "/updates/fw-3/automated")).status, 202);
  assert.match(await succeeds("update", "status", "fw-3", ...to, "--watch"), /execute completed/);
  for (const name of ["compute", "body"]) assert.deepEqual(await readFile(at(name, "current", "image")), REMOTE);
});

test("devices take an update by CoAP, MQTT and HTTP", async () => {
  const urls = [`coap://${HOST}:${primary.coap}`, broker, `http://${HOST}:${primary.port}`];
  const ends = urls.map((url) => {
    const name = url.split(":", 1)[0]!;
    const login = ["--device", `${name}-1`, "--password", PASSWORD, "--block-bytes", "900"];
    return cli("simulate-device", url, ...login, "--once", "--out", at(name));
  });
  const to = ["--to", base(), "--token", token];
  const components = ["--components", "coap,mqtt,http", "--policy", "independent", "--version", "2.0"];
  await succeeds("update", "push", at("fw.bin"), ...to, ...components, "--id", "devices", "--watch");
  for (const { code, err } of await Promise.all(ends)) assert.equal(code, 0, err);
  for (const name of ["coap", "mqtt", "http"]) assert.deepEqual(await readFile(at(name)), IMAGE);
});

test("Flockwave by TCP, WebSocket and Socket.IO", async (t) => {
  const port = Number(primary.webSocket);
  const clients = [await tcp(t, Number(primary.tcp)), await webSocket(t, port), await socketIo(t, port)];
  for (const client of clients) {
    const { ids } = await ask(client, { type: "FW-OBJECT-LIST" });
    assert.deepEqual((ids as string[]).toSorted(), ["body", "coap", "compute", "flxc1000", "http", "mqtt"]);
  }
});

test("the audit chain is whole, a store in use is backed up, both nodes end with 0", async () => {
  await succeeds("audit", "verify", "--to", base(), "--token", token);
  await succeeds("store", "backup", at("backup"), "--config", at("primary.toml"));
  await succeeds("audit", "verify", "--store", at("backup"));
  await succeeds("store", "restore", at("backup"), "--store", at("restored"));
  await succeeds("store", "check", "--store", at("restored"));
  assert.deepEqual([await primary.end(), await secondary.end()], [0, 0]);
});

const LATER = new Date(Date.now() + YEAR_MS).toISOString();
const REMOTE = randomBytes(30_000);
const keys = newKeys();
const repositoryFiles: Readonly<Record<string, string | Buffer>> = (() => {
  const custom = { components: ["compute", "body"], version: "3.0" };
  const expires = { timestamp: LATER, snapshot: LATER, targets: LATER };
  const files = { "fw.bin": { content: REMOTE, custom } };
  const { timestamp, snapshot, targets } = repositoryOf({ keys, expires, files });
  return {
    "/metadata/timestamp.json": timestamp,
    "/metadata/1.snapshot.json": snapshot,
    "/metadata/1.targets.json": targets,
    [`/targets/${sha256(REMOTE)}.fw.bin`]: REMOTE,
  };
})();

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Its standard output. */
async function succeeds(...argv: string[]): Promise<string> {
  const { code, out, err } = await cli(...argv);
  assert.equal(code, 0, `${argv.slice(0, 2).join(" ")}: ${out}${err}`);
  return out;
}

/** A server of this configuration that listens. */
async function node(name: string, config: Tree, env: Record<string, string> = {}) {
  const tree = {
    ...config,
    server: { address: HOST, port: 0 },
    store: { path: at(`${name}-store`) },
    database: config.database ?? { path: at("none") },
    flash_files_path: folder,
    runtime_update_config: { storage_dir: at(name) },
    security: { mode: "jwt", secret: SECRET },
    update: { ...QUICK, ...(config.update as Tree) },
  };
  await writeFile(at(`${name}.toml`), stringify(tree));
  const program = start(whole, ["serve", "--config", at(`${name}.toml`)], env);
  const [, port] = await program.line(/"scope":"http".*"port":(\d+),"msg":"listening"/);
  const ports = name === "primary" ? /"coap":(\d+),"skybrushTcp":(\d+),"skybrushWebSocket":(\d+)/ : /$/;
  const [, coap, tcp, webSocket] = await program.line(ports);
  return { ...program, port: port!, coap, tcp, webSocket };
}

async function call(method: string, path: string, body?: FormData | string, headers = {}, prefix = "/api/v1") {
  const type = typeof body === "string" ? { "content-type": "application/json" } : {};
  const response = await fetch(`http://${HOST}:${primary.port}${prefix}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...type, ...headers },
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.status, text: await response.text() };
}

/** Asks anew as long as `accepts` does not take the answer. */
async function until<T>(question: () => Promise<T>, accepts: (answer: T) => boolean): Promise<T> {
  const untilMs = Date.now() + 120_000;
  for (;;) {
    const answer = await question();
    if (accepts(answer)) return answer;
    assert.ok(Date.now() < untilMs, JSON.stringify(answer));
    // an answer that needs no I/O must not keep I/O from happening
    await setImmediate();
  }
}

/** An HTTP server that gives what there is at a path, 200 for nothing known of it. Its port. */
async function listen(content: (path: string) => string | Buffer | undefined): Promise<number> {
  const server = createServer((request, response) => {
    const body = content(request.url ?? "");
    request.resume();
    response.writeHead(body === undefined ? 404 : 200).end(body);
  });
  server.listen(0, HOST);
  await once(server, "listening");
  cleanup(whole, () => server.close());
  return (server.address() as AddressInfo).port;
}

async function brokerHandle() {
  const { Aedes } = await import("aedes");
  const broker = await Aedes.createBroker();
  cleanup(whole, () => new Promise<void>((resolve) => broker.close(() => resolve())));
  return broker.handle;
}

async function listenTcp(handle: Parameters<typeof createTcpServer>[1]): Promise<number> {
  const server = createTcpServer({ noDelay: true }, handle);
  server.listen(0, HOST);
  await once(server, "listening");
  cleanup(whole, () => server.close());
  return (server.address() as AddressInfo).port;
}
