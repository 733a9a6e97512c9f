/** Communication parameters: their definitions and the values that layers and services give them (ISO 22901-1 §7.4, §7.3.2.7). */
import type {
  ComParam,
  ComParamRef,
  ComParamStandardisationLevel,
  ComParamSubSet,
  ComParamUsage,
  ComplexComParam,
  ComplexValue,
  RegularComParam,
  SimpleOrComplexValueEntry,
  SimpleOrComplexValueEntryType,
} from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import { type Context, once } from "./context.ts";
import { child, list, type OdxElement, textOf } from "./element.ts";
import { referredDop } from "./fields.ts";
import { resolve } from "./links.ts";
import { protocolNamed, protStackNamed } from "./protocols.ts";
import { buildUnitSpec } from "./units.ts";
import { flagOf, longNameOf, nameOf, unlessEmpty, wordOf } from "./values.ts";

const LEVELS: Readonly<Record<string, ComParamStandardisationLevel>> = {
  STANDARD: "STANDARD",
  "OEM-SPECIFIC": "OEM_SPECIFIC",
  OPTIONAL: "OPTIONAL",
  "OEM-OPTIONAL": "OEM_OPTIONAL",
};

const USAGES: Readonly<Record<string, ComParamUsage>> = {
  "ECU-SOFTWARE": "ECU_SOFTWARE",
  "ECU-COMM": "ECU_COMM",
  APPLICATION: "APPLICATION",
  TESTER: "TESTER",
};

/** COMPARAM-REFS of a layer or service. One that leads nowhere is left out when the conversion is lenient. */
export function comParamRefsOf(context: Context, owner: OdxElement): ComParamRef[] {
  return list(owner, "COMPARAM-REFS", "COMPARAM-REF").flatMap((ref) => {
    const target = resolve(context, ref, ["COMPARAM", "COMPLEX-COMPARAM"], context.isLenient ? "warning" : "error");
    if (target === undefined) return [];
    const simple = textOf(ref, "SIMPLE-VALUE") ?? textOf(ref, "VALUE");
    const complex = child(ref, "COMPLEX-VALUE");
    const protocol = child(ref, "PROTOCOL-SNREF");
    const stack = child(ref, "PROT-STACK-SNREF");
    return [
      defined<ComParamRef>({
        simple_value: simple === undefined ? undefined : { value: simple },
        complex_value: complex && buildComplexValue(complex),
        com_param: buildComParam(context, target),
        protocol: protocol && protocolNamed(context, protocol),
        prot_stack: stack && protStackNamed(context, stack),
      }),
    ];
  });
}

function buildComplexValue(element: OdxElement): ComplexValue {
  const types: SimpleOrComplexValueEntryType[] = [];
  const entries: SimpleOrComplexValueEntry[] = [];
  for (const entry of element.children) {
    if (entry.tag !== "SIMPLE-VALUE" && entry.tag !== "COMPLEX-VALUE") continue;
    const isSimple = entry.tag === "SIMPLE-VALUE";
    types.push(isSimple ? "SimpleValue" : "ComplexValue");
    entries.push(isSimple ? { value: entry.text } : buildComplexValue(entry));
  }
  return { entries_type: types, entries };
}

/** COMPARAM or COMPLEX-COMPARAM. */
export function buildComParam(context: Context, element: OdxElement): ComParam | undefined {
  return once(context, element, () => {
    const { attributes } = element;
    const isComplex = element.tag === "COMPLEX-COMPARAM";
    const level = attributes["DISPLAY-LEVEL"] ?? attributes.DISPLAY_LEVEL;
    return {
      ...defined({
        com_param_type: isComplex ? "COMPLEX" : "REGULAR",
        short_name: nameOf(context, element),
        long_name: longNameOf(element),
        param_class: attributes["PARAM-CLASS"],
        cp_type: wordOf(context, element, attributes.CPTYPE, LEVELS),
        display_level: level === undefined || !/^\d{1,9}$/.test(level) ? undefined : Number(level),
        cp_usage: wordOf(context, element, attributes.CPUSAGE, USAGES),
      }),
      ...(isComplex
        ? { specific_data_type: "ComplexComParam", specific_data: buildComplex(context, element) }
        : { specific_data_type: "RegularComParam", specific_data: buildRegular(context, element) }),
    } as ComParam;
  });
}

function buildRegular(context: Context, element: OdxElement): RegularComParam {
  return defined<RegularComParam>({
    physical_default_value: textOf(element, "PHYSICAL-DEFAULT-VALUE"),
    dop: referredDop(context, element, "DATA-OBJECT-PROP", ["DATA-OBJECT-PROP"]),
  });
}

function buildComplex(context: Context, element: OdxElement): ComplexComParam {
  const members = element.children.filter(({ tag }) => tag === "COMPARAM" || tag === "COMPLEX-COMPARAM");
  return defined<ComplexComParam>({
    com_params: members.flatMap((member) => buildComParam(context, member) ?? []),
    complex_physical_default_values: unlessEmpty(defaultsOf(element)),
    allow_multiple_values: flagOf(context, element, "ALLOW-MULTIPLE-VALUES"),
  });
}

/** Defaults stand in COMPLEX-VALUES, directly, or as simple values that are one row. */
function defaultsOf(element: OdxElement): ComplexValue[] {
  const defaults = child(element, "COMPLEX-PHYSICAL-DEFAULT-VALUE");
  if (defaults === undefined) return [];
  const rows = [
    ...list(defaults, "COMPLEX-VALUES", "COMPLEX-VALUE"),
    ...defaults.children.filter(({ tag }) => tag === "COMPLEX-VALUE"),
  ];
  const isRow = rows.length === 0 && child(defaults, "SIMPLE-VALUE") !== undefined;
  return (isRow ? [defaults] : rows).map(buildComplexValue);
}

/** A COMPARAM-SUBSET as a protocol stack holds it. */
export function buildSubset(context: Context, element: OdxElement): ComParamSubSet | undefined {
  return once(context, element, () =>
    defined<ComParamSubSet>({
      com_params: unlessEmpty(
        list(element, "COMPARAMS", "COMPARAM").flatMap((one) => buildComParam(context, one) ?? []),
      ),
      complex_com_params: unlessEmpty(
        list(element, "COMPLEX-COMPARAMS", "COMPLEX-COMPARAM").flatMap((one) => buildComParam(context, one) ?? []),
      ),
      data_object_props: unlessEmpty(
        list(element, "DATA-OBJECT-PROPS", "DATA-OBJECT-PROP").flatMap((one) => context.build.dop(context, one) ?? []),
      ),
      unit_spec: buildUnitSpec(context, child(element, "UNIT-SPEC")),
    }),
  );
}
