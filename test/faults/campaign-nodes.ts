/** A primary and its secondaries as processes of their own, behind links that can be cut and slowed. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { Transform } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { stringify } from "smol-toml";
import { merge, type Tree } from "#config/tree.ts";
import { ENVIRONMENTS, environmentFile } from "#store/environments.ts";
import { openEnvironment } from "#store/lmdb-env.ts";
import { createLmdbPersistence } from "#store/lmdb-persistence.ts";
import type { AuditRecord } from "#update/software/journal/audit.ts";
import { readRecords } from "#update/software/journal/chain.ts";

const CLI = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
export const HOST = "127.0.0.1";
const START_TIMEOUT_MS = 120_000;
export const POLL_MS = 50;
const SLOW_PIECE_BYTES = 4_096;

const TIMING = {
  soak_ms: 200,
  health_interval_ms: 50,
  health_min_polls: 2,
  health_timeout_ms: 30_000,
  status_interval_ms: 25,
  retry_ms: 50,
  rollback_timeout_ms: 4_000,
  service_retry_ms: 500,
  execute_timeout_ms: 40_000,
  commit_timeout_ms: 30_000,
  verdict_timeout_ms: 90_000,
};

/** A link that can be cut: existing connections break, new ones fail; or slowed: each piece of data waits before it goes on. */
export class Link {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  cut = false;
  delayMs = 0;
  constructor(targetPort: number) {
    this.#server = createServer((from) => {
      if (this.cut) {
        from.destroy();
        return;
      }
      const to = connect(targetPort, HOST);
      for (const [a, b] of [
        [from, to],
        [to, from],
      ] as const) {
        this.#sockets.add(a);
        a.on("error", () => b.destroy()).on("close", () => {
          this.#sockets.delete(a);
          b.destroy();
        });
        a.pipe(this.#slowed()).pipe(b);
      }
    });
  }
  #slowed(): Transform {
    return new Transform({
      highWaterMark: SLOW_PIECE_BYTES,
      transform: (chunk, _encoding, done) => {
        if (this.delayMs === 0) done(null, chunk);
        else setTimeout(() => done(null, chunk), this.delayMs);
      },
    });
  }
  async listen(): Promise<number> {
    this.#server.listen(0, HOST);
    await once(this.#server, "listening");
    return (this.#server.address() as { port: number }).port;
  }
  break(): void {
    this.cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }
  close(): void {
    this.break();
    this.#server.close();
  }
}

export class NodeProcess {
  readonly name: string;
  readonly port: number;
  readonly folder: string;
  #child: ChildProcess | undefined;
  token = "";
  constructor(name: string, port: number, folder: string) {
    this.name = name;
    this.port = port;
    this.folder = folder;
  }
  get base(): string {
    return `http://${HOST}:${this.port}/sovd/v1`;
  }
  get image(): string {
    return join(this.folder, "slots", "current", "image");
  }
  /** `more`: laid over everything else. */
  async configure(update: Tree, more: Tree = {}): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    const config: Tree = {
      server: { address: HOST, port: this.port },
      doip: { enabled: false },
      database: { path: join(this.folder, "none") },
      store: { path: join(this.folder, "store") },
      runtime_update_config: { storage_dir: this.folder },
      logging: { level: "off" },
      flash_files_path: this.folder,
      update: { component: this.name, ...TIMING, ...update },
    };
    await writeFile(join(this.folder, "node.toml"), stringify(merge(config, more)));
  }
  async start(): Promise<void> {
    const env = { ...process.env, CDA_CONFIG_FILE: join(this.folder, "node.toml") };
    this.#child = spawn(process.execPath, ["--import", "tsx", CLI, "serve"], {
      env,
      stdio: ["ignore", "ignore", "inherit"],
    });
    const until = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      const answer = await fetch(`${this.base}/authorize`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ client_id: "test", client_secret: "test" }),
      }).catch(() => undefined);
      if (answer?.status === 200) {
        this.token = ((await answer.json()) as { access_token: string }).access_token;
        return;
      }
      if (Date.now() > until || this.#child.exitCode !== null) throw new Error(`${this.name} did not start`);
      await pause(POLL_MS);
    }
  }
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }
  /** Where a campaign stood when the process was killed, as its store says. */
  async stateAtDeath(id: string): Promise<AuditRecord["state"]> {
    const file = environmentFile(join(this.folder, "store"), "state");
    const env = await openEnvironment({ file, tables: ENVIRONMENTS.state, maxBytes: 0, readOnly: true });
    try {
      return [...readRecords(createLmdbPersistence(env), 0)].findLast(({ state }) => state?.id === id)?.state;
    } finally {
      await env.close();
    }
  }
  async call(method: string, path: string, body?: unknown): Promise<{ status: number; json: Record<string, unknown> }> {
    const response = await fetch(this.base + path, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, json: text === "" ? {} : JSON.parse(text) };
  }
}
