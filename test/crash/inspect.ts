/** Opens a store of the crash tests and says how far it came: whole, and exactly at one of two states. */
import { openStore, type Store } from "#store/environments.ts";
import { createLmdbPersistence } from "#store/lmdb-persistence.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import { checkStore } from "#store/maintenance.ts";
import { compare, type Model, type OpenedStore, operationAt } from "./model.ts";

const MIB = 1 << 20;
export const LIMITS = { databases: 256 * MIB, state: 16 * MIB, bulk: 16 * MIB };

export interface InspectedStore extends OpenedStore {
  readonly store: Store;
}

/** Opens it as a server would. Throws when anything in it is damaged or left behind. */
export async function openSound(folder: string, crashPoint?: (name: string) => void): Promise<InspectedStore> {
  const store = await openStore({ folder, maxBytes: LIMITS });
  requireSound(store);
  return {
    store,
    storage: createLmdbStorage(store.databases, { maxMappedBytes: 64 * MIB, ...(crashPoint && { crashPoint }) }),
    persistence: createLmdbPersistence(store.state),
  };
}

export function requireSound(store: Store): void {
  const { problems } = checkStore(store);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
}

/** What a store holds after so many operations of a seed. */
export function modelAfter(seed: number, operations: number): Model {
  let model: Model = { persisted: new Map() };
  for (let index = 0; index < operations; index++) model = operationAt(seed, index, model).model(model);
  return model;
}

/** At which of these numbers of operations the store is. Throws when it is at none. */
export function progressOf(opened: OpenedStore, seed: number, candidates: readonly number[]): number {
  const misses: string[] = [];
  for (const operations of candidates) {
    try {
      compare(opened, modelAfter(seed, operations));
      return operations;
    } catch (miss) {
      misses.push(`not at ${operations}: ${(miss as Error).message}`);
    }
  }
  throw new Error(misses.join("; "));
}
