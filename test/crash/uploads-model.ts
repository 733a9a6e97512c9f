/** Uploads of bulk data as a sequence of changes, and what a store may hold after some of them and within the next. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Bulk, BulkInfo } from "#update/software/bulk/bulk.ts";
import { SEGMENT_BYTES } from "#update/software/bulk/writer.ts";

const [COMPONENT, CATEGORY] = ["compute", "firmware"];

/** `bytes` of a new content; as a part, or what is missing of one; or a removal. */
interface Upload {
  readonly id: string;
  readonly bytes?: number;
  readonly part?: "first" | "rest";
}

export const UPLOADS: readonly Upload[] = [
  { id: "a", bytes: 20 },
  { id: "b", bytes: SEGMENT_BYTES + 100_000 },
  { id: "c", bytes: SEGMENT_BYTES, part: "first" },
  { id: "c", bytes: 70_000, part: "rest" },
  { id: "a", bytes: 5_000 },
  { id: "b" },
  { id: "d", bytes: 300_000 },
];

interface File {
  readonly content: Buffer;
  readonly complete: boolean;
}

const keyOf = (id: string) => ({ component: COMPONENT!, category: CATEGORY!, id });
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Files after so many of them. */
function filesAfter(seed: number, count: number): Map<string, File> {
  const files = new Map<string, File>();
  for (const [index, { id, bytes, part }] of UPLOADS.slice(0, count).entries()) {
    if (bytes === undefined) {
      files.delete(id);
      continue;
    }
    const fresh = Buffer.alloc(bytes, createHash("sha512").update(`${seed} ${index}`).digest());
    const before = part === "rest" ? (files.get(id)?.content ?? Buffer.alloc(0)) : Buffer.alloc(0);
    files.set(id, { content: Buffer.concat([before, fresh]), complete: part !== "first" });
  }
  return files;
}

/** Makes upload number `index`. */
export async function upload(bulk: Bulk, seed: number, index: number): Promise<void> {
  const { id, bytes, part } = UPLOADS[index]!;
  if (bytes === undefined) return bulk.remove(keyOf(id));
  const offset = part === "rest" ? (bulk.find(keyOf(id))?.size ?? 0) : 0;
  await send(bulk, id, filesAfter(seed, index + 1).get(id)!, offset);
}

async function send(bulk: Bulk, id: string, { content, complete }: File, offset: number): Promise<void> {
  const start = { ...keyOf(id), name: id, mimetype: "application/octet-stream" };
  await bulk.write(start, offset, pieces(content.subarray(offset)), complete);
}

async function* pieces(content: Buffer): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < content.length; at += 1 << 16) yield content.subarray(at, at + (1 << 16));
}

/**
 * Proves that `done` uploads are there whole and what comes after is not, but for the next one: as before it, begun with whole segments, or
 * whole. One that was begun then goes on to its end.
 */
export async function requireUploads(bulk: Bulk, seed: number, done: number): Promise<void> {
  const [before, after] = [filesAfter(seed, done), filesAfter(seed, done + 1)];
  const changing = UPLOADS[done]?.id;
  for (const { id } of UPLOADS) {
    const info = bulk.find(keyOf(id));
    const [old, fresh] = [before.get(id), after.get(id)];
    if (id !== changing || isAt(bulk, info, old)) {
      assert.ok(isAt(bulk, info, old), `${id} after ${done} uploads: ${told(info)}`);
      continue;
    }
    if (isAt(bulk, info, fresh)) continue;
    assert.ok(info !== undefined && fresh !== undefined, `${id} within upload ${done}: ${told(info)}`);
    assert.ok(!info.complete && info.size % SEGMENT_BYTES === 0, `${id} within upload ${done}: ${told(info)}`);
    assert.ok(isAt(bulk, info, { content: fresh.content.subarray(0, info.size), complete: false }), told(info));
    await send(bulk, id, fresh, info.size);
    assert.ok(isAt(bulk, bulk.find(keyOf(id)), fresh), `${id} does not go on behind ${info.size}`);
  }
}

function isAt(bulk: Bulk, info: BulkInfo | undefined, file: File | undefined): boolean {
  if (info === undefined || file === undefined) return info === file;
  const { content, complete } = file;
  if (info.complete !== complete || info.size !== content.length) return false;
  if (info.sha256 !== (complete ? sha256(content) : "")) return false;
  return Buffer.concat([...bulk.chunks(info)]).equals(content);
}

const told = (info: BulkInfo | undefined): string => (info === undefined ? "absent" : JSON.stringify(info));
