/** Where the parameters of a message stand, as far as the database fixes it. */
import {
  AT_CURSOR,
  Base,
  type CodedType,
  type FieldPlan,
  LengthKind,
  type ParamList,
  type Pool,
  type Step,
  StepKind,
  type Target,
  TargetKind,
} from "../codec/plan.ts";
import type { DiagCodedType, DOP, Field, NormalDOP, Param, Structure, TableDop } from "../generated/description.ts";
import { codedTypeText, compuView, constraintText, rangeText } from "./type-text.ts";
import type { ParamGroup, ParamView } from "./view.ts";

export interface Placing {
  readonly pool: Pool;
  readonly budget: { left: number };
}

interface Placed {
  readonly views: readonly ParamView[];
  /** Byte behind the last one; undefined: not fixed. */
  readonly end: number | undefined;
}

/** Structures within structures that are unfolded. */
const MAX_DEPTH = 32;

/** Places the parameters of a list that begins at byte `base` of the message; undefined: somewhere. */
export function placeParams(
  placing: Placing,
  params: readonly Param[],
  list: ParamList | undefined,
  base: number | undefined,
  depth: number,
): Placed {
  const views: ParamView[] = [];
  const left = [...params];
  let cursor = base;
  let end = base;
  for (const step of list?.steps ?? []) {
    const index = left.findIndex(({ short_name = "" }) => short_name === step.key.name);
    const param = index < 0 ? undefined : left.splice(index, 1)[0];
    if (param === undefined || placing.budget.left-- <= 0 || depth > MAX_DEPTH) continue;
    const byte = step.bytePosition === AT_CURSOR ? cursor : base === undefined ? undefined : base + step.bytePosition;
    const view = viewParam(placing, param, step, byte, depth);
    cursor = byte === undefined || view.bytes === undefined ? undefined : byte + view.bytes;
    end = end === undefined || cursor === undefined ? undefined : Math.max(end, cursor);
    views.push(view);
  }
  return { views, end };
}

function viewParam(placing: Placing, param: Param, step: Step, byte: number | undefined, depth: number): ParamView {
  const { groups, bytes: inner } = groupsOf(placing, param, step, byte, depth);
  const coded = codedOf(placing.pool, step);
  const bits = bitsOf(coded, step);
  const bytes = inner ?? (bits === undefined ? undefined : Math.ceil((step.bitPosition + bits) / 8));
  return {
    name: param.short_name ?? "",
    kind: kindText(param),
    ...(param.semantic !== undefined && { semantic: param.semantic }),
    ...(byte !== undefined && { byte }),
    ...(step.bytePosition !== AT_CURSOR && { offset: step.bytePosition }),
    bit: step.bitPosition,
    ...(bits !== undefined && { bits }),
    ...(bytes !== undefined && { bytes }),
    ...(coded?.isLittleEndian && coded.base < Base.TEXT && { littleEndian: true as const }),
    ...meaningOf(param),
    ...(step.kind === StepKind.BROKEN && { problem: step.problem }),
    ...(groups.length > 0 && { groups }),
  };
}

