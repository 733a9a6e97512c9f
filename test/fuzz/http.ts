/** Requests of every method, path, encoding, header and body, most of them nearly right. */
import type { Harness } from "../e2e/harness.ts";
import { exchange } from "./http-client.ts";
import { mutated, odd, oddJson } from "./mutate.ts";
import type { Random } from "./random.ts";
import type { FuzzRun, FuzzTarget } from "./target.ts";
import { fuzzVehicle, requireNamed, requireSound, threadsOf } from "./vehicle.ts";

interface HttpInput {
  /** The whole request in base64; `@TOKEN@` in it stands for a token that holds. */
  readonly bytes: string;
  /** Framed as HTTP wants it, so that an answer must come. */
  readonly framed: boolean;
}

const METHODS = ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "get", "CONNECT", "FOO", ""];
const BASE = "/vehicle/v15";
const OTHER_BASES = ["/sovd/v1", "/VEHICLE/V15", "", "/vehicle"];
/** Served below no base path. */
const AT_ROOT = /^\/(health|openapi|swagger|metrics|version-info)/;
const E = "/components/central";
const G = "/functions/functionalgroups/everyone";
const PATHS = [
  "/health",
  "/health/ready",
  "/openapi.json",
  "/swagger-ui",
  "/metrics",
  "/version-info",
  "/authorize",
  "/locks",
  "/locks/x",
  "/apps",
  "/apps/sovd2uds/bulk-data/flashfiles",
  "/apps/sovd2uds/bulk-data/runtimefiles-current",
  "/apps/sovd2uds/bulk-data/runtimefiles-nextupdate",
  "/apps/sovd2uds/bulk-data/runtimefiles-backup",
  "/apps/sovd2uds/operations/runtimefilesupdate/executions",
  "/apps/sovd2uds/data/networkstructure",
  "/data/version",
  "/components",
  E,
  `${E}/locks`,
  `${E}/data`,
  `${E}/data/vin`,
  `${E}/data/vin/docs`,
  `${E}/data/serviceinterval`,
  `${E}/configurations`,
  `${E}/configurations/serviceinterval`,
  `${E}/genericservice`,
  `${E}/operations`,
  `${E}/operations/selftest/executions`,
  `${E}/operations/calibrate/executions`,
  `${E}/operations/calibrate/executions/00000000-0000-4000-8000-000000000000`,
  `${E}/operations/comparam/executions`,
  `${E}/operations/reset/executions`,
  `${E}/modes/session`,
  `${E}/modes/security`,
  `${E}/modes/commctrl`,
  `${E}/modes/authentication`,
  `${E}/faults`,
  `${E}/faults/0A1B01`,
  `${E}/x-single-ecu-jobs/calibrate_all`,
  `${E}/x-sovd2uds-bulk-data/mdd-embedded-files/x`,
  `${E}/x-sovd2uds-download/requestdownload`,
  `${E}/x-sovd2uds-download/flashtransfer`,
  `${E}/x-sovd2uds-download/transferexit`,
  G,
  `${G}/locks`,
  `${G}/data/serviceinterval`,
  `${G}/modes/session`,
  `${G}/operations/calibrate/executions`,
];
const QUERY_NAMES = [
  "include-schema",
  "x-sovd2uds-includesdgs",
  "x-sovd2uds-suppressService",
  "x-sovd2uds-force",
  "x-sovd2uds-byte-format",
  "status[confirmedDtc]",
  "status[mask]",
  "severity",
  "scope",
  "memory-selection",
  "include-snapshot-data",
  "x-sovd2uds-include-hash",
];
const BODY_NAMES = [
  "lock_expiration",
  "data",
  "parameters",
  "value",
  "Interval",
  "Key",
  "Send_Key",
  "mode_expiration",
  "requestdownload",
  "blocksequencecounter",
  "blocksize",
  "offset",
  "length",
  "id",
  "client_id",
  "client_secret",
  "capability",
  "timeout",
  "mode",
  "CP_P6Max",
];
const TYPES = [
  "application/json",
  "application/json; charset=utf-8",
  "application/octet-stream",
  "text/plain",
  "",
  "*/*",
];
const MULTIPART = "multipart/form-data; boundary=b";
const ACCEPTS = [
  "*/*",
  "application/json",
  "application/octet-stream",
  "text/html",
  "application/json, */*;q=0.1",
  ";;",
  "a/b/c",
];
const BODIES = [
  { lock_expiration: 30 },
  { data: { Interval: 100 } },
  { data: { Interval: "0x10", Other: [] } },
  { parameters: {} },
  { value: "Extended" },
  { value: "Level_3_RequestSeed" },
  { value: "Level_3", Key: { Send_Key: "0D 0E 0F 10 11 12 13 14" } },
  { parameters: { value: "SoftReset" } },
  { parameters: { CP_P6Max: { value: "50000" } } },
  { requestdownload: { DataFormatIdentifier: 0, MemoryAddress: 0, MemorySize: 10 } },
  { blocksequencecounter: 1, blocksize: 20, offset: 0, length: 100, id: "image_bin" },
  { client_id: "a", client_secret: "b" },
];

