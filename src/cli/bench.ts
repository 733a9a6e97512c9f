/** `sovd-edge bench`: measures a SOVD server, alone or beside another, or this one beside its bare peers. */
import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type BenchOptions, type Contender, compare, type Measurement } from "#bench/bench.ts";
import { FLASH_DEFAULTS, prepareFlash } from "#bench/flash.ts";
import { PROFILES, type ProfileName, prepare } from "#bench/profiles.ts";
import { reportHtml } from "#bench/report.ts";
import { type Lab, startLab } from "#bench/selftest/lab.ts";
import { overloadText, runOverload } from "#bench/selftest/overload.ts";
import { startThread } from "#bench/selftest/processes.ts";
import { runSelfTest } from "#bench/selftest/selftest.ts";
import { measureStages, stagesText } from "#bench/selftest/stages.ts";
import { spreadOf } from "#bench/summary.ts";
import { textOf } from "#bench/table.ts";
import { discover, type Target } from "#bench/target.ts";
import { parsedObject } from "#core/json.ts";
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
  readonly stages?: boolean;
  readonly gateways: number;
  readonly ecusPerGateway: number;
  readonly ecuDelay?: string;
  readonly workers: number;
  readonly serverNodeArgs?: string;
  readonly flashFile?: string;
  readonly flashBlock: number;
  readonly flashSession: string;
  readonly flashParameters?: Readonly<Record<string, unknown>>;
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
    .option("--flash-file <id>", "profile flash: file of the server; default: its largest")
    .option(
      "--flash-block <bytes>",
      "profile flash: bytes of a TransferData message",
      positive,
      FLASH_DEFAULTS.blockBytes,
    )
    .option("--flash-session <name>", "profile flash: session to change to", FLASH_DEFAULTS.session)
    .option("--flash-parameters <json>", "profile flash: parameters of the request for a download", object)
    .option("--json <file>", "writes all figures")
    .option("--report <file>", "writes a report as HTML")
    .option("--selftest", "simulated vehicle, this server, and the bare peers it is held against")
    .option("--overload", "self-test: reads at half of what the server can take and at three times as much")
    .option("--stages", "self-test: where a read's microseconds go, stage by stage")
    .option("--gateways <n>", "gateways of the self-test's vehicle", positive, 5)
    .option("--ecus-per-gateway <n>", "ECUs behind each of them, itself included", positive, 1)
    .option("--ecu-delay <ms>", "answer time of its ECUs, as `simulate --delay` takes it")
    .option(
      "--workers <n>",
      "shards of the self-test's server, as the bare exchange has one; 0: its default",
      Number,
      1,
    )
    .addOption(new Option("--server-node-args <args>", "options of Node for the self-test's server").hideHelp())
    .action((url: string | undefined, flags: Flags) => {
      if (flags.stages === true) return stages(flags);
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
  const works: Prepared[] = [];
  try {
    for (const target of targets) works.push(await prepared(target, flags));
    for (const { contender, description } of works) say(`${contender.name}: ${description}`);
    const measurements = await compare(
      works.map(({ contender }) => contender),
      optionsOf(flags),
    );
    const names = works.map(({ contender }) => contender.name);
    say(`\n${textOf(names, measurements)}`);
    if (profile === "flash") say(throughputText(works, measurements));
    await save(flags, `${profile}: ${names.join(" beside ")}`, names, measurements);
  } finally {
    for (const { release } of works) await release();
  }
}

interface Prepared {
  readonly contender: Contender;
  readonly description: string;
  /** Of profile `flash`: data bytes of a block. */
  readonly blockBytes: number;
  release(): Promise<void>;
}

async function prepared(target: Target, flags: Flags): Promise<Prepared> {
  const { profile } = flags;
  const named = { name: target.url.replace(/^http:\/\//, ""), address: target.address };
  if (profile !== "flash") {
    const { requests, description, release } = await prepare(profile, target);
    return { contender: { ...named, requests }, description, blockBytes: 0, release };
  }
  const { description, dataBytes, run } = await prepareFlash(target, {
    file: flags.flashFile,
    blockBytes: flags.flashBlock,
    session: flags.flashSession,
    parameters: flags.flashParameters,
  });
  return { contender: { ...named, requests: [], run }, description, blockBytes: dataBytes, release: async () => {} };
}

/** A request of profile `flash` is a block, a connection a component. */
function throughputText(works: readonly Prepared[], measurements: readonly Measurement[]): string {
  return measurements
    .flatMap(({ connections, rounds }) =>
      works.map(({ contender, blockBytes }, i) => {
        const { median } = spreadOf(rounds[i]!.map(({ requestsPerS }) => requestsPerS));
        return `${contender.name}, ${connections} at a time: ${median.toFixed(0)} blocks/s, ${((median * blockBytes) / 1e6).toFixed(2)} MB/s`;
      }),
    )
    .join("\n");
}

function labOf({ gateways, ecusPerGateway, ecuDelay, workers, serverNodeArgs, stages }: Flags): Promise<Lab> {
  const nodeArgs = serverNodeArgs === undefined ? [] : serverNodeArgs.split(" ");
  return startLab({ gateways, ecusPerGateway, delay: ecuDelay, stageTiming: stages === true, workers, nodeArgs });
}

async function stages(flags: Flags): Promise<void> {
  for (const connections of flags.connections) {
    const lab = await labOf(flags);
    try {
      const rows = await measureStages(lab, connections, flags.duration * 1_000);
      say(`\n${connections} connections, µs: mean, p50, p99\n${stagesText(rows)}`);
    } finally {
      await lab.close();
    }
  }
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

function object(text: string): Record<string, unknown> {
  const value = parsedObject(text);
  if (value === undefined) throw new InvalidArgumentError("not a JSON object");
  return value;
}

function list(text: string): string[] {
  return text.split(",").map((part) => part.trim());
}
