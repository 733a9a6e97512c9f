/** From rounds to figures one can compare. */

import { PERCENTILES } from "./latencies.ts";
import type { LoadResult } from "./load.ts";
import type { ProcessUsage } from "./process-usage.ts";

/** One round on one server. */
export interface Round {
  readonly requestsPerS: number;
  /** Milliseconds at `PERCENTILES`. */
  readonly percentilesMs: readonly number[];
  readonly maxMs: number;
  readonly answered: number;
  readonly refused: number;
  readonly refusedP99Ms: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly unsent: number;
  /** Share of one core that the load generator used: near 1 it is what is measured. */
  readonly clientBusy: number;
  /** Only of a server on this machine. */
  readonly serverCpuUsPerRequest?: number;
  readonly serverMainCpuUsPerRequest?: number;
  readonly serverRssBytes?: number;
  readonly serverRssAnonBytes?: number;
}

export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** One round in figures. `before` and `after`: the server's usage, when it can be seen. */
export function roundOf(load: LoadResult, before?: ProcessUsage, after?: ProcessUsage): Round {
  const { latencies, refusals, durationMs } = load;
  const requests = latencies.count + refusals.count;
  return {
    requestsPerS: (latencies.count * 1_000) / durationMs,
    percentilesMs: PERCENTILES.map((percent) => latencies.at(percent)),
    maxMs: latencies.maxMs,
    answered: latencies.count,
    refused: refusals.count,
    refusedP99Ms: refusals.at(99),
    errors: load.errors,
    unsent: load.unsent,
    clientBusy: load.clientCpuMs / durationMs,
    ...(before === undefined || after === undefined || requests === 0
      ? {}
      : {
          serverCpuUsPerRequest: (after.cpuUs - before.cpuUs) / requests,
          serverMainCpuUsPerRequest: (after.mainCpuUs - before.mainCpuUs) / requests,
          serverRssBytes: after.rssBytes,
          serverRssAnonBytes: after.rssAnonBytes,
        }),
  };
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
  return { min: sorted[0]!, median, max: sorted.at(-1)! };
}

/** Errors of all rounds by kind. */
export function errorsOf(rounds: readonly Round[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { errors } of rounds) {
    for (const [kind, count] of Object.entries(errors)) sum[kind] = (sum[kind] ?? 0) + count;
  }
  return sum;
}

/** A figure of a round that two servers are compared by. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly of: (round: Round) => number | undefined;
}

export const FIGURES: readonly Figure[] = [
  { name: "requests/s", unit: "1/s", of: (round) => round.requestsPerS },
  ...PERCENTILES.map((percent, i) => ({
    name: `p${percent}`,
    unit: "ms",
    of: (round: Round) => round.percentilesMs[i],
  })),
  { name: "server CPU", unit: "µs/request", of: (round) => round.serverCpuUsPerRequest },
];

/** Spread of a figure over rounds; undefined where not every round has it. */
export function figureOf(rounds: readonly Round[], figure: Figure): Spread | undefined {
  const values = rounds.map(figure.of);
  return values.length > 0 && values.every((value) => value !== undefined) ? spreadOf(values) : undefined;
}

/** Ratio of one server to another, round by round: what shook the machine in a round shook both. */
export function ratioOf(rounds: readonly Round[], against: readonly Round[], figure: Figure): Spread | undefined {
  const ratios = rounds.map((round, i) => {
    const [ours, theirs] = [figure.of(round), against[i] === undefined ? undefined : figure.of(against[i])];
    return ours === undefined || theirs === undefined || theirs === 0 ? undefined : ours / theirs;
  });
  return ratios.every((ratio) => ratio !== undefined) && ratios.length > 0 ? spreadOf(ratios) : undefined;
}
