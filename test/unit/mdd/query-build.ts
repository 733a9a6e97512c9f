// Small databases for the query tests, written as descriptions.
import { fromHex } from "#core/bytes.ts";
import type {
  ComParam,
  ComParamRef,
  DiagComm,
  DiagLayer,
  DiagService,
  DOP,
  EcuData,
  Param,
  ParentRef,
  Protocol,
  Variant,
} from "#mdd/generated/description.ts";
import { type Database, type DatabaseOptions, openDatabase } from "#mdd/query/database.ts";
import { writeEcuData } from "#mdd/writer/write.ts";

export function open(data: Partial<EcuData>, options?: DatabaseOptions): Database {
  return openDatabase(writeEcuData({ ecu_name: "TEST", ...data }), options);
}

/** A request constant of whole bytes. */
export function constant(hex: string, position: number): Param {
  const length = fromHex(hex)?.length ?? 0;
  return {
    short_name: `C${position}`,
    byte_position: position,
    specific_data_type: "CodedConst",
    specific_data: {
      coded_value: String(Number.parseInt(hex, 16)),
      diag_coded_type: {
        base_data_type: "A_UINT_32",
        specific_data_type: "StandardLengthType",
        specific_data: { bit_length: 8 * length },
      },
    },
  };
}

/** A service whose request begins with `prefix`: SID, then the rest as one constant, or sub-function and rest where there is one. */
export function service(
  short_name: string,
  prefix: string,
  comm: DiagComm = {},
  params: readonly Param[] = [],
): DiagService {
  const hasSubFunction = ["10", "11", "19", "27", "28", "29", "31", "85"].includes(prefix.slice(0, 2));
  const parts = hasSubFunction
    ? [prefix.slice(0, 2), prefix.slice(2, 4), prefix.slice(4)]
    : [prefix.slice(0, 2), prefix.slice(2)];
  const present = parts.filter((part) => part !== "");
  const constants = present.map((part, i) => constant(part, present.slice(0, i).join("").length / 2));
  return { diag_comm: { short_name, ...comm }, request: { params: [...constants, ...params] } };
}

export function layer(
  short_name: string,
  services: readonly DiagService[] = [],
  rest: Partial<DiagLayer> = {},
): DiagLayer {
  return { short_name, diag_services: services, ...rest };
}

export function base(diag_layer: DiagLayer, parent_refs: readonly ParentRef[] = []): Variant {
  return { diag_layer, is_base_variant: true, parent_refs };
}

export function variant(diag_layer: DiagLayer, parent: Variant, hidden: readonly string[] = []): Variant {
  const parent_refs: ParentRef[] = [{ ref_type: "Variant", ref: parent, not_inherited_diag_comm_short_names: hidden }];
  return { diag_layer, parent_refs };
}

export function shared(diag_layer: DiagLayer, hidden: readonly string[] = []): ParentRef {
  return { ref_type: "EcuSharedData", ref: { diag_layer }, not_inherited_diag_comm_short_names: hidden };
}

export function protocol(name: string): Protocol {
  return { diag_layer: { short_name: name } };
}

export function comParam(short_name: string, factorsitounit?: number): ComParam {
  const dop: DOP = {
    specific_data_type: "NormalDOP",
    specific_data: factorsitounit === undefined ? {} : { unit_ref: { short_name: "unit", factorsitounit } },
  };
  return { short_name, com_param_type: "REGULAR", specific_data_type: "RegularComParam", specific_data: { dop } };
}

export function simpleRef(name: string, value: string, of?: Protocol, factor?: number): ComParamRef {
  return { com_param: comParam(name, factor), simple_value: { value }, ...(of === undefined ? {} : { protocol: of }) };
}
