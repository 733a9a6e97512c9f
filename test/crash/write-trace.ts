/** What a process asked of the disk, in order, as strace saw it. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";

/** One call. It began before line `begin` of the trace was over and had its effect when line `end` was. */
export interface TracedCall {
  readonly begin: number;
  readonly end: number;
  readonly what: DiskCall;
}

export type DiskCall =
  /** `synced`: by a descriptor on which a write that returned is on the disk (O_DSYNC). */
  | { readonly kind: "write"; readonly path: string; readonly offset: number; readonly bytes: Buffer; synced: boolean }
  | { readonly kind: "truncate"; readonly path: string; readonly size: number }
  | {
      readonly kind: "copy";
      readonly from: string;
      readonly path: string;
      readonly offset: number;
      readonly length: number;
    }
  | { readonly kind: "sync" | "file" | "folder" | "remove"; readonly path: string }
  | { readonly kind: "rename"; readonly path: string; readonly to: string }
  /** A line the process wrote to its standard output. */
  | { readonly kind: "say"; readonly path: ""; readonly text: string };

const CALLS = [
  "openat",
  "write",
  "pwrite64",
  "writev",
  "pwritev",
  "ftruncate",
  "fsync",
  "fdatasync",
  "rename",
  "unlink",
  "rmdir",
  "mkdir",
  "lseek",
  "copy_file_range",
  "sendfile",
  "msync",
  "fallocate",
  "sync_file_range",
  "mmap",
];

/** Why writes cannot be recorded here; undefined when they can. */
export function missingTracer(): string | undefined {
  const { error, status } = spawnSync("strace", ["-f", "-o", "/dev/null", "true"], { stdio: "ignore" });
  if (error !== undefined) return "strace is not installed";
  return status === 0 ? undefined : "strace may not trace here";
}

