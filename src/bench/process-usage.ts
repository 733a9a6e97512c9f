/** Processor time and memory of a server on this machine, out of Linux' /proc. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface ProcessUsage {
  /** Processor time of all threads, and of the main thread alone, microseconds. */
  readonly cpuUs: number;
  readonly mainCpuUs: number;
  readonly rssBytes: number;
  /** Without mapped files: what the kernel cannot take back. */
  readonly rssAnonBytes: number;
}

const LISTENING = "0A";
/** Fields of /proc/PID/stat behind the name (proc(5) 14 and 15), in ticks of 10 ms on every Linux that Node runs on. */
const [USER_TICKS, SYSTEM_TICKS] = [11, 12];
const US_PER_TICK = 10_000;

/** Process that listens on a TCP port of this machine; undefined when there is none, or it may not be looked at. */
export function listenerOf(port: number): number | undefined {
  const inodes = new Set([...socketsOn("/proc/net/tcp", port), ...socketsOn("/proc/net/tcp6", port)]);
  if (inodes.size === 0) return undefined;
  for (const pid of list("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of list(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(link(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined && inodes.has(inode)) return Number(pid);
    }
  }
  return undefined;
}

/** What the process has used so far; undefined when it is gone or this is no Linux. */
export function usageOf(pid: number): ProcessUsage | undefined {
  const status = read(`/proc/${pid}/status`);
  const threads = list(`/proc/${pid}/task`);
  if (status === "" || threads.length === 0) return undefined;
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
  return {
    cpuUs: processUs(pid),
    mainCpuUs: runUs(pid, String(pid)),
    rssBytes: kib("VmRSS") * 1_024,
    rssAnonBytes: kib("RssAnon") * 1_024,
  };
}

/** Time in user and kernel mode of all threads, those included that have ended: a sum over those that live could go backwards. */
function processUs(pid: number): number {
  const fields = read(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, "")
    .split(" ");
  return (Number(fields[USER_TICKS]) + Number(fields[SYSTEM_TICKS])) * US_PER_TICK;
}

/** First field of schedstat: nanoseconds on a processor. */
function runUs(pid: number, tid: string): number {
  return Number(read(`/proc/${pid}/task/${tid}/schedstat`).split(" ", 1)[0]) / 1_000;
}

function socketsOn(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = read(table)
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  return rows.filter(([, local, , state]) => local?.endsWith(suffix) && state === LISTENING).map((row) => row[9] ?? "");
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
