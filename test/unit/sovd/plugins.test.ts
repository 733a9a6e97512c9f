/** Plugins on the main thread: loaded with words about what is wrong, routes in the one table, log sinks, start and end. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { defaultConfig } from "#config/load.ts";
import type { Fault } from "#core/errors.ts";
import { createSendCheck, loadSafetyPlugins } from "#ecu/send-check.ts";
import { openApiDocument } from "#http/openapi.ts";
import { SOVD_DEFAULTS } from "#sovd/context.ts";
import { createPluginHost, type PluginHost, type PluginParts } from "#sovd/plugins/host.ts";
import { createLogQueue } from "#sovd/plugins/log-sink.ts";
import type { PluginLogRecord } from "#sovd/plugins/types.ts";
import { sovdRoutes } from "#sovd/routes.ts";
import { createLogger } from "#telemetry/logger.ts";
import { scratchFolder } from "../../fixtures/cleanup.ts";
import { FakeFleet, V, vehicle } from "./harness.ts";

const BUILT_IN = sovdRoutes(SOVD_DEFAULTS);

function modules(...texts: string[]): string[] {
  const folder = scratchFolder("plugins");
  return texts.map((text, at) => {
    const path = join(folder, `plugin${at}.mjs`);
    writeFileSync(path, text);
    return path;
  });
}

function hosting(paths: readonly string[], more: { start_timeout_ms?: number; log_queue_records?: number } = {}) {
  const lines: Record<string, unknown>[] = [];
  const stdout = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const { logging, plugins } = defaultConfig();
  const log = createLogger({ ...logging, dlt_tracing: { ...logging.dlt_tracing, enabled: false } }, { stdout });
  const triggered: string[] = [];
  const parts: PluginParts = {
    fleet: new FakeFleet(),
    trigger: async () => void triggered.push("now"),
  };
  const made = createPluginHost({ ...plugins, ...more, modules: paths }, log);
  return { made, log, lines, parts, triggered };
}

/** A vehicle with the routes of these plugins, started. */
async function car(...texts: string[]) {
  const hosted = hosting(modules(...texts));
  const host = await hosted.made;
  await host.start(hosted.parts);
  const routes = host.routes(BUILT_IN);
  return { ...hosted, host, routes, ...vehicle({}, { more: routes }) };
}

async function failure(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => assert.fail("it succeeded"),
    (error: Fault) => `${error.kind} ${error.message}`,
  );
}

const ROUTE = (more: string) =>
  `export default () => ({ routes: [{ method: "get", path: "/x-a", summary: "s", handle: () => ({ status: 200 }), ${more} }] })`;

const UNUSABLE: [name: string, text: string, reason: RegExp][] = [
  [
    "a module that throws",
    'throw new Error("at start")',
    /^invalidConfig plugins\.modules: .*plugin0\.mjs does not load: at start$/,
  ],
  ["no function", "export default {}", /no function as default export/],
  ["nothing", "export default () => undefined", /makes no plugin/],
  ["another thing", "export default () => ({ authorize() {} })", /no member that a plugin may have/],
  ["a member of another kind", "export default () => ({ logSink: true })", /logSink is no function/],
  ["a name that is none", 'export default () => ({ name: "", routes: [] })', /name is no text/],
  ["routes that are no list", "export default () => ({ routes: {} })", /routes is no list/],
];
for (const [name, text, reason] of UNUSABLE) {
  test(`not a plugin: ${name}`, async () => {
    assert.match(await failure(hosting(modules(text)).made), reason);
  });
}

test("two plugins of one name are told apart by their files", async () => {
  const text = 'export default () => ({ name: "same", routes: [] })';
  assert.match(await failure(hosting(modules(text, text)).made), /plugin1\.mjs: another plugin is called same/);
});