function path(random: Random): string {
  const chosen = random.pick(PATHS);
  const base = random.chance(0.1) ? random.pick(OTHER_BASES) : AT_ROOT.test(chosen) ? "" : BASE;
  let text = `${base}${chosen}`;
  if (random.chance(0.2)) text = text.replace(/[^/]+$/, () => encoded(odd(random), random));
  if (random.chance(0.1))
    text = [...text].map((letter, at) => (at > 0 && random.chance(0.2) ? percent(letter) : letter)).join("");
  if (random.chance(0.1)) text = text.toUpperCase();
  if (random.chance(0.1)) text += random.pick(["/", "//", "/.", "/..", "/%2f", "/docs", "/executions", "?", "#x"]);
  if (random.chance(0.4)) text += `?${query(random)}`;
  return text;
}

function query(random: Random): string {
  const parts = Array.from({ length: 1 + random.below(3) }, () => {
    const value = random.chance(0.5) ? random.pick(["true", "false", "1", "FaultMem", "hex", "base64"]) : odd(random);
    return `${random.pick(QUERY_NAMES)}=${encoded(value, random)}`;
  });
  return random.chance(0.1) ? odd(random).replaceAll(/[\r\n ]/g, "") : parts.join("&");
}

const percent = (letter: string) => `%${letter.charCodeAt(0).toString(16).padStart(2, "0").slice(-2)}`;

/** Mostly encoded as it should be; never with what would end the request line. */
function encoded(text: string, random: Random): string {
  if (random.chance(0.7)) return encodeURIComponent(Buffer.from(text).toString());
  return text.replaceAll(/[\r\n\0 ]/g, "");
}

function body(random: Random): Uint8Array {
  const json = random.chance(0.6) ? random.pick(BODIES) : oddJson(random, BODY_NAMES);
  const bytes = Buffer.from(JSON.stringify(json) ?? "");
  if (random.chance(0.05)) return Buffer.from("[".repeat(5_000));
  if (random.chance(0.1)) return random.bytes(random.below(300));
  if (random.chance(0.1)) return multipart(random);
  return random.chance(0.2) ? mutated(bytes, random) : bytes;
}

