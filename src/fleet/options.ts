/** What the fleet is told at start. */
import type { Clock } from "#core/time.ts";
import type { LogMessage } from "./messages.ts";

export interface FleetOptions {
  readonly shards: number;
  /** URL of the worker entry. */
  readonly entry: string;
  /** Plain data for the workers: the configuration and the store's path. */
  readonly shardConfig: unknown;
  readonly clock: Clock;
  readonly requestTimeoutMs: number;
  readonly functionalDescription: string;
  readonly enabledGroups: readonly string[] | undefined;
  readonly resourceLimits?: { readonly maxOldGenerationSizeMb?: number; readonly maxYoungGenerationSizeMb?: number };
  readonly maxInFlightPerShard?: number;
  /** Calls to one ECU, running and waiting; more are refused before they cross to its shard. */
  readonly maxOpenPerEcu?: number;
  /** The same while the ECU gets more than it answers (`OpenCalls`); default: as above. */
  readonly maxOpenPerOverloadedEcu?: number;
  readonly restartDelayMs: number;
  /** Name in links of ECUs whose database names no protocol. */
  readonly protocolName: string;
  /** What a call that speaks to an ECU has to wait for; undefined: nothing. */
  readonly gate?: () => Promise<void> | undefined;
  readonly onLog: (message: LogMessage) => void;
  /** A shard died; five deaths in a minute mean that it will not get well by itself. */
  readonly onShardDied: (index: number, deathsInAMinute: number) => void;
}
