/** `sovd-edge bench`: measures a SOVD server, alone or beside another, or this one beside its bare peers. */
import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type BenchOptions, type Contender, compare, type Measurement } from "#bench/bench.ts";
import { PROFILES, type ProfileName, prepare, type Work } from "#bench/profiles.ts";
import { reportHtml } from "#bench/report.ts";
import { type Lab, startLab } from "#bench/selftest/lab.ts";
import { overloadText, runOverload } from "#bench/selftest/overload.ts";
import { startThread } from "#bench/selftest/processes.ts";
import { runSelfTest } from "#bench/selftest/selftest.ts";
import { textOf } from "#bench/table.ts";
import { discover, type Target } from "#bench/target.ts";
import { VERSION } from "#core/version.ts";

interface Flags {
  readonly against?: string;
  readonly profile: ProfileName;
  readonly connections: readonly number[];
  readonly duration: number;
  readonly rounds: number;
  readonly warmUp: number;
  readonly rate?: number;
  readonly ecus?: readonly string[];
  readonly token?: string;
  readonly json?: string;
  readonly report?: string;
  readonly selftest?: boolean;
  readonly overload?: boolean;
  readonly gateways: number;
  readonly ecusPerGateway: number;
  readonly ecuDelay?: string;
  readonly workers: number;
  readonly serverNodeArgs?: string;
}

export function register(program: Command): void {
  program
    .command("bench")
    .description("Measure a SOVD server, alone or beside another one")
    .argument("[target-url]", "server to measure, e.g. http://127.0.0.1:20002/vehicle/v15")
    .option("--against <url>", "a second server, measured in turn with the first")
    .addOption(new Option("--profile <name>", "what is asked").choices(PROFILES).default("read"))
    .option("--connections <n,…>", "open connections, one measurement each", numbers, [1, 8, 64])
    .option("--duration <s>", "seconds of one server in one round", positive, 10)
    .option("--rounds <n>", "rounds, the servers in turn", positive, 3)
    .option("--warm-up <s>", "seconds before the first round", positive, 2)
    .option(
      "--rate <n>",
      "requests per second at a constant rate; default: each connection asks again when answered",
      positive,
    )
    .option("--ecus <id,…>", "components to ask; default: all", list)
    .option("--token <token>", "bearer token of a server that hands out none")
    .option("--json <file>", "writes all figures")
    .option("--report <file>", "writes a report as HTML")
    .option("--selftest", "simulated vehicle, this server, and the bare peers it is held against")
    .option("--overload", "self-test: reads at half of what the server can take and at three times as much")
    .option("--gateways <n>", "gateways of the self-test's vehicle", positive, 5)
    .option("--ecus-per-gateway <n>", "ECUs behind each of them, itself included", positive, 1)
    .option("--ecu-delay <ms>", "answer time of its ECUs, as `simulate --delay` takes it")
    .option("--workers <n>", "shards of the self-test's server; 0: its default", Number, 0)
    .addOption(new Option("--server-node-args <args>", "options of Node for the self-test's server").hideHelp())
    .action((url: string | undefined, flags: Flags) => {
      if (flags.overload === true) return overload(flags);
      if (flags.selftest === true) return selfTest(flags);
      if (url === undefined) throw new InvalidArgumentError("a URL is missing: what is to be measured?");
      return bench(url, flags);
    });
  program.command("bench-peer <kind> [task]", { hidden: true }).action((kind: string, task = "") => peer(kind, task));
}

async function bench(url: string, flags: Flags): Promise<void> {
  const { ecus, token, profile } = flags;
  const urls = flags.against === undefined ? [url] : [url, flags.against];
  const targets = await Promise.all(urls.map((one) => discover(one, { ecus, token })));
  const works: Work[] = [];
  try {
    for (const target of targets) works.push(await prepare(profile, target));
    const contenders = targets.map((target, i) => contenderOf(target, works[i]!));
    for (const [i, { name }] of contenders.entries()) say(`${name}: ${works[i]!.description}`);
    const measurements = await compare(contenders, optionsOf(flags));
    const names = contenders.map(({ name }) => name);
    say(`\n${textOf(names, measurements)}`);
    await save(flags, `${profile}: ${names.join(" beside ")}`, names, measurements);
  } finally {
    for (const work of works) await work.release();
  }
}

