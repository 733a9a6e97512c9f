/**
 * `node --import tsx scripts/measure-start.ts [--rounds N] [--settle-ms N] [--databases FOLDER] [--secondary]`: from exec to an answer, and the
 * memory after it, beside bare Node: a node that is only a secondary (exec → ready, at rest), and one with databases (exec → `/health`,
 * exec → first ECU online). `--secondary`: only the first. Needs `npm run build`; without a folder, real files beside the project.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
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
const US_PER_MS = 1_000;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    databases: { type: "string", default: join(ROOT, "../shared/mdd") },
    "node-args": { type: "string", default: "" },
    workers: { type: "string", default: "1" },
    "settle-ms": { type: "string", default: "1000" },
    secondary: { type: "boolean", default: false },
  },
});
if (!existsSync(CLI)) {
  console.log(`${CLI} is missing: nothing measured`);
  process.exit(0);
}
// a CA file that this machine gives all of Node's programs is read at each start: a device has none
const { NODE_EXTRA_CA_CERTS: _, ...environment } = process.env;
const nodeArgs = values["node-args"].split(" ").filter((part) => part !== "");
const rounds = Number(values.rounds);
const folder = mkdtempSync(join(tmpdir(), "sovd-edge-start-"));

/** One start's figures: milliseconds and MiB by name. */
type Figures = Readonly<Record<string, number>>;

/** Milliseconds from `startMs` until `done` says so. */
async function until(startMs: number, done: () => Promise<boolean>): Promise<number> {
  while (performance.now() - startMs < GIVE_UP_MS) {
    if (await done()) return performance.now() - startMs;
    await pause(POLL_MS);
  }
  throw new Error("not there in time");
}

const ok = (path: string) =>
  fetch(`http://${HOST}:${PORTS.http}${path}`).then(
    (response) => response.ok,
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

function memoryOf({ pid }: ChildProcess): Figures {
  const { rssBytes = 0, rssAnonBytes = 0 } = usageOf(pid!) ?? {};
  return { "RSS, MB": rssBytes / 1e6, "RSS, MiB": rssBytes / MIB, "RssAnon, MiB": rssAnonBytes / MIB };
}

const mainMs = ({ pid }: ChildProcess) => (usageOf(pid!)?.mainCpuUs ?? 0) / US_PER_MS;

/** Starts Node, lets `look` measure, ends it. */
async function started(args: readonly string[], look: (child: ChildProcess, startMs: number) => Promise<Figures>) {
  const startMs = performance.now();
  const child = spawn(process.execPath, [...nodeArgs, ...args], {
    stdio: ["ignore", "pipe", "ignore"],
    env: { ...environment, CDA_SHARDS__WORKERS: values.workers },
  });
  child.stdout?.resume();
  const ended = once(child, "exit");
  try {
    return await look(child, startMs);
  } finally {
    child.kill("SIGTERM");
    await ended;
  }
}

const BARE = "console.log(1); setInterval(() => {}, 1e9)";

async function bare(): Promise<Figures> {
  const fromMs = performance.now();
  spawnSync(process.execPath, [...nodeArgs, "-e", "0"], { env: environment });
  const wallMs = performance.now() - fromMs;
  const figures = await started(["-e", BARE], async (child) => {
    await once(child.stdout!, "data");
    const main = mainMs(child);
    await pause(Number(values["settle-ms"]));
    return { "main thread, ms": main, ...memoryOf(child) };
  });
  return { "exec → exit, ms": wallMs, ...figures };
}

const listen = ["--listen-address", HOST, "--listen-port", `${PORTS.http}`];

function secondary(): Promise<Figures> {
  const config = join(folder, "secondary.toml");
  const target = `[update.targets.app]\nprovider = "slot"\nfolder = ${JSON.stringify(join(folder, "slots"))}\n`;
  writeFileSync(config, `[doip]\nenabled = false\n[update]\nrole = "secondary"\n${target}`);
  const args = [CLI, "serve", "--config", config, ...listen, "--store", join(folder, "secondary")];
  return started(args, async (child, startMs) => {
    const readyMs = await until(startMs, () => ok("/health/ready"));
    const main = mainMs(child);
    await pause(Number(values["settle-ms"]));
    return { "exec → ready, ms": readyMs, "main thread, ms": main, ...memoryOf(child) };
  });
}

function full(): Promise<Figures> {
  const config = join(values.databases, "opensovd-cda.toml");
  const args = ["serve", ...(existsSync(config) ? ["--config", config] : []), "--databases-path", values.databases];
  const addresses = [...listen, "--tester-address", "127.0.0.2", "--discovery-target", HOST];
  return started([CLI, ...args, ...addresses, "--store", join(folder, "full")], async (child, startMs) => {
    const healthMs = await until(startMs, () => ok("/health"));
    const main = mainMs(child);
    const onlineMs = await until(startMs, anyOnline);
    await pause(Number(values["settle-ms"]));
    const times = { "exec → /health, ms": healthMs, "main thread, ms": main, "exec → first ECU online, ms": onlineMs };
    return { ...times, ...memoryOf(child) };
  });
}

function print(title: string, runs: readonly Figures[]): void {
  console.log(title);
  for (const name of Object.keys(runs[0] ?? {})) {
    const { min, median, max } = spreadOf(runs.map((run) => run[name]!));
    console.log(`  ${name.padEnd(28)} best ${min.toFixed(1)}, median ${median.toFixed(1)}, most ${max.toFixed(1)}`);
  }
}

/** Rounds of both interleaved, after one start that makes the store. */
async function compare(title: string, start: () => Promise<Figures>): Promise<void> {
  await start();
  const runs: { readonly bare: Figures; readonly ours: Figures }[] = [];
  for (let round = 0; round < rounds; round++) runs.push({ bare: await bare(), ours: await start() });
  print(
    "bare Node",
    runs.map((run) => run.bare),
  );
  print(
    title,
    runs.map((run) => run.ours),
  );
}

try {
  await compare("a node that is only a secondary", secondary);
  if (!values.secondary && existsSync(values.databases)) {
    const simulator = spawn(process.execPath, [CLI, "simulate", "--control-port", `${PORTS.control}`], {
      stdio: "ignore",
    });
    await pause(1_000);
    try {
      await compare(`databases of ${values.databases}`, full);
    } finally {
      simulator.kill("SIGTERM");
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
