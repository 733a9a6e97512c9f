/** How long an operation takes beside a calibration loop of the same moment, and what it allocates. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Bench } from "tinybench";
import type { Rows } from "./rows/row.ts";

/** What one operation costs. */
export interface Measured {
  /** Median of rounds. */
  readonly nsPerOperation: number;
  /** To the calibration loop, of each round. */
  readonly ratios: readonly number[];
  /** Allocated per operation, in the heap and in array buffers. */
  readonly bytesPerOperation: number;
}

export interface MeasureOptions {
  /** Of one row in all rounds. */
  readonly timeMs: number;
  readonly rounds: number;
}

/** One sample is a batch of operations: a clock that is read per operation would be most of what is measured. */
const BATCH_NS = 20_000;
const MAX_BATCH = 4_096;
const WARM_UP_OPERATIONS = 2_000;
const WARM_UP_MS = 20;

/** Bytes of one sample of allocation: no collection of short-lived objects may come between. */
const ALLOCATION_BYTES = 500_000;
const MAX_ALLOCATION_OPERATIONS = 1_000;
const ALLOCATION_SAMPLES = 9;

const BLOCK = Uint8Array.from({ length: 256 }, (_, i) => (i * 37) & 0xff);

/** What every row is held against: reading bytes, arithmetic, a string and an object, as codecs do. */
export function calibration(): unknown {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < BLOCK.length; i++) hash = Math.imul(hash ^ BLOCK[i]!, 0x0100_0193);
  return { hash, text: hash.toString(16), copy: BLOCK.slice(0, 64) };
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
let sink: unknown;

/** Measures all rows; calls `onRow` after each. */
export async function measureAll(
  rows: Rows,
  options: MeasureOptions,
  onRow: (name: string) => void = () => undefined,
): Promise<Record<string, Measured>> {
  const measured: Record<string, Measured> = {};
  const scale = batchOf(calibration);
  for (const [name, run] of Object.entries(rows)) {
    measured[name] = await measure(run, scale, options);
    onRow(name);
  }
  if (sink === undefined) throw new Error("nothing was measured");
  return measured;
}

async function measure(run: () => unknown, scale: Batch, { timeMs, rounds }: MeasureOptions): Promise<Measured> {
  const batch = batchOf(run);
  const ns: number[] = [];
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const bench = new Bench({ time: timeMs / rounds / 2, warmup: false, iterations: 3 });
    bench.add("row", batch.run).add("scale", scale.run);
    await bench.run();
    const row = median(bench, "row") / batch.operations;
    ns.push(row);
    ratios.push(row / (median(bench, "scale") / scale.operations));
  }
  ns.sort((a, b) => a - b);
  return { nsPerOperation: ns[ns.length >> 1]!, ratios, bytesPerOperation: allocated(run) };
}

interface Batch {
  readonly operations: number;
  readonly run: () => void;
}

/** Warms the operation up and makes a batch of it. */
function batchOf(run: () => unknown): Batch {
  const began = performance.now();
  let warm = 0;
  while (warm < WARM_UP_OPERATIONS && performance.now() - began < WARM_UP_MS) {
    sink = run();
    warm++;
  }
  const again = performance.now();
  for (let i = 0; i < Math.min(warm, 100); i++) sink = run();
  const nsEach = ((performance.now() - again) * 1e6) / Math.min(warm, 100);
  const operations = Math.min(MAX_BATCH, Math.max(1, Math.round(BATCH_NS / nsEach)));
  return {
    operations,
    run: () => {
      for (let i = 0; i < operations; i++) sink = run();
    },
  };
}

/** Nanoseconds. */
function median(bench: Bench, name: string): number {
  const { result } = bench.getTask(name)!;
  if (result.state !== "completed") throw new Error(`${name}: ${result.state}`);
  return result.latency.p50 * 1e6;
}

/** Median of bytes allocated per operation, less what looking costs. */
function allocated(run: () => unknown): number {
  const few = sample(run, 10) / 10;
  const operations = Math.max(10, Math.min(MAX_ALLOCATION_OPERATIONS, Math.floor(ALLOCATION_BYTES / Math.max(1, few))));
  const looking = sample(() => undefined, 0);
  return Math.max(0, Math.round((sample(run, operations) - looking) / operations));
}

function sample(run: () => unknown, operations: number): number {
  const samples: number[] = [];
  for (let i = 0; i < ALLOCATION_SAMPLES; i++) {
    collect();
    const before = process.memoryUsage();
    for (let k = 0; k < operations; k++) sink = run();
    const after = process.memoryUsage();
    samples.push(after.heapUsed - before.heapUsed + after.arrayBuffers - before.arrayBuffers);
  }
  return samples.sort((a, b) => a - b)[samples.length >> 1]!;
}
