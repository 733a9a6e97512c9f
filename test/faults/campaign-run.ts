/**
 * Campaigns between processes that are killed: a primary and two secondaries, each a process of its own behind a link that can be cut
 * and slowed. First each state is looked for and met by a kill, then kills, cuts and slow links come at random. After each campaign all
 * three run the same software, or, where each decides for itself, what it says. `node --import tsx test/faults/campaign-run.ts --runs 200`.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { scratchFolder } from "../fixtures/cleanup.ts";
import { freePort } from "../fixtures/free-port.ts";
import { type Goal, Histogram, meets, type Way, wayTo } from "./campaign-goals.ts";
import { HOST, Link, NodeProcess, POLL_MS } from "./campaign-nodes.ts";

const NODES = ["compute_primary", "compute_secondary", "sensor_fusion"] as const;
const END_TIMEOUT_MS = 120_000;
/** Disturbances come within so long after execute. */
const WINDOW_MS = 1_500;
/** A slow link delays each piece by up to so long. */
const MAX_DELAY_MS = 400;
/** Where a state is looked for: short states last longer then. */
const CHASE_DELAY_MS = 15;
const ENDS: ReadonlySet<string> = new Set(["completed", "rolledBack", "failed", "partial"]);

/** Numbers that can be had again: the seed of a failing run is printed. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Vehicle {
  readonly primary: NodeProcess;
  readonly nodes: readonly NodeProcess[];
  /** To each secondary. */
  readonly links: readonly Link[];
  readonly kills: Histogram;
  readonly next: () => number;
}

export interface Tally {
  readonly allNew: number;
  readonly allOld: number;
  /** Of campaigns in which each decides for itself. */
  readonly partial: number;
  readonly disturbances: number;
  readonly kills: Histogram;
}

/** Runs so many campaigns. @throws Error that names the seed when one ends mixed or not at all */
export async function runCampaigns(runs: number, seed: number, say: (line: string) => void): Promise<Tally> {
  const folder = scratchFolder("campaign");
  const nodes = await Promise.all(
    NODES.map(async (name) => new NodeProcess(name, await freePort(HOST), join(folder, name))),
  );
  const [primary, ...secondaries] = nodes as [NodeProcess, ...NodeProcess[]];
  const links = secondaries.map(({ port }) => new Link(port));
  const vehicle: Vehicle = { primary, nodes, links, kills: new Histogram(), next: random(seed) };
  try {
    await startAll(vehicle, secondaries);
    const tally = { completed: 0, partial: 0, old: 0, disturbances: 0 };
    let running: readonly string[] = nodes.map(() => "nothing");
    const tried = new Map<Goal, number>();
    for (let run = 1; run <= runs; run++) {
      const wanted = `software ${run}`;
      const goal = goalOf(vehicle.kills.missing, tried);
      tally.disturbances += goal === undefined ? await disturbed(vehicle, run) : await chased(vehicle, run, goal);
      const { state, members } = await ended(primary, run);
      const found = await Promise.all(nodes.map(({ image }) => readFile(image, "utf8").catch(() => "nothing")));
      const isNew = (at: number) => state === "completed" || (state === "partial" && members[at]?.state === "closed");
      const expected = running.map((before, at) => (isNew(at) ? wanted : before));
      if (found.some((text, at) => text !== expected[at])) {
        throw new Error(`seed ${seed}, run ${run}: ${state}, but ${JSON.stringify(found)} instead of ${expected}`);
      }
      tally[state === "completed" || state === "partial" ? state : "old"]++;
      running = expected;
      say(`run ${run}: ${state}${goal === undefined ? "" : ` (${goal.role}: ${goal.of} ${goal.state})`}`);
    }
    const { completed, partial, old, disturbances } = tally;
    return { allNew: completed, allOld: old, partial, disturbances, kills: vehicle.kills };
  } finally {
    for (const link of links) link.close();
    for (const node of nodes) await node.kill();
  }
}

async function startAll({ primary, nodes, links }: Vehicle, secondaries: readonly NodeProcess[]): Promise<void> {
  // one of them gives up its trial at the first restart
  const slot = (node: NodeProcess) => {
    const trial_starts = node === nodes.at(-1) ? 0 : 1;
    return { [node.name]: { provider: "slot", folder: join(node.folder, "slots"), trial_starts } };
  };
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
}

/** The goal that was tried least of those that no kill has met; none after some tries of each. */
function goalOf(missing: readonly Goal[], tried: Map<Goal, number>): Goal | undefined {
  const count = (goal: Goal) => tried.get(goal) ?? 0;
  const [goal] = missing.filter((each) => count(each) < MAX_TRIES).toSorted((a, b) => count(a) - count(b));
  if (goal !== undefined) tried.set(goal, count(goal) + 1);
  return goal;
}

const MAX_TRIES = 6;

