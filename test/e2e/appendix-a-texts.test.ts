/** What the reference says of mistakes, word by word: status, error code, vendor code, text; and its quirks as they are put right. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { functionalDescription, GROUP, richDatabase } from "./appendix-a-databases.ts";
import { type Harness, type SendOptions, startHarness, writeDatabase } from "./harness.ts";

const E = "/components/central";
const G = `/functions/functionalgroups/${GROUP.toLowerCase()}`;
const NO_ID = "00000000-0000-4000-8000-000000000000";
const RAW = { "content-type": "application/octet-stream", accept: "application/octet-stream" };

type Method = "get" | "put" | "post" | "delete";

interface Row {
  readonly method: Method;
  readonly path: string;
  readonly status: number;
  /** Whole text, or the beginning of it when it ends with `…`. */
  readonly message: string;
  readonly code: string;
  readonly vendor?: string;
  readonly body?: unknown;
  readonly options?: SendOptions;
}

const BAD: readonly [string, string] = ["vendor-specific", "bad-request"];
const MISSING: readonly [string, string] = ["vendor-specific", "not-found"];
const DENIED: readonly [string] = ["insufficient-access-rights"];
const CONFLICT: readonly [string] = ["preconditions-not-fulfilled"];

function row(
  call: `${"GET" | "PUT" | "POST" | "DELETE"} ${string}`,
  status: number,
  message: string,
  [code, vendor]: readonly [string, string?],
  body?: unknown,
  options?: SendOptions,
): Row {
  const [method, path] = call.split(" ") as [string, string];
  return {
    method: method.toLowerCase() as Method,
    path,
    status,
    message,
    code,
    ...(vendor === undefined ? {} : { vendor }),
    ...(body === undefined ? {} : { body }),
    ...(options === undefined ? {} : { options }),
  };
}

const OPEN: readonly Row[] = [
  // 2
  row("GET /nope", 404, "Resource not found: /vehicle/v15/nope", MISSING),
  row("GET /components/nope/data", 404, "Resource not found: /vehicle/v15/components/nope/data", MISSING),
  row(`GET ${E}/nope`, 404, "Resource not found: …", MISSING),
  row("DELETE /components", 405, "Method not allowed", BAD),
  // 1.1, 1.4
  row(`GET ${E}/data?include-schema=yes`, 400, "Failed to deserialize query string: …", BAD),
  row(`GET ${E}/data?include-schema=true&include-schema=true`, 400, "Failed to deserialize query string: …", BAD),
  row(`POST ${E}/locks`, 400, "Expected request with `Content-Type: application/json`", BAD),
  row(`POST ${E}/locks`, 400, "Failed to parse the request body as JSON: …", BAD, "{"),
  row(`POST ${E}/locks`, 400, "Failed to deserialize the JSON body into the target type: …", BAD, {}),
  // 4.2
  row(`GET ${E}/data`, 403, "Invalid token: Token could not be decoded", DENIED, undefined, {
    as: null,
    headers: { authorization: "Bearer nonsense" },
  }),
  // 5
  row(`POST ${E}/locks`, 400, "Expiration date is in the past", BAD, { lock_expiration: 0 }),
  row(`GET ${E}/locks/x`, 404, "no lock found with id x", MISSING),
  row(`PUT ${E}/locks/x`, 409, "No lock found", CONFLICT, { lock_expiration: 9 }),
  row(`DELETE ${E}/locks/x`, 404, "No lock found", MISSING),
  row(`DELETE ${E}/faults`, 403, "Required ECU lock is missing", DENIED),
  row(`GET ${E}/modes/security`, 403, "Required ECU lock is missing", DENIED),
  row(`PUT ${G}/modes/session`, 403, "Required functional group lock is missing", DENIED, { value: "Default" }),
  // 8
  row(`GET ${E}/data/vin`, 400, "Unsupported Accept: text/html", BAD, undefined, { headers: { accept: "text/html" } }),
  row(
    `GET ${E}/data/vin?include-schema=true`,
    400,
    "Cannot use include-schema with non-JSON response",
    BAD,
    undefined,
    {
      headers: { accept: "application/octet-stream" },
    },
  ),
  row(`PUT ${E}/data/serviceinterval`, 400, "Invalid JSON: …", BAD, "{"),
  row(`PUT ${E}/data/serviceinterval`, 400, "Unsupported mime-type: text/plain", BAD, "x", {
    headers: { "content-type": "text/plain" },
  }),
  row(`PUT ${E}/genericservice`, 400, "Unsupported mime-type: …", BAD, {}),
  row(`PUT ${E}/genericservice`, 404, "…", MISSING, Uint8Array.of(0x22, 0x12, 0x34), { headers: RAW }),
  row(`GET ${G}/data/serviceinterval`, 400, "Unsupported Accept: …", BAD, undefined, {
    headers: { accept: "application/octet-stream" },
  }),
  // 10
  row(`GET ${E}/operations/nope`, 404, "…", MISSING),
  row(`GET ${E}/operations/calibrate/executions/x`, 400, "…", BAD),
  row(`GET ${E}/operations/calibrate/executions/${NO_ID}`, 404, `Execution with id ${NO_ID} not found`, MISSING),
  // 11
  row(`GET ${E}/faults?scope=nope`, 400, "The parameter value is not valid", ["vendor-specific", "invalid-parameter"]),
  row(`GET ${E}/faults/FFFFFE`, 400, "…", BAD),
  row(`GET ${E}/faults/zz`, 400, "…", BAD),
  row(`GET ${E}/faults/0A1B01?include-snapshot-data=maybe`, 400, "Failed to deserialize query string: …", BAD),
  // 12
  row(`GET ${E}/x-single-ecu-jobs/nope`, 404, "…", MISSING),
  row(`GET ${E}/x-sovd2uds-bulk-data/mdd-embedded-files/nope`, 404, "…", MISSING),
  row(`GET ${E}/x-sovd2uds-download/flashtransfer`, 404, "…", MISSING),
  // a client of the CDA holds no lock here
  row(`POST ${E}/x-sovd2uds-download/flashtransfer`, 400, "The length must not be 0", BAD, {
    blocksequencecounter: 1,
    blocksize: 100,
    offset: 0,
    length: 0,
    id: "nope",
  }),
  row(`PUT ${E}/x-sovd2uds-download/requestdownload`, 415, "…", BAD),
  row(`PUT ${E}/x-sovd2uds-download/requestdownload`, 403, "Required ECU lock is missing", DENIED, {
    requestdownload: {},
  }),
  // 14
  row(`GET ${E}/data/nope/docs`, 404, "Data service 'nope' not found", MISSING),
  row(`GET ${E}/operations/nope/docs`, 404, "Operation 'nope' not found", MISSING),
  row("GET /functions/functionalgroups/nope", 404, "Resource not found: …", MISSING),
];

