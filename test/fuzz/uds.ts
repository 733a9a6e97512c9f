/** Answers of an ECU that are not what the database says: truncated, too long, of another service, refusals of every code. */
import { fromHex, toHex } from "#core/bytes.ts";
import type { Harness } from "../e2e/harness.ts";
import { mutated } from "./mutate.ts";
import type { Random } from "./random.ts";
import type { FuzzRun, FuzzTarget } from "./target.ts";
import { fuzzVehicle, requireNamed, requireSound, threadsOf } from "./vehicle.ts";

interface UdsInput {
  /** Row of `CALLS`. */
  readonly call: string;
  /** Hex; empty: silence. */
  readonly response: string;
}

interface UdsCall {
  readonly method: "get" | "put" | "post";
  readonly path: string;
  readonly body?: unknown;
  /** What the ECU is asked, as an interceptor's pattern. */
  readonly request: string;
  /** A right answer. */
  readonly response: string;
}

const E = "/components/central";
const G = "/functions/functionalgroups/everyone";
const KEY = "0D0E0F1011121314";
const CALLS: Readonly<Record<string, UdsCall>> = {
  vin: {
    method: "get",
    path: `${E}/data/vin`,
    request: "22F190",
    response: "62F1905343454454323654384244303035323631",
  },
  interval: {
    method: "get",
    path: `${E}/data/serviceinterval?include-schema=true`,
    request: "22D001",
    response: "62D0010096",
  },
  session: { method: "get", path: `${E}/data/activesession`, request: "22F186", response: "62F18601" },
  write: {
    method: "put",
    path: `${E}/configurations/serviceinterval`,
    body: { data: { Interval: 100 } },
    request: "2ED001[]",
    response: "6ED001",
  },
  generic: { method: "put", path: `${E}/genericservice`, body: "22D001", request: "22D001", response: "62D0010096" },
  faults: { method: "get", path: `${E}/faults`, request: "1902[]", response: "5902FF0A1B01290A1B0209" },
  fault: { method: "get", path: `${E}/faults/0A1B01`, request: "1902[]", response: "5902FF0A1B0129" },
  snapshot: { method: "get", path: `${E}/faults/0A1B01`, request: "1904[]", response: "59040A1B01290101D00155" },
  extended: { method: "get", path: `${E}/faults/0A1B01`, request: "1906[]", response: "59060A1B01290107" },
  changeSession: {
    method: "put",
    path: `${E}/modes/session`,
    body: { value: "Default" },
    request: "1001",
    response: "5001003201F4",
  },
  seed: {
    method: "put",
    path: `${E}/modes/security`,
    body: { value: "Level_3_RequestSeed" },
    request: "2703",
    response: "67030001020304050607",
  },
  key: {
    method: "put",
    path: `${E}/modes/security`,
    body: { value: "Level_3", Key: { Send_Key: KEY } },
    request: "2704[]",
    response: "6704",
  },
  commctrl: {
    method: "put",
    path: `${E}/modes/commctrl`,
    body: { value: "EnableRxAndEnableTx" },
    request: "2800[]",
    response: "6800",
  },
  reset: {
    method: "post",
    path: `${E}/operations/reset/executions`,
    body: { parameters: { value: "SoftReset" } },
    request: "1103",
    response: "5103",
  },
  selfTest: {
    method: "post",
    path: `${E}/operations/selftest/executions`,
    body: { parameters: {} },
    request: "31011001",
    response: "71011001",
  },
  download: {
    method: "put",
    path: `${E}/x-sovd2uds-download/requestdownload`,
    body: { requestdownload: { DataFormatIdentifier: 0, MemoryAddress: 0, MemorySize: 9 } },
    request: "34[]",
    response: "74040000FFFF",
  },
  exit: { method: "put", path: `${E}/x-sovd2uds-download/transferexit`, request: "37", response: "77" },
  detection: { method: "put", path: E, request: "22F100", response: "62F100000101" },
  group: { method: "get", path: `${G}/data/serviceinterval`, request: "22D001", response: "62D0010096" },
};

const NEGATIVE = 0x7f;
const CHECK_EVERY = 25;

function responseTo({ response }: UdsCall, random: Random): string {
  const right = fromHex(response)!;
  switch (random.below(6)) {
    case 0:
      return toHex(Uint8Array.of(NEGATIVE, right[0]! - 0x40, random.below(256)));
    case 1:
      return toHex(random.bytes(random.below(12)));
    case 2:
      return random.chance(0.2) ? "" : response;
    default:
      return toHex(mutated(right, random));
  }
}

async function send({ http }: Harness, { method, path, body }: UdsCall) {
  if (path.endsWith("genericservice")) {
    const headers = { accept: "application/octet-stream" };
    return http.put(path, fromHex(String(body))!, { headers });
  }
  return method === "get" ? http.get(path) : http[method](path, body);
}

export const udsTarget: FuzzTarget<UdsInput> = {
  name: "uds",
  generate(random) {
    const call = random.pick(Object.keys(CALLS));
    return { call, response: responseTo(CALLS[call]!, random) };
  },
  async start(): Promise<FuzzRun<UdsInput>> {
    const harness = await fuzzVehicle();
    await harness.http.post(`${E}/locks`, { lock_expiration: 100_000 });
    const threads = threadsOf(harness.server);
    const ecu = harness.vehicle.ecu("CENTRAL");
    let done = 0;
    return {
      async run({ call, response }) {
        const one = CALLS[call]!;
        ecu.intercept("fuzz", one.request, response, undefined);
        const answer = await send(harness, one);
        ecu.removeInterceptor("fuzz");
        requireNamed(answer.status, answer.text);
        const isJson = answer.headers.get("content-type") === "application/json";
        if (isJson && answer.json === undefined) throw new Error(`no JSON: ${answer.text.slice(0, 300)}`);
        if (++done % CHECK_EVERY === 0) await requireSound(harness, threads);
        return String(answer.status);
      },
      close: () => harness.close(),
    };
  },
};
