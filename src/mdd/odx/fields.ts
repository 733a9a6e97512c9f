/** What fields repeat, and how often (ISO 22901-1 §7.3.6.10.4 to .7). */
import type { DetermineNumberOfItems, DOP, DynamicLengthField, Field } from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import type { Context } from "./context.ts";
import type { OdxElement } from "./element.ts";
import { resolveChild, resolveName } from "./links.ts";
import { flagOf, requiredChild, requiredUnsigned, unsignedOf } from "./values.ts";

/** A DOP that `element` names by `<base>-REF` or `<base>-SNREF`. */
export function referredDop(
  context: Context,
  element: OdxElement,
  base: string,
  tags: readonly string[],
): DOP | undefined {
  const target =
    resolveChild(context, element, `${base}-REF`, tags) ?? resolveName(context, element, `${base}-SNREF`, "dop");
  return target && context.build.dop(context, target);
}

export function buildField(context: Context, element: OdxElement): Field {
  const basic_structure = referredDop(context, element, "BASIC-STRUCTURE", ["STRUCTURE", "ENV-DATA"]);
  const env_data_desc = referredDop(context, element, "ENV-DATA-DESC", ["ENV-DATA-DESC"]);
  if (basic_structure === undefined && env_data_desc === undefined)
    context.report.at(element, "error", `${element.tag} repeats nothing: neither BASIC-STRUCTURE nor ENV-DATA-DESC`);
  return defined<Field>({ basic_structure, env_data_desc, is_visible: flagOf(context, element, "IS-VISIBLE") });
}

export function buildDynamicLength(context: Context, element: OdxElement): DynamicLengthField {
  const determine = requiredChild(context, element, "DETERMINE-NUMBER-OF-ITEMS");
  return defined<DynamicLengthField>({
    offset: requiredUnsigned(context, element, "OFFSET"),
    field: buildField(context, element),
    determine_number_of_items: determine && buildDetermine(context, determine),
  });
}

function buildDetermine(context: Context, element: OdxElement): DetermineNumberOfItems {
  return defined<DetermineNumberOfItems>({
    byte_position: requiredUnsigned(context, element, "BYTE-POSITION"),
    bit_position: unsignedOf(context, element, "BIT-POSITION"),
    dop: referredDop(context, element, "DATA-OBJECT-PROP", ["DATA-OBJECT-PROP"]),
  });
}