const BAD_ROUTES: [more: string, reason: RegExp][] = [
  ['method: "head"', /method is none of/],
  ['path: "x"', /no path of names/],
  ['path: "/x?y"', /no path of names/],
  ['path: "/{a}/{a}"', /stands twice/],
  ['summary: ""', /summary is missing/],
  ["handle: 1", /handle is no function/],
  ['lock: "all"', /lock is none of/],
  ['lock: "ecu"', /needs \{ecu\}/],
  ['lock: "vehicle", public: true', /cannot be public/],
  ['body: "bytes"', /GET has no body/],
  ['method: "put", body: {}', /body has no schema/],
  ['headers: "x-why"', /headers is no list/],
  ['query: { type: "string" }', /query is no schema of an object/],
];
for (const [more, reason] of BAD_ROUTES) {
  test(`a route that cannot be: ${more}`, async () => {
    const { made, parts } = hosting(modules(ROUTE(more)));
    const host = await made;
    await host.start(parts);
    assert.throws(() => host.routes(BUILT_IN), reason);
  });
}

const CLASHES: [path: string, rival: string | undefined][] = [
  ["/components", "it exists already"],
  ["/COMPONENTS/{x}/DATA", "GET /components/{ecu}/data answers there"],
  ["/components/flxc1000", "GET /components/{ecu} answers there"],
  ["/components/{ecu}/data/special", "GET /components/{ecu}/data/{service} answers there"],
  ["/components/{ecu}/x-special", undefined],
  ["/components/{ecu}/{x}/y", undefined],
  ["/components/flxc1000/{x}", "GET /components/{ecu}/locks answers there"],
  ["/components/flxc1000/{x}/{y}", "GET /components/{ecu}/locks/{id} answers there"],
  ["/{x}/flxc1000/data", undefined],
  ["/health", undefined],
];
for (const [path, rival] of CLASHES) {
  test(`GET ${path} ${rival === undefined ? "is free" : `clashes: ${rival}`}`, async () => {
    const { made, parts } = hosting(modules(ROUTE(`path: ${JSON.stringify(path)}`)));
    const host = await made;
    await host.start(parts);
    if (rival === undefined) assert.equal(host.routes(BUILT_IN).length, 1);
    else {
      assert.throws(
        () => host.routes(BUILT_IN),
        (error: Fault) =>
          error.kind === "invalidConfig" && error.message.includes("plugin0.mjs") && error.message.endsWith(rival),
      );
    }
  });
}

test("two plugins with one path", async () => {
  const { made, parts } = hosting(modules(ROUTE(""), ROUTE("")));
  const host = await made;
  await host.start(parts);
  assert.throws(() => host.routes(BUILT_IN), /plugin1\.mjs: route GET \/x-a: it exists already/);
});

test("a plugin's own routes may stand beside each other, but not in each other's place", async () => {
  const routes = (...paths: string[]) =>
    `export default () => ({ routes: [${paths.map((path) => `{ method: "get", path: "${path}", summary: "s", handle: () => ({ status: 200 }) }`)}] })`;
  const { routes: free } = await car(routes("/x-a/{ecu}", "/x-a/status"));
  assert.equal(free.length, 2);
  await assert.rejects(car(routes("/x-a/{ecu}", "/x-a/{part}")), /\/x-a\/\{ecu\} answers there/);
});

const DEMO = `export default () => ({
  name: "demo",
  routes: [
    { method: "get", path: "/x-open", summary: "Open", public: true, early: true, handle: () => ({ status: 200, text: "hi", contentType: "text/plain" }) },
    { method: "get", path: "/x-demo/{ecu}/{part}", summary: "Part of an ECU", tag: "things",
      params: { type: "object", properties: { part: { type: "string", pattern: "^[a-z]+$" } } },
      query: { type: "object", properties: { count: { type: "integer", minimum: 1 }, deep: { type: "boolean" } }, required: ["count"] },
      headers: ["x-why"],
      handle: (r) => ({ status: 200, json: { ecu: r.ecu.name, part: r.params.part, ...r.query, owner: r.owner, why: r.header("x-why"), at: r.origin + r.path } }) },
    { method: "put", path: "/x-demo/{ecu}/value", summary: "Locked", lock: "ecu",
      body: { schema: { type: "object", properties: { v: { type: "number" } }, required: ["v"] } },
      responses: { 204: { description: "Taken." } },
      handle: () => ({ status: 204 }) },
    { method: "post", path: "/x-bytes", summary: "Bytes", body: "bytes",
      handle: (r) => ({ status: 200, json: { length: r.body.length } }) },
    { method: "get", path: "/x-group/{group}", summary: "A group", handle: (r) => ({ status: 200, json: { group: r.group } }) },
    { method: "get", path: "/x-call", summary: "A call", handle: async (r, { vehicle }) => vehicle.call("flxc1000", "dataRead", { service: "vin" }, r) },
    { method: "get", path: "/x-fault", summary: "Its own error", handle: (r, { fault }) => { throw fault("conflict", "not now"); } },
    { method: "get", path: "/x-throws", summary: "Throws", handle: async () => { throw new TypeError("inside"); } },
    { method: "get", path: "/x-silent", summary: "Says nothing", handle: () => undefined },
    { method: "get", path: "/x-header/{value}", summary: "A header of the client's", handle: (r) => ({ status: 200, headers: { "X-Value": r.params.value } }) },
    { method: "get", path: "/x-body", summary: "A body that is none", handle: () => ({ status: 200, body: 7 }) },
  ],
})`;

