/** What a shard holds at this moment, for the metrics. */
import type { ShardStats } from "#fleet/messages.ts";
import { planTotals } from "#mdd/codec/cache.ts";
import type { Ecu } from "./ecu.ts";
import type { HeldDatabase } from "./held-database.ts";

/** Looks without opening a database. `description`: the functional one. */
export function shardStats(ecus: Iterable<Ecu>, description: HeldDatabase | undefined): ShardStats {
  const queued: Record<string, number> = {};
  const sum = { databases: 0, plans: 0, planBytes: 0 };
  const add = (held: HeldDatabase | undefined) => {
    const plans = held?.opened?.plans;
    if (plans === undefined) return;
    sum.databases++;
    sum.plans += plans.size;
    sum.planBytes += plans.byteSize;
  };
  for (const ecu of ecus) {
    add(ecu.held);
    queued[ecu.name] = ecu.endpoint?.client.queued ?? 0;
  }
  add(description);
  return { ...sum, queued, plansCompiled: planTotals.compiled, heapBytes: process.memoryUsage().heapUsed };
}
