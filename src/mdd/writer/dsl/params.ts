import type { DiagCodedType, DOP, Param, TableDop, TableRow } from "../../generated/description.ts";
import { defined } from "./defined.ts";
import { standardLength } from "./types.ts";

/** Where a parameter stands and what it means; absent positions follow the parameter before. */
export interface Place {
  readonly byte?: number | undefined;
  readonly bit?: number | undefined;
  /** `DATA` when absent, null for none. */
  readonly semantic?: string | null | undefined;
}

type Specific = Extract<Param, { specific_data_type: string }>;
type Content = Pick<Specific, "param_type" | "specific_data_type" | "specific_data">;

function param(name: string, content: Content, { byte, bit, semantic = "DATA" }: Place): Param {
  return {
    ...content,
    ...defined<Pick<Param, "short_name" | "semantic" | "byte_position" | "bit_position">>({
      short_name: name,
      semantic: semantic ?? undefined,
      byte_position: byte,
      bit_position: bit,
    }),
  } as Param;
}

/** CODED-CONST of a coded type, or of so many bits unsigned. */
export function codedConst(
  name: string,
  value: string | number,
  coded: DiagCodedType | number,
  place: Place = {},
): Param {
  const type = typeof coded === "number" ? standardLength("A_UINT_32", coded) : coded;
  const content = { coded_value: String(value), diag_coded_type: type };
  return param(name, { specific_data_type: "CodedConst", specific_data: content }, place);
}

/** VALUE, with an optional physical default. */
export function value(name: string, dop: DOP, place: Place & { readonly default?: string | undefined } = {}): Param {
  const content = defined({ physical_default_value: place.default, dop });
  return param(name, { param_type: "VALUE", specific_data_type: "Value", specific_data: content }, place);
}

/** MATCHING-REQUEST-PARAM: repeats bytes of the request. */
export function matchingRequest(name: string, requestByte: number, bytes: number, place: Place = {}): Param {
  const content = defined({ request_byte_pos: requestByte === 0 ? undefined : requestByte, byte_length: bytes });
  return param(
    name,
    { param_type: "MATCHING_REQUEST_PARAM", specific_data_type: "MatchingRequestParam", specific_data: content },
    place,
  );
}

export function physConst(name: string, constant: string, dop: DOP, place: Place = {}): Param {
  const content = { phys_constant_value: constant, dop };
  return param(name, { param_type: "PHYS_CONST", specific_data_type: "PhysConst", specific_data: content }, place);
}

export function reserved(name: string, bits: number, place: Place = {}): Param {
  const content = { bit_length: bits };
  return param(name, { param_type: "RESERVED", specific_data_type: "Reserved", specific_data: content }, place);
}

export function lengthKey(name: string, dop: DOP, place: Place = {}): Param {
  return param(name, { param_type: "LENGTH_KEY", specific_data_type: "LengthKeyRef", specific_data: { dop } }, place);
}

export function nrcConst(name: string, values: readonly string[], coded: DiagCodedType, place: Place = {}): Param {
  const content = { coded_values: values, diag_coded_type: coded };
  return param(name, { param_type: "NRC_CONST", specific_data_type: "NrcConst", specific_data: content }, place);
}

export function dynamic(name: string, place: Place = {}): Param {
  return param(name, { param_type: "DYNAMIC", specific_data_type: "Dynamic", specific_data: {} }, place);
}

export function system(name: string, dop: DOP, systemParam: string, place: Place = {}): Param {
  const content = { dop, sys_param: systemParam };
  return param(name, { param_type: "SYSTEM", specific_data_type: "System", specific_data: content }, place);
}

export function tableKey(name: string, table: TableDop, place: Place = {}): Param {
  const content = { table_key_reference_type: "TableDop", table_key_reference: table } as const;
  return param(name, { param_type: "TABLE_KEY", specific_data_type: "TableKey", specific_data: content }, place);
}

/** TABLE-STRUCT: the structure of the row that the key parameter names. */
export function tableStruct(name: string, key: Param, place: Place = {}): Param {
  const content = { table_key: key };
  return param(name, { param_type: "TABLE_STRUCT", specific_data_type: "TableStruct", specific_data: content }, place);
}

export function tableDop(name: string, keyDop: DOP, rows: readonly TableRow[]): TableDop {
  return { short_name: name, key_dop: keyDop, rows };
}

export function tableRow(
  name: string,
  key: string,
  content: { readonly structure?: DOP; readonly dop?: DOP } = {},
): TableRow {
  return { short_name: name, key, ...content };
}
