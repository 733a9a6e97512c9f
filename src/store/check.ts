import { createHash } from "node:crypto";
import { reasonOf } from "#core/errors.ts";
import type { Entry } from "./backend.ts";
import { decodeChunk, verifyBytes } from "./content.ts";
import { ENVIRONMENT_NAMES, ENVIRONMENTS, type EnvironmentName, type Store } from "./environments.ts";
import type { BlobRecord } from "./lmdb-blobs.ts";
import { type Environment, getRecord, type Key, keysUnder } from "./lmdb-env.ts";
import { STORAGE_TABLES } from "./lmdb-storage.ts";
import { mappedBytes, readTransaction } from "./lmdb-value.ts";
import { CHUNK_BYTES } from "./storage.ts";
import { blobsOf } from "./working-copy.ts";

/** What a check found. Nothing wrong: `problems` is empty. */
export interface CheckReport {
  readonly problems: Problem[];
  /** Values and records looked at. */
  readonly values: number;
  readonly records: number;
  /** Bytes of content hashed. */
  readonly bytes: number;
}

export interface Problem {
  /** Environment and place in it: a record, a value, a collection's key. */
  readonly where: string;
  readonly problem: string;
}

type Finding = { -readonly [Name in keyof CheckReport]: CheckReport[Name] } & { name: string };

/**
 * Reads everything in an open store: each record and value against its hash, each value against the entries that refer to it. Damage
 * to LMDB's own pages can end the process, so run it in one of its own when in doubt. Synchronous inside: not for the main thread.
 */
export function checkStore(store: Store): CheckReport {
  const reports = ENVIRONMENT_NAMES.map((name) => checkEnvironment(name, store[name]));
  return {
    problems: reports.flatMap(({ problems }) => problems),
    values: reports.reduce((sum, { values }) => sum + values, 0),
    records: reports.reduce((sum, { records }) => sum + records, 0),
    bytes: reports.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** Tables whose values are content, not records. */
const CONTENT_TABLES: ReadonlySet<string> = new Set(["values", "chunks"]);

/** Checks one environment. */
export function checkEnvironment(name: EnvironmentName, env: Environment): CheckReport {
  const finding: Finding = { problems: [], values: 0, records: 0, bytes: 0, name };
  const isStorage = ENVIRONMENTS[name] === STORAGE_TABLES;
  env.root.resetReadTxn();
  for (const table of ENVIRONMENTS[name])
    if (!isStorage || !CONTENT_TABLES.has(table)) checkRecords(finding, env, table);
  if (isStorage) checkContent(finding, env);
  const { problems, values, records, bytes } = finding;
  return { problems, values, records, bytes };
}

function checkRecords(finding: Finding, env: Environment, table: string): void {
  attempt(finding, `table ${table}`, () => {
    for (const key of env.table(table).getKeys()) {
      finding.records++;
      attempt(finding, `${table} ${label(key)}`, () => getRecord(env.table(table), key));
    }
  });
}

function checkContent(finding: Finding, env: Environment): void {
  const references = countReferences(finding, env);
  const blobs = new Set<string>();
  for (const id of namesIn(finding, env, "blobs")) {
    blobs.add(id);
    const blob = attempt(finding, `value ${id}`, () => getRecord<BlobRecord>(env.table("blobs"), id));
    if (blob === undefined) continue;
    finding.values++;
    const where = `value ${blob.sha256}`;
    const counted = references.get(id) ?? 0;
    if (counted !== blob.references)
      report(finding, where, `is referred to ${counted} times, recorded are ${blob.references}`);
    if (counted === 0) report(finding, where, "is an orphan");
    attempt(finding, where, () => checkBytes(finding, env, blob));
    attempt(finding, where, () => {
      if (getRecord(env.table("hashes"), [blob.kind, blob.sha256]) !== id)
        report(finding, where, "is not found by its hash");
    });
  }
  for (const id of references.keys()) if (!blobs.has(id)) report(finding, `value ${id}`, "is missing");
  for (const id of contentIds(finding, env)) if (!blobs.has(id)) report(finding, `content ${id}`, "is an orphan");
  for (const id of namesIn(finding, env, "staged")) report(finding, `staged ${id}`, "was left behind");
}

function checkBytes(finding: Finding, env: Environment, blob: BlobRecord): void {
  finding.bytes += blob.size;
  if (blob.kind === "mapped") {
    const transaction = readTransaction(env);
    try {
      verifyBytes(blob, mappedBytes(env, blob, transaction));
    } finally {
      transaction.done();
    }
    return;
  }
  const hash = createHash("sha256");
  let size = 0;
  let count = 0;
  for (const index of keysUnder(env.table("chunks"), blob.id)) {
    const stored = env.table("chunks").getBinary([blob.id, index as number]);
    const bytes = decodeChunk(stored ?? Buffer.alloc(0), `chunk ${index}`);
    hash.update(bytes);
    size += bytes.length;
    count++;
  }
  const whole = hash.digest("hex") === blob.sha256 && size === blob.size && count === Math.ceil(size / CHUNK_BYTES);
  if (!whole) report(finding, `value ${blob.sha256}`, `has ${size} of ${blob.size} bytes, or not the right ones`);
}

/** How many entries refer to each blob. */
export function countReferences(finding: Finding | undefined, env: Environment): Map<string, number> {
  const references = new Map<string, number>();
  for (const key of [...env.table("entries").getKeys()]) {
    const where = `entry ${label(key)}`;
    const entry = attempt(finding, where, () => getRecord<Entry>(env.table("entries"), key));
    if (!env.table("collections").doesExist((key as [string, string])[0])) report(finding, where, "has no collection");
    for (const { id } of entry === undefined ? [] : blobsOf(entry)) references.set(id, (references.get(id) ?? 0) + 1);
  }
  return references;
}

/** Every id under which content is stored, mapped or in chunks. */
export function contentIds(finding: Finding | undefined, env: Environment): Set<string> {
  const ids = new Set(namesIn(finding, env, "values"));
  for (const key of namesIn(finding, env, "chunks")) ids.add(String(key[0]));
  return ids;
}

function namesIn(finding: Finding | undefined, env: Environment, table: string): string[] {
  return attempt(finding, `table ${table}`, () => [...env.table(table).getKeys()] as string[]) ?? [];
}

function report(finding: Finding | undefined, where: string, problem: string): void {
  finding?.problems.push({ where: `${finding.name}: ${where}`, problem });
}

function attempt<T>(finding: Finding | undefined, where: string, look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (finding === undefined) throw error;
    report(finding, where, reasonOf(error));
    return undefined;
  }
}

function label(key: Key): string {
  return Array.isArray(key) ? key.join("/") : String(key);
}
