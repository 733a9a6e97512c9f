/** Compu methods (ISO 22901-1 §7.3.6.6). */
import type {
  CompuCategory,
  CompuDefaultValue,
  CompuInternalToPhys,
  CompuMethod,
  CompuPhysToInternal,
  CompuRationalCoEffs,
  CompuScale,
  CompuValues,
} from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import { buildProgCode } from "./code.ts";
import type { Context } from "./context.ts";
import { child, list, type OdxElement, textOf } from "./element.ts";
import { buildText, limitsOf } from "./types.ts";
import { floatOf, floatText, requiredChild, unlessEmpty, wordOf } from "./values.ts";

const CATEGORIES: Readonly<Record<string, CompuCategory>> = {
  IDENTICAL: "IDENTICAL",
  LINEAR: "LINEAR",
  "SCALE-LINEAR": "SCALE_LINEAR",
  TEXTTABLE: "TEXT_TABLE",
  COMPUCODE: "COMPU_CODE",
  "TAB-INTP": "TAB_INTP",
  "RAT-FUNC": "RAT_FUNC",
  "SCALE-RAT-FUNC": "SCALE_RAT_FUNC",
};

export function buildCompuMethod(context: Context, element: OdxElement | undefined): CompuMethod | undefined {
  if (element === undefined) return undefined;
  const category = requiredChild(context, element, "CATEGORY");
  return defined<CompuMethod>({
    category: category && wordOf(context, category, category.text, CATEGORIES),
    internal_to_phys: buildDirection(context, child(element, "COMPU-INTERNAL-TO-PHYS")),
    phys_to_internal: buildDirection(context, child(element, "COMPU-PHYS-TO-INTERNAL")),
  });
}

function buildDirection(
  context: Context,
  element: OdxElement | undefined,
): (CompuInternalToPhys & CompuPhysToInternal) | undefined {
  if (element === undefined) return undefined;
  const code = child(element, "PROG-CODE");
  return defined<CompuInternalToPhys & CompuPhysToInternal>({
    compu_scales: unlessEmpty(list(element, "COMPU-SCALES", "COMPU-SCALE").map((scale) => buildScale(context, scale))),
    prog_code: code && buildProgCode(context, code),
    compu_default_value: buildDefault(context, child(element, "COMPU-DEFAULT-VALUE")),
  });
}

function buildScale(context: Context, element: OdxElement): CompuScale {
  return defined<CompuScale>({
    short_label: buildText(child(element, "SHORT-LABEL")),
    ...limitsOf(context, element),
    inverse_values: buildValues(context, child(element, "COMPU-INVERSE-VALUE")),
    consts: buildValues(context, child(element, "COMPU-CONST")),
    rational_co_effs: buildCoefficients(context, child(element, "COMPU-RATIONAL-COEFFS")),
  });
}

function buildValues(context: Context, element: OdxElement | undefined): CompuValues | undefined {
  if (element === undefined) return undefined;
  return defined<CompuValues>({
    v: floatOf(context, element, "V"),
    vt: textOf(element, "VT"),
    vt_ti: child(element, "VT")?.attributes.TI,
  });
}

function buildCoefficients(context: Context, element: OdxElement | undefined): CompuRationalCoEffs | undefined {
  if (element === undefined) return undefined;
  const values = (wrapper: string) => unlessEmpty(list(element, wrapper, "V").map((v) => floatText(context, v) ?? 0));
  return defined<CompuRationalCoEffs>({
    numerator: values("COMPU-NUMERATOR"),
    denominator: values("COMPU-DENOMINATOR"),
  });
}

/** COMPU-DEFAULT-VALUE holds its value directly, the inverse one in an element of its own. */
function buildDefault(context: Context, element: OdxElement | undefined): CompuDefaultValue | undefined {
  if (element === undefined) return undefined;
  return defined<CompuDefaultValue>({
    values: buildValues(context, element),
    inverse_values: buildValues(context, child(element, "COMPU-INVERSE-VALUE")),
  });
}
