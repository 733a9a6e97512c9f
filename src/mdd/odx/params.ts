/** Parameters of messages and structures (ISO 22901-1 §7.3.5.4). */
import type { Param, ParamType, TableEntryRowFragment } from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import { type Context, once } from "./context.ts";
import { list, type OdxElement, textOf } from "./element.ts";
import { referredDop } from "./fields.ts";
import { resolveChild } from "./links.ts";
import { sdgsOf } from "./sdgs.ts";
import { buildTableKey, buildTableRow } from "./tables.ts";
import { buildCodedType } from "./types.ts";
import { nameOf, requiredChild, requiredUnsigned, signedOf, snrefOf, unsignedOf, wordOf } from "./values.ts";

type Specific = Extract<Param, { specific_data_type: string }>;
type SpecificPart = Pick<Specific, "specific_data_type" | "specific_data">;
type Build = (context: Context, element: OdxElement, siblings: readonly OdxElement[]) => SpecificPart;

/** Tags that a DOP reference may lead to. */
export const DOP_TAGS: readonly string[] = [
  "DATA-OBJECT-PROP",
  "DTC-DOP",
  "STRUCTURE",
  "STATIC-FIELD",
  "END-OF-PDU-FIELD",
  "DYNAMIC-LENGTH-FIELD",
  "DYNAMIC-ENDMARKER-FIELD",
  "MUX",
  "ENV-DATA",
  "ENV-DATA-DESC",
];

const TARGETS: Readonly<Record<string, TableEntryRowFragment>> = { KEY: "KEY", STRUCT: "STRUCT" };

/** Parameters by xsi:type. */
const BUILDERS: Readonly<Record<string, { readonly type: ParamType; readonly build: Build }>> = {
  "CODED-CONST": { type: "CODED_CONST", build: codedConst },
  DYNAMIC: { type: "DYNAMIC", build: () => ({ specific_data_type: "Dynamic", specific_data: {} }) },
  "LENGTH-KEY": {
    type: "LENGTH_KEY",
    build: (context, element) => ({
      specific_data_type: "LengthKeyRef",
      specific_data: defined({ dop: dopOf(context, element) }),
    }),
  },
  "MATCHING-REQUEST-PARAM": { type: "MATCHING_REQUEST_PARAM", build: matchingRequest },
  "NRC-CONST": { type: "NRC_CONST", build: nrcConst },
  "PHYS-CONST": { type: "PHYS_CONST", build: physConst },
  RESERVED: {
    type: "RESERVED",
    build: (context, element) => ({
      specific_data_type: "Reserved",
      specific_data: defined({ bit_length: requiredUnsigned(context, element, "BIT-LENGTH") }),
    }),
  },
  SYSTEM: {
    type: "SYSTEM",
    build: (context, element) => ({
      specific_data_type: "System",
      specific_data: defined({ dop: dopOf(context, element), sys_param: element.attributes.SYSPARAM }),
    }),
  },
  "TABLE-ENTRY": { type: "TABLE_ENTRY", build: tableEntry },
  "TABLE-KEY": {
    type: "TABLE_KEY",
    build: (context, element) => ({ specific_data_type: "TableKey", specific_data: buildTableKey(context, element) }),
  },
  "TABLE-STRUCT": { type: "TABLE_STRUCT", build: tableStruct },
  VALUE: { type: "VALUE", build: value },
};

/** PARAMS of a message or structure, in order. */
export function buildParams(context: Context, owner: OdxElement): readonly Param[] {
  const elements = list(owner, "PARAMS", "PARAM");
  return elements.flatMap((element) => buildParam(context, element, elements) ?? []);
}

