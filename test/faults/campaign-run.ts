/**
 * Campaigns between processes that are killed: a primary and two secondaries, each a process of its own behind a link that can be cut
 * and slowed.
 * After each campaign all three run the same software. `node --import tsx test/faults/campaign-run.ts --runs 200`.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Transform } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { stringify } from "smol-toml";
import { freePort } from "../fixtures/free-port.ts";

const CLI = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const HOST = "127.0.0.1";
const NODES = ["compute_primary", "compute_secondary", "sensor_fusion"] as const;
const START_TIMEOUT_MS = 60_000;
const END_TIMEOUT_MS = 120_000;
const POLL_MS = 50;
/** Disturbances come within so long after execute. */
const WINDOW_MS = 1_500;
/** A slow link delays each piece by up to so long. */
const MAX_DELAY_MS = 400;
const SLOW_PIECE_BYTES = 4_096;

const TIMING = {
  soak_ms: 200,
  health_interval_ms: 50,
  health_min_polls: 2,
  health_timeout_ms: 30_000,
  status_interval_ms: 25,
  retry_ms: 50,
  execute_timeout_ms: 40_000,
  commit_timeout_ms: 30_000,
  verdict_timeout_ms: 90_000,
};

/** Numbers that can be had again: the seed of a failing run is printed. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A link that can be cut: existing connections break, new ones fail; or slowed: each piece of data waits before it goes on. */
class Link {
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

class NodeProcess {
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
  async configure(update: Record<string, unknown>): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    const config = {
      server: { address: HOST, port: this.port },
      doip: { enabled: false },
      database: { path: join(this.folder, "none") },
      store: { path: join(this.folder, "store") },
      runtime_update_config: { storage_dir: this.folder },
      logging: { level: "off" },
      flash_files_path: this.folder,
      update: { component: this.name, ...TIMING, ...update },
    };
    await writeFile(join(this.folder, "node.toml"), stringify(config));
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

export interface Tally {
  readonly allNew: number;
  readonly allOld: number;
  readonly disturbances: number;
}

/** Runs so many campaigns. @throws Error that names the seed when one ends mixed or not at all */
export async function runCampaigns(runs: number, seed: number, say: (line: string) => void): Promise<Tally> {
  const next = random(seed);
  const folder = await mkdtemp(join(tmpdir(), "sovd-campaign-"));
  const nodes = await Promise.all(
    NODES.map(async (name) => new NodeProcess(name, await freePort(HOST), join(folder, name))),
  );
  const [primary, ...secondaries] = nodes as [NodeProcess, ...NodeProcess[]];
  const links = secondaries.map(({ port }) => new Link(port));
  // one of them gives up its trial at the first restart
  const slot = (node: NodeProcess) => {
    const target = {
      provider: "slot",
      folder: join(node.folder, "slots"),
      trial_starts: node === nodes.at(-1) ? 0 : 1,
    };
    return { [node.name]: target };
  };
  try {
    for (const node of secondaries) {
      await node.configure({ role: "secondary", targets: slot(node) });
      await node.start();
    }
    const targets: Record<string, unknown> = slot(primary);
    for (const [i, node] of secondaries.entries()) {
      const url = `http://${HOST}:${await links[i]!.listen()}/sovd/v1`;
      targets[node.name] = { provider: "sovd-secondary", url, token: node.token };
    }
    await primary.configure({ role: "primary", targets });
    await primary.start();
    let [allNew, allOld, disturbances] = [0, 0, 0];
    let running = "nothing";
    for (let run = 1; run <= runs; run++) {
      const wanted = `software ${run}`;
      disturbances += await disturbed(primary, nodes, links, next, () => begin(primary, run, wanted));
      const state = await ended(primary, run);
      const found = await Promise.all(nodes.map(({ image }) => readFile(image, "utf8").catch(() => "nothing")));
      const expected = state === "completed" ? wanted : running;
      if (found.some((text) => text !== expected)) {
        throw new Error(`seed ${seed}, run ${run}: ${state}, but ${JSON.stringify(found)} instead of ${expected}`);
      }
      state === "completed" ? allNew++ : allOld++;
      running = expected;
      say(`run ${run}: ${state}`);
    }
    return { allNew, allOld, disturbances };
  } finally {
    for (const link of links) link.close();
    for (const node of nodes) await node.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

async function begin(primary: NodeProcess, run: number, content: string): Promise<void> {
  const path = `/components/${primary.name}/bulk-data/firmware-artifacts/image-${run}`;
  await fetch(primary.base + path, {
    method: "PUT",
    headers: { authorization: `Bearer ${primary.token}`, "content-type": "application/octet-stream" },
    body: content,
  });
  const body = {
    id: `fw-${run}`,
    origins: ["proximity"],
    rollback_policy: "coordinated",
    artifact_uri: path,
    affected_components: NODES,
  };
  const registered = await primary.call("POST", "/updates", body);
  if (registered.status !== 201) throw new Error(`register: ${JSON.stringify(registered)}`);
  await primary.call("PUT", `/updates/fw-${run}/execute`);
}

/** One or two disturbances at moments nobody chose: a kill, or a link cut or slowed for a while. */
async function disturbed(
  primary: NodeProcess,
  nodes: readonly NodeProcess[],
  links: readonly Link[],
  next: () => number,
  start: () => Promise<void>,
): Promise<number> {
  await start();
  const count = Math.floor(next() * 3);
  for (let i = 0; i < count; i++) {
    await pause(next() * WINDOW_MS);
    const kind = next();
    if (kind < 0.4) {
      const link = links[Math.floor(next() * links.length)]!;
      if (kind < 0.2) link.break();
      else link.delayMs = next() * MAX_DELAY_MS;
      await pause(next() * WINDOW_MS);
      link.cut = false;
      link.delayMs = 0;
      continue;
    }
    const node = nodes[Math.floor(next() * nodes.length)] ?? primary;
    await node.kill();
    await node.start();
  }
  return count;
}

async function ended(primary: NodeProcess, run: number): Promise<string> {
  const until = Date.now() + END_TIMEOUT_MS;
  for (;;) {
    const { status, json } = await primary.call("GET", `/updates/fw-${run}/status`);
    const state = String(json["x-state"]);
    if (status === 200 && ["completed", "rolledBack", "failed"].includes(state)) return state;
    if (state === "registered") await primary.call("PUT", `/updates/fw-${run}/execute`);
    if (Date.now() > until) throw new Error(`run ${run} is stuck: ${JSON.stringify(json)}`);
    await pause(POLL_MS);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const argument = (name: string, or: number) => {
    const at = process.argv.indexOf(name);
    return at === -1 ? or : Number(process.argv[at + 1]);
  };
  const seed = argument("--seed", Date.now() >>> 0);
  const tally = await runCampaigns(argument("--runs", 200), seed, (line) => console.log(line));
  console.log(
    `seed ${seed}: ${tally.allNew} all new, ${tally.allOld} all old, ${tally.disturbances} disturbances; none mixed, none stuck`,
  );
}
