// `npm test [PATH …]`: node's own test runner over all tests, or over those whose path holds one of the given texts.
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** Many times what the longest file takes: one that never ends is named and fails, and the others still run. */
const FILE_TIMEOUT_MS = process.env.SOVD_TEST_FULL === "1" ? 3_600_000 : 600_000;
const FOLDERS = ["test/unit", "test/e2e", "test/faults", "test/fuzz"];

const wanted = process.argv.slice(2);
const files = FOLDERS.filter((folder) => existsSync(`${ROOT}/${folder}`))
  .flatMap((folder) => readdirSync(`${ROOT}/${folder}`, { recursive: true }).map((file) => `${folder}/${file}`))
  .filter((file) => file.endsWith(".test.ts"))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort();

if (files.length === 0) {
  console.error(`no test file${wanted.length === 0 ? "" : ` matches ${wanted.join(", ")}`}`);
  process.exit(1);
}

// more files at once than cores make tests wait for each other, and what they measure in milliseconds goes wrong
const concurrency = Math.min(4, availableParallelism());
const args = ["--import", "tsx", "--test", "--test-reporter=spec"];
args.push(`--test-concurrency=${concurrency}`, `--test-timeout=${FILE_TIMEOUT_MS}`, ...files);
const runner = spawn(process.execPath, args, { cwd: ROOT, stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => runner.kill(signal));
runner.on("exit", (code, signal) => {
  process.exitCode = signal === null ? (code ?? 1) : 1;
});