const REQUESTS: [method: string, path: string, init: object, status: number, json: unknown][] = [
  [
    "GET",
    "/x-demo/FLXC1000/Abc?count=2&deep=true",
    { headers: { "x-why": "so" } },
    200,
    {
      ecu: "FLXC1000",
      part: "abc",
      count: 2,
      deep: true,
      owner: "me",
      why: "so",
      at: `http://car:20002${V}/x-demo/flxc1000/abc`,
    },
  ],
  ["GET", "/x-demo/FLXC1000/abc", {}, 400, undefined],
  ["GET", "/x-demo/FLXC1000/abc?count=0", {}, 400, undefined],
  ["GET", "/x-demo/flxc1000/a1?count=1", {}, 400, undefined],
  ["GET", "/x-demo/nobody/abc?count=1", {}, 404, undefined],
  ["GET", "/x-demo/flxc1000/abc?count=1", { as: null }, 401, undefined],
  ["DELETE", "/x-demo/flxc1000/abc", {}, 405, undefined],
  ["PUT", "/x-demo/flxc1000/value", { json: { v: 1 } }, 403, undefined],
  [
    "POST",
    "/x-bytes",
    {
      bytes: Buffer.from("abc"),
      headers: { "content-type": "application/octet-stream", accept: "application/octet-stream" },
    },
    200,
    { length: 3 },
  ],
  ["GET", "/x-group/all", {}, 200, { group: "all" }],
  ["GET", "/x-group/none", {}, 404, undefined],
  ["GET", "/x-call", {}, 200, {}],
  ["GET", "/x-open", { as: null }, 200, undefined],
];
for (const [method, path, init, status, json] of REQUESTS) {
  test(`${method} ${path} ${JSON.stringify(init)} is ${status} as a built-in route's would be`, async () => {
    const { request, fleet } = await car(DEMO);
    assert.equal(fleet.calls.length, 0);
    const answer = await request(method, V + path, init);
    assert.equal(answer.status, status, answer.text);
    if (json !== undefined) assert.deepEqual(answer.json, json);
  });
}

test("a lock and a body's schema are asked for by the table", async () => {
  const { request } = await car(DEMO);
  await request("POST", `${V}/components/flxc1000/locks`, { json: { lock_expiration: 60 } });
  const put = (json: unknown) => request("PUT", `${V}/x-demo/flxc1000/value`, { json });
  assert.equal((await put({ v: 1 })).status, 204);
  assert.equal((await put({ v: "1" })).status, 422);
});

const FAILURES: [path: string, status: number, message: string][] = [
  ["/x-fault", 409, "not now"],
  ["/x-throws", 500, "Plugin demo failed at GET /x-throws"],
  ["/x-silent", 500, "Plugin demo failed at GET /x-silent"],
  ["/x-header/a%0D%0Aset-cookie:%20b", 500, "Plugin demo failed at GET /x-header/{value}"],
  ["/x-body", 500, "Plugin demo failed at GET /x-body"],
];
for (const [path, status, message] of FAILURES) {
  test(`GET ${path}: ${message}`, async () => {
    const { request, lines } = await car(DEMO);
    const answer = await request("GET", V + path);
    assert.deepEqual([answer.status, answer.json.message], [status, message]);
    const logged = lines.filter(({ level }) => level === 50).map(({ plugin, msg }) => ({ plugin, msg }));
    assert.deepEqual(logged, status === 500 ? [{ plugin: "demo", msg: message }] : []);
  });
}

