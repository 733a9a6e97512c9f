/**
 * Endurance: clients with random calls on six ECUs while gateways leave and workers die. Every value is held against the simulator's
 * state; at the end nothing may be left over. `--minutes 30 --clients 16 --seed n`. Exit code 1 for a wrong answer or a leak.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { DEMO_DATA, DEMO_ECUS } from "#sim/demo/vehicle.ts";
import { functionalDescription, richDatabase } from "../e2e/appendix-a-databases.ts";
import { type Answer, type Harness, startHarness, writeDatabase } from "../e2e/harness.ts";
import { newSeed, type Random, seeded } from "../fuzz/random.ts";
import { CALLS, type Client, FLASH_FILE } from "./calls.ts";
import { Disturber } from "./disturbance.ts";
import { History } from "./history.ts";
import { growth, type Sample, sample } from "./resources.ts";

const { values: options } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    clients: { type: "string", default: "16" },
    seed: { type: "string" },
    "pause-ms": { type: "string", default: "30" },
  },
});
const durationMs = Number(options.minutes) * 60_000;
const seed = options.seed === undefined ? newSeed() : Number(options.seed);
const pauseMs = Number(options["pause-ms"]);
const random = seeded(seed);
const ECUS = DEMO_ECUS.map(({ name }) => name);
const EXCUSED = new Set([503, 504]);
/** What the reference answers when a connection ends under a request. */
const EXCUSED_500 = /connection|sending/i;
const SAMPLE_MS = 5_000;
const CALM_MS = 8_000;
const DAWDLE_MS = 300;
const MAX_GROWTH = 0.1;
/** Until caches are full and heaps have found their size. */
const WARM_UP = 0.3;
const MAX_SHOWN = 20;
/** Twice the server's own limit: an answer that comes later never comes. */
const HANG_MS = 60_000;
const startedMs = performance.now();

const counts: Record<string, number> = {};
const excused: Record<string, number> = {};
const wrong: string[] = [];
const samples: Sample[] = [];

class Excused extends Error {}

function clientOf(harness: Harness, history: History, disturber: Disturber, index: number): Client {
  const name = `client-${index}`;
  return {
    name,
    harness,
    history,
    ecus: ECUS,
    random: seeded(random.below(0xffffffff)),
    async call(method, path, statuses, body, more) {
      const sinceMs = performance.now();
      const sending = { as: name, signal: AbortSignal.timeout(HANG_MS), ...more };
      const { http } = harness;
      const answer =
        method === "get" || method === "delete"
          ? await http[method](path, sending)
          : await http[method](path, body, sending);
      if (statuses.includes(answer.status)) return answer;
      const what = `${method.toUpperCase()} ${path}: ${answer.status} ${answer.text.slice(0, 300)}`;
      if (isExcused(answer) && disturber.excuses(sinceMs)) {
        excused[answer.status] = (excused[answer.status] ?? 0) + 1;
        throw new Excused(what);
      }
      throw new Error(what);
    },
  };
}

function isExcused({ status, json }: Answer): boolean {
  // 502: the ECU forgot its session when its gateway left, or took a request twice.
  return EXCUSED.has(status) || status === 502 || (status === 500 && EXCUSED_500.test(json?.message ?? ""));
}

function draw(random: Random) {
  let rest = random.below(CALLS.reduce((sum, [, weight]) => sum + weight, 0));
  for (const entry of CALLS) {
    rest -= entry[1];
    if (rest < 0) return entry;
  }
  return CALLS[0]!;
}

async function work(client: Client, disturber: Disturber, endMs: number): Promise<void> {
  while (performance.now() < endMs) {
    const [name, , call] = draw(client.random);
    const sinceMs = performance.now();
    try {
      await call(client, client.random.pick(ECUS));
      counts[name] = (counts[name] ?? 0) + 1;
    } catch (error) {
      if (!(error instanceof Excused) && !disturber.excuses(sinceMs)) report(`${name}: ${(error as Error).message}`);
      else if (!(error instanceof Excused)) excused[name] = (excused[name] ?? 0) + 1;
    }
    await sleep(client.random.below(pauseMs));
  }
}

