/**
 * Trust by metadata of The Update Framework (TUF specification 1.0, 5.3 to 5.6; Uptane's Image repository is one): a chain of roots, each
 * signed by the one before and by itself, says who may sign what; timestamp, snapshot and targets name each other's versions. What was
 * seen is kept, so that nothing older is believed again. Delegations are not followed.
 */
import { createHash } from "node:crypto";
import type { Metadata, Root, Snapshot, Targets, Timestamp } from "@tufjs/models";
import { Fault } from "#core/errors.ts";
import { Turns } from "#core/turns.ts";

/** The text of each file, exactly as it was signed and hashed. `root`: versions after the one that is trusted, oldest first. */
export interface TufFiles {
  readonly root: readonly string[];
  readonly timestamp: string;
  readonly snapshot: string;
  readonly targets: string;
}

/** What has been believed so far: the texts of the files, and the latest time. Plain JSON. */
export interface TufState {
  readonly root: string;
  /** Roots since the operator's, to hand on to nodes that know only that one. */
  readonly roots?: readonly string[];
  readonly timestamp?: string;
  readonly snapshot?: string;
  /** Version. */
  readonly targets?: number;
  /** Wall clock, milliseconds: time does not go back further than this. */
  readonly timeMs: number;
}

export interface TufStore {
  read(): TufState | undefined;
  /** Resolves when it is on the disk. */
  write(state: TufState): Promise<void>;
}

export interface TufOptions {
  /** Text of the root that the operator trusts. */
  readonly root: string;
  readonly store: TufStore;
  readonly nowMs: () => number;
}

type Models = typeof import("@tufjs/models");
type Role = "timestamp" | "snapshot" | "targets";

/** Roots of one update; more are a loop or an attack. */
const MAX_ROOTS = 64;

/** Judges one set of metadata after the other. */
export class TufVerifier {
  readonly #options: TufOptions;
  readonly #turns = new Turns();

  constructor(options: TufOptions) {
    this.#options = options;
  }

