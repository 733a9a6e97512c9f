// `npm test [PATH …]`: node's own test runner over all tests, or over those whose path holds one of the given texts. With
// `SOVD_TEST_PROGRAM` over those of the packed program.
import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { pipeline } from "node:stream/promises";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";

/** Many times what the longest file takes: one that never ends is named and fails, and the others still run. */
const FILE_TIMEOUT_MS = process.env.SOVD_TEST_FULL === "1" ? 3_600_000 : 600_000;
/** More files at once than cores make tests wait for each other. */
const MOST_AT_ONCE = 4;
const FOLDERS =
  process.env.SOVD_TEST_PROGRAM === undefined ? ["test/unit", "test/e2e", "test/faults", "test/fuzz"] : ["test/packed"];

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const wanted = process.argv.slice(2);
const files = FOLDERS.filter((folder) => existsSync(folder))
  .flatMap((folder) => readdirSync(folder, { recursive: true }).map((file) => `${folder}/${file}`))
  .filter((file) => file.endsWith(".test.ts"))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort();

if (files.length === 0) {
  console.error(`no test file${wanted.length === 0 ? "" : ` matches ${wanted.join(", ")}`}`);
  process.exit(1);
}

const concurrency = Math.min(MOST_AT_ONCE, availableParallelism());
// each file is a process that gets our own flags, `--import tsx` among them
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stop.abort());
const events = run({ files, concurrency, timeout: FILE_TIMEOUT_MS, signal: stop.signal });
events.on("test:fail", () => {
  process.exitCode = 1;
});
await pipeline(events.compose(new spec()), process.stdout, { end: false });
// what a file that never ended has started may hold a pipe to us for ever
process.exit();
