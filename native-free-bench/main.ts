/**
 * Benchmark of the parts that need no native addon: every codec of DoIP, UDS and MDD, in nanoseconds and allocated bytes per
 * operation. Exits with 1 when a native addon got into the process, or, with `--compare`, when a row costs more than its baseline.
 *
 * npm run bench -- [--compare | --update-baseline] [--time=<ms per row>] [--only=<part of a row's name>]
 */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type Baseline, baselineOf, better, type Change, changes } from "./baseline.ts";
import { type Measured, measureAll } from "./measure.ts";
import { nativeAddons } from "./native-check.ts";
import { DOIP_ROWS } from "./rows/doip.ts";
import { MDD_ROWS } from "./rows/mdd.ts";
import type { Rows } from "./rows/row.ts";
import { UDS_ROWS } from "./rows/uds.ts";

const BASELINE_FILE = new URL("baseline.json", import.meta.url);
const DEFAULT_TIME_MS = 100;
const ROUNDS = 7;
/** What looks slower is measured again so often before it is said. */
const REPEATS = 3;

const { values: flags } = parseArgs({
  options: {
    time: { type: "string", default: String(DEFAULT_TIME_MS) },
    only: { type: "string", default: "" },
    compare: { type: "boolean", default: false },
    "update-baseline": { type: "boolean", default: false },
  },
});
const options = { timeMs: Number(flags.time), rounds: ROUNDS };
if (!(options.timeMs > 0)) throw new Error("--time takes milliseconds");

const all: Rows = { ...DOIP_ROWS, ...UDS_ROWS, ...MDD_ROWS };
const rows = select((name) => name.includes(flags.only));

function select(wanted: (name: string) => boolean): Rows {
  return Object.fromEntries(Object.entries(all).filter(([name]) => wanted(name)));
}

let measured = await measureAll(rows, options, progress);
console.log(`Node ${process.version}, ${process.arch}; ratio: to a calibration loop, median of ${ROUNDS} rounds`);
console.table(table(measured));
if (flags["update-baseline"]) await updateBaseline();
else if (flags.compare) await compare();
requireNoAddon();

/** Two runs, the better of each row: a moment's noise must not become the measure. */
async function updateBaseline(): Promise<void> {
  measured = better(measured, await measureAll(rows, options, progress));
  writeFileSync(BASELINE_FILE, `${JSON.stringify(baselineOf(measured), undefined, 2)}\n`);
  console.log(`baseline of ${Object.keys(measured).length} rows written`);
}

async function compare(): Promise<void> {
  const stored = JSON.parse(readFileSync(BASELINE_FILE, "utf8")) as Baseline;
  const known = Object.entries(stored.rows).filter(([name]) => name.includes(flags.only));
  const baseline = { ...stored, rows: Object.fromEntries(known) };
  if (major(baseline.node) !== major(process.version) || baseline.arch !== process.arch)
    console.log(`the baseline is of Node ${baseline.node}, ${baseline.arch}: ratios may differ for that reason alone`);
  let found = changes(baseline, measured);
  for (let i = 0; i < REPEATS && found.length > 0; i++) {
    const names = new Set(found.map(({ name }) => name));
    measured = better(
      measured,
      await measureAll(
        select((name) => names.has(name)),
        options,
        progress,
      ),
    );
    found = changes(baseline, measured);
  }
  for (const change of found) console.error(describe(change));
  if (found.length > 0) process.exitCode = 1;
  else console.log(`no row costs more than its baseline (${known.length} rows)`);
}

function describe({ name, what, before, now, limit }: Change): string {
  if (what === "missing") return `${name}: in the baseline, but no longer measured`;
  return `${name}: ${what}: ${now}, was ${before}, counts from ${limit}`;
}

function table(figures: Readonly<Record<string, Measured>>) {
  return Object.entries(figures).map(([operation, { nsPerOperation, ratios, bytesPerOperation }]) => ({
    operation,
    "ns/op": Math.round(nsPerOperation),
    ratio: Number([...ratios].sort((a, b) => a - b)[ratios.length >> 1]!.toPrecision(3)),
    "bytes/op": bytesPerOperation,
  }));
}

function requireNoAddon(): void {
  const addons = nativeAddons();
  if (addons.length > 0) {
    console.error(`native addons loaded: ${addons.join(", ")}`);
    process.exitCode = 1;
  } else console.log("no native addon loaded");
}

function progress(name: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${name}`);
}

function major(version: string): string {
  return version.split(".", 1)[0]!;
}
