/**
 * A disk as POSIX promises it and no better: what was written is there for certain once its file was synced, and a name once its folder
 * was. Of the rest a power cut keeps what it likes, sector by sector.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TracedCall } from "./write-trace.ts";

/** The smallest piece a disk writes whole. */
const SECTOR = 512;
const PAGE = 4096;

/** What a cut leaves of writes that were begun and not synced. */
export const LOSSES = ["none kept", "all kept", "pages kept at random", "sectors kept at random"] as const;
export type Loss = (typeof LOSSES)[number];

interface Change {
  readonly begin: number;
  readonly end: number;
}
interface Write extends Change {
  readonly offset: number;
  readonly bytes: Buffer;
  /** Content from here on goes with it. */
  readonly truncates: boolean;
  readonly synced: boolean;
}
interface File {
  readonly writes: Write[];
  readonly syncs: Change[];
}
/** Names put into folders or taken out, together. */
interface Naming extends Change {
  readonly entries: readonly (readonly [folder: Folder, name: string, node: Node | undefined])[];
}
interface Folder {
  readonly names: Map<string, Node>;
  readonly syncs: Change[];
}
type Node = File | Folder;
const isFolder = (node: Node | undefined): node is Folder => node !== undefined && "names" in node;

/** Files a power cut has no bearing on: a process's own mark, and what LMDB makes anew at each opening. */
const PASSING = /(?:-lock|\.lock|\.sock)$/;

export interface Disk {
  /** Lines of the trace at which something changed: the moments for a cut. */
  readonly moments: readonly number[];
  /** Makes in `target` what a cut after line `line` leaves. False when nothing was pending: then any loss is the same as the first. */
  leave(line: number, loss: Loss, random: (below: number) => number, target: string): boolean;
}

/** The disk below `root`: all that was in `before` when the trace began, then everything that was traced. */
export function createDisk(root: string, before: string, calls: readonly TracedCall[]): Disk {
  const top: Folder = { names: new Map(), syncs: [BEFORE] };
  const files: File[] = [];
  const namings: Naming[] = [];
  readInto(top, before, files, namings);
  const moments = new Set<number>();

  const parts = (path: string) => path.slice(root.length).split("/").filter(Boolean);
  function find(path: string): Node | undefined {
    let node: Node | undefined = top;
    for (const part of parts(path)) node = isFolder(node) ? node.names.get(part) : undefined;
    return node;
  }
  function place(path: string): [folder: Folder, name: string] {
    const folder = find(path.slice(0, path.lastIndexOf("/")));
    if (!isFolder(folder)) throw new Error(`the trace has no folder for ${path}`);
    return [folder, path.slice(path.lastIndexOf("/") + 1)];
  }
  function name(call: Change, ...entries: Naming["entries"]): void {
    namings.push({ begin: call.begin, end: call.end, entries });
    for (const [folder, word, node] of entries) {
      if (node === undefined) folder.names.delete(word);
      else folder.names.set(word, node);
    }
  }
  function fileAt(path: string): File {
    const node = find(path);
    if (node === undefined || isFolder(node)) throw new Error(`the trace has no file ${path}`);
    return node;
  }

  for (const call of calls) {
    const { what, begin, end } = call;
    if (what.kind === "say" || PASSING.test(what.path)) continue;
    moments.add(begin).add(end);
    switch (what.kind) {
      case "file":
        if (find(what.path) === undefined) {
          const file: File = { writes: [], syncs: [] };
          files.push(file);
          name(call, [...place(what.path), file]);
        }
        break;
      case "folder":
        if (parts(what.path).length > 0) name(call, [...place(what.path), { names: new Map(), syncs: [] }]);
        break;
      case "remove":
        name(call, [...place(what.path), undefined]);
        break;
      case "rename":
        name(call, [...place(what.path), undefined], [...place(what.to), find(what.path)]);
        break;
      case "sync":
        find(what.path)?.syncs.push({ begin, end });
        break;
      case "write":
        fileAt(what.path).writes.push({ ...what, begin, end, truncates: false });
        break;
      case "truncate":
        fileAt(what.path).writes.push({
          begin,
          end,
          offset: what.size,
          bytes: Buffer.alloc(0),
          truncates: true,
          synced: false,
        });
        break;
      case "copy": {
        const known = find(what.from);
        const source = known === undefined || isFolder(known) ? readFileSync(what.from) : contentOf(known.writes);
        const bytes = source.subarray(what.offset, what.offset + what.length);
        fileAt(what.path).writes.push({ begin, end, offset: what.offset, bytes, truncates: false, synced: false });
        break;
      }
    }
  }

  return {
    moments: [...moments].sort((a, b) => a - b),
    leave(line, loss, random, target) {
      const names = keepNames(namings, line, loss, random);
      const kept = files.map((file) => [file, keepWrites(file, line, loss, random)] as const);
      const pending = kept.reduce((sum, [, file]) => sum + file.pending, names.pending);
      if (pending === 0 && loss !== LOSSES[0]) return false;
      writeTree(target, treeOf(top, names.namings), new Map(kept.map(([file, { content }]) => [file, content])));
      return true;
    },
  };
}

