/**
 * Codec plans: what the bytes of one service mean, compiled from the FlatBuffer into plain data of few shapes. Running a plan reads no
 * FlatBuffer and creates no closure. Sub-plans stand in the lists of `Pool` and are referred to by index, so that what the database
 * shares is compiled once.
 */
import type { Compu } from "./compu.ts";
import type { Constraint, Interval } from "./limits.ts";
import type { TextEncoding } from "./text.ts";

/** Kinds of internal values; from TEXT on they are bytes. */
export const Base = { INT: 0, UINT: 1, FLOAT32: 2, FLOAT64: 3, TEXT: 4, BYTES: 5, NONE: 6 } as const;
export type Base = (typeof Base)[keyof typeof Base];

/** BASE-TYPE-ENCODING of integers. */
export const IntEncoding = {
  UNSIGNED: 0,
  TWOS: 1,
  ONES: 2,
  SIGN_MAGNITUDE: 3,
  BCD_PACKED: 4,
  BCD_UNPACKED: 5,
} as const;
export type IntEncoding = (typeof IntEncoding)[keyof typeof IntEncoding];

/** Where the length of a value comes from. */
export const LengthKind = { STANDARD: 0, LEADING: 1, MIN_MAX: 2, PARAM: 3 } as const;
export type LengthKind = (typeof LengthKind)[keyof typeof LengthKind];

/** How a MIN-MAX-LENGTH value ends. */
export const End = { OF_PDU: 0, ZERO: 1, HEX_FF: 2 } as const;
export type End = (typeof End)[keyof typeof End];

/** A DIAG-CODED-TYPE. */
export interface CodedType {
  readonly base: Base;
  readonly lengthKind: LengthKind;
  readonly isLittleEndian: boolean;
  readonly intEncoding: IntEncoding;
  readonly textEncoding: TextEncoding;
  /** STANDARD: of the value; LEADING: of the length field. */
  readonly bits: number;
  /** Bits of the value itself: fewer than `bits` under a condensed mask. */
  readonly valueBits: number;
  readonly mask: bigint | undefined;
  /** Ones of a condensed mask, least significant first. */
  readonly condensed: Uint8Array | undefined;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly end: End;
  /** PARAM: register of the length key, and what one unit of it is. */
  readonly lengthRegister: number;
  readonly lengthKeyName: string;
  readonly lengthUnitBits: 1 | 8;
}

/** A simple DOP: coded type, compu method and physical type. */
export interface Scalar {
  readonly coded: CodedType;
  readonly compu: Compu;
  readonly physical: Base;
  readonly internalConstraint: Constraint | undefined;
  readonly physicalConstraint: Constraint | undefined;
}

/** A member name and its JSON bytes `"name":`. */
export interface Key {
  readonly name: string;
  readonly json: Uint8Array;
}

export const TargetKind = {
  SCALAR: 0,
  DTC: 1,
  STRUCTURE: 2,
  FIELD: 3,
  MUX: 4,
  ENV_DATA_DESC: 5,
  BROKEN: 6,
} as const;
export type TargetKind = (typeof TargetKind)[keyof typeof TargetKind];

/** What a parameter, a case or a row holds: a sub-plan. */
export interface Target {
  readonly kind: TargetKind;
  readonly index: number;
}

export const StepKind = {
  CODED_CONST: 0,
  VALUE: 1,
  PHYS_CONST: 2,
  RESERVED: 3,
  MATCHING_REQUEST: 4,
  NRC_CONST: 5,
  LENGTH_KEY: 6,
  TABLE_KEY: 7,
  TABLE_STRUCT: 8,
  SYSTEM: 9,
  DYNAMIC: 10,
  TABLE_ENTRY: 11,
  BROKEN: 12,
} as const;
export type StepKind = (typeof StepKind)[keyof typeof StepKind];

/** Internal value of a constant. */
export type Internal = number | bigint | Uint8Array;

/** Position of a step that begins where the one before it ended. */
export const AT_CURSOR = -1;

