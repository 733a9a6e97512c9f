/**
 * The whole server killed while it uploads, applies, rolls back and cleans up over HTTP. After each kill the store must be sound, and the
 * restarted server must show exactly what was before the change under way, or what was after it, with an execution that says which.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as elapsed } from "node:timers/promises";
import { writeMdd } from "#mdd/writer/mdd.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { DEMO_ECUS } from "#sim/demo/vehicle.ts";
import { checkInProcess } from "#store/check-process.ts";
import type { CrashRun } from "./harness.ts";
import { randomFrom } from "./model.ts";
import { ready, type ServerProcess, startServerProcess } from "./server-process.ts";

type Random = (below: number) => number;
/** File → hash. */
type FileSet = Readonly<Record<string, string>>;
interface Sets {
  readonly current: FileSet;
  /** What an apply would make current, when something is pending. */
  readonly next: FileSet | undefined;
  readonly backup: FileSet;
}

interface Change {
  readonly name: string;
  readonly after: Sets;
  /** Sends it and waits for its end. Returns the execution's id, if it is one. */
  run(client: Client): Promise<void>;
}

/** When the process is killed, seen from outside. */
const MOMENTS = ["sent", "any", "begun", "ended"] as const;
const LONGEST_ANY_MS = 250;
const MIB = 1 << 20;
const LIMITS = { databases: 256 * MIB, state: 64 * MIB, bulk: 256 * MIB };
const ECUS = DEMO_ECUS.slice(0, 3);
const VERSIONS = 4;
const MOST_CHANGES = 6;
const APP = "/apps/sovd2uds";
const NEXT = `${APP}/bulk-data/runtimefiles-nextupdate`;
const RUN = `${APP}/operations/runtimefilesupdate/executions`;

export interface ServerCrashResult {
  readonly passed: number;
  readonly failures: readonly string[];
  readonly moments: Readonly<Record<string, number>>;
}

interface File {
  readonly id: string;
  readonly hash: string;
  readonly content: Uint8Array;
}

export async function runServerCrashes(run: CrashRun): Promise<ServerCrashResult> {
  const { kills, seed, timeLimitMs = Number.POSITIVE_INFINITY } = run;
  const end = performance.now() + timeLimitMs;
  const random = randomFrom(seed);
  const pool = await makeFiles();
  const folder = await mkdtemp(join(tmpdir(), "server-crash-"));
  await mkdir(join(folder, "databases"));
  for (const { id, content } of pool.slice(0, ECUS.length)) await writeFile(join(folder, "databases", id), content);
  let sets: Sets = { current: setOf(pool.slice(0, ECUS.length)), next: undefined, backup: {} };
  const result = { passed: 0, failures: [] as string[], moments: {} as Record<string, number> };
  let under: Under | undefined;
  for (let kill = 0; kill <= kills; kill++) {
    try {
      const server = await startServerProcess({ folder, config: config(folder) });
      await ready(server);
      const client = await connect(server);
      sets = await verify(client, sets, under);
      if (under !== undefined) result.passed++;
      if (kill === kills || performance.now() > end) {
        server.kill("SIGTERM");
        assert.equal(await server.ended, "0", "the server ends well");
        break;
      }
      ({ sets, under } = await liveUntilKilled(server, client, sets, pool, random));
      result.moments[under.moment] = (result.moments[under.moment] ?? 0) + 1;
      const { problems } = await checkInProcess(join(folder, "store"), LIMITS);
      assert.deepEqual(problems, [], "the store is sound");
    } catch (error) {
      const what = under === undefined ? "" : `${under.change.name} killed at ${under.moment}: `;
      result.failures.push(`seed ${seed}, kill ${kill}: ${what}${(error as Error).message} (${folder} kept)`);
      return result;
    }
  }
  await rm(folder, { recursive: true });
  return result;
}

/** The change that was under way when the process was killed. */
interface Under {
  readonly change: Change;
  readonly moment: string;
  readonly execution: string | undefined;
  /** The client had its answer: nothing of it may be lost. */
  readonly acknowledged: boolean;
}