  /** Version of the root that is trusted now: the walk of roots goes on behind it. */
  async rootVersion(): Promise<number> {
    const models = await import("@tufjs/models");
    return parse(models, "root", this.#state(models).root).signed.version;
  }

  /** The roots that lead from the operator's to the one that is trusted now. */
  get roots(): readonly string[] {
    return this.#options.store.read()?.roots ?? [];
  }

  /**
   * The targets that may be installed. What was believed on the way is kept even when a later file is refused. @throws Fault
   * invalidSignature for keys and thresholds, conflict for older versions, invalidData for the rest
   */
  verify(files: TufFiles): Promise<Targets> {
    return this.#turns.run(() => this.#verify(files));
  }

  /** Metadata that was believed before is still in time. @throws Fault invalidData */
  async requireFresh(files: TufFiles): Promise<void> {
    const models = await import("@tufjs/models");
    const state = this.#state(models);
    const root = parse(models, "root", state.root);
    const walk: Walk = { models, root, timeMs: Math.max(this.#options.nowMs(), state.timeMs) };
    requireFresh(walk, "root", root.signed.expires);
    for (const role of ["timestamp", "snapshot", "targets"] as const) {
      requireFresh(walk, role, parse(models, role, files[role]).signed.expires);
    }
  }

  async #verify(files: TufFiles): Promise<Targets> {
    const { store, nowMs } = this.#options;
    const models = await import("@tufjs/models");
    const before = this.#state(models);
    // a clock that was set back must not bring expired metadata to life again
    const timeMs = Math.max(nowMs(), before.timeMs);
    const walk: Walk = { models, timeMs, root: parse(models, "root", before.root) };
    let state = before;
    const keep = async (more: Partial<TufState>): Promise<void> => {
      state = { ...state, ...more };
      await store.write(state);
    };
    const { texts, root } = walkRoots(walk, files.root);
    if (rotated(walk.root, root)) {
      // a version that an attacker drove up ends with the keys that signed it (5.3.11)
      const { timestamp: _t, snapshot: _s, targets: _v, ...rest } = state;
      state = rest;
    }
    const text = texts.at(-1);
    if (text !== undefined) await keep({ root: text, roots: [...(before.roots ?? []), ...texts] });
    const now = { ...walk, root };
    requireFresh(now, "root", root.signed.expires);
    const timestamp = judgeTimestamp(now, files.timestamp, state.timestamp);
    await keep({ timestamp: files.timestamp });
    judgeSnapshot(now, files.snapshot, timestamp, state.snapshot);
    const snapshot = parse(models, "snapshot", files.snapshot);
    await keep({ snapshot: files.snapshot });
    const targets = judgeTargets(now, files.targets, snapshot, state.targets);
    // a clock far ahead finds all expired and gets no further than this: it cannot spoil what is kept
    await keep({ targets: targets.signed.version, timeMs });
    return targets.signed;
  }

  /** The operator's root counts when it is newer than what was kept. */
  #state(models: Models): TufState {
    const { store, root } = this.#options;
    const kept = store.read();
    if (kept === undefined) return { root, timeMs: 0 };
    const isNewer = parse(models, "root", root).signed.version > parse(models, "root", kept.root).signed.version;
    return isNewer ? { root, timeMs: kept.timeMs } : kept;
  }
}

interface Walk {
  readonly models: Models;
  readonly timeMs: number;
  readonly root: Metadata<Root>;
}

interface Kinds {
  readonly root: Metadata<Root>;
  readonly timestamp: Metadata<Timestamp>;
  readonly snapshot: Metadata<Snapshot>;
  readonly targets: Metadata<Targets>;
}

/** @throws Fault invalidData for anything that is no metadata of this role */
function parse<R extends keyof Kinds>({ Metadata }: Models, role: R, text: string): Kinds[R] {
  try {
    return Metadata.fromJSON(role as never, JSON.parse(text)) as unknown as Kinds[R];
  } catch (error) {
    throw new Fault("invalidData", `The ${role} metadata is none: ${(error as Error).message}`, undefined, error);
  }
}

/** The newest root that the trusted one vouches for, step by step (5.3). */
function walkRoots(
  { models, root: trusted }: Walk,
  files: readonly string[],
): { texts: readonly string[]; root: Metadata<Root> } {
  if (files.length > MAX_ROOTS) throw new Fault("invalidData", `There are more than ${MAX_ROOTS} roots`);
  const texts: string[] = [];
  let reached = trusted;
  for (const text of files) {
    const root = parse(models, "root", text);
    const { version } = root.signed;
    const known = reached.signed.version;
    if (version <= known) continue;
    if (version !== known + 1) throw new Fault("invalidData", `Root ${known + 1} is missing before root ${version}`);
    requireSigned(reached, "root", root);
    requireSigned(root, "root", root);
    requireDistinctKeys(root.signed);
    texts.push(text);
    reached = root;
  }
  return { texts, root: reached };
}

/** One key under two ids would count twice against a threshold. */
function requireDistinctKeys({ keys }: Root): void {
  const values = Object.values(keys).map(({ keyVal }) => keyVal.public);
  if (new Set(values).size !== values.length) throw new Fault("invalidSignature", "The root has one key under two ids");
}

function rotated({ signed: before }: Metadata<Root>, { signed: after }: Metadata<Root>): boolean {
  const keysOf = (root: Root, role: Role) => (root.roles[role]?.keyIDs ?? []).toSorted().join();
  return (["timestamp", "snapshot"] as const).some((role) => keysOf(before, role) !== keysOf(after, role));
}

function judgeTimestamp(walk: Walk, text: string, kept: string | undefined): Metadata<Timestamp> {
  const { models, root } = walk;
  const timestamp = parse(models, "timestamp", text);
  requireSigned(root, "timestamp", timestamp);
  if (kept !== undefined) {
    const { version, snapshotMeta } = parse(models, "timestamp", kept).signed;
    requireNotOlder("timestamp", timestamp.signed.version, version);
    requireNotOlder("snapshot", timestamp.signed.snapshotMeta.version, snapshotMeta.version);
  }
  requireFresh(walk, "timestamp", timestamp.signed.expires);
  return timestamp;
}

function judgeSnapshot(walk: Walk, text: string, { signed: by }: Metadata<Timestamp>, kept: string | undefined): void {
  const { models, root } = walk;
  requireNamed("snapshot", text, by.snapshotMeta, "timestamp");
  const snapshot = parse(models, "snapshot", text);
  requireSigned(root, "snapshot", snapshot);
  requireVersion("snapshot", snapshot.signed.version, by.snapshotMeta.version);
  const before = kept === undefined ? {} : parse(models, "snapshot", kept).signed.meta;
  for (const [file, { version }] of Object.entries(before)) {
    const meta = snapshot.signed.meta[file];
    if (meta === undefined) throw new Fault("conflict", `Rollback: the snapshot no longer names ${file}`);
    requireNotOlder(file, meta.version, version);
  }
  requireFresh(walk, "snapshot", snapshot.signed.expires);
}

function judgeTargets(
  walk: Walk,
  text: string,
  { signed: by }: Metadata<Snapshot>,
  kept: number | undefined,
): Metadata<Targets> {
  const { models, root } = walk;
  const meta = by.meta["targets.json"];
  if (meta === undefined) throw new Fault("invalidData", "The snapshot names no targets");
  requireNamed("targets", text, meta, "snapshot");
  const targets = parse(models, "targets", text);
  requireSigned(root, "targets", targets);
  requireVersion("targets", targets.signed.version, meta.version);
  if (kept !== undefined) requireNotOlder("targets", targets.signed.version, kept);
  requireFresh(walk, "targets", targets.signed.expires);
  return targets;
}

function requireSigned(root: Metadata<Root>, role: "root" | Role, metadata: Kinds[keyof Kinds]): void {
  try {
    root.verifyDelegate(role, metadata);
  } catch (error) {
    throw new Fault("invalidSignature", (error as Error).message, undefined, error);
  }
}

interface Named {
  readonly length?: number | undefined;
  readonly hashes?: Readonly<Record<string, string>> | undefined;
}

/** Mix and match: the file must be the very one that the signer of the other meant. */
function requireNamed(role: Role, text: string, { length, hashes = {} }: Named, by: Role): void {
  const bytes = Buffer.from(text);
  if (length !== undefined && bytes.byteLength > length)
    throw new Fault("invalidData", `Mix and match: the ${role} is longer than the ${length} bytes of the ${by}`);
  for (const [algorithm, hash] of Object.entries(hashes)) {
    if (HASHES.has(algorithm) && createHash(algorithm).update(bytes).digest("hex") === hash.toLowerCase()) continue;
    throw new Fault("invalidData", `Mix and match: the ${role} has not the ${algorithm} that the ${by} names`);
  }
}

/** Hashes that can be checked; any other is refused, as every one that is listed has to be right. */
export const HASHES: ReadonlySet<string> = new Set(["sha256", "sha512"]);

function requireVersion(role: Role, version: number, named: number): void {
  if (version === named) return;
  throw new Fault("invalidData", `Mix and match: ${role} has version ${version}, version ${named} is named`);
}

function requireNotOlder(what: string, version: number, known: number): void {
  if (version >= known) return;
  throw new Fault("conflict", `Rollback: version ${version} of ${what} is older than ${known}, which was seen`);
}

function requireFresh({ timeMs }: Walk, role: "root" | Role, expires: string): void {
  const expiresMs = Date.parse(expires);
  if (expiresMs > timeMs) return;
  throw new Fault("invalidData", `Freeze: the ${role} expired at ${expires}`);
}