/** One parameter. */
export interface Step {
  readonly kind: StepKind;
  readonly key: Key;
  /** Relative to the start of the list, or AT_CURSOR. */
  readonly bytePosition: number;
  readonly bitPosition: number;
  /** Read to find the positions behind it, but neither shown nor checked. */
  readonly isHidden: boolean;
  readonly targetKind: TargetKind;
  readonly target: number;
  /** Members of a structure go into the object around it. */
  readonly isFlat: boolean;
  /** Where others look the value up, or -1. */
  register: number;
  /** CODED_CONST, PHYS_CONST: the one; NRC_CONST: all allowed. */
  readonly constants: readonly Internal[];
  /** VALUE: what is sent when the caller gives nothing. */
  readonly fallback: string | number | bigint | undefined;
  /** RESERVED: its bits. */
  readonly bits: number;
  /** MATCHING_REQUEST: where the request holds the bytes, how many, and the constant if it is one. */
  readonly requestPosition: number;
  readonly requestBytes: number;
  readonly requestName: string;
  /** BROKEN, or a kind that cannot be encoded: why. */
  readonly problem: string;
}

/** Parameters in the order in which they are processed. */
export interface ParamList {
  readonly steps: readonly Step[];
  /** Names that the object may hold, in the caller's form. */
  readonly names: ReadonlySet<string>;
  /** A decoded object may get the same key twice; the last one counts. */
  readonly mayRepeatKeys: boolean;
}

export interface StructurePlan {
  readonly list: ParamList;
  /** -1: as long as its parameters. */
  readonly byteSize: number;
}

export const FieldKind = { STATIC: 0, END_OF_PDU: 1, DYNAMIC_LENGTH: 2 } as const;
export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind];

export interface FieldPlan {
  readonly kind: FieldKind;
  readonly item: Target;
  readonly minItems: number;
  readonly maxItems: number;
  /** STATIC: bytes of one item. */
  readonly itemBytes: number;
  /** DYNAMIC_LENGTH: where the items start and where their number stands, relative to the field. */
  readonly offset: number;
  readonly countByte: number;
  readonly countBit: number;
  readonly countScalar: number;
}

export interface CasePlan {
  readonly key: Key;
  readonly limits: Interval;
  readonly structure: Target | undefined;
}

export interface MuxPlan {
  readonly bytePosition: number;
  readonly switchByte: number;
  readonly switchBit: number;
  readonly switchScalar: number;
  readonly cases: readonly CasePlan[];
  readonly defaultCase: CasePlan | undefined;
}

export interface RowPlan {
  readonly key: Key;
  /** Physical value of the table key, as text. */
  readonly keyText: string;
  readonly target: Target | undefined;
}

export interface TablePlan {
  /** -1: no key DOP (a fixed row). */
  readonly keyScalar: number;
  readonly rows: readonly RowPlan[];
  /** First row by short name or key. */
  readonly byText: ReadonlyMap<string, RowPlan>;
  /** Register and name of the table key. */
  keyRegister: number;
  readonly keyName: string;
  /** TABLE-ROW reference: the one row. */
  readonly fixedRow: RowPlan | undefined;
}

export interface DtcInfo {
  readonly code: number;
  readonly fault_name?: string;
  readonly severity?: number;
  readonly display_code?: string;
}

export interface DtcPlan {
  readonly coded: CodedType;
  readonly byCode: ReadonlyMap<number, DtcInfo>;
}

export interface EnvDescPlan {
  readonly selectorName: string;
  selectorRegister: number;
  readonly datas: readonly { readonly codes: readonly number[]; readonly list: ParamList }[];
}

/** All sub-plans of one service. */
export interface Pool {
  readonly scalars: Scalar[];
  readonly structures: StructurePlan[];
  readonly fields: FieldPlan[];
  readonly muxes: MuxPlan[];
  readonly tables: TablePlan[];
  readonly dtcs: DtcPlan[];
  readonly envDescs: EnvDescPlan[];
  readonly problems: string[];
  /** Values that others look up: lengths, table keys, environment selectors. */
  readonly registers: string[];
}

export const ResponseKind = { POSITIVE: 0, NEGATIVE: 1 } as const;
export type ResponseKind = (typeof ResponseKind)[keyof typeof ResponseKind];

/** One request or response. */
export interface MessagePlan {
  readonly list: ParamList;
  readonly kind: ResponseKind;
  /** First bytes that say that it is this message. */
  readonly serviceIds: readonly number[];
  /** Where raw data begins: the first DATA parameter. */
  readonly rawOffset: number;
}

export interface ServicePlan {
  readonly shortName: string;
  readonly pool: Pool;
  readonly request: MessagePlan | undefined;
  /** Positive ones first, as the database orders them. */
  readonly responses: readonly MessagePlan[];
  /** Text of an NRC that the database does not know. */
  readonly nrcText: (code: number) => string;
}