async function liveUntilKilled(
  server: ServerProcess,
  client: Client,
  before: Sets,
  pool: readonly File[],
  random: Random,
): Promise<{ sets: Sets; under: Under }> {
  let sets = before;
  for (let left = random(MOST_CHANGES); left > 0; left--) {
    const change = changeFrom(sets, pool, random);
    await change.run(client);
    sets = change.after;
  }
  const change = changeFrom(sets, pool, random);
  const moment = MOMENTS[random(MOMENTS.length)]!;
  client.execution = undefined;
  const begun = new Promise<void>((resolve) => {
    client.onBegun = resolve;
  });
  const running = change.run(client).then(
    () => true,
    () => false,
  );
  if (moment === "any") await elapsed(random(LONGEST_ANY_MS * 10) / 10);
  if (moment === "begun") await Promise.race([begun, running]);
  const ended = moment === "ended" && (await running);
  server.kill();
  await server.ended;
  const acknowledged = ended || (await running);
  return { sets, under: { change, moment, execution: client.execution, acknowledged } };
}

/** Throws unless the sets are what they were before or after the change, and the execution says so. Returns what they are. */
async function verify(client: Client, before: Sets, under: Under | undefined): Promise<Sets> {
  const seen = await client.sets();
  const candidates =
    under === undefined ? [before] : under.acknowledged ? [under.change.after] : [before, under.change.after];
  const found = candidates.find((sets) => same(seen, sets));
  assert.ok(found, `sets are ${JSON.stringify(seen)}, expected one of ${JSON.stringify(candidates)}`);
  const names = Object.keys(found.current).map((id) => id.slice(0, -".mdd".length));
  assert.deepEqual(await client.components(), names.sort(), "components are those of the current set");
  if (under?.execution !== undefined) {
    const { status } = await client.json("GET", `${RUN}/${under.execution}`);
    const isAfter = same(seen, under.change.after);
    const isBefore = same(seen, before);
    assert.ok((status === "completed" && isAfter) || (status === "failed" && isBefore), `the execution is ${status}`);
  }
  return found;
}

const same = (seen: Shown, sets: Sets): boolean =>
  equal(seen.current, sets.current) && equal(seen.next, sets.next ?? sets.current) && equal(seen.backup, sets.backup);

const equal = (a: FileSet, b: FileSet): boolean => {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
};

function changeFrom(sets: Sets, pool: readonly File[], random: Random): Change {
  const changes = [upload, upload, ...(sets.next === undefined ? [] : [apply, apply, apply])];
  if (Object.keys(sets.next ?? sets.current).length > 1) changes.push(remove);
  if (Object.keys(sets.backup).length > 0) changes.push(rollback, rollback);
  changes.push(cleanup);
  return changes[random(changes.length)]!(sets, pool, random);
}

type MakeChange = (sets: Sets, pool: readonly File[], random: Random) => Change;

const upload: MakeChange = (sets, pool, random) => {
  const files = ECUS.flatMap(({ name }) => {
    const own = pool.filter(({ id }) => id === `${name.toLowerCase()}.mdd`);
    return random(2) === 0 ? [own[random(own.length)]!] : [];
  });
  const chosen = files.length === 0 ? [pool[random(pool.length)]!] : files;
  return {
    name: `upload of ${chosen.length}`,
    after: { ...sets, next: { ...(sets.next ?? sets.current), ...setOf(chosen) } },
    run: (client) => client.upload(chosen),
  };
};

const remove: MakeChange = (sets, _pool, random) => {
  const pending = sets.next ?? sets.current;
  const ids = Object.keys(pending).sort();
  const id = ids[random(ids.length)]!;
  const { [id]: _, ...next } = pending;
  return {
    name: `removal of ${id}`,
    after: { ...sets, next },
    run: (client) => client.done("DELETE", `${NEXT}/${id}`),
  };
};

const apply: MakeChange = (sets) => ({
  name: "apply",
  after: { current: sets.next ?? sets.current, next: undefined, backup: sets.current },
  run: (client) => client.execute("apply"),
});

const rollback: MakeChange = (sets) => ({
  name: "rollback",
  after: { current: sets.backup, next: undefined, backup: {} },
  run: (client) => client.execute("rollback"),
});

