/** What is asked for: each profile finds its requests on the server and makes their bytes once. */
import { Fault } from "#core/errors.ts";
import { JSON_TYPE } from "#core/media-types.ts";
import { encodeRequest } from "./http-message.ts";
import { ask, itemsOf, type Target } from "./target.ts";

/** Profiles of single requests; `flash` is work of several steps. */
export const REQUEST_PROFILES = ["list", "read", "write", "mix", "functional"] as const;
export const PROFILES = [...REQUEST_PROFILES, "flash"] as const;
export type RequestProfile = (typeof REQUEST_PROFILES)[number];
export type ProfileName = (typeof PROFILES)[number];

/** The requests of a profile on one server. */
export interface Work {
  /** Sent in turn. */
  readonly requests: readonly Buffer[];
  /** What they are, for the report. */
  readonly description: string;
  /** Gives back what the profile took, such as locks. */
  release(): Promise<void>;
}

interface Call {
  readonly method: string;
  readonly path: string;
  readonly json?: unknown;
}

const LOCK_SECONDS = 3_600;
/** Of 20 requests of profile `mix`: reads, lists, components. */
const MIX = { read: 14, list: 3, component: 3 } as const;
/** A value whose reading is tried first: all ECUs have it. */
const PREFERRED = /vin/i;
const nothing = async (): Promise<void> => {};

/** Finds what the profile needs. @throws Fault that says what the server lacks */
export async function prepare(profile: RequestProfile, target: Target): Promise<Work> {
  switch (profile) {
    case "list":
      return workOf(target, [list], "list of components");
    case "read":
      return reading(target);
    case "write":
      return writing(target);
    case "mix":
      return mixture(target);
    case "functional":
      return functional(target);
  }
}

const list: Call = { method: "GET", path: "/components" };

function workOf(target: Target, calls: readonly Call[], description: string, release = nothing): Work {
  const { host, base, token } = target;
  const requests = calls.map(({ method, path, json }) =>
    encodeRequest({ method, path: base + path, host, token, accept: JSON_TYPE, json }),
  );
  return { requests, description, release };
}

async function reading(target: Target): Promise<Work> {
  const calls = await readableData(target);
  return workOf(target, calls, `data read: ${calls.map(({ path }) => path).join(", ")}`);
}

async function mixture(target: Target): Promise<Work> {
  const reads = await readableData(target);
  const components = target.components.map((id) => ({ method: "GET", path: `/components/${id}` }));
  const calls = Array.from({ length: reads.length }, (_, round) => [
    ...Array.from({ length: MIX.read }, (_, i) => reads[(round + i) % reads.length]!),
    ...Array.from({ length: MIX.list }, () => list),
    ...Array.from({ length: MIX.component }, (_, i) => components[(round + i) % components.length]!),
  ]).flatMap(spread);
  return workOf(target, calls, "70 % data reads, 15 % lists, 15 % components");
}

/** Puts neighbours apart: every seventh, seven times. */
function spread<T>(calls: readonly T[]): T[] {
  return calls.map((_, i) => calls[(i * 7) % calls.length]!);
}

/** One datum of each component that is there and can be read. @throws Fault when there is none */
async function readableData(target: Target): Promise<Call[]> {
  const found = await Promise.all(target.components.map((id) => readableDatum(target, `/components/${id}/data`)));
  const calls = found.filter((call) => call !== undefined);
  if (calls.length === 0) throw new Fault("notFound", `${target.url}: no component has data that can be read`);
  return calls;
}

/** The first of a collection that can be read. */
async function readableDatum(target: Target, collection: string): Promise<Call | undefined> {
  const { json } = await ask(target, "GET", collection);
  const ids = itemsOf(json).map(({ id }) => String(id));
  const preferred = ids.filter((id) => PREFERRED.test(id));
  for (const id of [...preferred, ...ids.filter((id) => !preferred.includes(id))]) {
    const call = { method: "GET", path: `${collection}/${encodeURIComponent(id)}` };
    if ((await ask(target, "GET", call.path)).status === 200) return call;
  }
  return undefined;
}

/** Locks each component, reads values and writes them back as they were. */
async function writing(target: Target): Promise<Work> {
  const locks: string[] = [];
  const calls: Call[] = [];
  const release = async () => {
    for (const lock of locks) await ask(target, "DELETE", lock);
  };
  for (const id of target.components) {
    const { status, json } = await ask(target, "POST", `/components/${id}/locks`, { lock_expiration: LOCK_SECONDS });
    if (status >= 300) continue;
    locks.push(`/components/${id}/locks/${(json as { id: string }).id}`);
    const call = await writableDatum(target, `/components/${id}/data`);
    if (call !== undefined) calls.push(call);
  }
  if (calls.length === 0) {
    await release();
    throw new Fault("notFound", `${target.url}: no component has data that can be written back in its present session`);
  }
  return workOf(target, calls, `data write: ${calls.map(({ path }) => path).join(", ")}`, release);
}

async function writableDatum(target: Target, collection: string): Promise<Call | undefined> {
  const { json } = await ask(target, "GET", collection);
  for (const { id } of itemsOf(json)) {
    const path = `${collection}/${encodeURIComponent(String(id))}`;
    const value = await ask(target, "GET", path);
    const { data } = (value.json ?? {}) as { data?: unknown };
    if (value.status !== 200 || data === undefined) continue;
    const call = { method: "PUT", path, json: { data } };
    const written = await ask(target, call.method, path, call.json);
    if (written.status === 200 || written.status === 204) return call;
  }
  return undefined;
}

/** A datum of each functional group that has one, else a mode that stays as it is. */
async function functional(target: Target): Promise<Work> {
  const groups = "/functions/functionalgroups";
  const { json } = await ask(target, "GET", groups);
  const paths = itemsOf(json).map(({ id }) => `${groups}/${encodeURIComponent(String(id))}`);
  const found = await Promise.all(paths.map((path) => readableDatum(target, `${path}/data`)));
  const calls = found.filter((call) => call !== undefined);
  if (calls.length > 0) return workOf(target, calls, `functional read: ${calls.map(({ path }) => path).join(", ")}`);
  for (const path of paths) {
    const work = await switchedOn(target, path);
    if (work !== undefined) return work;
  }
  throw new Fault("notFound", `${target.url}: no functional group has data or a mode that can be asked`);
}

/** Fault recording of a group is switched on, which it is: one functional request, and all ECUs answer. */
async function switchedOn(target: Target, group: string): Promise<Work | undefined> {
  const { status, json } = await ask(target, "POST", `${group}/locks`, { lock_expiration: LOCK_SECONDS });
  if (status >= 300) return undefined;
  const release = async () => {
    await ask(target, "DELETE", `${group}/locks/${(json as { id: string }).id}`);
  };
  const call = { method: "PUT", path: `${group}/modes/dtcsetting`, json: { value: "on" } };
  if ((await ask(target, call.method, call.path, call.json)).status === 200) {
    return workOf(target, [call], `functional write: ${call.path}`, release);
  }
  await release();
  return undefined;
}
