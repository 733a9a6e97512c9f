/**
 * `doctor`: says what is wrong with this machine or this configuration before a vehicle does. Each check tries the very thing that
 * the program will need, and leaves nothing behind. Nothing is sent to the vehicle.
 */

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { accessSync, constants, existsSync, readdirSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, resolve } from "node:path";
import { risks, storePath } from "#config/derived.ts";
import type { Config } from "#config/types.ts";
import { reasonOf } from "#core/errors.ts";
import { loadUws } from "#http/uws.ts";
import { withLockedFolder } from "#store/environments.ts";

export type Verdict = "ok" | "warn" | "fail";

export interface Finding {
  readonly check: string;
  readonly verdict: Verdict;
  readonly message: string;
}

type Said = Omit<Finding, "check">;

interface Check {
  readonly name: string;
  /** A throw is a failure with the error's message. */
  readonly run: (config: Config) => Said | Promise<Said>;
  readonly when?: (config: Config) => boolean;
}

const ok = (message: string): Said => ({ verdict: "ok", message });
const warn = (message: string): Said => ({ verdict: "warn", message });
const fail = (message: string): Said => ({ verdict: "fail", message });

/** The tester's address as sockets take it: 127.0.0.1 stands for all interfaces. */
const bindAddress = (address: string): string => (address === "127.0.0.1" ? "0.0.0.0" : address);
const usesDoip = ({ doip }: Config): boolean => doip.enabled;

const CHECKS: readonly Check[] = [
  { name: "HTTP server", run: ({ http }) => webServer(http.max_header_bytes) },
  { name: "HTTP address", run: ({ server }) => tcpAddress(server.address, server.port) },
  { name: "store", run: (config) => storeFolder(storePath(config)) },
  { name: "databases", run: ({ database }) => databaseFolder(database.path, database.exit_no_database_loaded) },
  { name: "flash files", run: ({ flash_files_path }) => readableFolder(flash_files_path) },
  { name: "tester address", when: usesDoip, run: ({ doip }) => udpAddress(bindAddress(doip.tester_address), 0) },
  {
    name: "DoIP port",
    when: usesDoip,
    run: ({ doip }) => doipPort(bindAddress(doip.tester_address), doip.gateway_port),
  },
  { name: "discovery", when: usesDoip, run: reachTargets },
  { name: "files", run: (config) => readableFiles(config) },
  {
    name: "log file",
    when: ({ logging }) => logging.log_file_config.enabled,
    run: ({ logging }) => writableFolder(logging.log_file_config.path),
  },
  { name: "risks", run: (config) => named(risks(config), warn, "none known") },
];

/** What is right and wrong, in the order of the checks. */
export async function diagnose(config: Config): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { name, run, when } of CHECKS) {
    if (when?.(config) === false) continue;
    const said = await Promise.resolve()
      .then(() => run(config))
      .catch((error: unknown) => fail(reasonOf(error)));
    findings.push({ check: name, ...said });
  }
  return findings;
}

const SIGNS: Readonly<Record<Verdict, string>> = { ok: "ok   ", warn: "warn ", fail: "FAIL " };

/** Prints one line per check; 1 when one failed. */
export async function doctor(config: Config, print: (line: string) => void = console.log): Promise<number> {
  const findings = await diagnose(config);
  for (const { check, verdict, message } of findings) print(`${SIGNS[verdict]} ${check}: ${message}`);
  return findings.some(({ verdict }) => verdict === "fail") ? 1 : 0;
}

function webServer(maxHeaderBytes: number): Said {
  loadUws(maxHeaderBytes);
  return ok(`uWebSockets.js loads on Node ${process.versions.node}, ${process.platform} ${process.arch}`);
}

async function tcpAddress(address: string, port: number): Promise<Said> {
  const server = createServer();
  server.listen({ host: address, port, exclusive: true });
  await once(server, "listening");
  server.close();
  await once(server, "close");
  return ok(`${address}:${port} is free`);
}

async function storeFolder(folder: string): Promise<Said> {
  if (!existsSync(folder)) {
    const parent = nearestFolder(folder);
    accessSync(parent, constants.W_OK);
    return ok(`${folder} can be made in ${parent}`);
  }
  await withLockedFolder(folder, async () => {});
  return ok(`${folder} is writable and used by no other process`);
}

function nearestFolder(path: string): string {
  let folder = resolve(path);
  while (!existsSync(folder)) folder = dirname(folder);
  return folder;
}

function databaseFolder(folder: string, required: boolean): Said {
  const files = readdirSync(folder).filter((name) => name.toLowerCase().endsWith(".mdd"));
  const unreadable = files.filter((name) => !isReadable(resolve(folder, name)));
  if (unreadable.length > 0) return fail(`not readable in ${folder}: ${unreadable.join(", ")}`);
  if (files.length > 0) return ok(`${files.length} MDD file${files.length === 1 ? "" : "s"} in ${folder}`);
  return (required ? fail : warn)(`no MDD file in ${folder}; a store that was filled before still serves`);
}

function readableFolder(folder: string): Said {
  readdirSync(folder);
  return ok(`${folder} is readable`);
}

function writableFolder(folder: string): Said {
  const existing = nearestFolder(folder);
  if (!statSync(existing).isDirectory()) return fail(`${existing} is no folder`);
  accessSync(existing, constants.W_OK);
  return ok(`${folder} is writable`);
}

async function udpAddress(address: string, port: number): Promise<Said> {
  const socket = createSocket("udp4");
  try {
    socket.bind({ address, port, exclusive: true });
    await once(socket, "listening");
    return ok(`${address} belongs to this machine`);
  } finally {
    socket.close();
  }
}

async function doipPort(address: string, port: number): Promise<Said> {
  try {
    await udpAddress(address, port);
    return ok(`UDP ${port} is free`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    return warn(`another program listens on UDP ${port}; announcements of gateways may go to it instead`);
  }
}

/** Whether the kernel would let a request out. Connecting a UDP socket asks for the way and sends nothing. */
async function reachTargets({ discovery, doip }: Config): Promise<Said> {
  const problems: string[] = [];
  for (const target of discovery.targets) {
    const socket = createSocket("udp4");
    try {
      socket.bind({ address: bindAddress(doip.tester_address), port: 0 });
      await once(socket, "listening");
      socket.setBroadcast(true);
      socket.connect(doip.gateway_port, target);
      await once(socket, "connect");
    } catch (error) {
      problems.push(`${target}: ${reasonOf(error)}`);
    } finally {
      socket.close();
    }
  }
  return named(problems, fail, `a way to ${discovery.targets.join(", ")}`);
}

/** Files that the configuration names. */
function readableFiles({ http, doip, security, plugins, update }: Config): Said {
  const wanted = [http.tls_certificate, http.tls_key, http.tls_ca, doip.tls.ca, doip.tls.certificate, doip.tls.key];
  const modules = [security.plugin, ...plugins.modules, update.provider];
  const files = [...wanted, security.public_key, ...modules, ...update.trusted_keys];
  const given = files.filter((path) => path !== undefined);
  const missing = given.filter((path) => !isReadable(path));
  return named(missing, (list) => fail(`not readable: ${list}`), `${given.length} named, all readable`);
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function named(list: readonly string[], bad: (text: string) => Said, good: string): Said {
  return list.length === 0 ? ok(good) : bad(list.join("; "));
}
