/**
 * `node --import tsx scripts/measure-databases.ts [--databases 1000] [--mib 64] [--seconds 4]`: what many and large databases cost. Needs
 * `npm run build`. Starts the server with 6 databases and with many, all of them already in its store, and measures the start; then
 * reads, beside as many locks as there are databases, and beside one large database. No plan may be compiled again in steady state.
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runLoad } from "#bench/load.ts";
import { usageOf } from "#bench/process-usage.ts";
import { prepare } from "#bench/profiles.ts";
import { ask, discover } from "#bench/target.ts";
import { writeMdd } from "#mdd/writer/mdd.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { benchEntities } from "#sim/vehicle.bench.ts";
import { deflateLzma } from "#store/lzma.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const CLI = join(ROOT, "dist/cli.js");
const [HOST, TESTER] = ["127.0.0.1", "127.0.0.2"];
const PORTS = { http: 20_492, doip: 20_493 } as const;
const ECUS = 6;
const FIRST_STRANGER = 0x8000;
const GIVE_UP_MS = 120_000;
const MIB = 2 ** 20;

const { values } = parseArgs({
  options: {
    databases: { type: "string", default: "1000" },
    mib: { type: "string", default: "64" },
    seconds: { type: "string", default: "4" },
  },
});
const count = Number(values.databases);
const entities = benchEntities({ gateways: ECUS, ecusPerGateway: 1, port: PORTS.doip });
const folder = mkdtempSync(join(tmpdir(), "sovd-edge-databases-"));

/** `padBytes`: text that nobody reads, in the database of the first ECU. */
async function databases(name: string, total: number, padBytes = 0): Promise<string> {
  const path = join(folder, name, "databases");
  mkdirSync(path, { recursive: true });
  for (let i = 0; i < total; i++) {
    const known = entities[i];
    const logicalAddress = known?.logicalAddress ?? FIRST_STRANGER + i;
    const ecu = known?.name ?? `STRANGER${String(i).padStart(4, "0")}`;
    const description = demoDatabase({ name: ecu, title: ecu, logicalAddress, gatewayAddress: logicalAddress });
    const padded =
      padBytes > 0 && i === 0 ? { ...description, dtcs: [...description.dtcs!, ...padding(padBytes)] } : description;
    const metadata = { converter: "sovd-edge 0" };
    writeFileSync(join(path, `${ecu}.mdd`), await writeMdd({ description: padded, deflate: deflateLzma, metadata }));
  }
  return path;
}

function padding(bytes: number) {
  const text = "x".repeat(MIB - 64);
  return Array.from({ length: Math.floor(bytes / MIB) }, (_, i) => ({
    short_name: `Pad${i}`,
    trouble_code: 0x50_0000 + i,
    text: { value: `${i} ${text}` },
  }));
}

function configure(name: string, path: string): string {
  const file = join(folder, name, "sovd-edge.toml");
  writeFileSync(
    file,
    `flash_files_path = ${JSON.stringify(join(folder, name))}
[server]
address = "${HOST}"
port = ${PORTS.http}
[doip]
tester_address = "${TESTER}"
tester_subnet = "255.0.0.0"
gateway_port = ${PORTS.doip}
[discovery]
targets = [${entities.map(({ address }) => `"${address}"`).join(", ")}]
[database]
path = ${JSON.stringify(path)}
[store]
path = ${JSON.stringify(join(folder, name, "store"))}
[shards]
workers = 1
`,
  );
  return file;
}

async function until(startMs: number, done: () => Promise<boolean>): Promise<number> {
  while (performance.now() - startMs < GIVE_UP_MS) {
    if (await done()) return performance.now() - startMs;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("not there in time");
}

const ok = (path: string) =>
  fetch(`http://${HOST}:${PORTS.http}${path}`).then(
    ({ status }) => status === 200 || status === 204,
    () => false,
  );
const online = async () => {
  const states = await Promise.all(
    entities.map(({ name }) =>
      fetch(`http://${HOST}:${PORTS.http}/vehicle/v15/components/${name}`)
        .then((response) => response.json())
        .then((json) => (json as { variant?: { state?: string } }).variant?.state)
        .catch(() => undefined),
    ),
  );
  return states.every((state) => state === "Online");
};

interface Started {
  readonly pid: number;
  readonly readyMs: number;
  readonly onlineMs: number;
  stop(): Promise<void>;
}

async function start(config: string): Promise<Started> {
  const startMs = performance.now();
  const server = spawn(process.execPath, [CLI, "serve", "--config", config], { stdio: "ignore" });
  const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()));
  const readyMs = await until(startMs, () => ok("/health/ready"));
  const onlineMs = await until(startMs, online);
  const stop = () => {
    server.kill("SIGTERM");
    return ended;
  };
  return { pid: server.pid!, readyMs, onlineMs, stop };
}

