/** `sovd-edge demo`: a simulated vehicle, its databases, the server, and one short tour through the interface. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { readConfig } from "#config/load.ts";
import type { Config } from "#config/types.ts";
import { Fault, reasonOf } from "#core/errors.ts";
import { JSON_TYPE } from "#core/media-types.ts";
import { VERSION } from "#core/version.ts";
import { writeMdd } from "#mdd/writer/mdd.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { DEMO_ECUS, demoEntities } from "#sim/demo/vehicle.ts";
import { type RunningVehicle, startVehicle } from "#sim/vehicle.ts";
import { deflateLzma } from "#store/lzma.ts";
import { type RunningServer, startServer } from "../main.ts";
import { online } from "./demo/online.ts";
import { freePort } from "./demo/ports.ts";
import { walkTour } from "./demo/tour.ts";
import { endOnSignals } from "./signals.ts";

const ADDRESS = "127.0.0.1";
/** The tester's own loopback address: tester and gateway must not share address and port. */
const TESTER = "127.0.0.2";
const PORTS = { http: 20_002, doip: 13_400, control: 8_181 } as const;
const ONLINE_TIMEOUT_MS = 10_000;
/** Stored in the simulated ECU, so that the tour finds a fault. */
const DEMO_FAULT = { id: "0A1B01", statusMask: "2F" } as const;

export function register(program: Command): void {
  program
    .command("demo")
    .description("Simulated vehicle, server and a short tour; then it stays up")
    .option("--once", "end after the tour: exit code 0, or 1 naming the step that failed")
    .action(async ({ once }: { once?: boolean }) => {
      const demo = await startDemo((line) => process.stdout.write(`${line}\n`));
      try {
        await demo.tour();
      } catch (error) {
        await demo.close();
        throw new Fault("internal", `The tour failed at ${reasonOf(error)}`);
      }
      if (once === true) {
        await demo.close();
        return;
      }
      process.stdout.write(`\nThe server stays up at ${demo.base}; Ctrl-C ends it.\n`);
      await endOnSignals(demo.close);
    });
}

export interface Demo {
  /** URL of the SOVD tree. */
  readonly base: string;
  readonly server: RunningServer;
  readonly vehicle: RunningVehicle;
  tour(): Promise<void>;
  close(): Promise<void>;
}

/** Starts vehicle and server on free ports of the loopback, with databases made anew in a temporary folder. */
export async function startDemo(say: (line: string) => void): Promise<Demo> {
  const folder = await mkdtemp(join(tmpdir(), "sovd-edge-demo-"));
  const doipPort = await freePort(ADDRESS, PORTS.doip, "DoIP", say, true);
  const controlPort = await freePort(ADDRESS, PORTS.control, "control API", say);
  const httpPort = await freePort(ADDRESS, PORTS.http, "HTTP", say);
  const vehicle = await startVehicle({ entities: demoEntities(ADDRESS, doipPort), controlPort, announce: false });
  say(`Simulated vehicle: ${DEMO_ECUS.length} ECUs behind three DoIP gateways on ${ADDRESS}:${doipPort}`);
  const databases = join(folder, "databases");
  await writeDatabases(databases);
  say(`Diagnostic databases: ${DEMO_ECUS.length} MDD files in ${databases}`);
  const server = await startServer(demoConfig(folder, databases, httpPort, doipPort));
  const base = `http://${ADDRESS}:${server.port}/vehicle/v15`;
  say(`Server: ${base}, documentation at http://${ADDRESS}:${server.port}/swagger-ui`);
  const close = async () => {
    await server.close();
    await vehicle.close();
    await rm(folder, { recursive: true, force: true });
  };
  const tour = async () => {
    await server.ready;
    await online(
      server,
      server.fleet.ecus.map(({ name }) => name),
      ONLINE_TIMEOUT_MS,
    );
    await storeFault(vehicle);
    await walkTour({ base, say });
  };
  return { base, server, vehicle, tour, close };
}

async function writeDatabases(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const ecu of DEMO_ECUS) {
    const mdd = await writeMdd({
      description: demoDatabase(ecu),
      deflate: deflateLzma,
      metadata: { converter: `sovd-edge ${VERSION}` },
    });
    await writeFile(join(folder, `${ecu.name}.mdd`), mdd);
  }
}

function demoConfig(folder: string, databases: string, httpPort: number, doipPort: number): Config {
  const tree = {
    server: { address: ADDRESS, port: httpPort },
    doip: { tester_address: TESTER, tester_subnet: "255.0.0.0", gateway_port: doipPort },
    database: { path: databases },
    discovery: { targets: [ADDRESS] },
    store: { path: join(folder, "store") },
    logging: { level: "error" },
    flash_files_path: folder,
  };
  const { config, problems } = readConfig({ flags: { tree, names: new Map() }, cwd: folder });
  if (problems.length > 0) throw new Fault("invalidConfig", problems.map(({ message }) => message).join("\n"));
  return config;
}

async function storeFault(vehicle: RunningVehicle): Promise<void> {
  await fetch(`http://${ADDRESS}:${vehicle.controlPort}/CENTRAL/dtc/Standard`, {
    method: "PUT",
    headers: { "content-type": JSON_TYPE },
    body: JSON.stringify(DEMO_FAULT),
  });
}
