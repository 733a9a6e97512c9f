import type {
  CompuCategory,
  DataType,
  IntervalType,
  PhysicalTypeDataType,
  ProgCode,
  Radix,
  Termination,
  ValidType,
} from "../generated/description.ts";

/**
 * The compact notation: a database by name as JSON, one data identifier per service. Layers, DOPs, tables, units and trouble
 * codes are named once and referred to by name; `readService` and `writeService` of the DSL give the messages.
 */
export interface Source {
  readonly ecu_name: string;
  readonly revision?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** DOP of the NRC in the negative response of every service that has none of its own. */
  readonly negative_response_dop?: string;
  readonly units?: Readonly<Record<string, SourceUnit>>;
  readonly dtcs?: Readonly<Record<string, SourceDtc>>;
  readonly dops: Readonly<Record<string, SourceDop>>;
  readonly tables?: Readonly<Record<string, SourceTable>>;
  readonly layers: Readonly<Record<string, SourceLayer>>;
  readonly variants: readonly SourceVariant[];
}

export type SourceLimit = readonly [value: string, interval: IntervalType];
export interface SourceUnit {
  readonly display_name: string;
  readonly factorsitounit?: number;
  readonly offsetitounit?: number;
}
export interface SourceDtc {
  /** Hex. */
  readonly code: string;
  readonly display?: string;
  readonly text?: string;
  readonly level?: number;
  readonly temporary?: boolean;
}
export interface SourceCoded {
  readonly type: DataType;
  readonly bits?: number;
  readonly order?: "LE";
  readonly encoding?: string;
  /** Hex. */
  readonly mask?: string;
  readonly condensed?: boolean;
  readonly leading_bits?: number;
  readonly min?: number;
  readonly max?: number;
  readonly termination?: Termination;
  readonly length_key?: SourceParam;
}
export interface SourceConst {
  readonly v?: number;
  readonly text?: string;
  readonly ti?: string;
}
export interface SourceScale {
  readonly label?: string;
  readonly lower?: SourceLimit;
  readonly upper?: SourceLimit;
  readonly num?: readonly number[];
  readonly den?: readonly number[];
  readonly const?: SourceConst;
  readonly inverse?: SourceConst;
  readonly validity?: ValidType;
}
export interface SourceCompu {
  readonly category: CompuCategory;
  readonly scales?: readonly SourceScale[];
  readonly default?: SourceConst;
  readonly code?: ProgCode;
  readonly inverse?: { readonly scales?: readonly SourceScale[]; readonly default?: SourceConst };
}
export interface SourceConstraint {
  readonly lower?: SourceLimit;
  readonly upper?: SourceLimit;
  readonly scales?: readonly SourceScale[];
}
export interface SourceKey {
  readonly byte: number;
  readonly bit?: number;
  readonly dop: string;
}
export interface SourcePhysical {
  readonly type: PhysicalTypeDataType;
  readonly radix?: Radix;
}
export type SourceDop =
  | {
      readonly kind: "normal";
      readonly coded: SourceCoded;
      readonly compu?: SourceCompu;
      readonly phys: SourcePhysical;
      readonly unit?: string;
      readonly internal_constr?: SourceConstraint;
      readonly phys_constr?: SourceConstraint;
    }
  | { readonly kind: "structure"; readonly params: readonly SourceParam[]; readonly byte_size?: number }
  | { readonly kind: "end_of_pdu"; readonly structure: string; readonly min?: number; readonly max?: number }
  | { readonly kind: "static"; readonly structure: string; readonly count: number; readonly item_bytes: number }
  | { readonly kind: "dynamic_length"; readonly structure: string; readonly offset: number; readonly count: SourceKey }
  | {
      readonly kind: "mux";
      readonly byte: number;
      readonly switch: SourceKey;
      readonly cases?: readonly SourceCase[];
      readonly default?: { readonly name: string; readonly structure?: string };
    }
  | {
      readonly kind: "dtc";
      readonly coded: SourceCoded;
      readonly phys: SourcePhysical;
      readonly dtcs: readonly string[];
    }
  | { readonly kind: "env_data"; readonly params: readonly SourceParam[]; readonly dtcs?: readonly string[] }
  | { readonly kind: "env_data_desc"; readonly switch_param: string; readonly env_datas: readonly string[] };
export interface SourceCase {
  readonly name: string;
  readonly lower: SourceLimit;
  readonly upper: SourceLimit;
  readonly structure?: string;
}
export interface SourceParam {
  readonly name: string;
  readonly kind?: string;
  readonly byte?: number;
  readonly bit?: number;
  readonly semantic?: string | null;
  readonly dop?: string;
  readonly table?: string;
  readonly table_key?: SourceParam;
  readonly default?: string;
  readonly value?: string;
  readonly values?: readonly string[];
  readonly coded?: SourceCoded;
  readonly bits?: number;
  readonly bytes?: number;
  readonly request_byte?: number;
  readonly sys_param?: string;
}
export interface SourceTable {
  readonly key: string;
  readonly rows: readonly {
    readonly name: string;
    readonly key: string;
    readonly structure?: string;
    readonly dop?: string;
  }[];
}
export interface SourceService {
  readonly name: string;
  /** Hex. */
  readonly did: string;
  readonly params: readonly SourceParam[];
  readonly access?: "r" | "w";
  readonly negative?: readonly SourceParam[];
  readonly classes?: readonly string[];
}
export interface SourceLayer {
  readonly services?: readonly SourceService[];
  readonly classes?: readonly string[];
  readonly charts?: readonly {
    readonly name: string;
    readonly semantic: string;
    readonly start: string;
    readonly states: readonly string[];
    readonly transitions: readonly (readonly [string, string])[];
  }[];
}
export interface SourceVariant {
  readonly name: string;
  readonly base?: boolean;
  readonly parents?: readonly {
    readonly kind: "Protocol" | "EcuSharedData" | "Variant";
    readonly name: string;
    readonly not_inherited?: readonly string[];
  }[];
  readonly patterns?: readonly (readonly {
    readonly service: readonly [layer: string, name: string];
    readonly param: string;
    readonly expected: string;
  }[])[];
}
