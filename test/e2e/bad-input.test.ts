/** What is wrong with a request is said in one object, and nothing of it reaches an ECU. */
import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, suite, test } from "node:test";
import { type Answer, type Harness, startHarness } from "./harness.ts";

const CENTRAL = "/components/central";
const ALL = ["CENTRAL", "BODY", "CLIMATE", "ENGINE", "BRAKES", "CAMERA"];
const MAX_BODY_BYTES = 20_000;
const json = { "content-type": "application/json" };

/** Name, method, path, status, what the message says, body, headers. */
type Row = readonly [
  string,
  string,
  string,
  number,
  (RegExp | undefined)?,
  (string | undefined)?,
  Record<string, string>?,
];

suite("bad input", () => {
  let car: Harness;
  let token: string;
  before(async () => {
    car = await startHarness({ config: { http: { max_body_bytes: MAX_BODY_BYTES }, strict: { enabled: true } } });
    await car.online(...ALL);
    car.traffic.clear();
    const { json: granted } = await car.http.post("/authorize", { client_id: "t", client_secret: "s" }, { as: null });
    token = `Bearer ${granted.access_token}`;
  });
  after(() => car?.close());

  const send = (method: string, path: string, body?: string | Uint8Array, headers: Record<string, string> = {}) =>
    car.http.send(method, path, {
      headers: { authorization: token, ...headers },
      ...(body === undefined ? {} : { body: body as string }),
    });
  const refused = (answer: Answer, status: number) => {
    assert.equal(answer.status, status, answer.text);
    assert.deepEqual(car.traffic.to("CENTRAL"), [], "nothing may reach the ECU");
    return answer.json;
  };

  const rows: readonly Row[] = [
    ["unknown path", "GET", "/nothing/here", 404, /Resource not found/],
    ["unknown ECU", "GET", "/components/nobody", 404, /Resource not found/],
    ["unknown ECU below", "GET", "/components/nobody/data/vin", 404],
    ["unknown service", "GET", `${CENTRAL}/data/nobody`, 404, /nobody/],
    ["unknown operation", "GET", `${CENTRAL}/operations/nobody`, 404],
    ["unknown group", "GET", "/functions/functionalgroups/nobody/data", 404],
    ["wrong method", "PATCH", `${CENTRAL}/data/vin`, 405],
    ["known path, other method", "DELETE", CENTRAL, 405],
    ["query that is no boolean", "GET", `${CENTRAL}/data/vin?include-schema=perhaps`, 400, /query/i],
    ["query that stands twice", "GET", `${CENTRAL}/data/vin?include-schema=true&include-schema=true`, 400],
    ["accepts nothing we have", "GET", `${CENTRAL}/data/vin`, 400, /Accept|mime/i, undefined, { accept: "text/html" }],
    ["no JSON", "PUT", `${CENTRAL}/data/serviceinterval`, 400, /JSON/, "{", json],
    ["empty JSON", "PUT", `${CENTRAL}/data/serviceinterval`, 400, /JSON/, "", json],
    ["JSON of another shape", "PUT", `${CENTRAL}/data/serviceinterval`, 400, undefined, '{"data":[1]}', json],
    ["a parameter is missing", "PUT", `${CENTRAL}/data/serviceinterval`, 400, /Interval/, '{"data":{}}', json],
    [
      "a value that is no number",
      "PUT",
      `${CENTRAL}/data/serviceinterval`,
      400,
      undefined,
      '{"data":{"Interval":"far"}}',
      json,
    ],
    [
      "a value out of range",
      "PUT",
      `${CENTRAL}/data/serviceinterval`,
      400,
      undefined,
      '{"data":{"Interval":100000000}}',
      json,
    ],
    [
      "an unknown parameter, strictly",
      "PUT",
      `${CENTRAL}/data/serviceinterval`,
      400,
      /Sideways/,
      '{"data":{"Interval":100,"Sideways":1}}',
      json,
    ],
    [
      "an unknown media type",
      "PUT",
      `${CENTRAL}/data/serviceinterval`,
      400,
      /mime-type/,
      "x",
      { "content-type": "text/csv" },
    ],
    ["a lock without an end", "POST", `${CENTRAL}/locks`, 400, undefined, "{}", json],
    ["a lock in the past", "POST", `${CENTRAL}/locks`, 400, /past/, '{"lock_expiration":0}', json],
    ["a lock that is not there", "DELETE", `${CENTRAL}/locks/00000000-0000-0000-0000-000000000000`, 404],
    ["an operation without its lock", "POST", `${CENTRAL}/operations/selftest/executions`, 403, /lock/, "{}", json],
    ["a mode without its lock", "PUT", `${CENTRAL}/modes/session`, 403, /lock/, '{"value":"Extended"}', json],
    ["an unknown mode", "PUT", `${CENTRAL}/modes/sideways`, 404, undefined, '{"value":"x"}', json],
    ["a DTC that is none", "GET", `${CENTRAL}/faults/xyz`, 400],
    ["an unknown fault scope", "GET", `${CENTRAL}/faults?scope=attic`, 400],
    [
      "a com param that is none",
      "POST",
      `${CENTRAL}/operations/comparam/executions`,
      400,
      /CP_P6Max/,
      '{"parameters":{"CP_P6Max":"soon"}}',
      json,
    ],
    [
      "a flash file that is not there",
      "POST",
      `${CENTRAL}/x-sovd2uds-download/flashtransfer`,
      403,
      /lock/,
      '{"blocksequencecounter":1,"blocksize":10,"offset":0,"length":1,"id":"x"}',
      json,
    ],
  ];
  for (const [name, method, path, status, text, body, headers] of rows) {
    test(`${name}: ${status}`, async () => {
      const { message, error_code } = refused(await send(method, path, body, headers), status);
      assert.equal(typeof error_code, "string");
      if (text !== undefined) assert.match(message, text);
    });
  }

  test("tokens: none 401, broken or foreign ones refused", async () => {
    const path = `${CENTRAL}/data/vin`;
    for (const authorization of [undefined, "Basic abc", "Bearer"]) {
      const answer = await car.http.send("GET", path, {
        headers: authorization === undefined ? {} : { authorization },
      });
      assert.equal(answer.status, 401, String(authorization));
      assert.match(answer.headers.get("www-authenticate") ?? "", /^Bearer/);
    }
    const [head, claims] = token.slice("Bearer ".length).split(".");
    for (const broken of ["abc", "a.b.c", `${head}.${claims}.${"A".repeat(43)}`, `${head}.${claims}.`]) {
      const answer = await car.http.send("GET", path, { headers: { authorization: `Bearer ${broken}` } });
      assert.ok(answer.status === 403 || answer.status === 401, `${broken}: ${answer.status}`);
    }
    assert.deepEqual(car.traffic.to("CENTRAL"), []);
  });

  test("a body beyond the limit: 413, announced or not, and the server goes on", async () => {
    const path = `${CENTRAL}/data/serviceinterval`;
    refused(
      await send("PUT", path, new Uint8Array(MAX_BODY_BYTES + 1), { "content-type": "application/octet-stream" }),
      413,
    );
    const status = await chunked(`${car.base}${path}`, token, MAX_BODY_BYTES * 3);
    assert.ok(status === 413 || status === "closed", String(status));
    assert.equal((await car.http.get("//health")).status, 200);
  });

  test("JSON deeper than the limit: 400, no stack is spent on it", async () => {
    const depth = 3_000;
    const body = `{"data":${'{"a":'.repeat(depth)}1${"}".repeat(depth)}}`;
    refused(await send("PUT", `${CENTRAL}/data/serviceinterval`, body, json), 400);
  });

  test("paths with escapes: separators, broken UTF-8, parents, capitals", async () => {
    for (const [path, status] of [
      ["/components%2Fcentral%2Fdata%2Fvin", 404],
      ["/components/%63entral/data/%56IN", 200],
      ["/COMPONENTS/Central/Data/VIN/", 200],
      ["/components/central/data/%FF%FE", 404],
      ["/components/central/data/..%2f..%2f..", 400],
      ["/components/central/data/vin%00", 404],
    ] as const) {
      const { status: seen, text } = await raw(`${car.base}${path}`, token);
      assert.equal(seen, status, `${path}: ${text}`);
    }
    car.traffic.clear();
  });
});

/** A request whose path no client library has put right. */
function raw(url: string, authorization: string): Promise<{ status: number; text: string }> {
  const { hostname, port } = new URL(url);
  const path = url.slice(url.indexOf("/", "http://".length));
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path, headers: { authorization } }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    asked.on("error", reject).end();
  });
}

/** A body in chunks, of a length that nobody announces. */
function chunked(url: string, authorization: string, bytes: number): Promise<number | "closed"> {
  return new Promise((resolve) => {
    const headers = { authorization, "content-type": "application/octet-stream", "transfer-encoding": "chunked" };
    const sent = request(url, { method: "PUT", headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sent.on("error", () => resolve("closed"));
    for (let left = bytes; left > 0; left -= 1_000) sent.write(new Uint8Array(1_000));
    sent.end();
  });
}