/** Under the component's lock. */
const LOCKED: readonly Row[] = [
  row(`PUT ${E}/modes/session`, 404, "…", MISSING, { value: "nope" }),
  row(`PUT ${E}/modes/security`, 400, "RequestSeed and SendKey cannot be used at the same time.", BAD, {
    value: "Level_3_RequestSeed",
    Key: { Send_Key: "00" },
  }),
  row(`PUT ${E}/modes/security`, 400, "RequestSeed is not set but no key is given.", BAD, { value: "Level_3" }),
  row(`PUT ${E}/modes/security`, 502, "A negative Response was received (Request Sequence Error)", ["error-response"], {
    value: "Level_3",
    SendKey: { Security: "00" },
  }),
  row(`PUT ${E}/modes/commctrl`, 400, "The parameter value is not valid", ["vendor-specific", "invalid-parameter"], {
    value: "nope",
  }),
  row(`POST ${E}/operations/nope/executions`, 404, "…", MISSING, {}),
  // unknown comes before headers and body
  row(`POST ${E}/operations/nope/executions`, 404, "…", MISSING),
  row(`POST ${E}/operations/nope/executions`, 404, "…", MISSING, "{"),
  row(`POST ${E}/operations/nope/executions`, 404, "…", MISSING, {}, { headers: { accept: "text/html" } }),
  row(`POST ${E}/operations/selftest/executions`, 400, "Invalid JSON: …", BAD, "{"),
  row(`POST ${E}/operations/selftest/executions`, 400, "Missing Content-Type", BAD),
  row(`POST ${E}/operations/reset/executions`, 400, "Invalid request body", BAD, "zz"),
  row(`POST ${E}/operations/reset/executions`, 400, "Missing 'value' parameter in request body", BAD, {}),
  row(`POST ${E}/operations/reset/executions`, 400, "The 'value' parameter must be a string", BAD, {
    parameters: { value: 1 },
  }),
  row(
    `POST ${E}/operations/reset/executions`,
    400,
    "Invalid value for reset service: nope. Allowed values: [HardReset, SoftReset]",
    BAD,
    { parameters: { value: "nope" } },
  ),
  row(`DELETE ${E}/faults?scope=nope`, 400, "…", ["vendor-specific", "invalid-parameter"]),
  row(`DELETE ${E}/faults/0A1B01?scope=FaultMem`, 400, "…", BAD),
  row(`PUT ${E}/x-sovd2uds-download/requestdownload`, 422, "…", BAD, {}),
  row(`PUT ${E}/x-sovd2uds-download/requestdownload`, 400, "…", BAD, "{"),
  row(`PUT ${E}/x-sovd2uds-download/requestdownload`, 415, "…", BAD),
];

