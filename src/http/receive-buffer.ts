/**
 * Makes a pause of uWebSockets.js take effect. It reads on within its turn as long as recv() fills its 512 KiB, also after `pause()`, and
 * from a sender at memory speed that goes on for gigabytes. With a smaller buffer in the kernel recv() never fills it. No API of Node sets
 * that option of a TCP socket, and none of it at all of a socket that another library has open; but options belong to the socket, not to
 * the descriptor. So a short-lived process inherits the sockets and sets it there. It gets nothing else: no environment, no other
 * descriptor (all are close-on-exec), no options of this process. Where it may not run, or `process.binding` is gone, it fails, once.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { readFile } from "node:fs/promises";

/** The kernel doubles it for its own bookkeeping and stays below 512 KiB with it. */
const RECEIVE_BUFFER_BYTES = 200_000;
const TIMEOUT_MS = 5_000;
const FIRST_INHERITED_FD = 3;
const LOCAL_ADDRESS = 1;
const INODE = 9;

const CHILD = `
const { UDP } = process.binding("udp_wrap");
const [bytes, count] = process.argv.slice(1).map(Number);
for (let fd = ${FIRST_INHERITED_FD}; fd < ${FIRST_INHERITED_FD} + count; fd++) {
  const socket = new UDP();
  if (socket.open(fd) !== 0 || socket.bufferSize(bytes, true, {}) === undefined) process.exitCode = 1;
}`;

/**
 * Bounds what the kernel receives ahead on the listening socket of `port`, on its connections, and so on all that will be accepted. Linux
 * only, elsewhere nothing happens. @throws Error when it could not be done
 */
export async function limitReceiveBuffers(port: number): Promise<void> {
  if (process.platform !== "linux") return;
  const first = await socketsOf(port);
  if ((await limit(first)) === 0) throw new Error(`no socket of port ${port} in /proc`);
  // what was accepted meanwhile came from the listening socket as it had been; by the next turn all of it has been
  await new Promise((resolve) => setImmediate(resolve));
  const second = await socketsOf(port);
  await limit(new Set([...second].filter((inode) => !first.has(inode))));
}

/** How many of these sockets are open here: of all of them the buffer is set. */
async function limit(inodes: ReadonlySet<string>): Promise<number> {
  // in one turn with the start of the process: none of them is closed in between, and its number another's
  const descriptors = descriptorsOf(inodes);
  if (descriptors.length === 0) return 0;
  const child = spawn(process.execPath, ["-e", CHILD, String(RECEIVE_BUFFER_BYTES), String(descriptors.length)], {
    stdio: ["ignore", "ignore", "ignore", ...descriptors],
    env: {},
    cwd: "/",
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  const [code, signal] = await once(child, "exit");
  if (code !== 0) throw new Error(`the receive buffer was not set: ${signal ?? `exit code ${code}`}`);
  return descriptors.length;
}

/** Inodes of the sockets with this local port. */
async function socketsOf(port: number): Promise<ReadonlySet<string>> {
  const tables = await Promise.all(
    ["tcp", "tcp6"].map((table) => readFile(`/proc/self/net/${table}`, "latin1").catch(() => "")),
  );
  const rows = tables.flatMap((table) => table.split("\n").slice(1)).map((row) => row.trim().split(/\s+/));
  const ending = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return new Set(rows.filter((row) => row[LOCAL_ADDRESS]?.endsWith(ending)).map((row) => row[INODE] ?? ""));
}

function descriptorsOf(inodes: ReadonlySet<string>): number[] {
  return readdirSync("/proc/self/fd")
    .filter((descriptor) => inodes.has(inodeOf(descriptor)))
    .map(Number);
}

const NO_SOCKET = "none";

function inodeOf(descriptor: string): string {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${descriptor}`))?.[1] ?? NO_SOCKET;
  } catch {
    // other threads close theirs at any time
    return NO_SOCKET;
  }
}
