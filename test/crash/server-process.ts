/** The whole server as a process of its own: `serve` on a folder, to be killed at any instant and started again. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { stringify } from "smol-toml";
import type { Tree } from "#config/tree.ts";

const CLI = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
/** A server that is not there by then never will be. */
const START_TIMEOUT_MS = 120_000;

export interface ServerProcess {
  readonly base: string;
  readonly pid: number;
  /** Resolves with signal or exit code. */
  readonly ended: Promise<string>;
  /** Everything it logged, one record a line. */
  readonly log: readonly LogRecord[];
  kill(signal?: NodeJS.Signals): void;
}

export interface LogRecord {
  readonly msg?: string;
  readonly [field: string]: unknown;
}

export interface ServerOptions {
  /** Holds databases and store. */
  readonly folder: string;
  readonly config?: Tree;
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts it and waits until it listens. Rejects when it ends before that. */
export async function startServerProcess({ folder, config = {}, env = {} }: ServerOptions): Promise<ServerProcess> {
  await mkdir(join(folder, "databases"), { recursive: true });
  const file = join(folder, "config.toml");
  const tree: Tree = {
    server: { address: "127.0.0.1", port: 0 },
    database: { path: join(folder, "databases") },
    store: { path: join(folder, "store") },
    runtime_update_config: { storage_dir: join(folder, "storage") },
    flash_files_path: folder,
    shards: { workers: 1 },
    logging: { level: "info" },
    ...config,
  };
  await writeFile(file, stringify(tree));
  const child = spawn(process.execPath, ["--import", "tsx", CLI, "serve", "-c", file], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  const ended = once(child, "close").then(([code, signal]) => String(signal ?? code));
  const log: LogRecord[] = [];
  const port = await listening(child, ended, log);
  return {
    base: `http://127.0.0.1:${port}/vehicle/v15`,
    pid: child.pid ?? 0,
    ended,
    log,
    kill: (s) => child.kill(s ?? "SIGKILL"),
  };
}

function listening(child: ChildProcess, ended: Promise<string>, log: LogRecord[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error("the server does not listen"));
    }, START_TIMEOUT_MS);
    void ended.then((end) => reject(new Error(`the server ended with ${end}: ${JSON.stringify(log.slice(-3))}`)));
    createInterface({ input: child.stdout! }).on("line", (line) => {
      const record = recordOf(line);
      log.push(record);
      if (record.msg !== "listening") return;
      clearTimeout(timer);
      resolve(Number(record.port));
    });
  });
}

function recordOf(line: string): LogRecord {
  try {
    return JSON.parse(line) as LogRecord;
  } catch {
    return { msg: line };
  }
}

/** Resolves when the databases are loaded. */
export async function ready({ base, ended }: ServerProcess): Promise<void> {
  const url = `${base}/components`;
  let gone: string | undefined;
  void ended.then((end) => {
    gone = end;
  });
  for (;;) {
    const status = await fetch(url).then(
      (response) => response.status,
      () => 0,
    );
    if (status === 200) return;
    if (gone !== undefined) throw new Error(`the server ended with ${gone} before it was ready`);
  }
}
