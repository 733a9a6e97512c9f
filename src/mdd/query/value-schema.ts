import {
  CompuCategory,
  type CompuMethod,
  type CompuValues,
  DataType,
  type InternalConstr,
  IntervalType,
  type Limit,
  type NormalDOP,
  type PhysicalTypeDataType,
} from "#mdd/generated/dataformat.ts";
import { each } from "./database.ts";

/** A JSON Schema (draft 2020-12) as plain data. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** JSON form of each physical type. UINT32 needs more than 31 bits, hence int64. */
const TYPES: Readonly<Record<PhysicalTypeDataType, JsonSchema>> = {
  [DataType.A_INT_32]: { type: "integer", format: "int32" },
  [DataType.A_UINT_32]: { type: "integer", format: "int64" },
  [DataType.A_FLOAT_32]: { type: "number", format: "float" },
  [DataType.A_FLOAT_64]: { type: "number", format: "double" },
  [DataType.A_ASCIISTRING]: { type: "string" },
  [DataType.A_UTF_8_STRING]: { type: "string" },
  [DataType.A_UNICODE_2_STRING]: { type: "string" },
  [DataType.A_BYTEFIELD]: { type: "string", format: "hex" },
};

/** Schema of a value with a simple DOP: its physical type, its texts if it has any, its limits, its default. */
export function valueSchema(dop: NormalDOP, defaultText: string | null, isRequest: boolean): JsonSchema {
  const method = dop.compuMethod();
  const texts = method?.category() === CompuCategory.TEXT_TABLE ? tableTexts(method, isRequest) : [];
  if (texts.length > 0) return { type: "string", enum: texts, ...defaultOf("string", defaultText) };
  const coded = dop.diagCodedType()?.baseDataType() ?? DataType.A_UINT_32;
  const schema = TYPES[dop.physicalType()?.baseDataType() ?? coded] ?? {};
  const isNumber = schema.type === "integer" || schema.type === "number";
  return { ...schema, ...(isNumber ? limitsOf(dop.physConstr()) : {}), ...defaultOf(schema.type, defaultText) };
}

/** What a constant physical value is in JSON. */
export function constantSchema(dop: NormalDOP, text: string): JsonSchema {
  const { default: value, ...schema } = valueSchema(dop, text, false);
  return value === undefined ? schema : { ...schema, const: value };
}

/** Texts of a text table, each once; its default text too, which an answer may hold and a request only if it can be turned back. */
function tableTexts(method: CompuMethod, isRequest: boolean): string[] {
  const table = method.internalToPhys();
  if (table === null) return [];
  const scales = each(table.compuScalesLength(), (i) => table.compuScales(i));
  const fallback = table.compuDefaultValue();
  const isUsable = !isRequest || (fallback?.inverseValues() ?? null) !== null;
  const values = [...scales.map((scale) => scale.consts()), isUsable ? (fallback?.values() ?? null) : null];
  const texts = values.map(textOf);
  return [...new Set(texts.filter((text) => text !== undefined))];
}

function textOf(values: CompuValues | null): string | undefined {
  return values?.vt() ?? values?.vtTi() ?? undefined;
}

function defaultOf(type: unknown, text: string | null): JsonSchema {
  if (text === null || text === "") return {};
  if (type === "string") return { default: text };
  const value = Number(text);
  return Number.isFinite(value) ? { default: value } : {};
}

/** Physical constraints as JSON Schema keywords; the limits of single scales have no counterpart. */
function limitsOf(constraint: InternalConstr | null): JsonSchema {
  if (constraint === null) return {};
  return {
    ...limitOf(constraint.lowerLimit(), "minimum", "exclusiveMinimum"),
    ...limitOf(constraint.upperLimit(), "maximum", "exclusiveMaximum"),
  };
}

function limitOf(limit: Limit | null, closed: string, open: string): JsonSchema {
  const text = limit?.value() ?? "";
  const value = Number(text);
  if (limit === null || text === "" || !Number.isFinite(value) || limit.intervalType() === IntervalType.INFINITE)
    return {};
  return { [limit.intervalType() === IntervalType.OPEN ? open : closed]: value };
}
