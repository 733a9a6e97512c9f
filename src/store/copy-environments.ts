/** Copies of environments that others write meanwhile, in this process or another. */
import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { Environment } from "./lmdb-env.ts";
import { readTransaction } from "./lmdb-value.ts";

export interface CopiedFile {
  readonly size: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

/** An environment held at one instant: its pages stay until `release`. */
export interface HeldEnvironment {
  /** Copies it to a new file, synced. */
  copyTo(file: string): Promise<CopiedFile>;
  release(): void;
}

const META_PAGES = 2;
const PIECE_BYTES = 1 << 20;

/**
 * Holds several environments at one and the same instant: for a moment the write locks of all are taken, so no writer of any is under way.
 * Waits for writers that are: not for a thread that must not wait.
 */
export function holdTogether(environments: readonly Environment[]): HeldEnvironment[] {
  const held: HeldEnvironment[] = [];
  const lockFrom = (index: number): void => {
    const env = environments[index];
    if (env === undefined) {
      for (const each of environments) held.push(hold(each));
      return;
    }
    env.root.transactionSync(() => lockFrom(index + 1));
  };
  lockFrom(0);
  return held;
}

/**
 * A read transaction keeps the pages of this instant from being used again. The meta pages alone are written over by the next commits, so
 * they are read now, while there is none.
 */
function hold(env: Environment): HeldEnvironment {
  const transaction = readTransaction(env);
  const { pageSize } = env.root.getStats() as { pageSize: number };
  const head = Buffer.alloc(META_PAGES * pageSize);
  const descriptor = openSync(env.file, "r");
  let size: number;
  try {
    ({ size } = fstatSync(descriptor));
    readSync(descriptor, head, 0, head.length, 0);
  } finally {
    closeSync(descriptor);
  }
  return { copyTo: (file) => copy(env.file, head, size, file), release: () => transaction.done() };
}

async function copy(from: string, head: Buffer, size: number, to: string): Promise<CopiedFile> {
  const source = await open(from, "r");
  const target = await open(to, "wx");
  try {
    const hash = createHash("sha256").update(head);
    await target.write(head);
    for await (const piece of piecesOf(source, head.length, size)) {
      hash.update(piece);
      await target.write(piece);
    }
    await target.sync();
    return { size, sha256: hash.digest("hex") };
  } finally {
    await source.close();
    await target.close();
  }
}

async function* piecesOf(source: FileHandle, from: number, to: number): AsyncGenerator<Buffer> {
  const piece = Buffer.alloc(PIECE_BYTES);
  for (let at = from; at < to; ) {
    const { bytesRead } = await source.read(piece, 0, Math.min(PIECE_BYTES, to - at), at);
    if (bytesRead === 0) throw new Error("the data file became shorter while it was copied");
    yield piece.subarray(0, bytesRead);
    at += bytesRead;
  }
}