function report(problem: string): void {
  wrong.push(problem);
  if (wrong.length <= MAX_SHOWN) print(`WRONG at ${minutes(performance.now())} min: ${problem}`);
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const print = (line: string) => process.stdout.write(`${line}\n`);
const minutes = (atMs: number) => ((atMs - startedMs) / 60_000).toFixed(2);
const mib = (bytes: number) => (bytes / 0x100000).toFixed(1);

async function disturbUntil(disturber: Disturber, endMs: number): Promise<void> {
  while (performance.now() < endMs) {
    const calmUntilMs = Math.min(performance.now() + CALM_MS + random.below(CALM_MS), endMs);
    while (performance.now() < calmUntilMs) {
      disturber.dawdle();
      await sleep(DAWDLE_MS + random.below(DAWDLE_MS));
    }
    if (performance.now() < endMs) await disturber.disturb().catch((error: Error) => report(error.message));
  }
}

async function sampleUntil(harness: Harness, endMs: number): Promise<void> {
  while (performance.now() < endMs) {
    await sleep(SAMPLE_MS);
    // What the harness remembers of each request would grow for ever.
    harness.traffic.clear();
    const now = sample();
    samples.push(now);
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    if (samples.length % 6 === 0)
      print(
        `${minutes(now.atMs)} min: ${total} calls, ${wrong.length} wrong, ${mib(now.rssBytes)} MiB (heap ${mib(now.heapBytes)}, outside ${mib(now.externalBytes)}), ${now.descriptors} descriptors`,
      );
  }
}

function changeTemperatures(harness: Harness): NodeJS.Timeout {
  return setInterval(() => {
    const datum = harness.vehicle.ecu(random.pick(ECUS)).state.data.get(DEMO_DATA.ambientTemperature.id)!;
    datum.value = Uint8Array.of(random.below(200));
  }, 50);
}

/** What must be gone when the clients are. */
function leftovers({ server }: Harness, before: Sample, after: Sample): string[] {
  const { locks, executions, comParams, transfers } = server.context;
  const problems: string[] = [];
  const none = (what: string, count: number) => count > 0 && problems.push(`${count} ${what} left`);
  none("locks", locks.size);
  none("executions", executions.running);
  none("com param executions", comParams.size);
  none("running transfers", transfers.running);
  none("calls in flight", server.fleet.inFlight);
  if (after.descriptors > before.descriptors + 4)
    problems.push(`descriptors ${before.descriptors} → ${after.descriptors}`);
  if (after.threads > before.threads + 1) problems.push(`threads ${before.threads} → ${after.threads}`);
  for (const [kind, count] of Object.entries(after.handles)) {
    // Connections of this process's own HTTP client come and go.
    if (kind !== "TCPSocketWrap" && count > (before.handles[kind] ?? 0) + 4)
      problems.push(`${kind} ${before.handles[kind] ?? 0} → ${count}`);
  }
  const rss = growth(samples.slice(Math.floor(samples.length * WARM_UP)).map(({ rssBytes }) => rssBytes));
  if (rss > MAX_GROWTH) problems.push(`memory grew by ${(rss * 100).toFixed(1)} %`);
  print(`memory grew by ${(rss * 100).toFixed(1)} % after warm-up, ${mib(after.rssBytes)} MiB at the end`);
  print(`descriptors ${before.descriptors} → ${after.descriptors}, threads ${before.threads} → ${after.threads}`);
  print(`handles ${JSON.stringify(before.handles)} → ${JSON.stringify(after.handles)}`);
  return problems;
}

/** Ends what calls that failed in a disturbance have left, as their clients would. */
async function tidy(harness: Harness, clients: readonly Client[]): Promise<void> {
  for (const ecu of ECUS) {
    const base = `/components/${ecu}`;
    for (const { name } of clients) {
      const { json } = await harness.http.get(`${base}/locks`, { as: name });
      for (const { id, owned } of json.items) if (owned) await harness.http.delete(`${base}/locks/${id}`, { as: name });
    }
    await harness.locked(ecu, async () => {
      for (const operation of ["calibrate", "comparam"]) {
        const path = `${base}/operations/${operation}/executions`;
        for (const { id } of (await harness.http.get(path)).json.items)
          await harness.http.delete(`${path}/${id}?x-sovd2uds-force=true`);
      }
    });
  }
}

async function main(): Promise<void> {
  print(`soak: ${options.minutes} min, ${options.clients} clients, seed ${seed}`);
  const harness = await startHarness({
    prepare: async (folder) => {
      for (const ecu of ECUS) await writeDatabase(folder, richDatabase(ecu));
      await writeDatabase(folder, functionalDescription());
    },
    config: {
      shards: { workers: 2 },
      com_params: {
        doip: { connection_retry_delay: { value: { secs: 0, nanos: 300_000_000 }, precedence: "Config" } },
      },
    },
  });
  await writeFile(join(harness.folder, "flash", "image.bin"), FLASH_FILE);
  await harness.online(...ECUS);
  const history = new History();
  for (const { id } of Object.values(DEMO_DATA)) history.watch(harness.vehicle, ECUS, id);
  const disturber = new Disturber(harness, ECUS, random);
  const clients = Array.from({ length: Number(options.clients) }, (_, i) => clientOf(harness, history, disturber, i));
  await disturber.back("start");
  const before = sample();
  const temperatures = changeTemperatures(harness);
  const endWatch = disturber.watchStalls();
  const endMs = performance.now() + durationMs;
  await Promise.all([
    ...clients.map((client) => work(client, disturber, endMs)),
    disturbUntil(disturber, endMs),
    sampleUntil(harness, endMs),
  ]);
  clearInterval(temperatures);
  endWatch();
  disturber.calm();
  await disturber.back("the end").catch((error: Error) => report(error.message));
  await tidy(harness, clients);
  await sleep(CALM_MS);
  const problems = leftovers(harness, before, sample());
  await harness.close();
  print(`calls ${JSON.stringify(counts)}`);
  print(`disturbances ${JSON.stringify(disturber.counts)}, excused ${JSON.stringify(excused)}`);
  print(`wrong ${wrong.length}, leaks ${problems.length === 0 ? "none" : problems.join("; ")}, seed ${seed}`);
  process.exitCode = wrong.length + problems.length === 0 ? 0 : 1;
}

await main();
