/** What each resource makes of a request, and of what the shard says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TSchema } from "typebox";
import { Fault } from "#core/errors.ts";
import type { GroupOutcome } from "#fleet/messages.ts";
import { FakeFleet, facts, reply, V, type Vehicle, vehicle } from "./harness.ts";

const E = `${V}/components/flxc1000`;
const G = `${V}/functions/functionalgroups/all`;
const LOCK = { lock_expiration: 60 };

async function locked(more: Parameters<typeof vehicle>[1] = {}, options = {}): Promise<Vehicle> {
  const car = vehicle(options, more);
  assert.equal((await car.request("POST", `${E}/locks`, { json: LOCK })).status, 201);
  car.fleet.calls.length = 0;
  return car;
}

async function groupLocked(outcome: GroupOutcome, options = {}): Promise<Vehicle> {
  const car = vehicle(options);
  car.fleet.groupScript = ({ args }) => ({
    outcome,
    ...(args.service === "async"
      ? { reply: { meta: { operation: { asynchronous: true, hasStop: true, hasResults: true } } } }
      : {}),
  });
  assert.equal((await car.request("POST", `${G}/locks`, { json: LOCK })).status, 201);
  car.fleet.calls.length = 0;
  return car;
}

test("health: details stand beside a component's status", async () => {
  const { json } = await vehicle().request("GET", "/health", { as: null });
  assert.deepEqual(json, {
    status: "Up",
    version: "1.2.3",
    components: [{ name: "main", status: "Up", "x-note": 1 }],
  });
});

test("a base path alone shows where to go", async () => {
  const { json } = await vehicle().request("GET", "/SOVD/v1/", { as: null });
  const root = "http://car:20002/sovd/v1";
  assert.deepEqual(json, {
    components: `${root}/components`,
    apps: `${root}/apps`,
    functions: `${root}/functions`,
    locks: `${root}/locks`,
  });
});

test("components: links by the request's host, additional fields", async () => {
  const car = vehicle({ componentFields: ["x-can", "x-lin"] });
  car.fleet.ecus = car.fleet.ecus.map((one, i) => (i === 0 ? { ...one, fields: ["x-can"] } : one));
  const { json } = await car.request("GET", `/sovd/v1/components`);
  const item = { href: "http://car:20002/sovd/v1/components/flxc1000", id: "flxc1000", name: "flxc1000" };
  assert.deepEqual(json.items[0], item);
  assert.deepEqual([json["x-can"], json["x-lin"]], [[item], []]);
});

test("a component: members in the CDA's order, special data on demand", async () => {
  const car = vehicle();
  car.fleet.script = ({ call }) => (call === "layerSdgs" ? reply([{ caption: "c" }]) : undefined);
  const { json } = await car.request("GET", `${E}?x-include-sdgs=true`);
  const order = ["id", "name", "variant", "locks", "operations", "data", "configurations", "sdgs"];
  assert.deepEqual(Object.keys(json), [...order, "x-single-ecu-jobs", "faults", "modes"]);
  assert.deepEqual(json.variant, {
    name: "FLXC1000_App",
    is_base_variant: false,
    state: "Online",
    logical_address: "0x1000",
  });
  assert.equal(json.data, `http://car:20002${E}/data`);
  car.fleet.ecus = [{ ...car.fleet.ecus[0]!, logicalAddress: 0x1 }];
  assert.equal((await car.request("GET", E)).json.variant.logical_address, "0x01");
  assert.deepEqual(json.sdgs, [{ caption: "c" }]);
});

test("data: what the shard is asked", async () => {
  const car = vehicle();
  await car.request("GET", `${E}/data/VIN?x-sovd2uds-byte-format=base64`);
  await car.request("GET", `${E}/configurations/VIN`, { headers: { accept: "application/octet-stream" } });
  await car.request("PUT", `${E}/data/VIN`, {
    bytes: Buffer.from("ab"),
    headers: { "content-type": "application/octet-stream" },
  });
  await car.request("GET", `${E}/data/VIN?x-sovd2uds-includesdgs=true`);
  assert.deepEqual(
    car.fleet.calls.map(({ call, args }) => ({ call, ...args })),
    [
      { call: "dataRead", service: "vin", byteFormat: "base64" },
      { call: "dataRead", service: "vin", accept: "raw" },
      { call: "dataWrite", service: "vin", accept: "raw", body: { type: "raw", bytes: Buffer.from("ab") } },
      { call: "serviceSdgs", service: "vin", action: "read", schema: false },
    ],
  );
  assert.equal(car.fleet.calls[0]?.entity, "FLXC1000");
});

test("data categories by functional class hide what is not mapped", async () => {
  const list = {
    items: [
      { category: "s", id: "a", name: "A" },
      { category: "s", id: "b", name: "B" },
    ],
  };
  const services = [facts("A", ["Ident"]), facts("B", ["Other"])];
  const script = () => reply(list, { meta: { services } });
  const plain = vehicle();
  plain.fleet.script = script;
  assert.deepEqual((await plain.request("GET", `${E}/data`)).json, list);
  const mapped = vehicle({ dataCategories: { Ident: "identData" } });
  mapped.fleet.script = script;
  assert.deepEqual((await mapped.request("GET", `${E}/data`)).json, {
    items: [{ category: "identData", id: "a", name: "A" }],
  });
});

test("genericservice: whole answer; refusals are 200, or 502 by choice; nothing to send is 400", async () => {
  const headers = { "content-type": "application/octet-stream", accept: "application/octet-stream" };
  const bytes = Buffer.from("22f190", "hex");
  for (const genericRefusalStatus of [200, 502] as const) {
    const car = vehicle({ genericRefusalStatus });
    const body = Buffer.from("7f2231", "hex");
    car.fleet.script = () => ({ status: 200, contentType: "application/octet-stream", body });
    const answer = await car.request("PUT", `${E}/genericservice`, { bytes, headers });
    assert.equal(answer.status, genericRefusalStatus);
    if (genericRefusalStatus === 502) assert.deepEqual(answer.json.parameters, { NRC: 0x31, SID: 0x22 });
    assert.equal((await car.request("PUT", `${E}/genericservice`, { headers })).status, 400);
  }
  const guarded = vehicle({ dataLock: true });
  assert.equal((await guarded.request("PUT", `${E}/genericservice`, { bytes, headers })).status, 403);
});

const MODES: readonly [string, object, object | RegExp][] = [
  ["session", { value: "Extended", mode_expiration: 5 }, { value: "Extended", expirationS: 5 }],
  ["commctrl", { value: "x", parameters: { a: 1 } }, { value: "x", parameters: { a: 1 } }],
  ["dtcsetting", { value: "On" }, { value: "On" }],
  ["authentication", { value: "deAuthenticate" }, { value: "deAuthenticate" }],
  ["security", { value: "Level_3_RequestSEED" }, { value: "Level_3_RequestSEED" }],
  ["security", { value: "Level_3", Key: { Send_Key: "0x01" } }, { value: "Level_3", key: "0x01" }],
  ["security", { value: "Level_3", SendKey: { Security: "02" } }, { value: "Level_3", key: "02" }],
  ["security", { value: "Level_3" }, /^RequestSeed is not set but no key is given\.$/],
  ["security", { value: "L_RequestSeed", Key: {} }, /^RequestSeed and SendKey cannot be used at the same time\.$/],
  ["session", { value: 1 }, /value: must be string/],
];
for (const method of ["PUT", "POST"]) {
  for (const [mode, body, expected] of MODES) {
    test(`${method} modes/${mode} ${JSON.stringify(body)}`, async () => {
      const car = await locked();
      const answer = await car.request(method, `${E}/modes/${mode}`, { json: body });
      if (expected instanceof RegExp) {
        assert.equal(answer.status, 400);
        assert.match(answer.json.message, expected);
      } else assert.deepEqual(car.fleet.calls[0]?.args, { mode, schema: false, ...expected });
    });
  }
}

test("modes are listed in order", async () => {
  const { json } = await vehicle().request("GET", `${E}/modes`, { as: null });
  assert.deepEqual(
    json.items.map((item: { id: string }) => item.id),
    ["session", "security", "commctrl", "dtcsetting"],
  );
});

test("reset goes by four names", async () => {
  const car = await locked();
  const json = { parameters: { value: "SoftReset" } };
  for (const name of ["reset", "ecureset"]) await car.request("POST", `${E}/operations/${name}/executions`, { json });
  await car.request("PUT", `${E}/status/reset`, { json: { value: "KeyOff" } });
  await car.request("POST", `${E}/status/restart`, {});
  assert.deepEqual(
    car.fleet.calls.map(({ args }) => args.value),
    ["SoftReset", "SoftReset", "KeyOff", "HardReset"],
  );
  for (const [body, message] of [
    [{}, "Missing 'value' parameter in request body"],
    [{ parameters: { value: 1 } }, "The 'value' parameter must be a string"],
  ] as const) {
    const bad = await car.request("POST", `${E}/operations/reset/executions`, { json: body });
    assert.deepEqual([bad.status, bad.json.message], [400, message]);
  }
  const text = "Invalid value for reset service: x. Allowed values: [HardReset]";
  car.fleet.script = () => {
    throw new Fault("invalidParameter", text, { possibleValues: ["HardReset"] });
  };
  const foreign = await car.request("POST", `${E}/operations/reset/executions`, { json });
  assert.deepEqual(foreign.json, { message: text, error_code: "vendor-specific", vendor_code: "bad-request" });
  const status = await car.request("GET", `${E}/status`);
  assert.deepEqual(status.json, {
    status: "ready",
    restart: `http://car:20002${E}/status/restart`,
    reset: `http://car:20002${E}/status/reset`,
  });
});

const FAULT_LISTS: readonly [string, object | number][] = [
  ["", {}],
  ["?status[testFailed]=true&status%5BCONFIRMEDDTC%5D=1&status[pendingDtc]=false", { statusMask: 0x09 }],
  ["?status[mask]=0x2f", { statusMask: 0x2f }],
  ["?status[mask]=08&status[testFailed]=1", { statusMask: 0x09 }],
  ["?severity=2&scope=faultmem", { severity: 2, scope: "FaultMem" }],
  ["?scope=UserMem", { scope: "DevelopmentFaultMemory" }],
  ["?scope=developmentfaultmemory&memorySelection=3", { scope: "DevelopmentFaultMemory", memorySelection: 3 }],
  ["?scope=other", 400],
  ["?status[mask]=xx", 400],
  ["?status[testFailed]=maybe", 400],
];
for (const [query, expected] of FAULT_LISTS) {
  test(`faults${query}`, async () => {
    const car = vehicle();
    const answer = await car.request("GET", `${E}/faults${query}`);
    if (typeof expected === "number") assert.equal(answer.status, expected);
    else assert.deepEqual(car.fleet.calls[0]?.args, { schema: false, ...expected });
  });
}

test("one fault: forms of its code, flags, unknown ones", async () => {
  const car = vehicle();
  for (const [id, code] of [
    ["01e240", "01E240"],
    ["0x01e240", "01E240"],
    ["P012345", "P012345"],
  ] as const) {
    await car.request("GET", `${E}/faults/${id}?include-snapshot=false`);
    assert.deepEqual(car.fleet.calls.at(-1)?.args, { code, schema: false, extendedData: true, snapshotData: false });
  }
  assert.equal((await car.request("GET", `${E}/faults/xyz`)).status, 400);
  const script = (): never => {
    throw new Fault("badRequest", "unknown DTC");
  };
  car.fleet.script = script;
  assert.equal((await car.request("GET", `${E}/faults/01e240`)).status, 400);
  const iso = vehicle({ unknownFaultStatus: 404 });
  iso.fleet.script = script;
  assert.equal((await iso.request("GET", `${E}/faults/01e240`)).status, 404);
  assert.equal((await iso.request("GET", `${E}/faults/xyz`)).status, 400);
});

test("clearing faults: by memory, one, never both", async () => {
  const car = await locked();
  car.fleet.script = () => ({ status: 204 });
  for (const query of ["", "?scope=FAULTMEM", "?scope=usermem"]) await car.request("DELETE", `${E}/faults${query}`);
  await car.request("DELETE", `${E}/faults/01e240`);
  assert.deepEqual(
    car.fleet.calls.map(({ args }) => args),
    [{}, {}, { scope: "DevelopmentFaultMemory" }, { code: "01E240" }],
  );
  assert.equal((await car.request("DELETE", `${E}/faults/01e240?scope=FaultMem`)).status, 400);
  const bad = await car.request("DELETE", `${E}/faults?scope=x`);
  assert.deepEqual(bad.json.parameters.possiblevalues, ["faultmem", "developmentfaultmemory", "usermem"]);
});

const TRANSFER = { blocksequencecounter: 1, blocksize: 64, offset: 10, length: 20, id: "image_bin" };
const DOWNLOAD = `${E}/x-sovd2uds-download/flashtransfer`;

test("a flash transfer: one per component, its owner's, aborted when the lock goes", async () => {
  const car = await locked({ files: { image_bin: 100 } });
  const { json } = await car.request("POST", DOWNLOAD, { json: TRANSFER });
  const start = { id: json.id, path: "/flash/image_bin", fileId: "image_bin", blockSequenceCounter: 1, blockSize: 64 };
  assert.deepEqual(car.fleet.calls[0]?.args, { ...start, offset: 10, length: 20 });
  const queued = { acknowledgedBytes: 0, blocksize: 64, nextBlockSequenceCounter: 1, fileId: "image_bin" };
  assert.deepEqual((await car.request("GET", DOWNLOAD)).json, {
    items: [{ ...queued, id: json.id, status: "queued" }],
  });
  assert.equal((await car.request("POST", DOWNLOAD, { json: TRANSFER })).status, 409);
  assert.equal((await car.request("GET", `${DOWNLOAD}/other`)).status, 404);
  assert.equal((await car.request("DELETE", `${DOWNLOAD}/${json.id}`)).status, 400);
  assert.equal((await car.request("DELETE", `${DOWNLOAD}/${json.id}`, { as: "you" })).status, 403);
  car.context.locks.release("ecu", "flxc1000", car.context.locks.get("ecu", "flxc1000")!.id, "me");
  assert.deepEqual(car.fleet.names.slice(1), ["lockReleased", "transferAbort"]);
  const latest = car.context.transfers.of("flxc1000")!;
  car.fleet.transfers.set("FLXC1000", { ...latest, status: "aborted", error: "NRC 0x72" });
  assert.deepEqual((await car.request("GET", `${DOWNLOAD}/${json.id}`)).json.error, [{ text: "NRC 0x72" }]);
  assert.equal((await car.request("DELETE", `${DOWNLOAD}/${json.id}`)).status, 204);
  assert.equal((await car.request("GET", DOWNLOAD)).status, 404);
});

const TRANSFER_REFUSALS: readonly [string, object, number][] = [
  ["nothing to send", { length: 0 }, 400],
  ["no room for data in a block", { blocksize: 2 }, 400],
  ["beyond the file", { length: 91 }, 400],
  ["unknown file", { id: "nope" }, 404],
  ["counter no byte", { blocksequencecounter: 256 }, 422],
];
for (const [name, more, status] of TRANSFER_REFUSALS) {
  test(`a flash transfer refused: ${name}`, async () => {
    const car = await locked({ files: { image_bin: 100 } });
    assert.equal((await car.request("POST", DOWNLOAD, { json: { ...TRANSFER, ...more } })).status, status);
    assert.equal(car.context.transfers.size, 0);
    assert.deepEqual(car.fleet.calls, []);
  });
}

test("a transfer that the shard refuses leaves no trace", async () => {
  const car = await locked({ files: { image_bin: 100 } });
  car.fleet.script = () => {
    throw new Fault("overloaded", "full");
  };
  assert.equal((await car.request("POST", DOWNLOAD, { json: TRANSFER })).status, 503);
  assert.equal(car.context.transfers.size, 0);
});

test("the owner's vehicle lock keeps a transfer alive when the component's lock goes", async () => {
  const car = await locked({ files: { image_bin: 100 } });
  await car.request("POST", `${V}/locks`, { json: LOCK });
  await car.request("POST", DOWNLOAD, { json: TRANSFER });
  car.context.locks.release("ecu", "flxc1000", car.context.locks.get("ecu", "flxc1000")!.id, "me");
  assert.ok(!car.fleet.names.includes("transferAbort"));
});

const REFUSED = {
  path: "/flxc1000",
  fault: { kind: "ecuRefused", message: "", details: { nrc: 0x22, sid: 0x22 } },
} as const;
const MIXED: GroupOutcome = { results: { flxcng1000: '{"VIN":"W"}' }, errors: [REFUSED] };

test("group data: results by ECU, errors with pointers, 404 for an unknown service", async () => {
  const car = await groupLocked(MIXED);
  const { status, json } = await car.request("GET", `${G}/data/vin`);
  assert.equal(status, 200);
  assert.deepEqual(json.data, { flxcng1000: { VIN: "W" } });
  assert.equal(json.errors[0].path, "/data/flxc1000");
  assert.deepEqual(json.errors[0].error.parameters, { NRC: 0x22, SID: 0x22 });
  const raw = await car.request("GET", `${G}/data/vin`, { headers: { accept: "application/octet-stream" } });
  assert.equal(raw.status, 400);
  car.fleet.groupScript = () => {
    throw new Fault("notFound", "no such service");
  };
  assert.equal((await car.request("GET", `${G}/data/nope`)).status, 404);
});

test("members that cannot be reached: silent, or an error each by choice", async () => {
  const outcome: GroupOutcome = { results: { flxc1000: "{}" }, errors: [] };
  const silent = await groupLocked(outcome);
  assert.equal((await silent.request("GET", `${G}/data/vin`)).json.errors, undefined);
  const loud = await groupLocked(outcome, { unreachableMembers: "error" });
  const { json } = await loud.request("GET", `${G}/data/vin`);
  assert.deepEqual(
    json.errors.map((one: { path: string }) => one.path),
    ["/data/flxcng1000"],
  );
});

test("group modes: pointers below modes", async () => {
  const car = await groupLocked(MIXED);
  const { json } = await car.request("PUT", `${G}/modes/commctrl`, { json: { value: "x" } });
  assert.deepEqual(Object.keys(json), ["modes", "errors"]);
  assert.equal(json.errors[0].path, "/modes/flxc1000");
  assert.deepEqual(
    (await car.request("GET", `${G}/modes`)).json.items.map((item: { id: string }) => item.id),
    ["commctrl", "dtcsetting", "session"],
  );
});

test("a group's execution: errors of the start are said, a failed stop keeps it unless forced", async () => {
  const car = await groupLocked(MIXED);
  const path = `${G}/operations/async/executions`;
  const started = await car.request("POST", path, { json: { parameters: {} } });
  assert.equal(started.status, 202);
  assert.equal(started.headers.Location, `http://car:20002${path}/${started.json.id}`);
  assert.equal(started.json.errors[0].path, "/parameters/flxc1000");
  const one = `${path}/${started.json.id}`;
  const results = await car.request("GET", one);
  assert.equal(results.json.status, "running");
  assert.equal((await car.request("DELETE", one)).status, 200);
  car.fleet.groupScript = () => ({ outcome: { results: { flxc1000: "{}" }, errors: [] } });
  assert.equal((await car.request("GET", one)).json.status, "completed");
  assert.equal((await car.request("DELETE", `${one}?x-sovd2uds-force=true`)).status, 204);
  assert.equal((await car.request("GET", one)).status, 404);
  assert.equal((await car.request("POST", path, { json: {} })).status, 400);
});

test("network structure: one element, gateways and groups with their ECUs", async () => {
  const { json } = await vehicle().request("GET", `${V}/apps/sovd2uds/data/networkstructure`);
  assert.equal(json.data.length, 1);
  const [{ FunctionalGroups, Gateways }] = json.data;
  assert.deepEqual(Gateways[0].Ecus.length, 2);
  assert.equal(Gateways[0].NetworkAddress, "10.2.1.10");
  assert.deepEqual(FunctionalGroups[1], {
    Qualifier: "some",
    Ecus: [
      {
        Qualifier: "FLXCNG1000",
        Variant: "FLXCNG1000_App",
        EcuState: "Online",
        LogicalAddress: "0x1001",
        LogicalLink: "FLXCNG1000_on_UDS_Ethernet_DoIP",
      },
    ],
  });
});

test("no functional description: an empty list, unknown groups 404", async () => {
  const fleet = new FakeFleet();
  fleet.groups = [];
  const car = vehicle({}, { fleet });
  assert.deepEqual((await car.request("GET", `${V}/functions/functionalgroups`)).json, { items: [] });
  assert.equal((await car.request("GET", G)).status, 404);
});

test("when the database set changes, locks and executions of what is gone go too", async () => {
  const car = await locked();
  await car.request("POST", `${E}/operations/comparam/executions`);
  await car.request("POST", `${V}/locks`, { json: LOCK });
  car.fleet.ecus = car.fleet.ecus.slice(1);
  car.fleet.changed();
  assert.equal(car.context.locks.list("ecu").length, 0);
  assert.equal(car.context.locks.list("vehicle").length, 1);
  assert.equal(car.context.comParams.size, 0);
  car.context.close();
  assert.equal(car.clock.timers, 0);
});

test("what fails beside an answer is reported", async () => {
  const car = vehicle();
  car.fleet.script = () => {
    throw new Fault("workerLost", "gone");
  };
  assert.equal((await car.request("POST", `${E}/locks`, { json: LOCK })).status, 201);
  await new Promise(setImmediate);
  assert.equal(car.problems.length, 1);
});

test("embedded files: content with its own type", async () => {
  const car = vehicle();
  const files = `${E}/x-sovd2uds-bulk-data/mdd-embedded-files`;
  assert.deepEqual((await car.request("GET", files)).json.items[0], {
    id: "f1",
    mimetype: "text/plain",
    name: "a.bin",
    size: 3,
    "x-sovd2uds-OrigPath": "x/a.bin",
  });
  const file = await car.request("GET", `${files}/f1`);
  assert.deepEqual([file.contentType, file.text], ["text/plain", "abc"]);
  assert.equal((await car.request("GET", `${files}/f2`)).status, 404);
});

test("include-schema describes every member that is sent, however deep", async () => {
  const car = vehicle();
  const described = (schema: TSchema, value: unknown, path: string): void => {
    // biome-ignore lint/suspicious/noExplicitAny: a schema of any shape
    const { properties, additionalProperties, items: item } = schema as any;
    if (Array.isArray(value)) for (const one of value) described(item, one, `${path}[]`);
    else if (typeof value === "object" && value !== null) {
      for (const [name, member] of Object.entries(value)) {
        const known = properties?.[name] ?? additionalProperties;
        assert.ok(known, `${path}.${name}`);
        described(known, member, `${path}.${name}`);
      }
    }
  };
  const PATHS = ["components", "components/flxc1000", "apps", "apps/sovd2uds/data/networkstructure", "data/version"];
  for (const path of PATHS) {
    const { schema, ...answer } = (await car.request("GET", `${V}/${path}?include-schema=true`)).json;
    described(schema, answer, path);
  }
});

test("a group's modes: an ECU whose state is not known is named as the source", async () => {
  const car = vehicle();
  car.fleet.groupScript = () => ({
    outcome: { results: {}, errors: [{ path: "/flxc1000", fault: { kind: "notFound", message: "m" } }] },
  });
  const { json } = await car.request("GET", `${G}/modes/session`);
  assert.deepEqual(json.errors, [
    {
      path: "/modes/flxc1000",
      error: {
        message: "Not Found: m",
        error_code: "vendor-specific",
        vendor_code: "not-found",
        "x-errorsource": "flxc1000",
      },
    },
  ]);
});

test("a start is refused in the CDA's order: one that runs, an unknown operation, headers and body", async () => {
  const car = await locked();
  const operation = { asynchronous: true, hasStop: true, hasResults: true };
  car.fleet.script = ({ call, args }) => {
    if (args.service === "nope") throw new Fault("notFound", "Operation 'nope' not found");
    return call === "operationStart" ? reply({}, { meta: { operation } }) : undefined;
  };
  const start = async (service: string, init: object) =>
    (await car.request("POST", `${E}/operations/${service}/executions`, init)).status;
  const broken = { bytes: Buffer.from("{"), headers: { "content-type": "application/json" } };
  assert.deepEqual(
    [await start("nope", broken), await start("nope", {}), await start("free", broken)],
    [404, 404, 400],
  );
  assert.equal(await start("async", { json: {} }), 202);
  assert.deepEqual([await start("async", broken), await start("async", {})], [409, 409]);
});

test("include-schema of an execution: its own members, the parameters as the database has them", async () => {
  const car = await locked();
  const operation = { asynchronous: true, hasStop: true, hasResults: true };
  const parametersSchema = { type: "object", properties: { percent: { type: "integer" } } };
  car.fleet.script = ({ call, args }) => {
    if (!call.startsWith("operation")) return undefined;
    const meta = { operation, ...(args.schema === true ? { parametersSchema } : {}) };
    return reply(call === "operationStart" ? { percent: 1 } : { parameters: { percent: 1 } }, { meta });
  };
  const path = `${E}/operations/o/executions`;
  const members = async (method: string, target: string, init = {}): Promise<unknown> => {
    const { json } = await car.request(method, `${target}?include-schema=true`, init);
    assert.deepEqual(json.schema.properties.parameters, parametersSchema, method);
    return Object.keys(json.schema.properties);
  };
  assert.deepEqual(await members("POST", path, { json: {} }), ["id", "status", "parameters", "errors"]);
  const [{ id }] = (await car.request("GET", path)).json.items;
  const state = ["status", "capability", "parameters"];
  assert.deepEqual(await members("GET", `${path}/${id}`), [...state, "error"]);
  const plain = (await car.request("GET", `${path}/${id}`)).json;
  assert.deepEqual(plain, { status: "completed", capability: "execute", parameters: { percent: 1 } });
  assert.deepEqual(await members("DELETE", `${path}/${id}`), state);
});

test("communication parameters without an execution: the operation as one item", async () => {
  const car = vehicle();
  car.fleet.script = ({ call }) => (call === "comParams" ? reply({ CP_P6Max: { value: "1", unit: null } }) : undefined);
  const { json } = await car.request("GET", `${E}/operations/comparam`, { as: null });
  assert.deepEqual(json, {
    item: {
      id: "comparam",
      name: "Communication parameters",
      proximity_proof_required: false,
      asynchronous_execution: true,
    },
    parameters: { CP_P6Max: { value: "1", unit: null } },
  });
});

test("version-info refers to each base path", async () => {
  const { json } = await vehicle().request("GET", "/version-info", { as: null });
  const vendor_info = { name: "test", version: "1.2.3", commit: "abc", build_date: "2026-01-01" };
  assert.deepEqual(
    json.sovd_info,
    ["/vehicle/v15", "/sovd/v1", "/api/v1"].map((base_uri) => ({ version: "1.1", base_uri, vendor_info })),
  );
});
