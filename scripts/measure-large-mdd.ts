// Memory and time of a large database: `node --import tsx scripts/measure-large-mdd.ts [--mib 200] [--compression none|lzma]`.
// Makes an MDD with the writer, imports it as the jobs thread does, opens it as a shard does; each in a process of its own, so that
// one step's memory is not another's. Limits: design.md (import), issue of the codec (open). Exit code 1 when one is missed.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";

const MIB = 2 ** 20;
const LIMITS = { importFactor: 2, importExtraMib: 64, openMs: 50, residentMib: 20 };

/** Bytes of resident memory of this process: its own (heap, buffers), and pages of mapped files. */
function resident(): { own: number; files: number } {
  const status = readFileSync("/proc/self/status", "utf8");
  const kib = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) * 1024;
  return { own: kib("RssAnon"), files: kib("RssFile") + kib("RssShmem") };
}

const SAMPLER = `
const { workerData: { peak } } = require("node:worker_threads");
const { readFileSync } = require("node:fs");
setInterval(() => {
  const own = Number(/RssAnon:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
  if (own > Atomics.load(peak, 0)) Atomics.store(peak, 0, own);
}, 5);`;

/** Peak of the process's own memory during `work`, above what it was before; sampled on a thread of its own. */
async function peakOf(work: () => Promise<unknown>): Promise<number> {
  const peak = new Int32Array(new SharedArrayBuffer(4));
  const sampler = new Worker(SAMPLER, { eval: true, workerData: { peak } });
  await new Promise((resolve) => sampler.once("online", resolve));
  globalThis.gc?.();
  const before = resident().own;
  Atomics.store(peak, 0, 0);
  await work();
  await sampler.terminate();
  return Atomics.load(peak, 0) * 1024 - before;
}

/** Variants with services of their own, every name and text different, so that nothing is shared but types. */
async function make(file: string, mib: number, compression: string): Promise<object> {
  const d = await import("#mdd/writer/dsl.ts");
  const { writeMdd } = await import("#mdd/writer/mdd.ts");
  const { deflateLzma } = await import("#store/lzma.ts");
  const SERVICE_BYTES = 4230;
  const SERVICES = 800;
  const texts = (of: string) =>
    Object.fromEntries(Array.from({ length: 24 }, (_, i) => [i, `${of} state ${i} of the component`]));
  const serviceOf = (variant: number, i: number) => {
    const name = `Measurement_${variant}_${i}`;
    const values = Array.from({ length: 2 }, (_, n) =>
      d.value(`${name}_${n}`, d.textDop(`${name}_${n}_DOP`, 8, d.textTable(texts(`${name}_${n}`))), { byte: 3 + n }),
    );
    return d.readService(`${name}_Read`, i, values);
  };
  const variants = Math.ceil((mib * MIB) / (SERVICES * SERVICE_BYTES));
  const base = d.baseVariant(d.diagLayer("LARGE", { services: [serviceOf(0, 0)] }));
  const identification = serviceOf(0, 1);
  const layers = Array.from({ length: variants }, (_, v) =>
    d.ecuVariant(
      d.diagLayer(`LARGE_${v}`, { services: Array.from({ length: SERVICES }, (_, i) => serviceOf(v + 1, i)) }),
      [d.parentRef("Variant", base)],
      [
        d.variantPattern({
          service: identification,
          param: "Measurement_0_1_0",
          expected: `Measurement_0_1_0 state ${v}`,
        }),
      ],
    ),
  );
  const bytes = await writeMdd({
    description: { version: "2025-05-10", ecu_name: "LARGE", revision: "1", variants: [base, ...layers] },
    metadata: { converter: "sovd-edge" },
    ...(compression === "lzma" && { deflate: deflateLzma }),
  });
  writeFileSync(file, bytes);
  return { variants, services: variants * SERVICES, fileBytes: bytes.length };
}

const MAX_BYTES = 2048 * MIB;

/** Imports as the jobs thread does. */
async function importFolder(folder: string, store: string): Promise<object> {
  const { openStore, openStoreEnvironment } = await import("#store/environments.ts");
  const { createLmdbStorage } = await import("#store/lmdb-storage.ts");
  const { importDatabases } = await import("#store/import-databases.ts");
  const { createMddParser } = await import("#update/mdd-parser.ts");
  const opened = await openStore({
    folder: store,
    maxBytes: { databases: MAX_BYTES, state: MAX_BYTES, bulk: MAX_BYTES },
  });
  const env = await openStoreEnvironment(store, "databases", { maxBytes: MAX_BYTES });
  const storage = createLmdbStorage(env, { maxMappedBytes: 512 * MIB });
  const started = performance.now();
  let result: unknown;
  const peakBytes = await peakOf(async () => {
    result = await importDatabases(storage, folder, { parse: createMddParser() });
  });
  const ms = Math.round(performance.now() - started);
  await env.close();
  await opened.close();
  return { peakMib: Math.round(peakBytes / MIB), ms, result };
}