test("the document has them", async () => {
  const { routes, context } = await car(DEMO);
  const document = openApiDocument([...BUILT_IN, ...routes], SOVD_DEFAULTS, context.version, { ecus: [], groups: [] });
  // biome-ignore lint/suspicious/noExplicitAny: a document is looked into freely
  const { paths } = document as any;
  const get = paths[`${V}/x-demo/{ecu}/{part}`].get;
  assert.deepEqual([get.tags, get.summary, get.security], [["things"], "Part of an ECU", [{ bearer: [] }]]);
  assert.deepEqual(
    get.parameters.map(({ name, $ref, required }: { name: string; $ref?: string; required: boolean }) => [
      name ?? $ref,
      required,
    ]),
    [
      ["#/components/parameters/ecu", undefined],
      ["part", true],
      ["count", true],
      ["deep", false],
    ],
  );
  assert.deepEqual(paths[`${V}/x-open`].get.security, []);
  assert.match(paths[`${V}/x-demo/{ecu}/value`].put.description, /lock of: ecu/);
});

// ---- start and end -----------------------------------------------------------------------------------------------------

test("init may begin deferred communication, and logs under its name; close is called in reverse order", async () => {
  const text = (name: string) => `export default () => ({
    name: "${name}",
    init: async (context) => { await context.triggerDeferredInitialization(); context.log.warn("up", { ecus: context.vehicle.ecus.length }); this_.log = context.log; },
    close: () => this_.log.info("down"),
  }); const this_ = {};`;
  const { made, parts, triggered, lines } = hosting(modules(text("one"), text("two")));
  const host = await made;
  await host.start(parts);
  assert.deepEqual(triggered, ["now", "now"]);
  await host.close();
  const own = lines.filter(({ scope }) => String(scope).startsWith("plugin:"));
  assert.deepEqual(
    own.map(({ scope, msg, ecus }) => [scope, msg, ecus]),
    [
      ["plugin:one", "up", 2],
      ["plugin:two", "up", 2],
      ["plugin:two", "down", undefined],
      ["plugin:one", "down", undefined],
    ],
  );
});

const BAD_STARTS: [name: string, init: string, reason: string][] = [
  ["throws", 'init() { throw new Error("no licence"); }', "internal Plugin plugin0: init failed: no licence"],
  ["rejects", 'async init() { throw new Error("no licence"); }', "internal Plugin plugin0: init failed: no licence"],
  [
    "takes for ever",
    "init: () => new Promise(() => {})",
    "internal Plugin plugin0: init failed: it took longer than 5 ms",
  ],
];
for (const [name, init, reason] of BAD_STARTS) {
  test(`a plugin whose init ${name} is named`, async () => {
    const { made, parts } = hosting(modules(`export default () => ({ ${init} })`), { start_timeout_ms: 5 });
    assert.equal(await failure((await made).start(parts)), reason);
  });
}

test("a plugin that cannot end is named, and the others end", async () => {
  const { made, parts, lines } = hosting(
    modules(
      'export default () => ({ name: "a", init(c) { this.c = c; }, close() { this.c.log.info("a ended"); } })',
      'export default () => ({ name: "b", close() { throw new Error("stuck"); } })',
    ),
  );
  const host = await made;
  await host.start(parts);
  await host.close();
  const said = lines.map(({ msg }) => msg);
  assert.deepEqual(said.slice(-2), ["Plugin b: close failed", "a ended"]);
});

test("shards load only what has a safety check", async () => {
  const paths = modules("export default () => ({ routes: [] })", "export default () => ({ checkBeforeSend() {} })");
  assert.deepEqual((await hosting(paths).made).safetyModules, [paths[1]]);
});

// ---- log sinks ---------------------------------------------------------------------------------------------------------

const line = (msg: string, more: object = {}) => JSON.stringify({ level: 40, time: 7, scope: "ecu", msg, ...more });

function queue(sink: (record: PluginLogRecord) => void | Promise<void>, maxRecords = 10) {
  const problems: unknown[] = [];
  return { problems, queue: createLogQueue({ sink, maxRecords, onProblem: (error) => problems.push(error) }) };
}

