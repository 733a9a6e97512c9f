/** What tests of the database update share: databases in versions, uploads, the vehicle's lock, executions to their end. */
import assert from "node:assert/strict";
import { type MddOptions, writeMdd } from "#mdd/writer/mdd.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { DEMO_ECUS } from "#sim/demo/vehicle.ts";
import type { Updater } from "#update/updater.ts";
import type { Answer, Harness } from "./harness.ts";

export const APP = "/apps/sovd2uds";
export const SETS = ["current", "nextupdate", "backup"] as const;
export const files = (set: (typeof SETS)[number]) => `${APP}/bulk-data/runtimefiles-${set}`;
export const NEXT = files("nextupdate");
export const EXECUTIONS = [
  `${APP}/operations/runtimefilesupdate/executions`,
  `${APP}/operations/diagnostic-database-update/executions`,
  `${NEXT}/executions`,
] as const;
export const RUN = EXECUTIONS[0];
const BOUNDARY = "----between-parts";

/** A demo ECU's database in another version; `name` for an ECU of another name. */
export async function mdd(ecu: string, revision: string, more: Partial<MddOptions> & { name?: string } = {}) {
  const { name = ecu, ...options } = more;
  const found = DEMO_ECUS.find((one) => one.name === ecu);
  assert.ok(found, ecu);
  return writeMdd({ description: { ...demoDatabase({ ...found, name }), revision }, ...options });
}

export interface Part {
  /** Undefined: a field, not a file. */
  readonly filename?: string;
  readonly content: Uint8Array | string;
}

/** The bytes of a form; `cut` leaves out so many at the end. */
export function form(parts: readonly Part[], cut = 0): Uint8Array {
  const pieces = parts.flatMap(({ filename, content }) => [
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"${filename === undefined ? "" : `; filename="${filename}"`}\r\n\r\n`,
    content,
    "\r\n",
  ]);
  const whole = Buffer.concat([...pieces, `--${BOUNDARY}--\r\n`].map((piece) => Buffer.from(piece)));
  return whole.subarray(0, whole.length - cut);
}

export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`;

export function uploadForm(h: Harness, body: Uint8Array, as = "tester"): Promise<Answer> {
  return h.http.post(NEXT, body, { as, headers: { "content-type": FORM_TYPE } });
}

export function upload(h: Harness, contents: Readonly<Record<string, Uint8Array>>, as = "tester"): Promise<Answer> {
  return uploadForm(h, form(Object.entries(contents).map(([filename, content]) => ({ filename, content }))), as);
}

/** Runs `work` under the vehicle's lock. */
export async function vehicleLocked<T>(h: Harness, work: () => Promise<T>, as = "tester"): Promise<T> {
  const lock = await h.http.post("/locks", { lock_expiration: 600 }, { as });
  assert.equal(lock.status, 201, lock.text);
  try {
    return await work();
  } finally {
    await h.http.delete(`/locks/${lock.json.id}`, { as });
  }
}

export const updaterOf = (h: Harness): Updater => h.server.context.databaseUpdate as Updater;

/** Begins an execution, waits for its end, returns what its resource says then. */
export async function execute(h: Harness, mode: string, path: string = RUN): Promise<Answer> {
  const begun = await h.http.post(path, { parameters: { mode } });
  assert.equal(begun.status, 202, begun.text);
  await updaterOf(h).idle();
  return h.http.get(`${path}/${begun.json.id}`);
}

/** The same, and it must end well. */
export async function completed(h: Harness, mode: string): Promise<void> {
  const { json } = await execute(h, mode);
  assert.deepEqual(json, { status: "completed", parameters: { mode } });
}

/** Every file of every set by hash: what must not change when a request is refused. */
export async function snapshot(h: Harness): Promise<Record<string, Record<string, string>>> {
  const sets: Record<string, Record<string, string>> = {};
  for (const set of SETS) {
    const { json } = await h.http.get(`${files(set)}?x-sovd2uds-include-hash=sha256`);
    sets[set] = Object.fromEntries(json.items.map((item: { id: string; hash: string }) => [item.id, item.hash]));
  }
  return sets;
}
