/**
 * Makes a pause of uWebSockets.js take effect. It reads on within its turn as long as recv() fills its 512 KiB, also after `pause()`, and
 * from a sender at memory speed that goes on for gigabytes. With a smaller buffer in the kernel recv() never fills it. No API of Node sets
 * that option of a TCP socket, and none of it at all of a socket that another library has open; but options belong to the socket, not to
 * the descriptor. So a short-lived process inherits the sockets and sets it there.
 */
import { spawn } from "node:child_process";
import { readdir, readFile, readlink } from "node:fs/promises";

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
  const first = await descriptorsOf(await socketsOf(port));
  if (first.size === 0) throw new Error(`no socket of port ${port} in /proc`);
  await limit([...first.values()]);
  // what was accepted meanwhile came from the listening socket as it had been; by the next turn all of it has been
  await new Promise((resolve) => setImmediate(resolve));
  const second = await descriptorsOf(await socketsOf(port));
  const missed = [...second].filter(([inode]) => !first.has(inode)).map(([, descriptor]) => descriptor);
  if (missed.length > 0) await limit(missed);
}

async function limit(descriptors: readonly number[]): Promise<void> {
  const child = spawn(process.execPath, ["-e", CHILD, String(RECEIVE_BUFFER_BYTES), String(descriptors.length)], {
    stdio: ["ignore", "ignore", "ignore", ...descriptors],
    env: { ...process.env, NODE_OPTIONS: "" },
    timeout: TIMEOUT_MS,
  });
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) =>
      code === 0 ? resolve() : reject(new Error(`the receive buffer was not set: ${code}`)),
    );
  });
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

/** Inode → descriptor, of those sockets that are open in this process. */
async function descriptorsOf(inodes: ReadonlySet<string>): Promise<ReadonlyMap<string, number>> {
  const descriptors = await readdir("/proc/self/fd");
  const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
  const found = targets.map((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? "none");
  return new Map(found.flatMap((inode, at) => (inodes.has(inode) ? [[inode, Number(descriptors[at])] as const] : [])));
}