function contenderOf({ url, address }: Target, { requests }: Work): Contender {
  return { name: url.replace(/^http:\/\//, ""), address, requests };
}

function labOf({ gateways, ecusPerGateway, ecuDelay, workers, serverNodeArgs }: Flags): Promise<Lab> {
  const nodeArgs = serverNodeArgs === undefined ? [] : serverNodeArgs.split(" ");
  return startLab({ gateways, ecusPerGateway, delay: ecuDelay, workers, nodeArgs });
}

async function overload(flags: Flags): Promise<void> {
  const lab = await labOf(flags);
  try {
    const options = { connections: Math.max(...flags.connections), durationMs: flags.duration * 1_000 };
    const rows = await runOverload(lab, options);
    say(overloadText(rows));
    if (flags.json !== undefined) await writeFile(flags.json, JSON.stringify({ ...facts(flags), rows }, undefined, 2));
  } finally {
    await lab.close();
  }
}

async function selfTest(flags: Flags): Promise<void> {
  const lab = await labOf(flags);
  try {
    const results = await runSelfTest(lab, optionsOf(flags));
    for (const { comparison, measurements, verdicts } of results) {
      say(`\n${comparison.title}\n${textOf(comparison.names, measurements)}\n${verdicts.join("\n")}`);
    }
    if (flags.json !== undefined)
      await writeFile(flags.json, JSON.stringify({ ...facts(flags), results }, undefined, 2));
    const [first, ...more] = results;
    if (flags.report === undefined || first === undefined) return;
    const pages = [first, ...more].map(({ comparison, measurements }) =>
      reportHtml({ title: comparison.title, facts: facts(flags), names: comparison.names, measurements }),
    );
    await writeFile(flags.report, pages.join("\n"));
  } finally {
    await lab.close();
  }
}

function optionsOf({ connections, rounds, duration, warmUp, rate }: Flags): BenchOptions {
  const interactive = process.stderr.isTTY === true;
  return {
    connections,
    rounds,
    durationMs: duration * 1_000,
    warmUpMs: warmUp * 1_000,
    ratePerS: rate,
    onProgress: (text) => {
      if (interactive) process.stderr.write(`\r\u001b[K${text}`);
    },
  };
}

async function save(
  flags: Flags,
  title: string,
  names: readonly string[],
  measurements: readonly Measurement[],
): Promise<void> {
  const known = facts(flags);
  if (flags.json !== undefined) {
    await writeFile(flags.json, JSON.stringify({ title, facts: known, names, measurements }, undefined, 2));
  }
  if (flags.report !== undefined)
    await writeFile(flags.report, reportHtml({ title, facts: known, names, measurements }));
}

/** What a figure means nothing without. */
function facts({ profile, duration, rounds, rate, selftest }: Flags): Record<string, string> {
  const [cpu] = cpus();
  return {
    date: new Date().toISOString(),
    machine: `${cpus().length} × ${cpu?.model ?? "unknown"}, ${process.platform} ${process.arch}`,
    program: `sovd-edge ${VERSION}, Node ${process.version}`,
    ...(selftest === true ? {} : { profile }),
    loop: rate === undefined ? "closed" : `open, ${rate} requests/s`,
    rounds: `${rounds} of ${duration} s`,
  };
}

/** The bare peers, as processes of their own. */
async function peer(kind: string, task: string): Promise<void> {
  const host = "127.0.0.1";
  if (kind === "list") {
    const { startBareList } = await import("#bench/peers/bare-list.ts");
    say(`port ${await startBareList(task, host)}`);
  } else if (parentPort === null) {
    const { startBareHop } = await import("#bench/peers/bare-hop.ts");
    const thread = (data: unknown) => startThread(["bench-peer", "hop"], data);
    say(`port ${await startBareHop(JSON.parse(task), host, thread)}`);
  } else {
    const { runHopWorker } = await import("#bench/peers/hop-worker.ts");
    await runHopWorker(workerData);
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function positive(text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new InvalidArgumentError("not a number above 0");
  return number;
}

function numbers(text: string): number[] {
  return list(text).map((part) => {
    const number = positive(part);
    if (!Number.isInteger(number)) throw new InvalidArgumentError("not a whole number");
    return number;
  });
}

function list(text: string): string[] {
  return text.split(",").map((part) => part.trim());
}