/** From before the first line, and on the disk. */
const BEFORE: Change = { begin: -1, end: -1 };
const LONG_BEFORE: Change = { begin: -2, end: -2 };

function readInto(folder: Folder, path: string, files: File[], namings: Naming[]): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (PASSING.test(entry.name)) continue;
    const place = join(path, entry.name);
    const inner: Folder = { names: new Map(), syncs: [BEFORE] };
    const bytes = entry.isDirectory() ? undefined : readFileSync(place);
    const written = { ...LONG_BEFORE, offset: 0, bytes: bytes ?? Buffer.alloc(0), truncates: false, synced: true };
    const node: Node = bytes === undefined ? inner : { writes: [written], syncs: [] };
    if (isFolder(node)) readInto(node, place, files, namings);
    else files.push(node);
    namings.push({ ...LONG_BEFORE, entries: [[folder, entry.name, node]] });
    folder.names.set(entry.name, node);
  }
}

const isDurable = (change: Change, syncs: readonly Change[], line: number): boolean =>
  syncs.some((sync) => sync.begin > change.end && sync.end <= line);

/** Folders keep the order of their changes: what a cut keeps of the unsynced ones is a beginning. */
function keepNames(namings: readonly Naming[], line: number, loss: Loss, random: (below: number) => number) {
  const begun = namings.filter(({ begin }) => begin <= line);
  const synced = (naming: Naming) => naming.entries.every(([folder]) => isDurable(naming, folder.syncs, line));
  const pending = begun.filter((naming) => !synced(naming));
  const keep = loss === "none kept" ? 0 : loss === "all kept" ? pending.length : random(pending.length + 1);
  const lost = new Set(pending.slice(keep));
  return { pending: pending.length, namings: begun.filter((naming) => !lost.has(naming)) };
}

function keepWrites({ writes, syncs }: File, line: number, loss: Loss, random: (below: number) => number) {
  const begun = writes.filter(({ begin }) => begin <= line);
  const durable = begun.filter((write) => (write.synced && write.end <= line) || isDurable(write, syncs, line));
  const pending = begun.filter((write) => !durable.includes(write));
  if (pending.length === 0 || loss === "none kept") return { pending: pending.length, content: contentOf(durable) };
  // A later write on the disk covers an earlier pending one: in the order of the calls, but only where they are kept.
  const unit = loss === "pages kept at random" ? PAGE : SECTOR;
  const until = new Map<number, number>();
  const keptUntil = (at: number): number => {
    if (loss === "all kept") return pending.length;
    const found = until.get(at) ?? random(pending.length + 1);
    until.set(at, found);
    return found;
  };
  const content = contentOf(begun, (write, sector) => {
    const order = pending.indexOf(write);
    return order < 0 || order < keptUntil(Math.floor((sector * SECTOR) / unit));
  });
  return { pending: pending.length, content };
}

/** What writes make of an empty file. `keeps` says whether a sector of a write is there. */
function contentOf(writes: readonly Write[], keeps: (write: Write, sector: number) => boolean = () => true): Buffer {
  const size = writes.reduce((most, { offset, bytes }) => Math.max(most, offset + bytes.length), 0);
  const content = Buffer.alloc(size);
  let length = 0;
  for (const write of writes) {
    const { offset, bytes, truncates } = write;
    if (truncates) {
      if (!keeps(write, Math.floor(offset / SECTOR))) continue;
      content.fill(0, offset);
      length = offset;
      continue;
    }
    for (let at = 0; at < bytes.length; ) {
      const sector = Math.floor((offset + at) / SECTOR);
      const next = Math.min(bytes.length, (sector + 1) * SECTOR - offset);
      if (keeps(write, sector)) {
        bytes.copy(content, offset + at, at, next);
        length = Math.max(length, offset + next);
      }
      at = next;
    }
  }
  return content.subarray(0, length);
}

type Tree = Map<Folder, Map<string, Node>>;

function treeOf(top: Folder, namings: readonly Naming[]): { top: Folder; tree: Tree } {
  const tree: Tree = new Map([[top, new Map()]]);
  for (const { entries } of namings) {
    for (const [folder, word, node] of entries) {
      const names = tree.get(folder) ?? new Map<string, Node>();
      tree.set(folder, names);
      if (node === undefined) names.delete(word);
      else names.set(word, node);
    }
  }
  return { top, tree };
}

function writeTree(target: string, { top, tree }: { top: Folder; tree: Tree }, contents: ReadonlyMap<File, Buffer>) {
  const make = (folder: Folder, path: string): void => {
    mkdirSync(path, { recursive: true });
    for (const [word, node] of tree.get(folder) ?? []) {
      if (isFolder(node)) make(node, join(path, word));
      else writeFileSync(join(path, word), contents.get(node) ?? "");
    }
  };
  make(top, target);
}
