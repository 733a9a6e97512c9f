/** What the self-test measures: our server with a simulated vehicle that answers at once, and the two bare peers beside it. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { anyPort } from "#cli/demo/ports.ts";
import { VERSION } from "#core/version.ts";
import { writeMdd } from "#mdd/writer/mdd.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { benchEntities } from "#sim/vehicle.bench.ts";
import { deflateLzma } from "#store/lzma.ts";
import type { HopTask } from "../peers/bare-hop.ts";
import { ask, discover, type Target } from "../target.ts";
import { startPart } from "./processes.ts";

export interface LabOptions {
  readonly gateways: number;
  /** ECUs behind each gateway, itself included; default 1. */
  readonly ecusPerGateway?: number;
  /** Answer time of the ECUs as `simulate --delay` takes it; default at once. */
  readonly delay?: string | undefined;
  /** The server measures its stages. */
  readonly stageTiming?: boolean;
  /** Shards of the server; 0: as many as it takes by itself. */
  readonly workers: number;
  /** Further options of Node for the server, such as `--cpu-prof`. */
  readonly nodeArgs?: readonly string[];
}

export interface Lab {
  readonly target: Target;
  readonly serverPid: number;
  /** Port of bare uWebSockets.js with the bytes of our list of components. */
  readonly barePort: number;
  /** Port of the bare exchange, and the path of each ECU there. */
  readonly hopPort: number;
  readonly hopPaths: readonly string[];
  close(): Promise<void>;
}

const HOST = "127.0.0.1";
/** The tester's own loopback address: tester and gateway must not share address and port. */
const TESTER = "127.0.0.2";
/** Each ECU has a database to be imported first. */
const ONLINE_TIMEOUT_MS = { base: 30_000, perEcu: 250 } as const;
const POLL_MS = 50;

/** Starts everything; ECUs are online when it resolves. @throws Error naming the part that did not start */
export async function startLab(options: LabOptions): Promise<Lab> {
  const { gateways, ecusPerGateway = 1, delay, stageTiming = false, workers, nodeArgs = [] } = options;
  const folder = await mkdtemp(join(tmpdir(), "sovd-edge-bench-"));
  const ends: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
  const close = async () => {
    for (const end of ends.toReversed()) await end();
  };
  try {
    const doipPort = await anyPort(HOST);
    const httpPort = await anyPort(HOST);
    const entities = benchEntities({ gateways, ecusPerGateway, port: doipPort });
    const shape = [
      "--profile",
      "bench",
      "--gateways",
      `${gateways}`,
      "--ecus-per-gateway",
      `${ecusPerGateway}`,
      "--no-announce",
    ];
    const simulator = await startPart(
      [
        "simulate",
        ...shape,
        ...(delay === undefined ? [] : ["--delay", delay]),
        "--port",
        `${doipPort}`,
        "--control-port",
        "0",
      ],
      /control API on port (\d+)/,
    );
    ends.push(simulator.stop);
    const gatewayEcus = entities.map(({ name, address, logicalAddress }) => ({ name, ip: address, logicalAddress }));
    const ecus = entities.flatMap(({ name, logicalAddress, address, ecus: more = [] }) =>
      [{ name, logicalAddress }, ...more].map((ecu) => ({ ...ecu, ip: address, gatewayAddress: logicalAddress })),
    );
    const config = await writeFiles(folder, ecus, { doipPort, httpPort, workers, stageTiming });
    const server = await startPart(["serve", "--config", config], /"listening"/, nodeArgs);
    ends.push(server.stop);
    const target = await online(`http://${HOST}:${httpPort}/vehicle/v15`, ecus.length);
    const listed = await fetch(`${target.url}/components`).then((response) => response.text());
    const bare = await startPart(["bench-peer", "list", listed], /port (\d+)/);
    ends.push(bare.stop);
    const task: HopTask = {
      port: doipPort,
      ecus: gatewayEcus.map(({ name, ...ecu }) => ({ ...ecu, path: `/${name}` })),
    };
    const hop = await startPart(["bench-peer", "hop", JSON.stringify(task)], /port (\d+)/);
    ends.push(hop.stop);
    return {
      target,
      serverPid: server.pid,
      barePort: Number(bare.said[1]),
      hopPort: Number(hop.said[1]),
      hopPaths: task.ecus.map(({ path }) => path),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

interface LabEcu {
  readonly name: string;
  /** Of its gateway. */
  readonly ip: string;
  readonly logicalAddress: number;
  readonly gatewayAddress: number;
}

interface LabConfig {
  readonly doipPort: number;
  readonly httpPort: number;
  readonly workers: number;
  readonly stageTiming: boolean;
}

async function writeFiles(folder: string, ecus: readonly LabEcu[], config: LabConfig): Promise<string> {
  const { doipPort, httpPort, workers, stageTiming } = config;
  const databases = join(folder, "databases");
  await mkdir(databases);
  for (const { name, logicalAddress, gatewayAddress } of ecus) {
    const description = demoDatabase({ name, title: name, logicalAddress, gatewayAddress });
    const metadata = { converter: `sovd-edge ${VERSION}` };
    await writeFile(join(databases, `${name}.mdd`), await writeMdd({ description, deflate: deflateLzma, metadata }));
  }
  const file = join(folder, "sovd-edge.toml");
  await writeFile(
    file,
    `flash_files_path = ${JSON.stringify(folder)}
[server]
address = "${HOST}"
port = ${httpPort}
[doip]
tester_address = "${TESTER}"
tester_subnet = "255.0.0.0"
gateway_port = ${doipPort}
[discovery]
targets = [${[...new Set(ecus.map(({ ip }) => `"${ip}"`))].join(", ")}]
[database]
path = ${JSON.stringify(databases)}
[store]
path = ${JSON.stringify(join(folder, "store"))}
[shards]
workers = ${workers}
[process]
stage_timing = ${stageTiming}
[logging]
level = "info"
`,
  );
  return file;
}

/** The server once all its ECUs are online. */
async function online(url: string, ecus: number): Promise<Target> {
  const timeoutMs = ONLINE_TIMEOUT_MS.base + ecus * ONLINE_TIMEOUT_MS.perEcu;
  const until = performance.now() + timeoutMs;
  // each is asked for until it is there, and no more: a thousand questions at a time would be a load of their own
  for (let found = 0; ; ) {
    const target = await discover(url).catch(() => undefined);
    while (target?.components.length === ecus) {
      if (found === ecus) return target;
      const { json } = await ask(target, "GET", `/components/${target.components[found]}`);
      if ((json as { variant?: { state?: string } })?.variant?.state !== "Online") break;
      found++;
    }
    if (performance.now() > until) throw new Error(`${found} of ${ecus} ECUs came online in ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
