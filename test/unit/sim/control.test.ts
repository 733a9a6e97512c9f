/** The control API from outside: paths, status codes, bodies. */
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { createLocalJWKSet, jwtVerify } from "jose";
import { CONTROL_ROUTES } from "#sim/control.ts";
import { defaultEntities } from "#sim/vehicle.default.ts";
import { type RunningVehicle, startVehicle } from "#sim/vehicle.ts";
import { hex, RawTester } from "../../e2e/simulator-support.ts";

let vehicle: RunningVehicle;
before(async () => {
  vehicle = await startVehicle({ entities: defaultEntities(["127.0.0.1"], 0), controlPort: 0, announce: false });
});
beforeEach(() => vehicle.reset());
after(() => vehicle.close());

const JSON_TYPE = "application/json";

async function call(method: string, path: string, body?: string, contentType: string | undefined = JSON_TYPE) {
  const response = await fetch(`http://127.0.0.1:${vehicle.controlPort}${path}`, {
    method,
    ...(contentType === "" ? {} : { headers: { "content-type": contentType } }),
    ...(body === undefined ? {} : { body: contentType === "" ? Buffer.from(body) : body }),
  });
  return { status: response.status, text: await response.text() };
}

const DTC = '{"id":"123456","statusMask":"2F"}';
const BLOCK = '{"id":"11000000-0000-0000-0000-000000000000","type":"CODE","softwareVersion":"1.2.3"}';
const INTERCEPTOR = '{"request":"22[]","response":"7F2210"}';

