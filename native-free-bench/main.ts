/**
 * Benchmark of the parts that need no native addon: DoIP, UDS and MDD codecs. Prints nanoseconds and allocated bytes per operation and
 * exits with 1 when a native addon got into the process. `npm run bench -- --time=<ms per row>`.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Bench } from "tinybench";
import { fromHex } from "#core/bytes.ts";
import { decodeHeader, decodePayload, encodeDiagnosticMessage } from "#doip/codec.ts";
import { decodeResponse, encodeRequest, writeResponseJson } from "#mdd/codec/codec.ts";
import { JsonBytes } from "#mdd/codec/json-bytes.ts";
import { matchResponse } from "#uds/match.ts";
import { ownFixture, vinFixture } from "./fixture.ts";
import { nativeAddons } from "./native-check.ts";

const DEFAULT_TIME_MS = 500;

/** Operations per sample of allocation; few enough that no collection comes between. */
const ALLOCATION_OPERATIONS = 500;
const ALLOCATION_SAMPLES = 9;

function hex(text: string): Uint8Array {
  const bytes = fromHex(text);
  if (bytes === undefined) throw new Error(`not hex: ${text}`);
  return bytes;
}

const { source, vinRead, vinWrite } = vinFixture();
const { signals, records } = ownFixture();

const vinRequest = hex("22f190");
const vinResponse = hex("62f1905343454454323654384244303035323631");
const signalResponse = hex("620100a5a5 0010 0020 0030 0040 0050 0060 0070 0080");
const recordResponse = hex(`620101${"01020301".repeat(100)}`);
const vin = { VIN: "SCEDT26T8BD005261" };
const frame = encodeDiagnosticMessage(2, 0x0e00, 0x1000, vinResponse);
const frameHeader = decodeHeader(frame)!;
const out = new JsonBytes();

/** Every row returns something, so that nothing is optimised away. */
const ROWS: Readonly<Record<string, () => unknown>> = {
  "DoIP: encode diagnostic message": () => encodeDiagnosticMessage(2, 0x0e00, 0x1000, vinRequest),
  "DoIP: decode diagnostic message": () => {
    const header = decodeHeader(frame)!;
    return decodePayload(header.version, header.payloadType, frame.subarray(8));
  },
  "UDS: match response": () => matchResponse(vinRequest, vinResponse),
  "MDD: encode VIN read": () => encodeRequest(vinRead),
  "MDD: encode VIN write": () => encodeRequest(vinWrite, vin),
  "MDD: decode VIN to JSON bytes": () => {
    out.reset();
    writeResponseJson(vinRead, vinResponse, vinRequest, out);
    return out.take();
  },
  "MDD: decode VIN to object": () => decodeResponse(vinRead, vinResponse, vinRequest).data,
  "MDD: decode 24 signals to JSON bytes": () => {
    out.reset();
    writeResponseJson(signals, signalResponse, undefined, out);
    return out.take();
  },
  "MDD: decode 100 records to JSON bytes": () => {
    out.reset();
    writeResponseJson(records, recordResponse, undefined, out);
    return out.take();
  },
};

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
let sink: unknown;

/** Median of bytes allocated per operation, in the heap and in array buffers. */
function allocated(run: () => unknown): number {
  const samples: number[] = [];
  for (let sample = 0; sample < ALLOCATION_SAMPLES; sample++) {
    collect();
    const before = process.memoryUsage();
    for (let i = 0; i < ALLOCATION_OPERATIONS; i++) sink = run();
    const after = process.memoryUsage();
    samples.push(after.heapUsed - before.heapUsed + after.arrayBuffers - before.arrayBuffers);
  }
  samples.sort((a, b) => a - b);
  return Math.max(0, Math.round(samples[samples.length >> 1]! / ALLOCATION_OPERATIONS));
}

function timeMs(): number {
  const flag = process.argv.find((argument) => argument.startsWith("--time="));
  return flag === undefined ? DEFAULT_TIME_MS : Number(flag.slice("--time=".length));
}

const bench = new Bench({ time: timeMs(), warmupTime: 100 });
for (const [name, run] of Object.entries(ROWS))
  bench.add(name, () => {
    sink = run();
  });
await bench.run();

console.log(
  `Node ${process.version}, ${process.arch}; VIN services from ${source}; DoIP header ${frameHeader.payloadType}`,
);
console.table(
  bench.tasks.map((task) => {
    const { result } = task;
    if (result.state !== "completed") throw new Error(`${task.name}: ${result.state}`);
    return {
      operation: task.name,
      "ns/op (p50)": Math.round(result.latency.p50 * 1e6),
      "ns/op (p99)": Math.round(result.latency.p99 * 1e6),
      "bytes/op": allocated(ROWS[task.name]!),
    };
  }),
);

const addons = nativeAddons();
if (addons.length > 0) {
  console.error(`native addons loaded: ${addons.join(", ")}`);
  process.exitCode = 1;
} else console.log("no native addon loaded");
if (sink === undefined) throw new Error("nothing was measured");