/** `VALUE`, `CODED_CONST`, …: by the union, which is always there. */
function kindText({ specific_data_type: type }: Param): string {
  if (type === "LengthKeyRef") return "LENGTH_KEY";
  if (type === "MatchingRequestParam") return "MATCHING_REQUEST";
  return (type ?? "NOTHING").replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

/** Coded type of a simple parameter. */
function codedOf({ scalars, dtcs }: Pool, step: Step): CodedType | undefined {
  const isConstant = step.kind === StepKind.CODED_CONST || step.kind === StepKind.NRC_CONST;
  if (step.targetKind === TargetKind.DTC) return dtcs[step.target]?.coded;
  return isConstant || step.targetKind === TargetKind.SCALAR ? scalars[step.target]?.coded : undefined;
}

/** Bits of a parameter of fixed length. */
function bitsOf(coded: CodedType | undefined, step: Step): number | undefined {
  if (step.kind === StepKind.RESERVED) return step.bits;
  if (step.kind === StepKind.MATCHING_REQUEST) return step.requestBytes * 8;
  return coded?.lengthKind === LengthKind.STANDARD ? coded.bits : undefined;
}

type Meaning = Partial<Pick<ParamView, "type" | "dop" | "compu" | "unit" | "limits" | "value" | "default">>;

function meaningOf(param: Param): Meaning {
  switch (param.specific_data_type) {
    case "CodedConst": {
      const { coded_value: value, diag_coded_type: type } = param.specific_data;
      return { type: codedTypeText(type), ...(value !== undefined && { value: constantText(value, type) }) };
    }
    case "NrcConst": {
      const { coded_values: values = [], diag_coded_type: type } = param.specific_data;
      return { type: codedTypeText(type), value: values.join(" | ") };
    }
    case "Value": {
      const { physical_default_value: text, dop } = param.specific_data;
      return { ...dopMeaning(dop), ...(text !== undefined && { default: text }) };
    }
    case "PhysConst": {
      const { phys_constant_value: value, dop } = param.specific_data;
      return { ...dopMeaning(dop), ...(value !== undefined && { value }) };
    }
    case "LengthKeyRef":
      return dopMeaning(param.specific_data.dop);
    case "System":
      return { ...dopMeaning(param.specific_data.dop), value: param.specific_data.sys_param ?? "" };
    case "MatchingRequestParam": {
      const { request_byte_pos: at = 0, byte_length: bytes = 0 } = param.specific_data;
      return { value: `byte ${at}${bytes > 1 ? `…${at + bytes - 1}` : ""} of the request` };
    }
    default:
      return {};
  }
}

/** Constants stand in the database in decimal; messages are read in hex. */
function constantText(value: string, type: DiagCodedType | undefined): string {
  const isNumber = type?.base_data_type === "A_UINT_32" && /^\d{1,15}$/.test(value);
  if (!isNumber) return value;
  const hex = Number(value).toString(16).toUpperCase();
  return `0x${hex.padStart(hex.length + (hex.length % 2), "0")} (${value})`;
}

function dopMeaning(dop: DOP | undefined): Meaning {
  const name = dop?.short_name === undefined ? {} : { dop: dop.short_name };
  if (dop?.specific_data_type === "DTCDOP") return { ...name, type: codedTypeText(dop.specific_data.diag_coded_type) };
  return dop?.specific_data_type === "NormalDOP" ? { ...name, ...normalMeaning(dop.specific_data) } : name;
}

function normalMeaning(normal: NormalDOP): Meaning {
  const compu = compuView(normal.compu_method);
  const unit = normal.unit_ref?.display_name;
  const limits = constraintText(normal);
  return {
    type: codedTypeText(normal.diag_coded_type),
    ...(compu !== undefined && { compu }),
    ...(unit !== undefined && { unit }),
    ...(limits !== "" && { limits }),
  };
}

interface Groups {
  readonly groups: readonly ParamGroup[];
  readonly bytes?: number | undefined;
}

function groupsOf(placing: Placing, param: Param, step: Step, byte: number | undefined, depth: number): Groups {
  if (param.specific_data_type === "TableStruct")
    return rowsOf(placing, param.specific_data.table_key, step, byte, depth);
  const dop =
    param.specific_data_type === "Value" || param.specific_data_type === "PhysConst"
      ? param.specific_data.dop
      : undefined;
  return dop === undefined
    ? { groups: [] }
    : unfold(placing, dop, { kind: step.targetKind, index: step.target }, byte, depth);
}

/** What a DOP holds. `byte` is where it begins in the message. */
function unfold(placing: Placing, dop: DOP, target: Target, byte: number | undefined, depth: number): Groups {
  const { pool } = placing;
  switch (dop.specific_data_type) {
    case "Structure":
    case "EnvData":
      return structureOf(placing, "structure", dop, target, byte, depth);
    case "StaticField":
      return fieldOf(placing, dop.specific_data.field, pool.fields[target.index], "exactly", byte, depth);
    case "EndOfPduField":
      return fieldOf(placing, dop.specific_data.field, pool.fields[target.index], "to the end", byte, depth);
    case "DynamicLengthField":
      return fieldOf(placing, dop.specific_data.field, pool.fields[target.index], "counted", undefined, depth);
    case "MUXDOP": {
      const plan = pool.muxes[target.index];
      const { cases = [], default_case: fallback, byte_position: at = 0, switch_key: key } = dop.specific_data;
      const start = byte === undefined ? undefined : byte + at;
      const all = [
        ...cases.map((one, i) => ({
          ...one,
          label: `case ${one.short_name} = ${rangeText(one.lower_limit, one.upper_limit)}`,
          plan: plan?.cases[i],
        })),
        ...(fallback === undefined
          ? []
          : [{ ...fallback, label: `default case ${fallback.short_name}`, plan: plan?.defaultCase }]),
      ];
      const selector = `switch key ${key?.dop?.short_name ?? ""} at byte ${key?.byte_position ?? 0} bit ${key?.bit_position ?? 0}`;
      return {
        groups: [
          { label: selector, params: [] },
          ...all.flatMap(({ label, structure, plan: own }) =>
            structure === undefined || own?.structure === undefined
              ? [{ label, params: [] }]
              : structureOf(placing, label, structure, own.structure, start, depth).groups,
          ),
        ],
      };
    }
    case "EnvDataDesc": {
      const plan = pool.envDescs[target.index];
      const { env_datas = [], param_short_name: by } = dop.specific_data;
      return {
        groups: env_datas.flatMap((env, i) => {
          if (env.specific_data_type !== "EnvData") return [];
          const { dtc_values: codes = [], params = [] } = env.specific_data;
          const label = `environment data by ${by ?? "?"} = ${codes.length === 0 ? "any" : codes.join(" | ")}`;
          return [{ label, params: placeParams(placing, params, plan?.datas[i]?.list, byte, depth + 1).views }];
        }),
      };
    }
    default:
      return { groups: [] };
  }
}

function structureOf(
  placing: Placing,
  label: string,
  dop: DOP,
  target: Target,
  byte: number | undefined,
  depth: number,
): Groups {
  if (target.kind !== TargetKind.STRUCTURE) return { groups: [{ label, params: [] }] };
  const plan = placing.pool.structures[target.index];
  const { params = [] } = (dop.specific_data ?? {}) as Structure;
  const { views, end } = placeParams(placing, params, plan?.list, byte, depth + 1);
  const bytes =
    (plan?.byteSize ?? -1) >= 0 ? plan?.byteSize : end === undefined || byte === undefined ? undefined : end - byte;
  return { groups: [{ label, params: views }], bytes };
}

/** The first item of a field: the others repeat it. */
function fieldOf(
  placing: Placing,
  field: Field | undefined,
  plan: FieldPlan | undefined,
  how: string,
  byte: number | undefined,
  depth: number,
): Groups {
  const dop = field?.basic_structure ?? field?.env_data_desc;
  if (dop === undefined || plan === undefined) return { groups: [] };
  const { minItems: min, maxItems: max } = plan;
  const count =
    min === max ? String(min) : Number.isFinite(max) && max < 2 ** 31 ? `${min}…${max}` : min > 0 ? `≥ ${min}` : "";
  const label = ["items", how, count].filter((word) => word !== "").join(" ");
  const bytes = how === "exactly" ? min * plan.itemBytes : undefined;
  return { groups: structureOf(placing, label, dop, plan.item, byte, depth).groups, bytes };
}

function rowsOf(placing: Placing, key: Param | undefined, step: Step, byte: number | undefined, depth: number): Groups {
  if (key?.specific_data_type !== "TableKey") return { groups: [] };
  const { table_key_reference_type: type, table_key_reference: reference } = key.specific_data;
  const rows = type === "TableDop" ? ((reference as TableDop).rows ?? []) : type === "TableRow" ? [reference] : [];
  const plan = placing.pool.tables[step.target];
  const groups = rows.flatMap((row) => {
    const { short_name: name = "", key: text = "", structure, dop } = row as NonNullable<TableDop["rows"]>[number];
    const label = `row ${name} = ${text}`;
    const target = plan?.rows.find((one) => one.key.name === name)?.target ?? plan?.fixedRow?.target;
    const content = structure ?? dop;
    if (content === undefined || target === undefined) return [{ label, params: [] }];
    return content.specific_data_type === "Structure"
      ? structureOf(placing, label, content, target, byte, depth).groups
      : [{ label: `${label}, ${dopMeaning(content).type ?? content.short_name ?? ""}`, params: [] }];
  });
  return { groups };
}