test("a sink gets records as data, later, in order; what is no record is left out", async () => {
  const got: PluginLogRecord[] = [];
  const { queue: sink } = queue((record) => void got.push(record));
  sink.write(line("one", { nrc: 0x22 }));
  sink.write("no JSON");
  sink.write(line("two"));
  assert.deepEqual(got, [], "not in the turn of who logs");
  await sink.flushed();
  const common = { timeMs: 7, level: "warn", scope: "ecu" } as const;
  assert.deepEqual(got, [
    { ...common, message: "one", fields: { nrc: 0x22 } },
    { ...common, message: "two", fields: {} },
  ]);
});

test("a slow sink loses what is too much, and learns how much", async () => {
  const got: string[] = [];
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const { queue: sink } = queue(({ message }) => {
    got.push(message);
    return gate;
  }, 3);
  for (let i = 0; i < 8; i++) sink.write(line(String(i)));
  open();
  await sink.flushed();
  assert.deepEqual(got, ["0", "1", "2", "5 log records were dropped"]);
});

test("a sink that fails is told of once per outage", async () => {
  let broken = true;
  const { queue: sink, problems } = queue(() => {
    if (broken) throw new Error("disk");
  });
  for (const name of ["a", "b"]) sink.write(line(name));
  await sink.flushed();
  broken = false;
  sink.write(line("c"));
  await sink.flushed();
  assert.equal(problems.length, 1);
  broken = true;
  sink.write(line("d"));
  await sink.flushed();
  assert.equal(problems.length, 2);
});

test("a sink that rejects does not end the program, and is named in the log that it takes", async () => {
  const { made, parts, log, lines } = hosting(
    modules('export default () => ({ name: "s", logSink: async () => { throw new Error("gone"); } })'),
  );
  const host = await made;
  await host.start(parts);
  log.scope("ecu").info("hello");
  await host.close();
  assert.equal(lines.filter(({ msg }) => msg === "Plugin s: logSink failed").length, 1);
});

test("a sink that logs does not feed itself", async () => {
  const { made, parts, log, lines } = hosting(
    modules(
      `let log; export default () => ({ name: "s", init(c) { log = c.log; }, logSink: ({ message }) => log.info("seen: " + message) })`,
    ),
  );
  const host = await made;
  await host.start(parts);
  log.scope("ecu").info("hello");
  await host.close();
  const seen = lines.filter(({ scope }) => scope === "plugin:s").map(({ msg }) => msg);
  assert.deepEqual(seen, ["seen: plugin started", "seen: hello"]);
});

// ---- the example of the documentation ----------------------------------------------------------------------------------

test("the example in docs/plugins.md does what it says", async () => {
  const page = readFileSync(new URL("../../../docs/plugins.md", import.meta.url), "utf8");
  const example = /```js\n(.*?)```/s.exec(page)![1]!;
  const paths = modules(example);
  const hosted = hosting(paths);
  const host: PluginHost = await hosted.made;
  await host.start(hosted.parts);
  assert.deepEqual([host.safetyModules, hosted.triggered], [paths, ["now"]]);
  const { request } = vehicle({}, { more: host.routes(BUILT_IN) });
  const at = `${V}/x-guard/flxc1000`;
  assert.equal((await request("PUT", at, { json: { speed: 36 } })).status, 403);
  await request("POST", `${V}/components/flxc1000/locks`, { json: { lock_expiration: 60 } });
  assert.equal((await request("PUT", at, { json: { speed: 36 } })).status, 204);
  assert.equal((await request("PUT", at, { json: { speed: 900 } })).json.message, "flxc1000 is no aeroplane");
  const { json } = await request("GET", `${at}?unit=m%2Fs`);
  assert.deepEqual(json, { speed: 10, state: "Online", caller: "me" });
  await host.close();

  const check = createSendCheck(await loadSafetyPlugins(paths), () => {})!;
  const send = (ecu: string, sid: number) =>
    check({ ecus: [{ name: ecu }], addressing: "physical" }, Uint8Array.of(sid, 1), "S")?.message;
  assert.equal(send("BODY", 0x2e), "Not while the vehicle is in use (S, 2 bytes, physical)");
  assert.deepEqual([send("BODY", 0x22), send("CENTRAL", 0x2e)], [undefined, undefined]);
});
