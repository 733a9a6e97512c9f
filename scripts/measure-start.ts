/**
 * `node --import tsx scripts/measure-start.ts [--rounds N] [--databases FOLDER]`: from exec to the first 200 of `/health` and to the first
 * ECU online, beside bare `node -e 0`, and the memory after it. Needs `npm run build`; without a folder, real files beside the project.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { usageOf } from "#bench/process-usage.ts";
import { spreadOf } from "#bench/summary.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const CLI = join(ROOT, "dist/cli.js");
const HOST = "127.0.0.1";
const PORTS = { http: 20_392, control: 20_393 } as const;
const POLL_MS = 2;
const GIVE_UP_MS = 30_000;
const MIB = 1_048_576;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    databases: { type: "string", default: join(ROOT, "../shared/mdd") },
    "node-args": { type: "string", default: "" },
    workers: { type: "string", default: "1" },
  },
});
for (const needed of [CLI, values.databases]) {
  if (existsSync(needed)) continue;
  console.log(`${needed} is missing: nothing measured`);
  process.exit(0);
}
const nodeArgs = values["node-args"].split(" ").filter((part) => part !== "");

/** Milliseconds from `startMs` until `done` says so. */
async function until(startMs: number, done: () => Promise<boolean>): Promise<number> {
  while (performance.now() - startMs < GIVE_UP_MS) {
    if (await done()) return performance.now() - startMs;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error("not there in time");
}

const ok = (path: string) =>
  fetch(`http://${HOST}:${PORTS.http}${path}`).then(
    (response) => response.status === 200,
    () => false,
  );

async function anyOnline(): Promise<boolean> {
  const get = (path: string) =>
    fetch(`http://${HOST}:${PORTS.http}/vehicle/v15${path}`).then((response) => response.json());
  try {
    const { items } = (await get("/components")) as { items: { id: string }[] };
    const all = (await Promise.all(items.map(({ id }) => get(`/components/${id}`)))) as {
      variant: { state: string };
    }[];
    return all.some(({ variant }) => variant.state === "Online");
  } catch {
    return false;
  }
}

interface Start {
  readonly healthMs: number;
  readonly onlineMs: number;
  readonly rssMib: number;
  readonly anonMib: number;
}

async function start(store: string): Promise<Start> {
  const config = join(values.databases, "opensovd-cda.toml");
  const args = ["serve", ...(existsSync(config) ? ["--config", config] : []), "--databases-path", values.databases];
  const addresses = ["--listen-address", HOST, "--listen-port", `${PORTS.http}`, "--tester-address", "127.0.0.2"];
  const startMs = performance.now();
  const server = spawn(
    process.execPath,
    [...nodeArgs, CLI, ...args, ...addresses, "--discovery-target", HOST, "--store", store],
    { stdio: "ignore", env: { ...process.env, CDA_SHARDS__WORKERS: values.workers } },
  );
  const ended = new Promise((resolve) => server.once("exit", resolve));
  try {
    const healthMs = await until(startMs, () => ok("/health"));
    const onlineMs = await until(startMs, anyOnline);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const usage = usageOf(server.pid!);
    return {
      healthMs,
      onlineMs,
      rssMib: (usage?.rssBytes ?? 0) / MIB,
      anonMib: (usage?.rssAnonBytes ?? 0) / MIB,
    };
  } finally {
    server.kill("SIGTERM");
    await ended;
  }
}

const simulator = spawn(process.execPath, [CLI, "simulate", "--control-port", `${PORTS.control}`], { stdio: "ignore" });
const store = mkdtempSync(join(tmpdir(), "sovd-edge-start-"));
try {
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  await start(store);
  const starts: Start[] = [];
  const bare: number[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const from = performance.now();
    spawnSync(process.execPath, ["-e", "0"]);
    bare.push(performance.now() - from);
    starts.push(await start(store));
  }
  const line = (name: string, of: (start: Start) => number, unit: string) => {
    const { min, median, max } = spreadOf(starts.map(of));
    console.log(`${name.padEnd(26)} ${median.toFixed(0)} ${unit} [${min.toFixed(0)}…${max.toFixed(0)}]`);
  };
  console.log(`node -e 0                  ${spreadOf(bare).median.toFixed(0)} ms [${spreadOf(bare).min.toFixed(0)}…]`);
  line("exec → /health", ({ healthMs }) => healthMs, "ms");
  line("exec → first ECU online", ({ onlineMs }) => onlineMs, "ms");
  line("RssAnon", ({ anonMib }) => anonMib, "MiB");
  line("RSS", ({ rssMib }) => rssMib, "MiB");
} finally {
  simulator.kill("SIGTERM");
  rmSync(store, { recursive: true, force: true });
}
