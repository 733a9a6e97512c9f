/** A comparison: every server is warmed up, then all are measured in turn, round by round, in one run. */

import { isLoopback } from "#core/loopback.ts";
import type { Address } from "./connection.ts";
import { type LoadResult, runLoad } from "./load.ts";
import { listenerOf, usageOf } from "./process-usage.ts";
import { type Round, roundOf } from "./summary.ts";

/** A server with what is asked of it. */
export interface Contender {
  readonly name: string;
  readonly address: Address;
  readonly requests: readonly Buffer[];
  /** In place of the requests: work of several steps. */
  readonly run?: (connections: number, durationMs: number) => Promise<LoadResult>;
}

export interface BenchOptions {
  /** Open connections of each measurement. */
  readonly connections: readonly number[];
  readonly rounds: number;
  /** Of one server in one round. */
  readonly durationMs: number;
  readonly warmUpMs: number;
  readonly ratePerS?: number | undefined;
  readonly onProgress?: (text: string) => void;
}

export interface Measurement {
  readonly connections: number;
  /** Of each contender, in their order. */
  readonly rounds: readonly (readonly Round[])[];
}

/** Measures all contenders with each number of connections. Never rejects for a server that fails: its errors are counted. */
export async function compare(contenders: readonly Contender[], options: BenchOptions): Promise<Measurement[]> {
  const { warmUpMs, rounds, onProgress } = options;
  const measurements: Measurement[] = [];
  for (const connections of options.connections) {
    const results: Round[][] = contenders.map(() => []);
    for (const contender of contenders) await measure(contender, connections, warmUpMs, undefined);
    for (let round = 0; round < rounds; round++) {
      // each goes first as often as any other: a machine that gets slower must not favour one
      for (let i = 0; i < contenders.length; i++) {
        const at = (i + round) % contenders.length;
        const contender = contenders[at]!;
        onProgress?.(`${contender.name}: ${connections} connections, round ${round + 1} of ${rounds}`);
        results[at]!.push(await measure(contender, connections, options.durationMs, options.ratePerS));
      }
    }
    measurements.push({ connections, rounds: results });
  }
  return measurements;
}

async function measure(
  { address, requests, run }: Contender,
  connections: number,
  durationMs: number,
  ratePerS: number | undefined,
): Promise<Round> {
  const pid = address.host === "localhost" || isLoopback(address.host) ? listenerOf(address.port) : undefined;
  const before = pid === undefined ? undefined : usageOf(pid);
  const load =
    run === undefined
      ? await runLoad({ address, requests, connections, durationMs, ratePerS })
      : await run(connections, durationMs);
  return roundOf(load, before, pid === undefined ? undefined : usageOf(pid));
}