function multipart(random: Random): Uint8Array {
  const name = random.pick(["a.mdd", "../x.mdd", "a.txt", "", "A.MDD", odd(random)]).replaceAll(/[\r\n"]/g, "");
  const text = `--b\r\nContent-Disposition: form-data; name="f"; filename="${name}"\r\n\r\nMDD version 0      \0${odd(random)}\r\n--b--\r\n`;
  const bytes = Buffer.from(text);
  return random.chance(0.4) ? mutated(bytes, random) : bytes;
}

function headers(random: Random): string[] {
  const type = random.chance(0.1) ? MULTIPART : random.chance(0.7) ? TYPES[0]! : random.pick(TYPES);
  const lines = [`Content-Type: ${type}`];
  if (!random.chance(0.05)) lines.push("Host: 127.0.0.1");
  if (random.chance(0.85)) lines.push("Authorization: Bearer @TOKEN@");
  else if (random.chance(0.5)) lines.push(`Authorization: ${printable(odd(random))}`);
  if (random.chance(0.5)) lines.push(`Accept: ${random.pick(ACCEPTS)}`);
  if (random.chance(0.1)) lines.push(`X-Forwarded-Host: ${printable(odd(random))}`);
  if (random.chance(0.1)) lines.push(`Forwarded: host=${printable(odd(random))}`);
  if (random.chance(0.05)) lines.push(`Content-Disposition: attachment; filename=${printable(odd(random))}`);
  if (random.chance(0.05)) lines.push(`X-${"y".repeat(random.below(3_000))}: z`);
  if (random.chance(0.05)) lines.push("Expect: 100-continue");
  if (random.chance(0.05)) lines.push(`Origin: ${printable(odd(random))}`);
  return lines;
}

const printable = (text: string) => text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 1_000);

/** What a request line may name; anything else damages the line. */
const REQUEST_TARGET = /^\/[\x21-\x7e]*$/;

function generate(random: Random): HttpInput {
  const method = random.chance(0.85) ? random.pick(METHODS.slice(0, 4)) : random.pick(METHODS);
  const content = method === "GET" && random.chance(0.9) ? new Uint8Array(0) : body(random);
  const lines = headers(random);
  const chunked = content.length > 0 && random.chance(0.05);
  if (chunked) lines.push("Transfer-Encoding: chunked");
  else lines.push(`Content-Length: ${content.length}`);
  const target = path(random);
  const head = `${method} ${target} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
  const framedBody = chunked
    ? [Buffer.from(`${content.length.toString(16)}\r\n`), content, Buffer.from("\r\n0\r\n\r\n")]
    : [content];
  const whole = Buffer.concat([Buffer.from(head), ...framedBody]);
  if (random.chance(0.1)) return { bytes: Buffer.from(mutated(whole, random)).toString("base64"), framed: false };
  const isWhole = METHODS.slice(0, 4).includes(method) && head.includes("Host:") && !chunked;
  return { bytes: whole.toString("base64"), framed: isWhole && REQUEST_TARGET.test(target) };
}

const CHECK_EVERY = 100;
/** A machine that stalls answers late, a server that hangs never. */
const ANSWER_MS = 60_000;
/** A request that is not framed may rightly wait for more. */
const UNFRAMED_MS = 60;
const UNKNOWN_VERSION = 505;

export const httpTarget: FuzzTarget<HttpInput> = {
  name: "http",
  generate,
  async start(): Promise<FuzzRun<HttpInput>> {
    const harness = await fuzzVehicle();
    const token = await tokenOf(harness);
    const threads = threadsOf(harness.server);
    let done = 0;
    return {
      async run({ bytes, framed }) {
        const text = Buffer.from(bytes, "base64").toString("latin1").replaceAll("@TOKEN@", token);
        const request = Buffer.from(text, "latin1");
        const answer = await exchange(harness.server.port, request, framed ? ANSWER_MS : UNFRAMED_MS);
        if (++done % CHECK_EVERY === 0) await cleanUp(harness, threads);
        if (answer === undefined) {
          if (framed && !tooLong(text)) throw new Error("no answer");
          return "none";
        }
        // A damaged request line reads as another version of HTTP.
        if (framed || answer.status !== UNKNOWN_VERSION) requireNamed(answer.status, answer.body);
        return String(answer.status);
      },
      close: () => harness.close(),
    };
  },
};

/** Heads beyond the limit end the connection without a word. */
function tooLong(text: string): boolean {
  return text.indexOf("\r\n\r\n") > 4_096;
}

async function tokenOf({ http }: Harness): Promise<string> {
  const credentials = { client_id: "fuzz", client_secret: "fuzz" };
  return (await http.post("/authorize", credentials, { as: null })).json.access_token;
}

/** Locks and executions would keep the next cases out. */
async function cleanUp(harness: Harness, threads: readonly (number | undefined)[]): Promise<void> {
  const { locks, executions, comParams, transfers } = harness.server.context;
  locks.close();
  executions.retain(() => false);
  comParams.retain(() => false);
  for (const ecu of harness.server.fleet.ecus) transfers.drop(ecu.id);
  harness.vehicle.reset();
  await requireSound(harness, threads);
}