const GROUP_LOCKED: readonly Row[] = [
  row(
    `POST ${G}/operations/nope/executions`,
    404,
    `Operation 'nope' not found in functional group '${GROUP.toLowerCase()}'`,
    MISSING,
    { parameters: {} },
  ),
  row(
    `POST ${G}/operations/nope/executions`,
    404,
    `Operation 'nope' not found in functional group '${GROUP.toLowerCase()}'`,
    MISSING,
    "{",
  ),
  row(`POST ${G}/operations/selftest/executions`, 400, "Invalid JSON: missing field `parameters`", BAD, {}),
  row(`POST ${E}/locks`, 409, "functional lock prevents setting ecu lock", CONFLICT, { lock_expiration: 9 }),
];

describe("texts of the reference", () => {
  let harness: Harness;
  before(async () => {
    harness = await startHarness({
      prepare: async (databases) => {
        await writeDatabase(databases, richDatabase("CENTRAL"));
        await writeDatabase(databases, functionalDescription());
      },
    });
    await harness.online("CENTRAL");
  });
  after(() => harness?.close());

  const named = ({ method, path, status, message }: Row) => `${method.toUpperCase()} ${path} → ${status} ${message}`;

  for (const one of OPEN) test(named(one), () => expect(harness, one));
  for (const one of LOCKED) test(named(one), () => harness.locked("CENTRAL", () => expect(harness, one)));
  for (const one of GROUP_LOCKED)
    test(named(one), async () => {
      const { json } = await harness.http.post(`${G}/locks`, { lock_expiration: 60 });
      try {
        await expect(harness, one);
      } finally {
        await harness.http.delete(`${G}/locks/${json.id}`);
      }
    });

  test("a refusal of the ECU carries NRC and SID as numbers and its source", async () => {
    const answer = await harness.locked("CENTRAL", () =>
      harness.http.put(`${E}/modes/security`, { value: "Level_3", Key: { Send_Key: "00" } }),
    );
    assert.deepEqual(answer.json, {
      message: "A negative Response was received (Request Sequence Error)",
      error_code: "error-response",
      parameters: { NRC: 0x24, SID: 0x27 },
      "x-errorsource": "ECU",
    });
  });

  test("an answer for another data identifier is no answer, a truncated one is 400", async () => {
    const ecu = harness.vehicle.ecu("CENTRAL");
    ecu.misbehaviour = { only: "22F190", frame: { kind: "truncated", times: 1 } };
    const short = await harness.http.get(`${E}/data/vin`);
    assert.equal(short.status, 400, short.text);
    assert.match(short.json.message, /^Payload too short, expected at least \d+ bytes, got \d+ bytes$/);
    ecu.misbehaviour = { only: "22F190", frame: { kind: "wrongDid" } };
    const other = await harness.http.get(`${E}/data/vin`);
    assert.equal(other.status, 504, other.text);
    assert.equal(other.json.error_code, "not-responding");
    ecu.misbehaviour = undefined;
  });

  test("paths in any case, percent-encoded, with trailing slashes; separators stay data", async () => {
    for (const path of [`${E.toUpperCase()}/DATA/vin`, `${E}/data/v%69n`, `${E}/data/VIN/`]) {
      const { json } = await harness.http.get(path);
      assert.deepEqual([json.id, Object.keys(json.data)], ["vin", ["VIN"]], path);
    }
    assert.equal((await harness.http.get(`${E}%2Fdata`)).status, 404);
  });

  test("links name the host that was asked, or the one a proxy speaks for", async () => {
    const { json } = await harness.http.get("/apps");
    assert.match(json.items[0].href, /^http:\/\/127\.0\.0\.1:\d+\/vehicle\/v15\/apps\/sovd2uds$/);
  });

  test("HEAD answers like GET without a body; 405 names what is allowed", async () => {
    const head = await harness.http.send("HEAD", "/components", {});
    assert.deepEqual([head.status, head.text], [200, ""]);
    const wrong = await harness.http.delete("/components");
    assert.equal(wrong.headers.get("allow"), "GET, HEAD");
  });

  test("unknown members and query parameters are ignored", async () => {
    const put = await harness.http.put(`${E}/data/serviceinterval?nope=1`, { data: { Interval: 15_000 }, more: true });
    assert.equal(put.status, 204, put.text);
  });
});

async function expect({ http }: Harness, one: Row): Promise<void> {
  const { method, path, body, options } = one;
  const answer =
    method === "get" || method === "delete"
      ? await http[method](path, options)
      : await http[method](path, body, options);
  assert.equal(answer.status, one.status, answer.text);
  const { message, error_code: code, vendor_code: vendor } = answer.json;
  assert.deepEqual([code, vendor], [one.code, one.vendor]);
  if (one.message.endsWith("…")) assert.ok(message.startsWith(one.message.slice(0, -1)), message);
  else assert.equal(message, one.message);
}
