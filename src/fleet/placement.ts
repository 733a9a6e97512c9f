/** Which shard owns which gateway. Pure; the answer stays for the life of the process. */

export interface Placeable {
  /** Gateways with one address belong together; ECUs without a resolved one stand alone. */
  readonly gatewayAddress: number | undefined;
  readonly name: string;
}

/** ECUs that must share a shard have one key. */
export function placementKey(ecu: Placeable): string {
  return ecu.gatewayAddress === undefined ? `ecu:${ecu.name.toLowerCase()}` : `gateway:${ecu.gatewayAddress}`;
}

/**
 * Places what has no place yet on the least loaded shard, in order of logical address (a modulo would collapse addresses such as
 * 0x1000, 0x2000 … onto one shard). Load counts ECUs. `placed` is extended in place.
 */
export function place(ecus: readonly Placeable[], shards: number, placed: Map<string, number>): void {
  const load = new Array<number>(shards).fill(0);
  const waiting = new Map<string, { address: number; ecus: number }>();
  for (const ecu of ecus) {
    const key = placementKey(ecu);
    const shard = placed.get(key);
    if (shard !== undefined) {
      load[shard] = load[shard]! + 1;
      continue;
    }
    const entry = waiting.get(key) ?? { address: ecu.gatewayAddress ?? Number.POSITIVE_INFINITY, ecus: 0 };
    entry.ecus++;
    waiting.set(key, entry);
  }
  const order = [...waiting].sort(([a, x], [b, y]) => x.address - y.address || (a < b ? -1 : 1));
  for (const [key, entry] of order) {
    const least = load.indexOf(Math.min(...load));
    placed.set(key, least);
    load[least] = load[least]! + entry.ecus;
  }
}