/** Runs a script under strace to its end. Returns what it asked of files below `folder`. Rejects when it fails. */
export async function traceWrites(
  folder: string,
  traceFile: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<TracedCall[]> {
  const options = ["-f", "--seccomp-bpf", "-y", "-xx", "-s", "100000000", "-o", traceFile, "-e", `trace=${CALLS}`];
  const child = spawn("strace", [...options, process.execPath, "--import", "tsx", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  child.stdout.resume();
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`the traced process ended with ${code}`);
  return readTrace(folder, traceFile);
}

async function readTrace(folder: string, traceFile: string): Promise<TracedCall[]> {
  const parse = createParser(folder);
  const calls: TracedCall[] = [];
  const begun = new Map<string, { readonly line: number; readonly text: string }>();
  let line = 0;
  for await (const text of createInterface({ input: createReadStream(traceFile) })) {
    line++;
    const space = text.indexOf(" ");
    const thread = text.slice(0, space);
    const rest = text.slice(space).trimStart();
    if (rest.endsWith("<unfinished ...>")) {
      begun.set(thread, { line, text: rest.slice(0, -"<unfinished ...>".length) });
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>/.exec(rest);
    const start = resumed === null ? undefined : begun.get(thread);
    const whole = start === undefined || resumed === null ? rest : start.text + rest.slice(resumed[0].length);
    for (const what of parse(whole)) calls.push({ begin: start?.line ?? line, end: line, what });
  }
  return calls.sort((a, b) => a.end - b.end);
}

/** What stands in quotes: every byte is escaped, quotes too. */
const quoted = (call: string): string[] => call.split('"').filter((_, index) => index % 2 === 1);

function createParser(folder: string): (call: string) => DiskCall[] {
  /** Where each descriptor stands and what it is, for calls that do not tell. */
  const positions = new Map<string, number>();
  const syncing = new Set<string>();

  /** Copies inside the kernel: the bytes are those of the source, from the same place. */
  function copied(call: string, name: string, length: number): DiskCall[] {
    const [first, second] = [...call.matchAll(/(\d+)<([^>]*)>/g)].map(([, handle = "", path = ""]) => ({
      handle,
      path: text(path),
    }));
    const [from, to] = name === "sendfile" ? [second, first] : [first, second];
    if (from === undefined || to === undefined || length === 0 || !inside(to.path)) return [];
    const offset = positions.get(to.handle) ?? 0;
    positions.set(to.handle, offset + length);
    return [{ kind: "copy", from: from.path, path: to.path, offset, length }];
  }

  const inside = (path: string) => path.startsWith(`${folder}/`) || path === folder;

  return (call) => {
    const name = call.slice(0, call.indexOf("("));
    const result = Number(/\) += (-?\d+)[^=]*$/.exec(call.slice(-400))?.[1] ?? -1);
    if (!CALLS.includes(name) || result < 0) return [];
    const file = /^\w+\((\d+)<([^>]*)>/.exec(call);
    const descriptor = file?.[1] ?? "";
    const path = text(file?.[2] ?? "");
    if (name === "write" && descriptor === "1") return said(call);
    const named = () => quoted(call).map(text);
    switch (name) {
      case "mmap":
        if (/PROT_WRITE.*MAP_SHARED/.test(call) && call.includes(`${escaped(".mdb")}>`))
          throw new Error("a data file is written through a mapping: that leaves no trace");
        return [];
      case "openat": {
        const [opened = ""] = named();
        if (!inside(opened)) return [];
        const handle = /= (\d+)/.exec(call.slice(-400))?.[1] ?? "";
        positions.set(handle, 0);
        syncing.delete(handle);
        if (/O_D?SYNC/.test(call)) syncing.add(handle);
        const calls: DiskCall[] = [];
        if (call.includes("O_CREAT")) calls.push({ kind: "file", path: opened });
        if (call.includes("O_TRUNC")) calls.push({ kind: "truncate", path: opened, size: 0 });
        return calls;
      }
      case "mkdir":
        return named()
          .filter(inside)
          .map((made) => ({ kind: "folder", path: made }));
      case "unlink":
      case "rmdir":
        return named()
          .filter(inside)
          .map((gone) => ({ kind: "remove", path: gone }));
      case "rename": {
        const [from = "", to = ""] = named();
        return inside(from) ? [{ kind: "rename", path: from, to }] : [];
      }
    }
    if (name === "copy_file_range" || name === "sendfile") return copied(call, name, result);
    if (!inside(path)) return [];
    const at = positions.get(descriptor) ?? 0;
    const synced = syncing.has(descriptor);
    switch (name) {
      case "fsync":
      case "fdatasync":
        return [{ kind: "sync", path }];
      case "ftruncate":
        return [{ kind: "truncate", path, size: numberAfter(call) }];
      case "lseek":
        positions.set(descriptor, result);
        return [];
      case "write":
      case "writev":
        positions.set(descriptor, at + result);
        return [{ kind: "write", path, offset: at, bytes: bytesOf(call).subarray(0, result), synced }];
      case "pwrite64":
      case "pwritev":
        return [{ kind: "write", path, offset: numberAtEnd(call), bytes: bytesOf(call).subarray(0, result), synced }];
      default:
        throw new Error(`${name} is not understood here: ${call.slice(0, 200)}`);
    }
  };
}

function said(call: string): DiskCall[] {
  return bytesOf(call)
    .toString()
    .split("\n")
    .slice(0, -1)
    .map((line) => ({ kind: "say", path: "", text: line }));
}

function bytesOf(call: string): Buffer {
  return Buffer.concat(quoted(call).map(bytes));
}

const bytes = (escaped: string): Buffer => Buffer.from(escaped.replaceAll("\\x", ""), "hex");
const text = (escaped: string): string => bytes(escaped).toString();
const escaped = (plain: string): string => Buffer.from(plain).toString("hex").replace(/../g, "\\x$&");
const numberAfter = (call: string): number => Number(/>, (\d+)/.exec(call)?.[1]);
const numberAtEnd = (call: string): number => Number(/, (\d+)\s*\) += \d+\s*$/.exec(call.slice(-200))?.[1]);