/** Opens as a shard does: maps the stored description and reads nothing but its head. */
async function open(store: string): Promise<object> {
  const { openStore } = await import("#store/environments.ts");
  const { openDatabasesReader } = await import("#store/databases-reader.ts");
  const { loadDatabase } = await import("#ecu/loaded-database.ts");
  const { DEFAULT_NAMING } = await import("#mdd/query/naming-convention.ts");
  const { DEFAULT_CODEC_OPTIONS } = await import("#mdd/codec/options.ts");
  const opened = await openStore({
    folder: store,
    maxBytes: { databases: MAX_BYTES, state: MAX_BYTES, bulk: MAX_BYTES },
  });
  const reader = await openDatabasesReader(store);
  globalThis.gc?.();
  const before = resident();
  const started = performance.now();
  const mapped = reader.map("LARGE");
  const options = { naming: DEFAULT_NAMING, codec: DEFAULT_CODEC_OPTIONS, maxPlans: 64, maxPlanBytes: MIB };
  const loaded = loadDatabase(mapped, mapped.version, options);
  const openMs = performance.now() - started;
  const after = resident();
  const { databaseFacts } = await import("#mdd/query/topology.ts");
  const askedAt = performance.now();
  const { variants } = databaseFacts(loaded.database);
  const factsMs = performance.now() - askedAt;
  const asked = resident();
  loaded.release();
  await reader.close();
  await opened.close();
  const mib = (from: typeof before, to: typeof before) =>
    Number(((to.own + to.files - from.own - from.files) / MIB).toFixed(1));
  return {
    bytes: mapped.size,
    openMs: Number(openMs.toFixed(2)),
    residentMib: mib(before, after),
    factsMs: Number(factsMs.toFixed(2)),
    residentWithFactsMib: mib(before, asked),
    variants: variants.length,
  };
}

const { values, positionals } = parseArgs({
  options: { mib: { type: "string", default: "200" }, compression: { type: "string", default: "none" } },
  allowPositionals: true,
});

/** Runs a step in a process of its own and gives what it printed. */
function step(name: string, ...args: readonly string[]): Record<string, number> {
  const node = ["--expose-gc", "--max-old-space-size=6000", "--import", "tsx", fileURLToPath(import.meta.url)];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...node, name, ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 24,
  });
  if (status !== 0) throw new Error(`${name} failed: ${stderr}`);
  console.log(`${name}: ${stdout.trim()}`);
  return JSON.parse(stdout);
}

function measure(mib: number, compression: string): boolean {
  const folder = mkdtempSync(join(tmpdir(), "sovd-edge-large-"));
  try {
    const databases = join(folder, "databases");
    mkdirSync(databases);
    const file = join(databases, "large.mdd");
    step("make", file, String(mib), compression);
    const imported = step("import", databases, join(folder, "store"));
    const opened = step("open", join(folder, "store"));
    const sizeMib = Math.max(opened.bytes!, statSync(file).size) / MIB;
    const allowed = LIMITS.importFactor * sizeMib + LIMITS.importExtraMib;
    const rows: [string, number, number, string][] = [
      ["import, peak", imported.peakMib!, Math.round(allowed), "MiB"],
      ["open", opened.openMs!, LIMITS.openMs, "ms"],
      ["open, resident", opened.residentMib!, LIMITS.residentMib, "MiB"],
    ];
    for (const [what, value, limit, unit] of rows)
      console.log(`${value <= limit ? "ok  " : "MISS"} ${what}: ${value} ${unit}, limit ${limit} ${unit}`);
    return rows.every(([, value, limit]) => value <= limit);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const [role, ...args] = positionals;
if (role === "make") console.log(JSON.stringify(await make(args[0]!, Number(args[1]), args[2]!)));
else if (role === "import") console.log(JSON.stringify(await importFolder(args[0]!, args[1]!)));
else if (role === "open") console.log(JSON.stringify(await open(args[0]!)));
else process.exitCode = measure(Number(values.mib), values.compression) ? 0 : 1;