const CASES: readonly (readonly [
  method: string,
  path: string,
  body: string | undefined,
  status: number,
  type?: string,
])[] = [
  ["GET", "/", undefined, 200],
  ["POST", "/reset", undefined, 204],
  ["GET", "/flxc1000/state", undefined, 200],
  ["GET", "/NOPE/state", undefined, 404],
  ["GET", "/a/b/c/d/e/f", undefined, 404],
  ["GET", "/%E0%A4%A/state", undefined, 404],
  ["DELETE", "/FLXC1000/state", undefined, 405],
  ["PUT", "/FLXC1000/state", "{}", 200],
  ["PUT", "/FLXC1000/state", '{"variant":null}', 200],
  ["PUT", "/FLXC1000/state", '{"variant":"NOPE"}', 400],
  ["PUT", "/FLXC1000/state", "{", 400],
  ["PUT", "/FLXC1000/state", "{}", 415, "text/plain"],
  ["PUT", "/FLXC1000/state", "{}", 415, ""],
  ["PUT", "/FLXC1000/state", "{}", 200, "application/json; charset=utf-8"],
  ["PUT", "/FLXC1000/state/blocks/11000000-0000-0000-0000-000000000000", BLOCK, 200],
  ["PUT", "/FLXC1000/state/blocks/99000000-0000-0000-0000-000000000000", BLOCK, 404],
  ["PUT", "/FLXC1000/state/blocks/nonsense", BLOCK, 500],
  ["PUT", "/FLXC1000/state/blocks/11000000-0000-0000-0000-000000000000", '{"id":"x"}', 400],
  ["GET", "/FLXC1000/datatransfers/downloads", undefined, 200],
  ["POST", "/FLXC1000/record", undefined, 204],
  ["GET", "/FLXC1000/record", undefined, 200],
  ["DELETE", "/FLXC1000/record", undefined, 200],
  ["GET", "/NOPE/dtc", undefined, 200],
  ["GET", "/FLXC1000/dtc/Standard", undefined, 200],
  ["GET", "/FLXC1000/dtc/standard", undefined, 400],
  ["GET", "/NOPE/dtc/Standard", undefined, 404],
  ["PUT", "/FLXC1000/dtc/Standard", DTC, 201],
  ["PUT", "/FLXC1000/dtc/Nope", DTC, 400],
  ["PUT", "/FLXC1000/dtc/Standard", '{"id":"12"}', 400],
  ["PUT", "/FLXC1000/dtc/Standard", '{"id":"u3FFFFF"}', 500],
  ["PUT", "/FLXC1000/dtc/Standard", "{}", 500],
  ["DELETE", "/FLXC1000/dtc/Standard/123456", undefined, 200],
  ["DELETE", "/FLXC1000/dtc/Standard/xyz", undefined, 400],
  ["DELETE", "/FLXC1000/dtc/Standard", undefined, 200],
  ["PUT", "/interceptor/FLXC1000/inbound/a", INTERCEPTOR, 202],
  ["PUT", "/interceptor/FLXC1000/inbound/%20", INTERCEPTOR, 400],
  ["PUT", "/interceptor/NOPE/inbound/a", INTERCEPTOR, 404],
  ["PUT", "/interceptor/FLXC1000/inbound/a", '{"request":"22","response":"6"}', 202],
  ["DELETE", "/interceptor/FLXC1000/inbound/zzz", undefined, 204],
  [
    "POST",
    "/token",
    "grant_type=client_credentials&client_id=a&client_secret=%20",
    400,
    "application/x-www-form-urlencoded",
  ],
  ["POST", "/token", "grant_type=password&client_id=a&client_secret=b", 500, "application/x-www-form-urlencoded"],
  ["POST", "/token", "{}", 415],
  ["GET", "/x-sim", undefined, 200],
  ["GET", "/x-sim/ecus", undefined, 200],
  ["PUT", "/x-sim/ecus/FLXC1000/misbehaviour", '{"ack":"none","delay":{"kind":"uniform","minMs":1,"maxMs":2}}', 200],
  ["PUT", "/x-sim/ecus/FLXC1000/misbehaviour", '{"ack":"sometimes"}', 400],
  ["DELETE", "/x-sim/ecus/FLXC1000/misbehaviour", undefined, 204],
  ["PUT", "/x-sim/entities/TMC1001/misbehaviour", '{"maxSockets":1}', 200],
  ["POST", "/x-sim/entities/FLXC1000/strict-iso", undefined, 204],
  ["POST", "/x-sim/entities/FLXC1000/announce", undefined, 204],
  ["POST", "/x-sim/entities/FLXC1000/disconnect", undefined, 204],
  ["POST", "/x-sim/entities/FLXC1000/alive-check", undefined, 200],
  ["PUT", "/x-sim/ecus/FLXC1000/data/D001", '{"value":"0102","writable":true}', 204],
  ["PUT", "/x-sim/ecus/FLXC1000/data/xyz", '{"value":"0102"}', 400],
];
for (const [method, path, body, status, type] of CASES) {
  test(`${method} ${path} ${body ?? ""} ${type ?? ""} → ${status}`, async () => {
    assert.equal((await call(method, path, body, type)).status, status);
  });
}

test("every route has a test above or below", () => {
  const ELSEWHERE = [
    "POST /disconnect",
    "POST /shutdown",
    "GET /keys",
    "POST /x-sim/ecus/{name}/emit",
    "POST /x-sim/entities/{name}/raw",
  ];
  const GETS_OF_MISBEHAVIOUR = [
    "GET /x-sim/ecus/{name}/misbehaviour",
    "GET /x-sim/entities/{name}/misbehaviour",
    "DELETE /x-sim/entities/{name}/misbehaviour",
  ];
  for (const { method, path } of CONTROL_ROUTES) {
    if ([...ELSEWHERE, ...GETS_OF_MISBEHAVIOUR].includes(`${method} ${path}`)) continue;
    const pattern = new RegExp(`^${path.replace(/\{\w+\}/g, "[^/]+")}$`);
    assert.ok(
      CASES.some(([m, p]) => m === method && pattern.test(p)),
      `${method} ${path}`,
    );
  }
});