/** A parameter; `siblings` are those of its list, among which a TABLE-KEY-SNREF is looked up. */
export function buildParam(
  context: Context,
  element: OdxElement,
  siblings: readonly OdxElement[] = [],
): Param | undefined {
  return once(context, element, () => {
    const kind = element.attributes["xsi:type"] ?? "";
    const builder = Object.hasOwn(BUILDERS, kind) ? BUILDERS[kind] : undefined;
    if (builder === undefined) context.report.at(element, "error", `PARAM of unknown xsi:type '${kind}'`);
    return {
      ...defined({
        param_type: builder?.type,
        short_name: nameOf(context, element),
        semantic: element.attributes.SEMANTIC,
        sdgs: sdgsOf(context, element),
        byte_position: unsignedOf(context, element, "BYTE-POSITION"),
        bit_position: unsignedOf(context, element, "BIT-POSITION"),
      }),
      ...builder?.build(context, element, siblings),
    } as Param;
  });
}

function dopOf(context: Context, element: OdxElement) {
  const dop = referredDop(context, element, "DOP", DOP_TAGS);
  if (dop === undefined) context.report.at(element, "error", `PARAM ${nameOf(context, element)} has no DOP`);
  return dop;
}

function codedTypeOf(context: Context, element: OdxElement) {
  const coded = requiredChild(context, element, "DIAG-CODED-TYPE");
  return coded && buildCodedType(context, coded);
}

function codedConst(context: Context, element: OdxElement): SpecificPart {
  const specific_data = defined({
    coded_value: requiredChild(context, element, "CODED-VALUE")?.text,
    diag_coded_type: codedTypeOf(context, element),
  });
  return { specific_data_type: "CodedConst", specific_data };
}

function nrcConst(context: Context, element: OdxElement): SpecificPart {
  const specific_data = defined({
    coded_values: list(element, "CODED-VALUES", "CODED-VALUE").map(({ text }) => text),
    diag_coded_type: codedTypeOf(context, element),
  });
  return { specific_data_type: "NrcConst", specific_data };
}

function value(context: Context, element: OdxElement): SpecificPart {
  const specific_data = defined({
    physical_default_value: textOf(element, "PHYSICAL-DEFAULT-VALUE"),
    dop: dopOf(context, element),
  });
  return { specific_data_type: "Value", specific_data };
}

function physConst(context: Context, element: OdxElement): SpecificPart {
  const specific_data = defined({
    phys_constant_value: requiredChild(context, element, "PHYS-CONSTANT-VALUE")?.text,
    dop: dopOf(context, element),
  });
  return { specific_data_type: "PhysConst", specific_data };
}

function matchingRequest(context: Context, element: OdxElement): SpecificPart {
  requiredChild(context, element, "REQUEST-BYTE-POS");
  const specific_data = defined({
    request_byte_pos: signedOf(context, element, "REQUEST-BYTE-POS"),
    byte_length: requiredUnsigned(context, element, "BYTE-LENGTH"),
  });
  return { specific_data_type: "MatchingRequestParam", specific_data };
}

function tableEntry(context: Context, element: OdxElement): SpecificPart {
  const row = resolveChild(context, element, "TABLE-ROW-REF", ["TABLE-ROW"]);
  const specific_data = defined({
    target: wordOf(context, element, textOf(element, "TARGET") ?? "", TARGETS),
    table_row: row && buildTableRow(context, row),
  });
  return { specific_data_type: "TableEntry", specific_data };
}

function tableStruct(context: Context, element: OdxElement, siblings: readonly OdxElement[]): SpecificPart {
  const name = snrefOf(element, "TABLE-KEY-SNREF");
  const key =
    resolveChild(context, element, "TABLE-KEY-REF", ["PARAM"]) ??
    (name === undefined ? undefined : siblings.find((one) => textOf(one, "SHORT-NAME")?.trim() === name));
  if (key === undefined)
    context.report.at(element, "error", `TABLE-STRUCT ${nameOf(context, element)} has no TABLE-KEY`);
  return {
    specific_data_type: "TableStruct",
    specific_data: defined({ table_key: key && buildParam(context, key, siblings) }),
  };
}
