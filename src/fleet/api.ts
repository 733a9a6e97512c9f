/** What the SOVD resources know of ECUs: typed calls, and a view that main keeps from the shards' events. */
import type {
  EcuCallName,
  EcuCalls,
  EcuStateWord,
  GroupCallName,
  GroupCalls,
  GroupOutcome,
  Reply,
  TransferMessage,
} from "./messages.ts";

/** An ECU as main knows it without asking a shard. */
export interface EcuView {
  /** Name as the database spells it. */
  readonly name: string;
  /** Lower-case name: the `{component}` of paths and answers. */
  readonly id: string;
  readonly revision: string;
  readonly state: EcuStateWord;
  readonly variant: string | undefined;
  readonly isBaseVariant: boolean;
  readonly logicalAddress: number;
  readonly gatewayAddress: number;
  /** Name of the protocol for `LogicalLink`. */
  readonly protocol: string;
  /** Functional groups (lower case) that list this ECU. */
  readonly groups: readonly string[];
  /** Configured additional component fields that this ECU is listed in. */
  readonly fields: readonly string[];
}

export interface GatewayView {
  readonly name: string;
  readonly logicalAddress: number;
  readonly ip: string | undefined;
  readonly connected: boolean;
}

export interface CallOptions {
  /** Absolute end of the caller's patience, `Clock.now()` milliseconds; default: now + the request timeout. */
  readonly deadlineMs?: number;
  /** Aborting takes a queued call out of the queue; nothing is killed. */
  readonly signal?: AbortSignal;
  /** In place of `signal` where there is no need to make one: calls its listener once, when the call is to be aborted. */
  whenAborted?(listener: () => void): void;
}

/** The ECUs of a functional group. */
export function membersOf({ ecus }: Pick<Fleet, "ecus">, group: string): readonly EcuView[] {
  return ecus.filter(({ groups }) => groups.includes(group));
}

export interface Fleet {
  readonly ecus: readonly EcuView[];
  /** Any case. */
  ecu(name: string): EcuView | undefined;
  readonly gateways: readonly GatewayView[];
  /** Functional groups, lower case. */
  readonly groups: readonly string[];
  /** The group of this name, or of its short name without the protocol's (lower case); undefined when there is none. */
  group(name: string): string | undefined;
  /** The latest state of the ECU's flash transfer. */
  transfer(ecu: string): TransferMessage | undefined;
  forgetTransfer(ecu: string): void;
  /** Rejects with `Fault`. Hot path: one message down, one back. */
  call<K extends EcuCallName>(ecu: string, call: K, args: EcuCalls[K], options?: CallOptions): Promise<Reply>;
  /** Asks every shard that holds members of the group and merges what they say. */
  callGroup<K extends GroupCallName>(
    group: string,
    call: K,
    args: GroupCalls[K],
    options?: CallOptions,
  ): Promise<Reply & { readonly outcome: GroupOutcome }>;
  /** Ready: databases are loaded and the gateways' transport is up. */
  readonly ready: boolean;
  onChange(listener: () => void): () => void;
}