test("a misbehaviour that is refused names its key; one that is set is read back with its count", async () => {
  const PATH = "/x-sim/ecus/FLXC1000/misbehaviour";
  const refused = await call("PUT", PATH, '{"nrc":{"code":999}}');
  assert.match(refused.text, /nrc\.code/);
  assert.match((await call("PUT", PATH, '{"nope":1}')).text, /nope/);
  await call("PUT", PATH, '{"nrc":{"code":33,"times":2}}');
  const raw = await RawTester.activated(vehicle.port);
  await raw.exchange("1000", "3E00");
  assert.deepEqual(JSON.parse((await call("GET", PATH)).text), { nrc: { code: 33, times: 1 } });
  const strict = "/x-sim/entities/FLXC1000";
  await call("POST", `${strict}/strict-iso`);
  assert.equal(JSON.parse((await call("GET", `${strict}/misbehaviour`)).text).maxSockets, 16);
  await call("DELETE", `${strict}/misbehaviour`);
  assert.deepEqual(JSON.parse((await call("GET", `${strict}/misbehaviour`)).text), {});
  raw.close();
});

test("state: only the settable keys are taken", async () => {
  const { text } = await call(
    "PUT",
    "/FLXC1000/state",
    '{"vin":"V","hardResetForSeconds":7,"dtcSettingType":"OFF","authentication":"AFTER_SALES","temporalEraId":3,"communicationControlType":"TEMPORAL_SYNC","blocks":[]}',
  );
  const state = JSON.parse(text);
  assert.equal(state.vin, "V");
  assert.equal(state.hardResetForSeconds, 7);
  assert.equal(state.dtcSettingType, "OFF");
  assert.equal(state.authentication, "AFTER_SALES");
  assert.equal(state.communicationControlType, "ENABLE_RX_AND_TX");
  assert.equal("temporalEraId" in state, false);
  assert.equal(state.blocks.length, 3);
});

test("tokens verify against the published key once its numbers are in JWK form", async () => {
  const { keys } = JSON.parse((await call("GET", "/keys")).text);
  const [key] = keys;
  const modulus = Buffer.from(key.n, "base64url");
  assert.equal(modulus[0], 0);
  assert.equal(key.n.length % 4, 0);
  const jwk = { ...key, use: "sig", n: modulus.subarray(1).toString("base64url"), e: key.e.replaceAll("=", "") };
  const form = "grant_type=client_credentials&client_id=tester&client_secret=s&scope=a%20b";
  const answer = JSON.parse((await call("POST", "/token", form, "application/x-www-form-urlencoded")).text);
  assert.equal(answer.expires_in, 3600);
  assert.equal(answer.token_type, "bearer");
  const { payload } = await jwtVerify(answer.access_token, createLocalJWKSet({ keys: [jwk] }), {
    issuer: "OpenSOVD::CDA::JwtAuthServerMock",
    algorithms: ["RS256"],
  });
  assert.equal(payload.sub, "tester");
  assert.equal(payload.azp, "tester");
  assert.deepEqual(payload.scopes, ["a", "b"]);
  assert.equal(payload.exp! - payload.iat!, 3600);
  assert.equal(typeof payload.iatms, "number");
});

test("disconnect counts a connection once per entity that shares the socket", async () => {
  const raw = await RawTester.activated(vehicle.port);
  const { text } = await call("POST", "/disconnect");
  assert.deepEqual(JSON.parse(text), { message: "Closed 5 TCP connection(s)" });
  assert.equal(await raw.next(), "closed");
});

test("bodies above the limit are refused", async () => {
  assert.equal((await call("PUT", "/FLXC1000/state", `{"vin":"${"x".repeat(17 * 1024 * 1024)}"}`)).status, 413);
});

test("reset keeps the connection and its activation", async () => {
  const raw = await RawTester.activated(vehicle.port);
  vehicle.ecu("FLXC1000").receive(hex("1003"));
  await call("POST", "/reset");
  assert.deepEqual(await raw.exchange("1000", "22F186"), ["8002/1000>0E00/00", "8001/1000>0E00/62F18601"]);
  raw.close();
});

test("shutdown closes the vehicle after its answer", async () => {
  const other = await startVehicle({ entities: defaultEntities(["127.0.0.1"], 0), controlPort: 0, announce: false });
  const response = await fetch(`http://127.0.0.1:${other.controlPort}/shutdown`, { method: "POST" });
  assert.equal(response.status, 200);
  await other.closed;
  await assert.rejects(RawTester.open(other.port), { code: "ECONNREFUSED" });
});
