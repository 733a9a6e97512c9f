/**
 * Trust by metadata of The Update Framework (TUF specification 1.0, 5.3 to 5.6; Uptane's Image repository is one): a chain of roots, each
 * signed by the one before and by itself, says who may sign what; timestamp, snapshot and targets name each other's versions. What was
 * seen is kept, so that nothing older is believed again.
 */
import type { Metadata, Root, Snapshot, TargetFile, Targets, Timestamp } from "@tufjs/models";
import { Fault } from "#core/errors.ts";
import { Turns } from "#core/turns.ts";
import {
  type Models,
  parse,
  requireDistinctKeys,
  requireFresh,
  requireNamed,
  requireNotOlder,
  requireSigned,
  requireVersion,
  type Walk,
} from "./tuf-checks.ts";

/** The text of each file, exactly as it was signed and hashed. `root`: versions after the one that is trusted, oldest first. */
export interface TufFiles {
  readonly root: readonly string[];
  readonly timestamp: string;
  readonly snapshot: string;
  readonly targets: string;
  readonly delegated?: Delegated;
}

/** Metadata of delegated roles by name, the text of each as it was signed. */
export type Delegated = Readonly<Record<string, string>>;

export interface DelegatedFiles {
  readonly files: readonly TargetFile[];
  /** Of the roles that were asked: these alone are needed to judge the same again. */
  readonly roles: Delegated;
}

/** What may be installed. */
export interface Believed {
  readonly targets: Targets;
  readonly delegated: DelegatedFiles;
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
   * The targets that may be installed. What was believed on the way is kept even when a later file is refused. `wants`: which files of
   * delegated roles are looked for. @throws Fault invalidSignature for keys and thresholds, conflict for older versions, invalidData for
   * the rest
   */
  verify(files: TufFiles, wants: (file: TargetFile) => boolean): Promise<Believed> {
    return this.#turns.run(() => this.#verify(files, wants));
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
    for (const [name, text] of Object.entries(files.delegated ?? {}))
      requireFresh(walk, `delegated role ${name}`, parse(models, "targets", text).signed.expires);
  }

  async #verify(files: TufFiles, wants: (file: TargetFile) => boolean): Promise<Believed> {
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
    const { delegatedFiles } = await import("./tuf-delegations.ts");
    const delegated = delegatedFiles({ ...now, snapshot, targets }, files.delegated ?? {}, wants);
    return { targets: targets.signed, delegated };
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
    requireDistinctKeys("root", root.signed.keys);
    texts.push(text);
    reached = root;
  }
  return { texts, root: reached };
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
