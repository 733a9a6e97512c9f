/** A plugin in the whole program: its route over HTTP, its check in the shard, its log sink, its trigger of communication. */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createLogger } from "#telemetry/logger.ts";
import { startServer } from "../../src/main.ts";
import { scratchFolder } from "../fixtures/cleanup.ts";
import { type Harness, startHarness } from "./harness.ts";
import { startNode } from "./updates-support.ts";

/** Refuses by ECU and identifier; what the main thread has seen is asked for over its routes. */
const PLUGIN = `
const seen = [];
let context;
export default ({ thread }) => ({
  name: "guard",
  init(given) { context = given; },
  logSink({ scope, message }) { seen.push(scope + ": " + message); },
  checkBeforeSend({ ecu, addressing, service, sid, request }) {
    if (request[1] === 0xd0 && ecu === "BODY" && sid === 0x2e) return "no writing from " + thread + " to " + ecu + ": " + service;
    if (sid === 0x11) throw new Error("cannot tell");
    return undefined;
  },
  routes: [
    { method: "post", path: "/x-guard/start", summary: "Begin communication", early: true,
      handle: async () => { await context.triggerDeferredInitialization(); return { status: 204 }; } },
    { method: "get", path: "/x-guard/log", summary: "What was logged", public: true,
      handle: () => ({ status: 200, json: { seen } }) },
    { method: "get", path: "/x-guard/{ecu}/vin", summary: "VIN of an ECU",
      handle: async (request, { vehicle }) => vehicle.call(request.ecu.name, "dataRead", { service: "vin" }, request) },
  ],
});`;

let folder: string;
let h: Harness;

before(async () => {
  folder = scratchFolder("plugin-e2e");
  const path = join(folder, "guard.mjs");
  writeFileSync(path, PLUGIN);
  h = await startHarness({
    config: { plugins: { modules: [path] }, communication: { init_mode: "plugin" }, logging: { level: "error" } },
  });
});
after(() => h?.close());

test("communication begins when the plugin says so", async () => {
  const read = () => h.http.get("/components/body/data/vin");
  const early = await read();
  assert.deepEqual([early.status, early.headers.get("retry-after")], [503, "1"]);
  assert.equal(h.server.communication.state, "pending");
  assert.equal((await h.http.post("/x-guard/start")).status, 204);
  await h.online("BODY", "CENTRAL");
  assert.equal((await read()).status, 200);
});

test("on a node that has no vehicle there is nothing to begin", async (t) => {
  const doip = { enabled: true, tester_address: "127.0.0.1" };
  const node = await startNode(t, { role: "secondary" }, { doip, plugins: { modules: [join(folder, "guard.mjs")] } });
  const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind.startsWith("UDP")).length;
  const before = sockets();
  assert.equal((await node.send("POST", "/x-guard/start")).status, 204);
  assert.equal(sockets(), before);
});

test("its routes stand beside the others, under every base path, with the same authorisation", async () => {
  assert.equal((await h.http.get("/x-guard/body/vin")).status, 200);
  assert.equal((await h.http.get("//sovd/v1/X-GUARD/body/vin")).status, 200);
  assert.equal((await h.http.get("/x-guard/body/vin", { as: null })).status, 401);
  assert.equal((await h.http.get("/x-guard/nobody/vin")).status, 404);
  const { paths } = (await h.http.get("//openapi.json")).json;
  assert.equal(paths["/vehicle/v15/x-guard/{ecu}/vin"].get.summary, "VIN of an ECU");
});

test("its check refuses in the shard, and nothing reaches the ECU", async () => {
  const write = (ecu: string) =>
    h.locked(ecu, () => h.http.put(`/components/${ecu}/data/serviceinterval`, { data: { Interval: 1_000 } }));
  h.traffic.clear();
  const refused = await write("body");
  assert.deepEqual(
    [refused.status, refused.json.message, refused.json.error_code, refused.json.vendor_code],
    [403, "no writing from shard to BODY: ServiceInterval_Write", "insufficient-access-rights", "send-refused"],
  );
  assert.deepEqual(
    h.traffic.to("BODY").filter((uds) => uds.startsWith("2E")),
    [],
  );
  assert.ok((await write("central")).status < 300);
  assert.equal(h.traffic.to("CENTRAL").filter((uds) => uds.startsWith("2E")).length, 1);
});

test("a check that throws is an internal error that names it; the shard lives on", async () => {
  h.traffic.clear();
  const reset = await h.locked("body", () => h.http.put("/components/body/status/restart"));
  assert.equal(reset.status, 500);
  assert.equal(reset.json.message, "Plugin guard: checkBeforeSend failed: cannot tell");
  assert.deepEqual(
    h.traffic.to("BODY").filter((uds) => uds.startsWith("11")),
    [],
  );
  assert.equal((await h.http.get("/components/body/data/vin")).status, 200);
  const { seen } = (await h.http.get("/x-guard/log", { as: null })).json;
  assert.deepEqual(seen, ["plugins: Plugin guard: checkBeforeSend failed: cannot tell"]);
});

test("a start that fails ends what has begun: the plugin, and the hold on the store", async () => {
  const [path, ended] = [join(folder, "ends.mjs"), join(folder, "ended")];
  writeFileSync(
    path,
    `import { writeFileSync } from "node:fs"; export default () => ({ close: () => writeFileSync(${JSON.stringify(ended)}, "") });`,
  );
  const config = {
    ...h.config,
    doip: { ...h.config.doip, enabled: false },
    store: { ...h.config.store, path: join(folder, "store") },
    plugins: { ...h.config.plugins, modules: [path] },
  };
  const onPort = (port: number) =>
    startServer({ ...config, server: { ...config.server, port } }, createLogger(config.logging));
  await assert.rejects(onPort(h.server.port), { kind: "misconfigured", message: /in use/ });
  assert(existsSync(ended));
  const second = await onPort(0);
  await second.close();
});
