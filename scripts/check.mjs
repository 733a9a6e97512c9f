// `npm run check`: everything that can be said without running the program. All steps run, so that one call names all there is.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const CRUISED = ["src", "workers", "native-free-bench"].filter((folder) => existsSync(`${ROOT}/${folder}`));
const bin = (name) => `${ROOT}/node_modules/.bin/${name}`;

/** Runs a command; its output is shown only when it fails. */
function run(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: ROOT,
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
  return { ok: status === 0, text: `${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}` };
}

/** A cruise that saw no module says nothing about imports, however it ended. */
function cruise() {
  const { ok, text } = run(bin("depcruise"), [
    "--config",
    ".dependency-cruiser.cjs",
    "--output-type",
    "err",
    ...CRUISED,
  ]);
  const count = Number(/(\d+) modules/.exec(text)?.[1] ?? 0);
  return { ok: ok && count > 0, text, note: `${count} modules cruised` };
}

const STEPS = [
  ["types", () => run(bin("tsc"), ["--noEmit", "-p", "."])],
  ["lint and format", () => run(bin("biome"), ["check", "--error-on-warnings", "."])],
  ["imports", cruise],
  ["lock file", () => run(process.execPath, ["scripts/lock.mjs", "--check"])],
  ["generated files", () => run(process.execPath, ["--import", "tsx", "scripts/generate.ts", "--check"])],
];

const failed = [];
for (const [name, step] of STEPS) {
  const started = performance.now();
  const { ok, text, note } = step();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${ok ? "ok  " : "FAIL"} ${name}${note === undefined ? "" : ` (${note})`} ${seconds} s`);
  if (ok) continue;
  failed.push(name);
  console.log(text.trimEnd());
}
if (failed.length > 0) {
  console.log(`check failed: ${failed.join(", ")}`);
  process.exitCode = 1;
}