async function register(primary: NodeProcess, run: number, policy: "coordinated" | "independent"): Promise<void> {
  const path = `/components/${primary.name}/bulk-data/firmware-artifacts/image-${run}`;
  await fetch(primary.base + path, {
    method: "PUT",
    headers: { authorization: `Bearer ${primary.token}`, "content-type": "application/octet-stream" },
    body: `software ${run}`,
  });
  const body = {
    id: `fw-${run}`,
    origins: ["proximity"],
    rollback_policy: policy,
    artifact_uri: path,
    affected_components: NODES,
  };
  const registered = await primary.call("POST", "/updates", body);
  if (registered.status !== 201) throw new Error(`register: ${JSON.stringify(registered)}`);
}

/** A kill at the very state that is looked for. Gives what was done to the vehicle, if the state came. */
async function chased(vehicle: Vehicle, run: number, goal: Goal): Promise<number> {
  const { primary, nodes, links, next } = vehicle;
  const way = wayTo(goal);
  const victim = goal.role === "primary" ? primary : nodes[1 + Math.floor(next() * (nodes.length - 1))]!;
  for (const link of links) link.delayMs = CHASE_DELAY_MS;
  await register(primary, run, way === "independent" ? "independent" : "coordinated");
  if (way === "absent") links[0]!.break();
  const watching = watched(victim, run, goal);
  const leading = lead(vehicle, run, way, watching);
  await watching;
  await killed(vehicle, victim, run);
  for (const link of links) [link.cut, link.delayMs] = [false, 0];
  await leading;
  return 1;
}

/** Brings the campaign to where the goal is. Calls may fail: their node may be dead by then. */
async function lead({ primary, nodes, links }: Vehicle, run: number, way: Way, until: Promise<void>): Promise<void> {
  const put = (verb: string) => primary.call("PUT", `/updates/fw-${run}/${verb}`).catch(() => undefined);
  const trialOf = (node: NodeProcess) =>
    Promise.race([until, followed(node, run, ({ state }) => state === "trial" || ENDS.has(state))]);
  if (way === "stepwise") {
    // executed once the kill is over
    await put("prepare");
    return;
  }
  await put("execute");
  if (way === "plain" || way === "absent") return;
  if (way === "independent") {
    const last = nodes.at(-1)!;
    await trialOf(last);
    await last.kill();
    await last.start();
    return;
  }
  await trialOf(primary);
  if (way === "unreachable") links[0]!.break();
  await put("x-rollback");
}

interface Seen {
  readonly state: string;
  readonly members: readonly { readonly state: string }[];
}

/** Resolves when the node says that it is at the goal, or that the campaign has ended without it. */
function watched(node: NodeProcess, run: number, goal: Goal): Promise<void> {
  return followed(node, run, (seen) => meets(goal, seen) || (node.name === NODES[0] && ENDS.has(seen.state)));
}

async function followed(node: NodeProcess, run: number, isThere: (seen: Seen) => boolean): Promise<void> {
  const until = Date.now() + CHASE_TIMEOUT_MS;
  while (Date.now() < until) {
    const seen = await seenBy(node, run).catch(() => undefined);
    if (seen !== undefined && isThere(seen)) return;
    await pause(1);
  }
}

const CHASE_TIMEOUT_MS = 15_000;

async function seenBy(node: NodeProcess, run: number): Promise<Seen | undefined> {
  const { status, json } = await node.call("GET", `/updates/fw-${run}/status`);
  if (status !== 200) return undefined;
  const members = (json.subprogress ?? []) as readonly Record<string, string>[];
  return { state: String(json["x-state"]), members: members.map((member) => ({ state: member["x-state"]! })) };
}

async function killed({ primary, kills }: Vehicle, node: NodeProcess, run: number): Promise<void> {
  await node.kill();
  kills.add(node === primary ? "primary" : "secondary", await node.stateAtDeath(`fw-${run}`));
  await node.start();
}

/** One or two disturbances at moments nobody chose: a kill, or a link cut or slowed for a while. */
async function disturbed(vehicle: Vehicle, run: number): Promise<number> {
  const { primary, nodes, links, next } = vehicle;
  await register(primary, run, "coordinated");
  await primary.call("PUT", `/updates/fw-${run}/execute`);
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
    await killed(vehicle, nodes[Math.floor(next() * nodes.length)] ?? primary, run);
  }
  return count;
}

async function ended(primary: NodeProcess, run: number): Promise<Seen> {
  const until = Date.now() + END_TIMEOUT_MS;
  for (;;) {
    const seen = await seenBy(primary, run);
    if (seen !== undefined && ENDS.has(seen.state)) return seen;
    if (seen?.state === "registered" || seen?.state === "prepared")
      await primary.call("PUT", `/updates/fw-${run}/execute`);
    if (Date.now() > until) throw new Error(`run ${run} is stuck: ${JSON.stringify(seen)}`);
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
  const { allNew, allOld, partial, disturbances, kills } = tally;
  for (const line of kills.lines) console.log(line);
  const unmet = kills.missing.map(({ role, of, state }) => `${role} ${of} ${state}`);
  if (unmet.length > 0) console.log(`no kill fell into: ${unmet.join(", ")}`);
  console.log(
    `seed ${seed}: ${allNew} all new, ${allOld} all old, ${partial} each for itself, ${disturbances} disturbances; none mixed, none stuck`,
  );
}
