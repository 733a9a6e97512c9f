/** Every area of the interface through the whole server, on databases of our own. */
import assert from "node:assert/strict";
import { after, afterEach, before, suite, test } from "node:test";
import { CHUNK_TYPE } from "#mdd/container/messages.ts";
import { bodyDatabase, groupDatabase } from "./databases.ts";
import { type Answer, type Harness, startHarness, writeDatabase } from "./harness.ts";

const CENTRAL = "/components/central";
const EVERYONE = "/functions/functionalgroups/everyone";
const ALL = ["CENTRAL", "BODY", "CLIMATE", "ENGINE", "BRAKES", "CAMERA"];
const IDS = ALL.map((name) => name.toLowerCase());
const VIN = "SCEDT26T8BD005261";
const OCTETS = { headers: { accept: "application/octet-stream" } };
const FILE = new TextEncoder().encode("a file that travels with the database");

suite("resources", () => {
  let car: Harness;
  before(async () => {
    car = await startHarness({
      prepare: async (folder) => {
        await writeDatabase(folder, groupDatabase());
        const name = "files/manual.txt";
        await writeDatabase(folder, bodyDatabase(), {
          chunks: [{ type: CHUNK_TYPE.embeddedFile, name, mimeType: "text/plain", content: FILE }],
        });
      },
      config: { shards: { workers: 2 } },
    });
    await car.online(...ALL);
    car.traffic.clear();
  });
  after(() => car?.close());
  afterEach(() => {
    car.vehicle.reset();
    car.traffic.clear();
  });

  const ok = (answer: Answer, status = 200) => {
    assert.equal(answer.status, status, answer.text);
    return answer.json;
  };
  const { get, put, post, remove } = {
    get: async (path: string, status = 200) => ok(await car.http.get(path), status),
    put: async (path: string, body?: unknown, status = 200) => ok(await car.http.put(path, body), status),
    post: async (path: string, body?: unknown, status = 200) => ok(await car.http.post(path, body), status),
    remove: async (path: string, status = 204) => ok(await car.http.delete(path), status),
  };

  test("data: read as JSON and as bytes, written as JSON and as bytes", async () => {
    const path = `${CENTRAL}/data/serviceinterval`;
    assert.deepEqual(await get(path), { id: "serviceinterval", data: { Interval: 15_000 } });
    await put(path, { data: { Interval: 20_000 } }, 204);
    assert.deepEqual(await get(path), { id: "serviceinterval", data: { Interval: 20_000 } });
    const written = await car.http.put(path, Uint8Array.of(0x01, 0x2c), OCTETS);
    assert.deepEqual([written.status, Buffer.from(written.bytes).toString("hex")], [200, "6ed001"]);
    const raw = await car.http.send("GET", path, {
      headers: {
        accept: "application/octet-stream",
        authorization: `Bearer ${await tokenOf(car)}`,
      },
    });
    assert.deepEqual([raw.status, raw.headers.get("content-type")], [200, "application/octet-stream"]);
    assert.deepEqual([...raw.bytes], [0x01, 0x2c]);
    assert.deepEqual(car.traffic.to("CENTRAL"), ["22D001", "2ED00100C8", "22D001", "2ED001012C", "22D001"]);
  });

  test("data: lists, text tables, offsets, any case, unknown names", async () => {
    const { items } = await get(`${CENTRAL}/data`);
    assert.ok(items.some((item: { id: string }) => item.id === "ServiceInterval"));
    assert.deepEqual((await get(`${CENTRAL}/data/ActiveSession`)).data, { Session: "Default" });
    assert.deepEqual((await get("/Components/Central/DATA/AMBIENTTEMPERATURE")).data, { Temperature: 19 });
    await get(`${CENTRAL}/data/nothing`, 404);
    await get("/components/nobody/data/vin", 404);
  });

  test("data: many answers at a time are not mixed up, raw ones are copies", async () => {
    const reads = Array.from({ length: 60 }, (_, i) => IDS[i % IDS.length]!);
    const answers = await Promise.all(
      reads.map((ecu, i) =>
        i % 2 === 0
          ? car.http.get(`/components/${ecu}/data/vin`)
          : car.http.put(`/components/${ecu}/genericservice`, Uint8Array.of(0x22, 0xf1, 0x90), OCTETS),
      ),
    );
    for (const [i, answer] of answers.entries()) {
      assert.equal(answer.status, 200, answer.text);
      if (i % 2 === 0) assert.deepEqual(answer.json.data, { VIN });
      else assert.equal(Buffer.from(answer.bytes).toString("latin1"), `b\xf1\x90${VIN}`);
    }
  });

  test("include-schema: on success, and on a failure", async () => {
    const answer = await get(`${CENTRAL}/data/serviceinterval?include-schema=true`);
    assert.equal(Object.keys(answer).at(-1), "schema");
    assert.equal(answer.schema.properties.data.properties.Interval.type, "number");
    assert.ok((await get(`${CENTRAL}/data?include-schema=true`)).schema.properties.items);
    assert.ok((await get(`${CENTRAL}/data/nothing?include-schema=true`, 404)).schema);
    const mixed = await car.http.put(
      `${CENTRAL}/data/serviceinterval?include-schema=true`,
      Uint8Array.of(0, 1),
      OCTETS,
    );
    assert.equal(mixed.status, 400);
  });

  test("docs: one resource as a document of its own", async () => {
    const data = await get(`${CENTRAL}/data/serviceinterval/docs`);
    assert.equal(data.openapi, "3.1.0");
    const path = data.paths["/components/central/data/serviceinterval"];
    assert.deepEqual(Object.keys(path).toSorted(), ["get", "put", "x-sovd-proximity-proof-required"]);
    const routine = await get(`${CENTRAL}/operations/calibrate/docs`);
    assert.ok(routine.paths["/components/central/operations/calibrate/executions/{execution-id}"]);
    await get(`${CENTRAL}/configurations/serviceinterval/docs`);
    await get(`${EVERYONE}/operations/calibrate/docs`);
    await get(`${CENTRAL}/operations/nothing/docs`, 404);
    // A prefix is a hit for reading, not for a description.
    await get(`${CENTRAL}/data/service/docs`, 404);
    assert.deepEqual(car.traffic.to("CENTRAL"), []);
  });

  test("configurations: list, read, write", async () => {
    const { items } = await get(`${CENTRAL}/configurations`);
    assert.equal(items.length, 1);
    assert.equal(items[0].id, "ServiceInterval");
    assert.equal(items[0].configurations_type, "parameter");
    assert.deepEqual(items[0]["x-sovd2uds-ServiceAbstract"].toSorted(), ["22D001", "2ED001"]);
    await put(`${CENTRAL}/configurations/serviceinterval`, { data: { Interval: 30_000 } }, 204);
    assert.equal((await get(`${CENTRAL}/configurations/serviceinterval`)).data.Interval, 30_000);
  });

  test("generic service: the whole answer, refusals included; only services of the database", async () => {
    const call = (...bytes: number[]) => car.http.put(`${CENTRAL}/genericservice`, Uint8Array.from(bytes), OCTETS);
    const read = await call(0x22, 0xd0, 0x01);
    assert.deepEqual([...read.bytes], [0x62, 0xd0, 0x01, 0x00, 0x96]);
    const refused = await call(0x2e, 0xd0, 0x01, 0x00, 0x01, 0x02);
    assert.equal(refused.bytes[0], 0x7f);
    assert.equal((await call(0x99, 0x01)).status, 404);
    assert.equal((await car.http.put(`${CENTRAL}/genericservice`, { a: 1 })).status, 400);
  });

  test("operations: one that ends at once", async () => {
    const path = `${CENTRAL}/operations/selftest/executions`;
    await post(path, { parameters: {} }, 403);
    await car.locked("central", async () => {
      assert.deepEqual(await post(path, { parameters: {} }), {});
      assert.deepEqual((await get(path)).items, []);
      await post(`${CENTRAL}/operations/nothing/executions`, { parameters: {} }, 404);
      await post(path, "{", 400);
    });
    assert.deepEqual(car.traffic.to("CENTRAL"), ["31011001"]);
  });

  test("operations: start, conflict, results, stop", async () => {
    const path = `${CENTRAL}/operations/calibrate/executions`;
    const item = (await get(`${CENTRAL}/operations/calibrate`)).items[0];
    assert.equal(item.asynchronous_execution, true);
    await car.locked("central", async () => {
      const begun = await car.http.post(path, { parameters: {} });
      const { id, status } = ok(begun, 202);
      assert.equal(status, "running");
      assert.equal(begun.headers.get("location"), `${car.base}${path}/${id}`);
      await post(path, { parameters: {} }, 409);
      assert.deepEqual(await get(path), { items: [{ id }] });
      assert.deepEqual(await get(`${path}/${id}`), {
        status: "completed",
        capability: "execute",
        parameters: { Result: "running" },
      });
      await remove(`${path}/${id}`);
      await get(`${path}/${id}`, 404);
      await get(`${path}/not-an-id`, 400);
      await remove(`${path}/${id}`, 404);
    });
    assert.deepEqual(car.traffic.to("CENTRAL"), ["31011002", "31031002", "31021002"]);
  });

  test("operations: a refused start leaves nothing, a refused stop leaves the execution unless forced", async () => {
    const path = `${CENTRAL}/operations/calibrate/executions`;
    const ecu = car.vehicle.ecu("CENTRAL");
    await car.locked("central", async () => {
      ecu.intercept("start", "31011002", "7F3122", 1);
      assert.deepEqual((await post(path, { parameters: {} }, 502)).parameters, { NRC: 0x22, SID: 0x31 });
      assert.deepEqual((await get(path)).items, []);
      const { id } = await post(path, { parameters: {} }, 202);
      ecu.intercept("stop", "31021002", "7F3122", 2);
      await remove(`${path}/${id}`, 502);
      assert.deepEqual((await get(path)).items, [{ id }]);
      await remove(`${path}/${id}?x-sovd2uds-force=true`);
      assert.deepEqual((await get(path)).items, []);
    });
  });

  test("reset by all its names, and the session it ends", async () => {
    await car.locked("central", async () => {
      await put(`${CENTRAL}/modes/session`, { value: "Extended" });
      assert.equal((await get(`${CENTRAL}/modes/session`)).value, "Extended");
      await post(`${CENTRAL}/operations/reset/executions`, { parameters: { value: "hardreset" } }, 204);
      assert.equal((await get(`${CENTRAL}/modes/session`)).value, "Default");
      await post(`${CENTRAL}/operations/ecureset/executions`, { parameters: { value: "SoftReset" } }, 204);
      const wrong = await post(`${CENTRAL}/operations/reset/executions`, { parameters: { value: "x" } }, 400);
      assert.equal(wrong.message, "Invalid value for reset service: x. Allowed values: [HardReset, SoftReset]");
      await put(`${CENTRAL}/status/reset`, { value: "SoftReset" }, 204);
    });
    assert.deepEqual(car.traffic.to("CENTRAL"), ["1003", "1101", "1103", "1103"]);
  });

  test("modes: session with an end, security by seed and key", async () => {
    await put(`${CENTRAL}/modes/session`, { value: "Extended" }, 403);
    await car.locked("central", async () => {
      const startedMs = performance.now();
      const back = car.traffic.next(({ ecu, uds }) => ecu === "CENTRAL" && uds === "1001");
      await put(`${CENTRAL}/modes/session`, { value: "extended", mode_expiration: 1 });
      const [reset] = await back;
      const afterMs = reset!.atMs - startedMs;
      assert.ok(afterMs > 995, `${afterMs} ms`);
      await put(`${CENTRAL}/modes/security`, { value: "Level_3_RequestSeed" });
      const key = "0D0E0F1011121314";
      await put(`${CENTRAL}/modes/security`, { value: "Level_3", SendKey: { Security: key } });
      assert.equal((await get(`${CENTRAL}/modes/security`)).value, "Level_3");
      await put(`${CENTRAL}/modes/security`, { value: "Level_3" }, 400);
      await put(`${CENTRAL}/modes/security`, { value: "Level_3_RequestSeed", Key: { Send_Key: key } }, 400);
      await get(`${CENTRAL}/modes/sideways`, 404);
    });
    await get(`${CENTRAL}/modes/security`, 403);
    const { items } = await get(`${CENTRAL}/modes`);
    assert.deepEqual(
      items.map((item: { id: string }) => item.id),
      ["session", "security", "commctrl", "dtcsetting"],
    );
    const { status } = await car.http.get(`${CENTRAL}/modes/authentication`);
    assert.notEqual(status, 405, "authentication stands beside the list");
  });

  test("communication parameters take effect while their execution exists", async () => {
    const path = `${CENTRAL}/operations/comparam/executions`;
    const ecu = car.vehicle.ecu("CENTRAL");
    const silence = async () => {
      ecu.intercept("silence", "22D001", "");
      const startedMs = performance.now();
      await get(`${CENTRAL}/data/serviceinterval`, 504);
      ecu.removeInterceptor("silence");
      await post(CENTRAL, undefined, 201);
      return performance.now() - startedMs;
    };
    // longer than without: a busy machine makes nothing shorter
    const parameters = { CP_P6Max: "3500000", CP_RepeatReqCountApp: { value: "1" } };
    const { id } = await post(path, { parameters }, 202);
    await post(path, { parameters }, 409);
    const shown = (await get(`${path}/${id}`)).parameters;
    assert.deepEqual(shown.CP_P6Max, { value: "3500000", unit: null });
    assert.deepEqual(shown.CP_RepeatReqCountApp, { value: "1", unit: null });
    car.traffic.clear();
    const longMs = await silence();
    assert.ok(longMs > 6_990, `two windows of 3.5 s took ${longMs} ms`);
    assert.deepEqual(
      car.traffic.to("CENTRAL").filter((uds) => uds === "22D001"),
      ["22D001", "22D001"],
    );
    const changed = {
      parameters: { CP_P6Max: { value: "0.05", unit: { factor_to_si_unit: 1 } }, CP_RepeatReqCountApp: "0" },
    };
    await put(`${path}/${id}`, changed, 202);
    car.traffic.clear();
    await silence();
    assert.equal(car.traffic.to("CENTRAL").filter((uds) => uds === "22D001").length, 1);
    await put(`${path}/${id}`, { parameters: { CP_P6Max: "soon" } }, 400);
    await remove(`${path}/${id}`);
    assert.deepEqual((await get(path)).items, []);
    await get(`${path}/${id}`, 404);
    const after = await get(`${CENTRAL}/operations/comparam`);
    assert.equal(after.parameters.CP_P6Max, undefined);
  });

  test("functional group: data, operations and modes of every ECU in one answer", async () => {
    const { items } = await get("/functions/functionalgroups");
    assert.deepEqual(items.map((item: { id: string }) => item.id).toSorted(), ["everyone", "nobody"]);
    const everyone = (value: unknown) => Object.fromEntries(IDS.map((id) => [id, value]));
    assert.deepEqual(await get(`${EVERYONE}/data/vin`), { data: everyone({ VIN }) });
    assert.deepEqual(await get("/functions/functionalgroups/nobody/data/vin"), { data: {} });
    for (const ecu of ALL) assert.deepEqual(car.traffic.to(ecu), ["22F190"], ecu);

    const lock = await post(`${EVERYONE}/locks`, { lock_expiration: 30 }, 201);
    const session = { id: "session", value: "Extended" };
    assert.deepEqual(await put(`${EVERYONE}/modes/session`, { value: "Extended" }), { modes: everyone(session) });
    assert.equal((await get(`${EVERYONE}/modes/session`)).modes.camera.value, "Extended");
    assert.equal((await get(`${CENTRAL}/modes/session`)).value, "Extended");
    assert.deepEqual(await post(`${EVERYONE}/operations/selftest/executions`, { parameters: {} }), {
      parameters: everyone({}),
    });
    const path = `${EVERYONE}/operations/calibrate/executions`;
    const { id } = await post(path, { parameters: {} }, 202);
    const results = await get(`${path}/${id}`);
    assert.deepEqual([results.status, results.parameters], ["completed", everyone({ Result: 0 })]);
    await remove(`${path}/${id}`);
    car.traffic.clear();
    const reset = car.traffic.next(({ uds }) => uds === "1001", ALL.length);
    await remove(`${EVERYONE}/locks/${lock.id}`);
    assert.deepEqual((await reset).map(({ ecu }) => ecu).toSorted(), ALL.toSorted());
  });

  test("functional group: one silent and one refusing ECU stand as errors beside the others", async () => {
    car.vehicle.ecu("ENGINE").misbehaviour = { silent: { times: 1 } };
    car.vehicle.ecu("CAMERA").misbehaviour = { nrc: { code: 0x22, times: 1 } };
    car.vehicle.ecu("BODY").misbehaviour = { pending: { count: 3, intervalMs: 100 } };
    const { data, errors } = await get(`${EVERYONE}/data/vin`);
    assert.deepEqual(Object.keys(data).toSorted(), ["body", "brakes", "central", "climate"]);
    const byPath = Object.fromEntries(
      errors.map(({ path, error }: { path: string; error: { error_code: string } }) => [path, error.error_code]),
    );
    assert.deepEqual(byPath, { "/data/engine": "not-responding", "/data/camera": "error-response" });
    assert.equal(car.state("ENGINE"), "Online", "functional silence says nothing of an ECU");
  });

  test("jobs and embedded files of a database", async () => {
    const body = "/components/body";
    assert.deepEqual(await get(`${body}/x-single-ecu-jobs`), {
      items: [{ category: "flashing", id: "flash", name: "Flash" }],
    });
    const job = await get(`${body}/x-single-ecu-jobs/flash`);
    assert.deepEqual(job["x-input-params"], [{ short_name: "file", physical_default_value: "a.bin" }]);
    assert.equal(job["x-prog-code"][0].code_file, "flash.jar");
    await get(`${body}/x-single-ecu-jobs/nothing`, 404);
    const files = `${body}/x-sovd2uds-bulk-data/mdd-embedded-files`;
    const { items } = await get(files);
    const id: string = items[0].id;
    assert.deepEqual(items, [
      {
        id,
        mimetype: "text/plain",
        name: "manual.txt",
        size: FILE.length,
        "x-sovd2uds-OrigPath": "files/manual.txt",
      },
    ]);
    const file = await car.http.get(`${files}/${id}`, { as: null });
    assert.equal(file.headers.get("content-type"), "text/plain");
    assert.deepEqual(file.bytes, FILE);
    await get(`${files}/nothing`, 404);
  });

  test("version, health, OpenAPI, root", async () => {
    const version = await get("/data/version");
    assert.equal(version.data.api.version, "1.1");
    assert.deepEqual(await get("/apps/sovd2uds/data/version"), version);
    const health = await get("//health");
    assert.equal(health.status, "Up");
    assert.deepEqual(
      health.components.map((component: { status: string }) => component.status),
      ["Up", "Up", "Up"],
    );
    await get("//health/ready", 204);
    const document = await get("//openapi.json");
    assert.ok(Object.keys(document.paths).length > 50);
    assert.equal(document.servers[0].url, car.origin);
  });
});

async function tokenOf(car: Harness): Promise<string> {
  const { json } = await car.http.post("/authorize", { client_id: "raw", client_secret: "secret" }, { as: null });
  return json.access_token;
}
