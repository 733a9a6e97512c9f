/** What every call to an ECU gets beside its arguments. */
import { toHex } from "#core/bytes.ts";
import type { Clock } from "#core/time.ts";
import type { EcuCallName, EcuCalls, Reply, ServiceFacts, TransferMessage } from "#fleet/messages.ts";
import type { ServiceEntry } from "#mdd/query/service-entry.ts";
import type { Ecu } from "../ecu.ts";
import type { SendOptions } from "../endpoint.ts";
import type { KeepAlives } from "../keep-alive.ts";

/** Settings of the operator that calls look at. */
export interface EcuOptions {
  readonly faultScopes: { readonly default: string; readonly userMemory: string };
  /** Complete request that clears the user memory; undefined where none is configured. */
  readonly clearUserMemory: Uint8Array | undefined;
  /** Refuse parameters that a service does not know. */
  readonly isStrict: boolean;
  /** Members of structures stand in the parent object. */
  readonly flatten: boolean;
}

export interface CallContext {
  readonly clock: Clock;
  readonly options: EcuOptions;
  readonly keepAlives: KeepAlives;
  readonly send: SendOptions;
  onTransfer(message: TransferMessage): void;
}

export type EcuCall<K extends EcuCallName> = (
  ecu: Ecu,
  args: EcuCalls[K],
  context: CallContext,
) => Reply | Promise<Reply>;
export type EcuCallTable = { readonly [K in EcuCallName]: EcuCall<K> };

/** What a security plugin is told of a service. */
export function serviceFacts(service: ServiceEntry): ServiceFacts {
  const { shortName: name, sid, prefix, semantic, functionalClasses } = service;
  const facts = { name, sid: sid ?? 0, prefix: toHex(prefix), functionalClasses };
  return semantic === undefined ? facts : { ...facts, semantic };
}
