/** The three sets as they were before an execution: what a failed one goes back to. Entries only; no content is copied. */
import { BACKUP, CURRENT, NEXT } from "#store/databases.ts";
import type { StorageTransaction } from "#store/storage.ts";

const SETS = [CURRENT, NEXT, BACKUP] as const;

const before = (set: string): string => `before_${set}`;

/** Remembers the sets; an older snapshot gives way. */
export function takeSnapshot(tx: StorageTransaction): void {
  dropSnapshot(tx);
  for (const set of SETS) if (tx.has(set)) tx.copyCollection(set, before(set));
}

/** Makes the sets what they were, absent ones included, and forgets the snapshot. */
export function restoreSnapshot(tx: StorageTransaction): void {
  for (const set of SETS) {
    if (tx.has(before(set))) tx.copyCollection(before(set), set);
    else if (tx.has(set)) tx.deleteCollection(set);
  }
  dropSnapshot(tx);
}

export function dropSnapshot(tx: StorageTransaction): void {
  for (const set of SETS) if (tx.has(before(set))) tx.deleteCollection(before(set));
}
