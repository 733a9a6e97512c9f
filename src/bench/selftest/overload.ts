/** What a server does with more than it can take: how long accepted requests wait beside those of half load, and whether memory grows. */
import { runLoad } from "../load.ts";
import { type ProcessUsage, usageOf } from "../process-usage.ts";
import { prepare } from "../profiles.ts";
import type { Lab } from "./lab.ts";

export interface OverloadOptions {
  /** Open connections; under overload and at half load the same. */
  readonly connections: number;
  /** Of the overload. */
  readonly durationMs: number;
}

/** What was offered, and what became of it. */
export interface OverloadRow {
  readonly what: string;
  readonly offeredPerS: number;
  readonly acceptedPerS: number;
  readonly refusedPerS: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly refusedP99Ms: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly rssAnonMib: number;
}

/** Capacity is what so many connections get that ask again when answered. */
const CAPACITY_CONNECTIONS = 64;
const CAPACITY_MS = 5_000;
const HALF_MS = 10_000;
const MIB = 1_048_576;

/** Reads at capacity, at half of it and at three times as much. */
export async function runOverload(lab: Lab, options: OverloadOptions): Promise<OverloadRow[]> {
  const { address } = lab.target;
  const { requests } = await prepare("read", lab.target);
  const measure = async (what: string, connections: number, durationMs: number, ratePerS?: number) => {
    const load = await runLoad({ address, requests, connections, durationMs, ratePerS });
    const perS = (count: number) => Math.round((count * 1_000) / load.durationMs);
    const { latencies, refusals, errors } = load;
    return {
      what,
      offeredPerS: Math.round(ratePerS ?? perS(latencies.count)),
      acceptedPerS: perS(latencies.count),
      refusedPerS: perS(refusals.count),
      p50Ms: latencies.at(50),
      p99Ms: latencies.at(99),
      refusedP99Ms: refusals.at(99),
      errors: { ...errors, ...(load.unsent === 0 ? {} : { unsent: load.unsent }) },
      rssAnonMib: Math.round((usageOf(lab.serverPid) as ProcessUsage | undefined)?.rssAnonBytes ?? 0) / MIB,
    };
  };
  await measure("warm-up", CAPACITY_CONNECTIONS, CAPACITY_MS);
  const capacity = await measure("capacity", CAPACITY_CONNECTIONS, CAPACITY_MS);
  const half = await measure("half load", options.connections, HALF_MS, capacity.acceptedPerS / 2);
  const over = await measure("three times", options.connections, options.durationMs, capacity.acceptedPerS * 3);
  const after = await measure("half load, after it", options.connections, HALF_MS, capacity.acceptedPerS / 2);
  return [capacity, half, over, after];
}

/** As text, one line each. */
export function overloadText(rows: readonly OverloadRow[]): string {
  return rows
    .map(({ what, offeredPerS, acceptedPerS, refusedPerS, p50Ms, p99Ms, refusedP99Ms, errors, rssAnonMib }) => {
      const kinds = Object.entries(errors).map(([kind, count]) => `${kind} × ${count}`);
      return [
        what.padEnd(20),
        `offered ${offeredPerS}/s`.padEnd(18),
        `accepted ${acceptedPerS}/s`.padEnd(19),
        `p50 ${p50Ms.toFixed(2)} p99 ${p99Ms.toFixed(2)} ms`.padEnd(28),
        `refused ${refusedPerS}/s in ${refusedP99Ms.toFixed(1)} ms`.padEnd(30),
        `${rssAnonMib.toFixed(0)} MiB`,
        kinds.join(", "),
      ].join(" ");
    })
    .join("\n");
}