async function compiled(): Promise<number> {
  const text = await fetch(`http://${HOST}:${PORTS.http}/metrics`).then((response) => response.text());
  return Number(/^sovd_plans_compiled_total\{shard="0"\} (\d+)$/m.exec(text)?.[1]);
}

/** Reads of the ECUs that are there, from eight connections. */
async function reads(name: string, pid: number, locks: number): Promise<void> {
  const ecus = entities.map((entity) => entity.name);
  const target = await discover(`http://${HOST}:${PORTS.http}/vehicle/v15`, { ecus });
  const all = await discover(`http://${HOST}:${PORTS.http}/vehicle/v15`);
  for (const id of all.components.slice(0, locks)) {
    await ask(all, "POST", `/components/${id}/locks`, { lock_expiration: 3_600 });
  }
  const { requests } = await prepare("read", target);
  const load = { address: target.address, requests, connections: 8, durationMs: Number(values.seconds) * 1_000 };
  await runLoad(load);
  const plansBefore = await compiled();
  const before = usageOf(pid)!;
  const { latencies, errors, durationMs } = await runLoad(load);
  const after = usageOf(pid)!;
  const cpuUs = (after.cpuUs - before.cpuUs) / latencies.count;
  const compiledNow = (await compiled()) - plansBefore;
  console.log(
    `${name.padEnd(34)} ${((latencies.count * 1_000) / durationMs).toFixed(0)} reads/s, p50 ${latencies.at(50).toFixed(2)} ms, ` +
      `server CPU ${cpuUs.toFixed(1)} µs per read, RssAnon ${(after.rssAnonBytes / MIB).toFixed(0)} MiB, ` +
      `plans compiled meanwhile ${compiledNow}, errors ${JSON.stringify(errors)}`,
  );
  if (compiledNow !== 0) process.exitCode = 1;
}

async function measure(name: string, total: number, locks: readonly number[], padBytes = 0): Promise<number> {
  const config = configure(name, await databases(name, total, padBytes));
  const first = await start(config);
  await first.stop();
  const starts: Started[] = [];
  for (let i = 0; i < 3; i++) {
    const started = await start(config);
    starts.push(started);
    if (i < 2) await started.stop();
  }
  const readyMs = Math.min(...starts.map((one) => one.readyMs));
  const onlineMs = Math.min(...starts.map((one) => one.onlineMs));
  console.log(
    `${name.padEnd(34)} import and first start ${first.readyMs.toFixed(0)} ms, later starts: ready ${readyMs.toFixed(0)} ms, all online ${onlineMs.toFixed(0)} ms`,
  );
  const last = starts.at(-1)!;
  for (const number of locks) await reads(`${name}, ${number} locks`, last.pid, number);
  await last.stop();
  return readyMs;
}

const shape = ["--profile", "bench", "--gateways", `${ECUS}`, "--ecus-per-gateway", "1", "--no-announce"];
const simulator = spawn(
  process.execPath,
  [CLI, "simulate", ...shape, "--port", `${PORTS.doip}`, "--control-port", "0"],
  { stdio: "ignore" },
);
try {
  const few = await measure(`${ECUS} databases`, ECUS, [0]);
  const many = await measure(`${count} databases`, count, [0, count]);
  await measure(`${ECUS} databases, one of ${values.mib} MiB`, ECUS, [0], Number(values.mib) * MIB);
  console.log(`${count} databases in the store add ${(many - few).toFixed(0)} ms to the start (less than 1000 wanted)`);
  if (many - few >= 1_000) process.exitCode = 1;
} finally {
  simulator.kill("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
}