const cleanup: MakeChange = (sets) => ({
  name: "cleanup",
  after: { ...sets, next: undefined, backup: {} },
  run: (client) => client.execute("cleanup"),
});

interface Shown {
  readonly current: FileSet;
  readonly next: FileSet;
  readonly backup: FileSet;
}

interface Client {
  /** The execution that was begun last. */
  execution: string | undefined;
  onBegun: () => void;
  json(method: string, path: string, body?: unknown): Promise<Record<string, never> & { id?: string; status?: string }>;
  done(method: string, path: string): Promise<void>;
  upload(files: readonly File[]): Promise<void>;
  execute(mode: string): Promise<void>;
  sets(): Promise<Shown>;
  components(): Promise<string[]>;
}

async function connect({ base }: ServerProcess): Promise<Client> {
  const authorized = await fetch(`${base}/authorize`, {
    method: "POST",
    body: JSON.stringify({ client_id: "crash", client_secret: "crash" }),
  });
  const { access_token: token } = (await authorized.json()) as { access_token: string };
  const send = async (method: string, path: string, body?: string | FormData) => {
    const headers = { authorization: `Bearer ${token}`, ...(typeof body === "string" ? JSON_TYPE : {}) };
    const response = await fetch(`${base}${path}`, { method, headers, ...(body === undefined ? {} : { body }) });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
    return text;
  };
  const listed = async (set: string): Promise<FileSet> => {
    const text = await send("GET", `${APP}/bulk-data/runtimefiles-${set}?x-sovd2uds-include-hash=sha256`);
    const { items } = JSON.parse(text) as { items: { id: string; hash: string }[] };
    return Object.fromEntries(items.map(({ id, hash }) => [id, hash]));
  };
  const client: Client = {
    execution: undefined,
    onBegun: () => undefined,
    json: async (method, path, body) =>
      JSON.parse(await send(method, path, body === undefined ? undefined : JSON.stringify(body))),
    done: async (method, path) => void (await send(method, path)),
    upload: async (files) => {
      const form = new FormData();
      for (const { id, content } of files) form.append("file", new Blob([content as Uint8Array<ArrayBuffer>]), id);
      await send("POST", NEXT, form);
    },
    execute: async (mode) => {
      const { id } = await client.json("POST", RUN, { mode });
      client.execution = id;
      client.onBegun();
      let status: string | undefined;
      do ({ status } = await client.json("GET", `${RUN}/${id}`));
      while (status === "running");
      assert.equal(status, "completed");
    },
    sets: async () => ({
      current: await listed("current"),
      next: await listed("nextupdate"),
      backup: await listed("backup"),
    }),
    components: async () => {
      const { items } = (await client.json("GET", "/components")) as unknown as { items: { id: string }[] };
      return items.map(({ id }) => id).sort();
    },
  };
  await client.json("POST", "/locks", { lock_expiration: 3_600 });
  return client;
}

const JSON_TYPE = { "content-type": "application/json" };

const config = (folder: string) => ({
  // nothing triggers it: there is no vehicle here
  communication: { init_mode: "plugin" },
  store: { path: join(folder, "store"), max_bytes: LIMITS, max_mapped_bytes: 64 * MIB },
  update: { allow_downgrade: true },
});

/** The first of each ECU stand at the begin; later ones differ in revision and size. */
async function makeFiles(): Promise<readonly File[]> {
  const files: File[] = [];
  for (let version = 1; version <= VERSIONS; version++) {
    for (const ecu of ECUS) {
      const content = await writeMdd({
        description: { ...demoDatabase(ecu), revision: `${version}` },
        chunks: [{ type: 3, name: "filling", content: new Uint8Array(version * 700_000).fill(version) }],
      });
      const hash = createHash("sha256").update(content).digest("hex");
      files.push({ id: `${ecu.name.toLowerCase()}.mdd`, hash, content });
    }
  }
  return files;
}

const setOf = (files: readonly File[]): FileSet => Object.fromEntries(files.map(({ id, hash }) => [id, hash]));
