/** What the configuration says, in the terms of the layers below. Types of the configuration only: a worker loads no schema. */
import { ecuConfig } from "#config/derived.ts";
import type { Config } from "#config/types.ts";
import { type CodecOptions, DEFAULT_CODEC_OPTIONS, readingOf } from "#mdd/codec/options.ts";
import type { NamingConvention } from "#mdd/query/naming-convention.ts";
import { namingConvention } from "#mdd/query/naming-settings.ts";
import type { ProtocolChoice } from "#mdd/query/protocols.ts";
import { nrcText } from "#uds/nrc.ts";
import type { EcuOptions } from "./calls/call.ts";

export function namingOf({ database }: Config): NamingConvention {
  return namingConvention(database.naming_convention);
}

/** `converter`: program that wrote the database. */
export function codecOptionsOf({ compat, database }: Config, converter: string | undefined): CodecOptions {
  const { data, service_id_rq } = database.naming_convention.semantics;
  return {
    ...DEFAULT_CODEC_OPTIONS,
    shape: compat.value_shape,
    ...readingOf(converter),
    dataSemantic: data,
    serviceIdSemantic: service_id_rq,
    nrcText,
  };
}

export function ecuOptionsOf({ faults, compat, strict }: Config): EcuOptions {
  const clear = faults.user_defined_dtc_clear_service;
  return {
    faultScopes: { default: faults.default_scope, userMemory: faults.user_memory_scope },
    clearUserMemory: clear === undefined ? undefined : Uint8Array.from(clear),
    flatten: compat.value_shape === "cda",
    isStrict: strict.enabled || strict.parameter_validation,
  };
}

/** The protocol whose communication parameters count for an ECU. */
export function protocolChoiceOf(config: Config, ecu: string): ProtocolChoice {
  const own = ecuConfig(config, ecu);
  return {
    name: own?.protocol ?? config.doip.protocol_name,
    ignore: own?.ignore_protocol ?? config.database.ignore_protocol,
  };
}
