import { readdirSync, readFileSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { Fault } from "#core/errors.ts";

/**
 * The folder store of the CDA, read only: `collections/<collection>/<key>` beside a write-ahead journal, `journal/transaction.wal`.
 * What an interrupted transaction left is undone in the view given here; the folder itself stays as it is.
 */
export interface FolderStore {
  readonly collections: readonly FolderCollection[];
}

export interface FolderCollection {
  readonly name: string;
  readonly files: readonly { readonly key: string; readonly path: string }[];
}

/** Journal: marker, status, two reserved bytes, CRC-32 over the first two; then entries of CRC-32, length and payload. */
const JOURNAL = { marker: 0xca, recording: 0x00, committing: 0x01, headerBytes: 8, entryHeaderBytes: 8 } as const;

const BACKUP_SUFFIX = ".bak";
const TEMPORARY_SUFFIX = ".tmp";

/** Reads the folder store in `storageDir`; undefined when there is none. `corruption` when its journal cannot be undone. */
export function readFolderStore(storageDir: string): FolderStore | undefined {
  const root = join(storageDir, "collections");
  if (!isFolder(root)) return undefined;
  const undo = undoOf(storageDir);
  const collections = visible(root, undo).filter(({ path }) => isFolder(path));
  return {
    collections: collections.map(({ name, path }) => ({
      name,
      files: visible(path, undo)
        .filter((file) => !isFolder(file.path))
        .map((file) => ({ key: file.name.toLowerCase(), path: file.path })),
    })),
  };
}

/** What an interrupted commit asks for: names it mentions, and when it began to apply them. */
interface Undo {
  readonly since: number;
  readonly mentions: (name: string) => boolean;
}

/**
 * Names in a folder as they were before the interrupted commit, if there is one: what it replaced or deleted lies beside as `.bak`;
 * what it mentions, has no `.bak` and changed after it began, it has brought. Without one, `.bak` files are leftovers of a commit
 * that had succeeded.
 */
function visible(folder: string, undo: Undo | undefined): { name: string; path: string }[] {
  const present = new Set(readdirSync(folder));
  const names = new Map<string, string>();
  for (const name of present) {
    if (name.endsWith(TEMPORARY_SUFFIX) || name.endsWith(BACKUP_SUFFIX)) continue;
    const path = join(folder, name);
    if (undo === undefined || !isNew(name, path, undo)) names.set(name, path);
  }
  if (undo !== undefined)
    for (const name of present)
      if (name.endsWith(BACKUP_SUFFIX)) names.set(name.slice(0, -BACKUP_SUFFIX.length), join(folder, name));
  return [...names].map(([name, path]) => ({ name, path })).sort((a, b) => (a.name < b.name ? -1 : 1));
}

function isNew(name: string, path: string, undo: Undo): boolean {
  const facts = statSync(path);
  return undo.mentions(name) && startOf(facts) >= undo.since;
}

/** A file comes into place by a rename, which its change time tells; a folder's tells of its files, so its birth counts. */
function startOf(facts: Stats): number {
  return facts.isDirectory() ? facts.birthtimeMs : facts.ctimeMs;
}

function undoOf(storageDir: string): Undo | undefined {
  const path = join(storageDir, "journal", "transaction.wal");
  const journal = readIfPresent(path);
  if (journal === undefined || journal.length < JOURNAL.headerBytes) return undefined;
  const [marker, status] = journal;
  const sound = marker === JOURNAL.marker && journal.readUInt32LE(4) === crc32(journal.subarray(0, 2));
  if (!sound || status !== JOURNAL.committing) return undefined;
  const { payloads, complete } = entriesOf(journal);
  const text = Buffer.concat(payloads).toString("latin1").toLowerCase();
  const undo = { since: statSync(path).mtimeMs, mentions: (name: string) => mentions(text, name.toLowerCase()) };
  if (complete) return undo;
  if (!somethingApplied(join(storageDir, "collections"), undo.since)) return undefined;
  throw new Fault("corruption", `The journal ${path} is damaged and was partly applied`, { path });
}

const NAME_CHARACTER = /[0-9a-z._-]/;

/**
 * Whether the name stands by itself in the payloads. Their codec is not stable, but names are plain text in it, at most with their
 * length before them.
 */
function mentions(text: string, name: string): boolean {
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    const before = at === 0 || !NAME_CHARACTER.test(text.charAt(at - 1)) || text.charCodeAt(at - 1) === name.length;
    if (before && !NAME_CHARACTER.test(text.charAt(at + name.length))) return true;
  }
  return false;
}

function entriesOf(journal: Buffer): { payloads: Buffer[]; complete: boolean } {
  const payloads: Buffer[] = [];
  let at: number = JOURNAL.headerBytes;
  while (at < journal.length) {
    if (at + JOURNAL.entryHeaderBytes > journal.length) return { payloads, complete: false };
    const start = at + JOURNAL.entryHeaderBytes;
    const end = start + journal.readUInt32LE(at + 4);
    const payload = journal.subarray(start, end);
    if (end > journal.length || crc32(payload) !== journal.readUInt32LE(at)) return { payloads, complete: false };
    payloads.push(payload);
    at = end;
  }
  return { payloads, complete: true };
}

function somethingApplied(root: string, since: number): boolean {
  return readdirSync(root, { recursive: true, encoding: "utf8" }).some(
    (name) => name.endsWith(BACKUP_SUFFIX) || startOf(statSync(join(root, name))) >= since,
  );
}

function readIfPresent(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
