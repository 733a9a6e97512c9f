/** The error object: every kind, refusals, data errors, spelling by base path. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FAULTS, Fault, type FaultDetails, type FaultKind, type FaultSpec } from "#core/errors.ts";
import { SOVD_DEFAULTS } from "#sovd/context.ts";
import { invalidValue, toDataError, toErrorAnswer, toErrorObject } from "#sovd/errors.ts";
import { V, vehicle } from "./harness.ts";

const answer = (error: unknown, base = V, options = SOVD_DEFAULTS) => toErrorAnswer(error, base, options);

for (const kind of Object.keys(FAULTS) as FaultKind[]) {
  test(`${kind} carries its status and codes`, () => {
    const spec: FaultSpec = FAULTS[kind];
    const { status, json } = answer(new Fault(kind, "why"));
    assert.equal(status, spec.status);
    assert.equal(json.error_code, spec.code);
    assert.equal(json.vendor_code, spec.vendorCode);
    if (kind !== "ecuRefused") assert.equal(json.message, "why");
  });
}

test("a refusal keeps NRC and SID, with the standard's text or the database's", () => {
  const refused = (details: Record<string, unknown>) => answer(new Fault("ecuRefused", "x", details));
  assert.deepEqual(refused({ nrc: 0x31, sid: 0x22 }), {
    status: 502,
    json: {
      message: "A negative Response was received (Request Out Of Range)",
      error_code: "error-response",
      parameters: { NRC: 0x31, SID: 0x22 },
      "x-errorsource": "ECU",
    },
  });
  assert.match(refused({ nrc: 0x31, text: "Not now" }).json.message, /\(Not now\)$/);
  assert.deepEqual(refused({}).json.parameters, {});
  assert.match(refused({ nrc: 0x99 }).json.message, /\(\)$/);
});

test("a value outside the allowed ones names them in lower case", () => {
  const own = answer(new Fault("invalidParameter", "Invalid value 'x'", { possibleValues: ["EnableRx", "DISABLE"] }));
  const { status, json } = answer(invalidValue(["EnableRx", "DISABLE"]));
  assert.deepEqual(own.json, json);
  assert.equal(status, 400);
  assert.equal(json.message, "The parameter value is not valid");
  assert.deepEqual(json.parameters, { details: "value", possiblevalues: ["enablerx", "disable"] });
});

test("headers: token wanted, methods that exist, when to come again", () => {
  assert.match(answer(new Fault("unauthorized", "")).headers!["WWW-Authenticate"]!, /^Bearer/);
  assert.equal(answer(new Fault("methodNotAllowed", "", { allow: "GET" })).headers!.Allow, "GET");
  assert.equal(answer(new Fault("overloaded", "")).headers!["Retry-After"], "1");
  assert.equal(answer(new Fault("notFound", "")).headers, undefined);
});

test("the precondition code is plural below the CDA's base, singular elsewhere", () => {
  const fault = new Fault("conflict", "x");
  assert.equal(answer(fault, "/vehicle/v15").json.error_code, "preconditions-not-fulfilled");
  assert.equal(answer(fault, "/sovd/v1").json.error_code, "precondition-not-fulfilled");
});

test("a truncated answer is 400, or 502 by choice", () => {
  const fault = new Fault("payloadTooShort", "Payload too short, expected at least 4 bytes, got 3 bytes");
  assert.equal(answer(fault).status, 400);
  const iso = answer(fault, V, { ...SOVD_DEFAULTS, truncatedAnswerStatus: 502 });
  assert.deepEqual(
    [iso.status, iso.json.error_code, iso.json.vendor_code],
    [502, "invalid-response-content", undefined],
  );
});

test("what is no fault is 500, tells the caller nothing and the log everything", async () => {
  const boom = new TypeError("/secret/path");
  assert.deepEqual(answer(boom), {
    status: 500,
    json: { message: "Internal Server Error", error_code: "sovd-server-failure" },
  });
  const car = vehicle();
  car.fleet.script = () => {
    throw boom;
  };
  assert.equal((await car.request("GET", `${V}/components/flxc1000/data/vin`)).status, 500);
  assert.deepEqual(car.problems, [boom]);
});

test("an ECU's failure among others: codes of their own", () => {
  const BESIDE: readonly [FaultKind, string, string, string | undefined][] = [
    ["badRequest", "Bad Request: m", "invalid-response-content", "bad-request"],
    ["payloadTooShort", "Bad Request: m", "invalid-response-content", "bad-request"],
    ["invalidParameter", "m", "vendor-specific", "invalid-parameter"],
    ["forbidden", "Forbidden: m", "insufficient-access-rights", undefined],
    ["notFound", "Not Found: m", "vendor-specific", "not-found"],
    ["conflict", "Conflict: m", "sovd-server-failure", undefined],
    ["invalidDatabase", "Internal Server Error: m", "sovd-server-failure", undefined],
    ["severe", "Internal Server Error: m", "sovd-server-failure", undefined],
    ["ecuOffline", "Not Responding: m", "not-responding", undefined],
    ["overloaded", "m", "vendor-specific", "overloaded"],
  ];
  for (const [kind, message, error_code, vendor_code] of BESIDE) {
    const expected = { message, error_code, ...(vendor_code && { vendor_code }), "x-errorsource": "ecu" };
    assert.deepEqual(toDataError({ kind, message: "m" }), expected, kind);
  }
  assert.deepEqual(toDataError({ kind: "dataError", message: "m", details: { value: "x" } }), {
    message: "m",
    error_code: "vendor-specific",
    vendor_code: "error-interpreting-message",
    parameters: { value: "x" },
  });
  assert.equal(toDataError({ kind: "ecuRefused", message: "m" })["x-errorsource"], "ECU");
});

test("details of a fault are shown where they are for the caller, and only there", () => {
  const SHOWN: readonly [FaultKind, FaultDetails, Record<string, unknown> | undefined][] = [
    ["invalidParameter", { possibleValues: ["On", "OFF"] }, { details: "value", possiblevalues: ["on", "off"] }],
    ["invalidParameter", { name: "../x" }, undefined],
    ["workerLost", { sent: true }, { sent: true }],
    ["rangeNotSatisfiable", { offset: 7 }, { offset: 7 }],
    ["dataError", { details: "d", value: "v" }, { details: "d", value: "v" }],
    ["badRequest", { kind: "InvalidRequest", parameter: "/VIN" }, undefined],
    ["payloadTooShort", { kind: "NotEnoughData", parameter: "/VIN" }, undefined],
    ["notResponding", { waiting: true }, undefined],
    ["conflict", { folder: "/var/lib", pid: 1 }, undefined],
    ["methodNotAllowed", { allow: "GET" }, undefined],
  ];
  for (const [kind, details, parameters] of SHOWN) {
    assert.deepEqual(toErrorObject({ kind, message: "m", details }).parameters, parameters, kind);
  }
});

test("tokens: none is 401 with a body, a bad one 403", async () => {
  const car = vehicle();
  const none = await car.request("GET", `${V}/locks`, { as: null });
  assert.equal(none.status, 401);
  assert.equal(none.json.error_code, "insufficient-access-rights");
  assert.ok(none.headers["WWW-Authenticate"]);
  const bad = await car.request("GET", `${V}/locks`, { as: "bad" });
  assert.equal(bad.json.message, "Invalid token: Token could not be decoded");
});

test("a missing token wins over a bad body, an unknown component over a missing token", async () => {
  const car = vehicle();
  const body = { as: null, bytes: Buffer.from("{"), headers: { "content-type": "application/json" } };
  assert.equal((await car.request("PUT", `${V}/components/flxc1000/modes/session`, body)).status, 401);
  assert.equal((await car.request("PUT", `${V}/components/nope/modes/session`, body)).status, 404);
});

test("before databases are loaded vehicle routes are 503 with Retry-After, or 404 by choice; others answer", async () => {
  for (const notReadyStatus of [503, 404] as const) {
    const car = vehicle({ notReadyStatus });
    car.fleet.ready = false;
    const closed = await car.request("GET", `${V}/components`);
    assert.equal(closed.status, notReadyStatus);
    assert.equal(closed.headers["Retry-After"], notReadyStatus === 503 ? "1" : undefined);
    for (const path of ["/health", "/version-info", `${V}/data/version`, "/openapi.json", "/swagger-ui"]) {
      assert.equal((await car.request("GET", path, { as: null })).status, 200, path);
    }
  }
});

test("while databases are switched only reads of what is known here pass", async () => {
  const car = vehicle();
  car.switching = true;
  const E = `${V}/components/flxc1000`;
  for (const [method, path] of [
    ["GET", `${E}/data/vin`],
    ["GET", `${E}/faults`],
    ["POST", `${V}/locks`],
    ["PUT", E],
  ] as const) {
    const answer = await car.request(method, path, { json: { lock_expiration: 1 } });
    assert.equal(answer.status, 409, path);
    assert.equal(answer.json.error_code, "update-process-in-progress");
  }
  for (const path of ["/health", `${V}/components`, `${V}/locks`, E, "/openapi.json"]) {
    assert.equal((await car.request("GET", path)).status, 200, path);
  }
});

test("closed reads: no route but the public ones goes without token", async () => {
  const car = vehicle({ openReads: false });
  assert.equal((await car.request("GET", `${V}/components`, { as: null })).status, 401);
  assert.equal((await car.request("GET", "/health", { as: null })).status, 200);
  const locked = vehicle({ comParamLock: true });
  const path = `${V}/components/flxc1000/operations/comparam/executions`;
  assert.equal((await locked.request("POST", path, { as: null })).status, 401);
  assert.equal((await locked.request("POST", path)).status, 403);
  assert.equal((await locked.request("GET", path, { as: null })).status, 200);
});

test("include-schema adds the schema of the answer, of errors too, and refuses raw bytes", async () => {
  const car = vehicle();
  const list = await car.request("GET", `${V}/components?include-schema=true`);
  assert.equal(Object.keys(list.json).at(-1), "schema");
  assert.equal(list.json.schema.$schema, "https://json-schema.org/draft/2020-12/schema");
  assert.equal(list.json.schema.properties.schema, undefined);
  assert.ok(!JSON.stringify(list.json.schema).includes('"description"'));
  const missing = await car.request("GET", `${V}/locks/x?include-schema=true`);
  assert.ok(missing.json.schema.properties.error_code);
  const raw = await car.request("GET", `${V}/components/flxc1000/data/vin?include-schema=true`, {
    headers: { accept: "application/octet-stream" },
  });
  assert.equal(raw.json.message, "Cannot use include-schema with non-JSON response");
  await car.request("GET", `${V}/components/flxc1000/data/vin?include-schema=true`);
  assert.equal(car.fleet.calls.at(-1)?.args.schema, true);
});
