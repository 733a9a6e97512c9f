/** The update of the diagnostic databases through real HTTP: lists, uploads, deletions, executions, and what it leaves alone. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, afterEach, before, test } from "node:test";
import { type Answer, type Harness, type SendOptions, startHarness } from "./harness.ts";
import {
  APP,
  completed,
  EXECUTIONS,
  execute,
  FORM_TYPE,
  files,
  form,
  mdd,
  NEXT,
  RUN,
  SETS,
  snapshot,
  updaterOf,
  upload,
  uploadForm,
  vehicleLocked,
} from "./runtime-update-support.ts";

const LIMIT_BYTES = 300_000;
const ALL = ["body.mdd", "brakes.mdd", "camera.mdd", "central.mdd", "climate.mdd", "engine.mdd"];
const BYTES = { "content-type": "application/octet-stream" };

let h: Harness;
let body2: Uint8Array;

before(async () => {
  h = await startHarness({
    config: {
      runtime_update_config: { upload_body_limit_bytes: LIMIT_BYTES },
      update: { allow_downgrade: true, drain_timeout_ms: 60_000 },
      compat: { finished_transfers_block: true },
    },
  });
  body2 = await mdd("BODY", "2.0.0");
  await h.online("CENTRAL", "BODY", "ENGINE");
});
after(() => h?.close());
afterEach(() => vehicleLocked(h, () => completed(h, "cleanup")));

const ids = async (set: (typeof SETS)[number]): Promise<string[]> =>
  (await h.http.get(files(set))).json.items.map(({ id }: { id: string }) => id);
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const is = (answer: Answer, status: number, json?: object) => {
  assert.equal(answer.status, status, answer.text);
  if (json !== undefined) assert.deepEqual(answer.json, json);
};

// ---- lists (15.2) ------------------------------------------------------------------------------------------------------

test("the current set is listed by lower-case name, the pending one shows it, the backup is empty", async () => {
  const plain = ALL.map((id) => ({ id, mimetype: "application/octet-stream", name: id }));
  is(await h.http.get(files("current")), 200, { items: plain });
  is(await h.http.get(files("nextupdate")), 200, { items: plain });
  is(await h.http.get(files("backup")), 200, { items: [] });
});

const MEMBERS: readonly [query: string, members: readonly string[]][] = [
  ["x-sovd2uds-include-file-size=true", ["size"]],
  ["x-sovd2uds-include-hash=sha256", ["hash", "hash_algorithm"]],
  ["x-sovd2uds-include-revision=true", ["x-sovd2uds-revision"]],
  ["X-SOVD2UDS-Include-File-Size=true", ["size"]],
  ["created-after=yesterday&created-before=x", []],
  ["x-sovd2uds-include-file-size=false", []],
];
for (const set of SETS) {
  test(`GET ${set} shows what its query asks for`, async () => {
    await vehicleLocked(h, async () => {
      is(await upload(h, { "body.mdd": body2 }), 201);
      await completed(h, "apply");
    });
    for (const [query, members] of MEMBERS) {
      const answer = await h.http.get(`${files(set)}?${query}`);
      is(answer, 200);
      for (const item of answer.json.items) {
        assert.deepEqual(Object.keys(item), ["id", "mimetype", "name", ...members], query);
      }
      assert.equal(answer.json.items.length, ALL.length);
    }
    await vehicleLocked(h, () => completed(h, "rollback"));
  });
  for (const query of [
    "x-sovd2uds-include-hash=md5",
    "x-sovd2uds-include-file-size=yes",
    "x-sovd2uds-include-revision=1",
  ]) {
    test(`GET ${set} with ${query} is refused`, async () => is(await h.http.get(`${files(set)}?${query}`), 400));
  }
  test(`GET ${set} shows its schema when asked to, and needs a token`, async () => {
    const { json } = await h.http.get(`${files(set)}?include-schema=true`);
    assert.deepEqual(Object.keys(json), ["items", "schema"]);
    is(await h.http.get(files(set), { as: null }), 401);
  });
}

test("size, hash and revision are those of the file", async () => {
  await vehicleLocked(h, async () => {
    is(await upload(h, { "body.mdd": body2 }), 201);
    const query = "x-sovd2uds-include-file-size=true&x-sovd2uds-include-hash=sha256&x-sovd2uds-include-revision=true";
    const { json } = await h.http.get(`${NEXT}?${query}`);
    assert.deepEqual(
      json.items.find(({ id }: { id: string }) => id === "body.mdd"),
      {
        id: "body.mdd",
        mimetype: "application/octet-stream",
        name: "body.mdd",
        size: body2.length,
        hash: sha256(body2),
        hash_algorithm: "sha256",
        "x-sovd2uds-revision": "2.0.0",
      },
    );
  });
});

const NO_ROUTE: readonly [method: "GET" | "POST" | "DELETE" | "PUT", path: string, status: number][] = [
  ["GET", `${files("current")}/body.mdd`, 404],
  ["GET", `${files("backup")}/body.mdd`, 404],
  ["GET", `${files("nextupdate")}/body.mdd`, 405],
  ["POST", files("current"), 405],
  ["DELETE", files("current"), 405],
  ["POST", files("backup"), 405],
  ["PUT", files("nextupdate"), 405],
  ["DELETE", RUN, 405],
  ["DELETE", `${RUN}/00000000-0000-4000-8000-000000000000`, 405],
];
for (const [method, path, status] of NO_ROUTE) {
  test(`${method} ${path} is ${status}`, async () => {
    const answer = await h.http.send(method, path, {});
    is(answer, status);
    assert.equal(answer.json.error_code, "vendor-specific");
  });
}

// ---- uploads (15.3) ----------------------------------------------------------------------------------------------------

test("several files and a field in one form", async () => {
  const engine = await mdd("ENGINE", "3");
  await vehicleLocked(h, async () => {
    const answer = await uploadForm(
      h,
      form([
        { content: "a field" },
        { filename: "BODY.mdd", content: body2 },
        { filename: "Engine.MDD", content: engine },
      ]),
    );
    is(answer, 201, { items: [{ id: "body.mdd" }, { id: "engine.mdd" }] });
    assert.equal(answer.headers.get("location"), `${h.base}${NEXT}/body.mdd`);
    assert.deepEqual(await ids("nextupdate"), ALL);
    const { nextupdate, current } = await snapshot(h);
    assert.equal(nextupdate!["engine.mdd"], sha256(engine));
    assert.notEqual(current!["engine.mdd"], sha256(engine));
  });
});

for (const disposition of [
  'attachment; filename="Body.MDD"',
  "attachment; filename=body.mdd",
  "attachment; FileName = body.mdd ; size=3",
]) {
  test(`one file as octet-stream with ${disposition}`, async () => {
    await vehicleLocked(h, async () => {
      const answer = await h.http.post(NEXT, body2, { headers: { "content-disposition": disposition } });
      is(answer, 201, { items: [{ id: "body.mdd" }] });
    });
  });
}

test("a name in another case overwrites", async () => {
  const again = await mdd("BODY", "2.1.0");
  await vehicleLocked(h, async () => {
    is(await upload(h, { "body.mdd": body2 }), 201);
    is(await upload(h, { "BODY.MDD": again }), 201);
    assert.deepEqual(await ids("nextupdate"), ALL);
    assert.equal((await snapshot(h)).nextupdate!["body.mdd"], sha256(again));
  });
});

interface Refused {
  readonly name: string;
  readonly send: () => Promise<Answer>;
  readonly status: number;
  readonly code: string;
  readonly message?: RegExp;
}

const named =
  (filename: string): (() => Promise<Answer>) =>
  () =>
    uploadForm(h, form([{ filename, content: body2 }]));
const raw = (headers: SendOptions["headers"], content = body2) =>
  h.http.post(NEXT, content, { headers: headers ?? {} });

const BAD_UPLOADS: readonly Refused[] = [
  ...["../body.mdd", "a/body.mdd", "a\\\\body.mdd", "..", `${"x".repeat(300)}.mdd`, "a\u0001.mdd", "a\u007f.mdd"].map(
    (filename) => ({
      name: `name ${JSON.stringify(filename.slice(0, 20))}`,
      send: named(filename),
      status: 400,
      code: "invalid-data",
      message: /^Invalid file (name|type): /,
    }),
  ),
  {
    name: "other extension",
    send: named("body.txt"),
    status: 400,
    code: "invalid-data",
    message: /^Invalid file type/,
  },
  {
    name: "no extension",
    send: named("body"),
    status: 400,
    code: "invalid-data",
    message: /^Invalid file type: body$/,
  },
  { name: "extension alone", send: named(".mdd"), status: 400, code: "invalid-data", message: /^Invalid file type/ },
  {
    name: "not an MDD",
    send: () => upload(h, { "body.mdd": Buffer.from("no database at all") }),
    status: 400,
    code: "invalid-data",
    message: /^Validation failed: body\.mdd: /,
  },
  {
    name: "empty file",
    send: () => upload(h, { "body.mdd": new Uint8Array(0) }),
    status: 400,
    code: "invalid-data",
    message: /^Validation failed: /,
  },
  {
    name: "a bad file behind a good one",
    send: () => upload(h, { "body.mdd": body2, "engine.mdd": body2.subarray(0, 700) }),
    status: 400,
    code: "invalid-data",
    message: /^Validation failed: engine\.mdd/,
  },
  {
    name: "one bit wrong",
    send: () => {
      const damaged = Uint8Array.from(body2);
      damaged[damaged.length >> 1]! ^= 4;
      return upload(h, { "body.mdd": damaged });
    },
    status: 400,
    code: "invalid-data",
    message: /^Validation failed: /,
  },
  {
    name: "two files of one name",
    send: () =>
      uploadForm(
        h,
        form([
          { filename: "body.mdd", content: body2 },
          { filename: "BODY.mdd", content: body2 },
        ]),
      ),
    status: 400,
    code: "invalid-data",
    message: /twice/,
  },
  { name: "no part at all", send: () => uploadForm(h, form([])), status: 400, code: "invalid-data" },
  { name: "a field only", send: () => uploadForm(h, form([{ content: "x" }])), status: 400, code: "invalid-data" },
  { name: "empty body", send: () => uploadForm(h, new Uint8Array(0)), status: 400, code: "bad-request" },
  {
    name: "form that ends inside a file",
    send: () => uploadForm(h, form([{ filename: "body.mdd", content: body2 }], 900)),
    status: 400,
    code: "bad-request",
  },
  {
    name: "form that ends before its last boundary",
    send: () => uploadForm(h, form([{ filename: "body.mdd", content: body2 }], 40)),
    status: 400,
    code: "bad-request",
  },
  {
    name: "larger than the limit",
    send: () => upload(h, { "body.mdd": new Uint8Array(LIMIT_BYTES + 1) }),
    status: 413,
    code: "bad-request",
  },
  { name: "other type", send: () => raw({ "content-type": "text/plain" }), status: 400, code: "bad-request" },
  {
    name: "form without boundary",
    send: () => raw({ "content-type": "multipart/form-data" }),
    status: 400,
    code: "bad-request",
  },
  { name: "no Content-Disposition", send: () => raw(BYTES), status: 400, code: "bad-request" },
  {
    name: "Content-Disposition without name",
    send: () => raw({ ...BYTES, "content-disposition": "attachment; filename*=UTF-8''body.mdd" }),
    status: 400,
    code: "bad-request",
  },
  {
    name: "path in Content-Disposition",
    send: () => raw({ ...BYTES, "content-disposition": 'attachment; filename="../body.mdd"' }),
    status: 400,
    code: "invalid-data",
  },
];
for (const { name, send, status, code, message } of BAD_UPLOADS) {
  test(`upload refused, nothing changed: ${name}`, async () => {
    await vehicleLocked(h, async () => {
      const before = await snapshot(h);
      const answer = await send();
      is(answer, status);
      assert.equal(answer.json.vendor_code, code, answer.text);
      if (message !== undefined) assert.match(answer.json.message, message);
      assert.doesNotMatch(answer.text, /\/tmp|\/store/, "a path of the server");
      assert.deepEqual(await snapshot(h), before);
      is(await h.http.post(RUN, { mode: "apply" }), 404);
    });
  });
}

test("a bad upload leaves what was pending", async () => {
  await vehicleLocked(h, async () => {
    is(await upload(h, { "body.mdd": body2 }), 201);
    const before = await snapshot(h);
    is(await upload(h, { "engine.mdd": body2.subarray(9), "body.mdd": await mdd("BODY", "9") }), 400);
    assert.deepEqual(await snapshot(h), before);
  });
});

test("a client that goes away in the middle changes nothing", async () => {
  await vehicleLocked(h, async () => {
    const before = await snapshot(h);
    const gone = new AbortController();
    const token = (await h.http.post("/authorize", { client_id: "tester", client_secret: "x" })).json.access_token;
    const half = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(form([{ filename: "body.mdd", content: body2 }], 2_000)),
      pull: () => gone.abort(),
    });
    const sent = h.http.send("POST", NEXT, {
      headers: { authorization: `Bearer ${token}`, "content-type": FORM_TYPE },
      body: half,
      signal: gone.signal,
      duplex: "half",
    } as RequestInit);
    await assert.rejects(sent);
    // as soon as the broken one is over, the next one is taken
    let answer: Answer;
    do answer = await h.http.delete(NEXT);
    while (answer.status === 409 && answer.json.vendor_code === "storage-transaction-busy");
    is(answer, 200, { deleted_ids: [], errors: [] });
    assert.deepEqual(await snapshot(h), before);
  });
});

// ---- who may (15.3 to 15.5) ---------------------------------------------------------------------------------------------

const CHANGES: readonly [name: string, send: (as: string) => Promise<Answer>][] = [
  ["upload", (as) => upload(h, { "body.mdd": body2 }, as)],
  ["removal of one", (as) => h.http.delete(`${NEXT}/body.mdd`, { as })],
  ["removal of all pending", (as) => h.http.delete(NEXT, { as })],
  ["removal of the backup", (as) => h.http.delete(files("backup"), { as })],
  ...EXECUTIONS.map(
    (path) => [`apply at ${path}`, (as) => h.http.post(path, { mode: "apply" }, { as })] as (typeof CHANGES)[number],
  ),
];
for (const [name, send] of CHANGES) {
  test(`${name} needs the caller's own vehicle lock`, async () => {
    const before = await snapshot(h);
    const missing = await send("tester");
    is(missing, 403);
    assert.equal(missing.json.message, "No Lock: Vehicle lock is missing");
    await vehicleLocked(
      h,
      async () => {
        const foreign = await send("tester");
        is(foreign, 403);
        assert.equal(foreign.json.message, "No Lock: Vehicle lock is owned by another user");
      },
      "somebody",
    );
    assert.deepEqual(await snapshot(h), before);
  });
}

test("an upload that is refused for its lock is drained, however large", async () => {
  const answer = await upload(h, { "body.mdd": new Uint8Array(LIMIT_BYTES - 1_000) });
  is(answer, 403);
});

test("changes need a token", async () => {
  is(await h.http.post(NEXT, body2, { as: null, headers: { "content-type": FORM_TYPE } }), 401);
  is(await h.http.delete(NEXT, { as: null }), 401);
  is(await h.http.post(RUN, { mode: "apply" }, { as: null }), 401);
});

// ---- deletions (15.4) ---------------------------------------------------------------------------------------------------

test("one file is taken out of the pending set, in any case; applied, its ECU is gone", async () => {
  await vehicleLocked(h, async () => {
    is(await h.http.delete(`${NEXT}/Camera.MDD`), 204);
    assert.deepEqual(
      await ids("nextupdate"),
      ALL.filter((id) => id !== "camera.mdd"),
    );
    assert.deepEqual(await ids("current"), ALL);
    is(await h.http.get("/components/camera"), 200);
    await completed(h, "apply");
    is(await h.http.get("/components/camera"), 404);
    const { json } = await h.http.get("/components");
    assert.equal(
      json.items.some(({ id }: { id: string }) => id === "camera"),
      false,
    );
    await completed(h, "rollback");
    is(await h.http.get("/components/camera"), 200);
  });
});

for (const [id, status, code] of [
  ["nobody.mdd", 404, "not-found"],
  ["body.txt", 400, "invalid-data"],
  ["..%2Fbody.mdd", 400, "invalid-data"],
] as const) {
  test(`DELETE of ${id} is ${status} and leaves no pending set`, async () => {
    await vehicleLocked(h, async () => {
      const answer = await h.http.delete(`${NEXT}/${id}`);
      is(answer, status);
      assert.equal(answer.json.vendor_code, code);
      is(await h.http.post(RUN, { mode: "apply" }), 404);
    });
  });
}

test("all pending changes and the backup are deleted, also when there are none", async () => {
  await vehicleLocked(h, async () => {
    is(await h.http.delete(NEXT), 200, { deleted_ids: [], errors: [] });
    is(await h.http.delete(files("backup")), 200, { deleted_ids: [], errors: [] });
    is(await upload(h, { "body.mdd": body2 }), 201);
    is(await h.http.delete(NEXT), 200, { deleted_ids: ALL, errors: [] });
    is(await h.http.post(RUN, { mode: "apply" }), 404);
    is(await upload(h, { "body.mdd": body2 }), 201);
    await completed(h, "apply");
    await completed(h, "rollback");
    is(await upload(h, { "body.mdd": body2 }), 201);
    await completed(h, "apply");
    is(await h.http.delete(files("backup")), 200, { deleted_ids: ALL, errors: [] });
    is(await h.http.post(RUN, { mode: "rollback" }), 404);
    is(await upload(h, { "body.mdd": await mdd("BODY", "1.0.0") }), 201);
    await completed(h, "apply");
  });
});

// ---- executions (15.5) --------------------------------------------------------------------------------------------------

for (const path of EXECUTIONS) {
  for (const body of [{ mode: "Cleanup" }, { parameters: { mode: "CLEANUP" } }]) {
    test(`POST ${path} with ${JSON.stringify(body)}`, async () => {
      await vehicleLocked(h, async () => {
        const begun = await h.http.post(path, body);
        is(begun, 202);
        assert.deepEqual(Object.keys(begun.json), ["id"]);
        const location = begun.headers.get("location")!;
        assert.equal(location, `${h.base}${path}/${begun.json.id}`);
        await updaterOf(h).idle();
        const one = `${path}/${begun.json.id}`;
        is(await h.http.get(one, { as: null }), 200, { status: "completed", parameters: { mode: "cleanup" } });
        is(await h.http.get(path, { as: null }), 200, { items: [{ id: begun.json.id }] });
        assert.deepEqual(Object.keys((await h.http.get(`${one}?include-schema=true`)).json), [
          "status",
          "parameters",
          "schema",
        ]);
      });
    });
  }
}

test("both names of the operation are listed and described", async () => {
  const list = await h.http.get(`${APP}/operations`, { as: null });
  is(list, 200);
  const operations = list.json.items.map(({ id }: { id: string }) => id);
  assert.deepEqual(operations, ["runtimefilesupdate", "diagnostic-database-update"]);
  for (const item of list.json.items) is(await h.http.get(`${APP}/operations/${item.id}`), 200, { items: [item] });
});

const REFUSED_STARTS: readonly [name: string, body: unknown, headers: Record<string, string>, status: number][] = [
  ["unknown mode", { mode: "explode" }, {}, 422],
  ["no mode", {}, {}, 422],
  ["mode of another type", { parameters: { mode: 1 } }, {}, 422],
  ["no JSON", "{mode", { "content-type": "application/json" }, 400],
  ["no type", new Uint8Array([1]), {}, 415],
  ["nothing pending", { mode: "apply" }, {}, 404],
  ["no backup", { mode: "Rollback" }, {}, 404],
];
for (const [name, body, headers, status] of REFUSED_STARTS) {
  test(`POST executions is ${status}: ${name}`, async () => {
    const before = await snapshot(h);
    await vehicleLocked(h, async () => is(await h.http.post(RUN, body, { headers }), status));
    // the body comes before the lock
    is(await h.http.post(RUN, body, { headers }), status === 404 ? 403 : status);
    assert.deepEqual(await snapshot(h), before);
  });
}

test("an unknown execution is 404 with a body", async () => {
  const answer = await h.http.get(`${RUN}/00000000-0000-4000-8000-000000000000`);
  is(answer, 404);
  assert.equal(answer.json.vendor_code, "not-found");
});

const BLOCKERS: readonly [name: string, message: RegExp, begin: () => Promise<() => Promise<unknown>>][] = [
  [
    "the caller's own component lock",
    /^Lock Conflict: Non-vehicle locks are held/,
    async () => {
      const { json } = await h.http.post("/components/engine/locks", { lock_expiration: 60 });
      return () => h.http.delete(`/components/engine/locks/${json.id}`);
    },
  ],
  [
    "communication parameters",
    /^Operations in progress: /,
    async () => {
      const path = "/components/engine/operations/comparam/executions";
      const { json } = await h.http.post(path, { parameters: {} });
      return () => h.http.delete(`${path}/${json.id}`);
    },
  ],
  [
    "a routine that runs",
    /^Operations in progress: /,
    async () => {
      const path = "/components/engine/operations/Calibrate/executions";
      const { json, status, text } = await h.http.post(path, { parameters: {} });
      assert.equal(status, 202, text);
      return () => h.http.delete(`${path}/${json.id}`);
    },
  ],
];
for (const [name, message, begin] of BLOCKERS) {
  test(`an execution is refused while there is ${name}`, async () => {
    await vehicleLocked(h, async () => {
      is(await upload(h, { "body.mdd": body2 }), 201);
      const before = await snapshot(h);
      const end = await begin();
      for (const mode of ["apply", "rollback", "cleanup"]) {
        const answer = await h.http.post(RUN, { mode });
        is(answer, 409);
        assert.equal(answer.json.error_code, "preconditions-not-fulfilled");
        assert.match(answer.json.message, message);
      }
      assert.deepEqual(await snapshot(h), before);
      await end();
    });
  });
}

// ---- the switch (15.6, 15.7) --------------------------------------------------------------------------------------------

test("apply takes effect at once; unchanged ECUs keep connection and session; rollback brings the old set back", async () => {
  await vehicleLocked(h, async () => {
    is(await h.http.put("/components/engine/modes/session", { value: "Extended" }), 200);
    const connections = h.vehicle.endpoints.map((endpoint) => endpoint.connections.size);
    is(await upload(h, { "body.mdd": body2, "lamp.mdd": await mdd("CAMERA", "1", { name: "LAMP" }) }), 201);
    h.traffic.clear();
    await completed(h, "apply");
    is(await h.http.get("/components/lamp"), 200);
    is(await h.http.get("/components/engine/modes/session"), 200, { name: "Diagnostic session", value: "Extended" });
    assert.deepEqual(h.traffic.to("ENGINE"), []);
    assert.equal(h.state("ENGINE"), "Online");
    await h.online("BODY");
    is(await h.http.get("/components/body/data/vin"), 200);
    assert.deepEqual(
      h.vehicle.endpoints.map((endpoint) => endpoint.connections.size),
      connections,
    );
    assert.deepEqual(await ids("backup"), ALL);
    is(await upload(h, { "engine.mdd": await mdd("ENGINE", "7") }), 201);
    await completed(h, "rollback");
    is(await h.http.get("/components/lamp"), 404);
    assert.deepEqual(await ids("backup"), []);
    is(await h.http.post(RUN, { mode: "apply" }), 404, undefined);
    assert.deepEqual(await ids("current"), ALL);
  });
});

test("while sets are switched, calls to ECUs and changes are refused, everything else answers", async () => {
  const engine = h.vehicle.ecu("ENGINE");
  await vehicleLocked(h, async () => {
    is(await upload(h, { "body.mdd": body2 }), 201);
    // the switch waits for it, for longer than all that is asked meanwhile takes
    engine.misbehaviour = { only: "22F190", pending: { count: 8, intervalMs: 500 } };
    const slow = h.http.get("/components/engine/data/vin");
    await h.traffic.next(({ ecu }) => ecu === "ENGINE");
    const begun = await h.http.post(RUN, { mode: "apply" });
    is(begun, 202);
    let refused: Answer;
    do refused = await h.http.get("/components/central/data/vin");
    while (refused.status === 200);
    is(refused, 409);
    assert.equal(refused.json.error_code, "update-process-in-progress");
    is(await h.http.put("/components/central/modes/session", { value: "Extended" }), 409);
    is(await h.http.post("/components/central/locks", { lock_expiration: 1 }), 409);
    is(await h.http.delete(NEXT), 409);
    is(await h.http.post(RUN, { mode: "cleanup" }), 409);
    for (const path of ["//health", "//openapi.json", "/components", "/components/central", "/components/engine/data"])
      is(await h.http.get(path), 200);
    is(await h.http.get(`${RUN}/${begun.json.id}`), 200, { status: "running", parameters: { mode: "apply" } });
    assert.equal(updaterOf(h).switching, true);
    is(await slow, 200);
    await updaterOf(h).idle();
    engine.misbehaviour = undefined;
    is(await h.http.get(`${RUN}/${begun.json.id}`), 200, { status: "completed", parameters: { mode: "apply" } });
    is(await h.http.get("/components/central/data/vin"), 200);
    await completed(h, "rollback");
  });
});

test("what begins after the request, too, stands in the way: the execution fails and nothing changes", async () => {
  const engine = h.vehicle.ecu("ENGINE");
  await vehicleLocked(h, async () => {
    is(await upload(h, { "body.mdd": body2 }), 201);
    const before = await snapshot(h);
    engine.misbehaviour = { only: "3101", pending: { count: 3, intervalMs: 300 } };
    const path = "/components/engine/operations/Calibrate/executions";
    const sent = h.traffic.next(({ uds }) => uds.startsWith("3101"));
    const starting = h.http.post(path, { parameters: {} });
    await sent;
    // the start is on its way, no execution stands yet; it will when calls are drained
    const begun = await h.http.post(RUN, { mode: "apply" });
    const routine = await starting;
    is(routine, 202);
    await updaterOf(h).idle();
    engine.misbehaviour = undefined;
    if (begun.status === 202) {
      const { json } = await h.http.get(`${RUN}/${begun.json.id}`);
      assert.equal(json.status, "failed");
      assert.match(json.parameters.reason, /^Operations in progress: .*; nothing was changed/);
    } else is(begun, 409);
    assert.deepEqual(await snapshot(h), before);
    is(await h.http.delete(`${path}/${routine.json.id}`), 204);
  });
});

test("an update that leaves nothing is carried out when the files were deleted on purpose", async () => {
  await vehicleLocked(h, async () => {
    for (const id of ALL) is(await h.http.delete(`${NEXT}/${id}`), 204);
    assert.deepEqual(await ids("nextupdate"), []);
    await completed(h, "apply");
    assert.deepEqual(await ids("current"), []);
    is(await h.http.get("/components/engine"), 404);
    is(await execute(h, "rollback"), 200, { status: "completed", parameters: { mode: "rollback" } });
    await h.online("ENGINE");
  });
});
