/**
 * Independent programs judge us; not for CI. `npm run judges`. What is not installed is skipped with a word:
 * a virtual environment with doipclient, udsoncan, doip-server (its python in JUDGES_PYTHON, else python3), tshark with its
 * dumpcap, unshare.
 */
import { execFile, spawn, spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { readConfig } from "../src/config/load.ts";
import { startServer } from "../src/main.ts";
import { writeMdd } from "../src/mdd/writer/mdd.ts";
import { demoDatabase } from "../src/sim/demo/databases.ts";
import { DEMO_ECUS, demoEntities } from "../src/sim/demo/vehicle.ts";
import { startVehicle } from "../src/sim/vehicle.ts";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PYTHON = process.env.JUDGES_PYTHON ?? "python3";
const HOST = "127.0.1.20";
const VIN = "SCEDT26T8BD005261";
const hex = (text) => Buffer.from(text).toString("hex").toUpperCase();

const has = (program, ...args) => spawnSync(program, args, { stdio: "ignore" }).status === 0;
const hasModule = (name) => has(PYTHON, "-c", `import ${name}`);

/** doipclient and udsoncan drive our simulator. */
async function clientsOnSimulator() {
  const missing = ["doipclient", "udsoncan"].filter((name) => !hasModule(name));
  if (missing.length > 0) return { skipped: `${missing.join(", ")} not installed for ${PYTHON}` };
  const vehicle = await startVehicle({ entities: demoEntities(HOST, 0), announce: false, hearBroadcasts: false });
  try {
    const script = join(ROOT, "scripts/judges/doipclient_asks.py");
    const { stdout } = await run(PYTHON, [script, HOST, String(vehicle.port)], { timeout: 120_000 });
    return { lines: stdout.trim().split("\n") };
  } finally {
    await vehicle.close();
  }
}

/** doip-server answers our server: discovery, activation, detection, data. */
async function serverOfOthers() {
  if (!hasModule("doip_server")) return { skipped: `doip-server not installed for ${PYTHON}` };
  const folder = await mkdtemp(join(tmpdir(), "sovd-edge-judges-"));
  const port = await freePort();
  await writeGateway(folder, port);
  const args = ["-m", "doip_server.main", "--gateway-config", join(folder, "gateway.yaml")];
  const entity = spawn(PYTHON, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  const log = [];
  for (const stream of [entity.stdout, entity.stderr]) stream.on("data", (chunk) => log.push(String(chunk)));
  let server;
  try {
    server = await ownServer(folder, port);
    await server.ready;
    const lines = [];
    await eventually(() => server.fleet.ecu("CENTRAL")?.state === "Online", "CENTRAL is online");
    lines.push(`discovered, activated, variant ${server.fleet.ecu("CENTRAL").variant}`);
    const base = `http://127.0.0.1:${server.port}/vehicle/v15`;
    const credentials = { method: "POST", body: JSON.stringify({ client_id: "judge", client_secret: "judge" }) };
    const { access_token: token } = await (await fetch(`${base}/authorize`, credentials)).json();
    const headers = { authorization: `Bearer ${token}` };
    const wanted = { vin: { VIN }, serviceinterval: { Interval: 15_000 } };
    for (const [name, data] of Object.entries(wanted)) {
      const answer = await fetch(`${base}/components/central/data/${name}`, { headers });
      const json = await answer.json();
      if (answer.status !== 200 || JSON.stringify(json.data) !== JSON.stringify(data))
        throw new Error(`${name}: ${answer.status} ${JSON.stringify(json)}`);
      lines.push(`${name} ${JSON.stringify(json.data)}`);
    }
    const refused = await fetch(`${base}/components/central/data/ambienttemperature`, { headers });
    lines.push(`what it does not know: ${refused.status}`);
    return { lines };
  } catch (error) {
    throw new Error(`${error.message}\n${log.join("").slice(-1_500)}`);
  } finally {
    await server?.close();
    entity.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeGateway(folder, port) {
  const services = {
    Identification: ["22F100", "62F100000101"],
    VIN: ["22F190", `62F190${hex(VIN)}`],
    ServiceInterval: ["22D001", "62D0010096"],
    Default: ["1001", "5001003201F4"],
  };
  const yaml = Object.entries(services).map(
    ([name, [request, response]]) =>
      `  ${name}:\n    request: "0x${request}"\n    responses:\n      - "0x${response}"\n`,
  );
  await writeFile(join(folder, "services.yaml"), `common_services:\n${yaml.join("")}`);
  await writeFile(
    join(folder, "ecu.yaml"),
    'ecu:\n  name: CENTRAL\n  target_address: 0x1000\n  tester_addresses: [0x0E00]\n  functional_address: 0xE400\n  uds_services:\n    service_files: ["services.yaml"]\n    common_services: [Identification, VIN, ServiceInterval, Default]\n',
  );
  await writeFile(
    join(folder, "gateway.yaml"),
    `gateway:\n  name: Judge\n  logical_address: 0x1000\n  network:\n    host: "${HOST}"\n    port: ${port}\n    max_connections: 5\n    timeout: 30\n  protocol:\n    version: 0x02\n    inverse_version: 0xFD\n  vehicle:\n    vin: "${VIN}"\n    eid: "000000000000"\n    gid: "000000000000"\n  ecus: ["ecu.yaml"]\n`,
  );
}

async function ownServer(folder, doipPort) {
  const databases = join(folder, "databases");
  await mkdir(databases);
  const description = demoDatabase(DEMO_ECUS.find(({ name }) => name === "CENTRAL"));
  await writeFile(join(databases, "CENTRAL.mdd"), await writeMdd({ description }));
  const tree = {
    server: { address: "127.0.0.1", port: 0 },
    doip: { tester_address: "127.0.0.2", tester_subnet: "255.0.0.0", gateway_port: doipPort },
    database: { path: databases },
    // Its one thread looks at UDP now and then only.
    discovery: { targets: [HOST], wait_ms: 2_000, interval_ms: 1_000, max_tries: 10 },
    com_params: { doip: { logical_tester_address: { value: 0x0e00, precedence: "Config" } } },
    store: { path: join(folder, "store") },
    logging: { level: "error" },
    flash_files_path: folder,
  };
  const { config, problems } = readConfig({ flags: { tree, names: new Map() }, cwd: folder });
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return startServer(config);
}

/** A network name space; only root needs no mapping. */
const OWN_NETWORK = process.getuid?.() === 0 ? ["--net"] : ["--net", "--map-root-user"];

/** tshark dissects what a command of ours puts on the wire: every byte on its DoIP ports is a known, well-formed message. */
async function dissection(command) {
  const needed = { tshark: ["--version"], dumpcap: ["--version"], unshare: [...OWN_NETWORK, "true"] };
  const missing = Object.entries(needed).filter(([program, args]) => !has(program, ...args));
  if (missing.length > 0) return { skipped: `${missing.map(([program]) => program).join(", ")} not usable` };
  const folder = await mkdtemp(join(tmpdir(), "sovd-edge-judges-"));
  const capture = join(folder, "lo.pcap");
  try {
    // A network of its own: nobody else's frames, and the standard's ports are free.
    const steps = [
      "ip link set lo up",
      `dumpcap -q -i lo -w ${capture} 2>/dev/null & dump=$!`,
      "sleep 1",
      `node --import tsx ${command}; code=$?`,
      "sleep 1",
      "kill $dump",
      "wait $dump",
      "exit $code",
    ];
    const shell = [...OWN_NETWORK, "sh", "-c", steps.join("\n")];
    await run("unshare", shell, { cwd: ROOT, timeout: 240_000, maxBuffer: 1 << 26 });
    return { lines: await judgeCapture(capture) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Payload types of ISO 13400-2. */
const PAYLOAD_TYPES = new Set([
  0x0000, 0x0001, 0x0002, 0x0003, 0x0004, 0x0005, 0x0006, 0x0007, 0x0008, 0x4001, 0x4002, 0x4003, 0x4004, 0x8001,
  0x8002, 0x8003,
]);

/** Simulated gateways listen on these addresses, or on the standard's port. */
const GATEWAYS = "ip.dst == 127.0.1.0/24 || tcp.dstport == 13400 && ip.dst == 127.0.0.0/8";

async function judgeCapture(capture) {
  const tshark = async (...args) =>
    (await run("tshark", ["-r", capture, ...args], { maxBuffer: 1 << 28 })).stdout
      .split("\n")
      .filter((line) => line !== "");
  const opened = await tshark(
    "-Y",
    `tcp.flags.syn == 1 && tcp.flags.ack == 0 && (${GATEWAYS})`,
    "-T",
    "fields",
    "-e",
    "tcp.dstport",
  );
  const ports = [...new Set(opened)];
  const decodeAs = ports.flatMap((port) => ["-d", `tcp.port==${port},doip`, "-d", `udp.port==${port},doip`]);
  const messages = await tshark(...decodeAs, "-Y", "doip", "-T", "fields", "-e", "doip.type", "-e", "uds.sid");
  const types = countOf(messages.flatMap((line) => (line.split("\t")[0] ?? "").split(",")));
  const services = countOf(
    messages.flatMap((line) => (line.split("\t")[1] ?? "").split(",").filter((sid) => sid !== "")),
  );
  const unknown = Object.keys(types).filter((type) => !PAYLOAD_TYPES.has(Number(type)));
  const malformed = await tshark(...decodeAs, "-Y", "_ws.malformed || doip.illegal_length_field");
  const carried = ports.map((port) => `tcp.port == ${port} && tcp.len > 0 || udp.port == ${port}`).join(" || ");
  // A segment that a later one completes is dissected there.
  const foreign = await tshark(...decodeAs, "-Y", `(${carried}) && !doip && !icmp && !tcp.reassembled_in`);
  if (messages.length === 0) throw new Error("no DoIP message captured");
  if (unknown.length + malformed.length + foreign.length > 0) {
    const shown = (lines) => `${lines.length} ${lines.slice(0, 5).join("; ")}`;
    throw new Error(`unknown ${unknown}; malformed ${shown(malformed)}; no DoIP ${shown(foreign)}`);
  }
  return [
    `${messages.length} frames, DoIP ${JSON.stringify(types)}, UDS ${JSON.stringify(services)}`,
    "none malformed, none unknown",
  ];
}

function countOf(items) {
  const counts = {};
  for (const item of items) counts[item] = (counts[item] ?? 0) + 1;
  return counts;
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, HOST, () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function eventually(isTrue, what) {
  const endMs = performance.now() + 30_000;
  while (!isTrue()) {
    if (performance.now() > endMs) throw new Error(`not in 30 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const JUDGES = {
  "doipclient and udsoncan ask our simulator": clientsOnSimulator,
  "doip-server answers our server": serverOfOthers,
  "tshark reads the demo": () => dissection("src/cli/main.ts demo --once"),
  "tshark reads the end-to-end tests": () =>
    dissection("--test test/e2e/appendix-a.test.ts test/e2e/appendix-a-flash.test.ts"),
};

for (const [name, judge] of Object.entries(JUDGES)) {
  try {
    const { skipped, lines = [] } = await judge();
    process.stdout.write(`${name}: ${skipped === undefined ? "passed" : `skipped, ${skipped}`}\n`);
    for (const line of lines) process.stdout.write(`  ${line}\n`);
  } catch (error) {
    process.stdout.write(`${name}: FAILED\n  ${error.stdout ?? ""}${error.stderr ?? ""}${error.message}\n`);
    process.exitCode = 1;
  }
}
