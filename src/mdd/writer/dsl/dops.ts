import type {
  Case,
  CompuMethod,
  DataType,
  DiagCodedType,
  DOP,
  DTC,
  InternalConstr,
  Limit,
  Param,
  PhysicalType,
  Unit,
} from "../../generated/description.ts";
import { defined } from "./defined.ts";
import { identical, physicalType, standardLength } from "./types.ts";

export interface NormalDop {
  readonly coded: DiagCodedType;
  readonly compu?: CompuMethod | undefined;
  readonly physical: PhysicalType;
  readonly unit?: Unit | undefined;
  readonly internalConstraint?: InternalConstr | undefined;
  readonly physicalConstraint?: InternalConstr | undefined;
}

/** DATA-OBJECT-PROP. */
export function normalDop(name: string, dop: NormalDop): DOP {
  return {
    short_name: name,
    specific_data_type: "NormalDOP",
    specific_data: defined({
      compu_method: dop.compu ?? identical,
      diag_coded_type: dop.coded,
      physical_type: dop.physical,
      internal_constr: dop.internalConstraint,
      unit_ref: dop.unit,
      phys_constr: dop.physicalConstraint,
    }),
  };
}

/** A DOP of plain type and fixed length, physical type that of the coded one. */
export function plainDop(name: string, type: DataType, bits: number, more: Partial<NormalDop> = {}): DOP {
  return normalDop(name, { coded: standardLength(type, bits), physical: physicalType(type), ...more });
}

export const unsigned = (name: string, bits: number, more?: Partial<NormalDop>): DOP =>
  plainDop(name, "A_UINT_32", bits, more);
export const signed = (name: string, bits: number, more?: Partial<NormalDop>): DOP =>
  plainDop(name, "A_INT_32", bits, more);
export const ascii = (name: string, bytes: number): DOP => plainDop(name, "A_ASCIISTRING", bytes * 8);
export const byteField = (name: string, bytes: number): DOP => plainDop(name, "A_BYTEFIELD", bytes * 8);

/** A number shown as text. */
export function textDop(name: string, bits: number, compu: CompuMethod): DOP {
  return unsigned(name, bits, { compu, physical: physicalType("A_UTF_8_STRING") });
}

export function structure(name: string, params: readonly Param[], byteSize?: number): DOP {
  return {
    short_name: name,
    specific_data_type: "Structure",
    specific_data: defined({ params, byte_size: byteSize }),
  };
}

const zeroAbsent = (value: number): number | undefined => (value === 0 ? undefined : value);

export function endOfPduField(name: string, item: DOP, minItems?: number, maxItems?: number): DOP {
  return {
    short_name: name,
    specific_data_type: "EndOfPduField",
    specific_data: defined({
      max_number_of_items: maxItems,
      min_number_of_items: minItems,
      field: { basic_structure: item },
    }),
  };
}

export function staticField(name: string, item: DOP, items: number, itemBytes: number): DOP {
  return {
    short_name: name,
    specific_data_type: "StaticField",
    specific_data: defined({
      fixed_number_of_items: zeroAbsent(items),
      item_byte_size: zeroAbsent(itemBytes),
      field: { basic_structure: item },
    }),
  };
}

/** Where a number stands relative to its field or multiplexer. */
export interface Key {
  readonly byte: number;
  readonly bit?: number | undefined;
  readonly dop: DOP;
}

export function dynamicLengthField(name: string, item: DOP, offset: number, count: Key): DOP {
  return {
    short_name: name,
    specific_data_type: "DynamicLengthField",
    specific_data: defined({
      offset: zeroAbsent(offset),
      field: { basic_structure: item },
      determine_number_of_items: defined({
        byte_position: zeroAbsent(count.byte),
        bit_position: zeroAbsent(count.bit ?? 0),
        dop: count.dop,
      }),
    }),
  };
}

export interface Mux {
  /** Where the cases' data starts. */
  readonly byte: number;
  readonly switchKey: Key;
  readonly cases?: readonly Case[] | undefined;
  readonly defaultCase?: { readonly name: string; readonly structure?: DOP | undefined } | undefined;
}

export function muxCase(name: string, lower: Limit, upper: Limit, content?: DOP): Case {
  return defined<Case>({ short_name: name, structure: content, lower_limit: lower, upper_limit: upper });
}

export function mux(name: string, { byte, switchKey, cases, defaultCase }: Mux): DOP {
  return {
    short_name: name,
    specific_data_type: "MUXDOP",
    specific_data: defined({
      byte_position: zeroAbsent(byte),
      switch_key: defined({
        byte_position: zeroAbsent(switchKey.byte),
        bit_position: switchKey.bit,
        dop: switchKey.dop,
      }),
      default_case: defaultCase && defined({ short_name: defaultCase.name, structure: defaultCase.structure }),
      cases,
    }),
  };
}

export interface TroubleCode {
  readonly code: number;
  readonly displayCode?: string | undefined;
  readonly text?: string | undefined;
  readonly level?: number | undefined;
  readonly isTemporary?: boolean | undefined;
}

/** A diagnostic trouble code. */
export function dtc(name: string, { code, displayCode, text, level, isTemporary }: TroubleCode): DTC {
  return defined<DTC>({
    short_name: name,
    trouble_code: code,
    display_trouble_code: displayCode,
    text: text === undefined ? undefined : { value: text },
    level,
    is_temporary: isTemporary === true ? true : undefined,
  });
}

export function dtcDop(name: string, dtcs: readonly DTC[], coded: DiagCodedType, physical: PhysicalType): DOP {
  return {
    short_name: name,
    specific_data_type: "DTCDOP",
    specific_data: { diag_coded_type: coded, physical_type: physical, compu_method: identical, dtcs },
  };
}

/** ENV-DATA; for all trouble codes when none is named. */
export function envData(name: string, params: readonly Param[], dtcs?: readonly number[]): DOP {
  return { short_name: name, specific_data_type: "EnvData", specific_data: defined({ dtc_values: dtcs, params }) };
}

export function envDataDesc(name: string, switchParam: string, envDatas: readonly DOP[]): DOP {
  return {
    short_name: name,
    specific_data_type: "EnvDataDesc",
    specific_data: { param_short_name: switchParam, env_datas: envDatas },
  };
}
