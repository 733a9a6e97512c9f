/** Multiplexers (ISO 22901-1 §7.3.6.10.8). */
import type { Case, DefaultCase, MUXDOP, SwitchKey } from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import type { Context } from "./context.ts";
import { child, list, type OdxElement } from "./element.ts";
import { referredDop } from "./fields.ts";
import { limitsOf } from "./types.ts";
import { flagOf, longNameOf, nameOf, requiredChild, unlessEmpty, unsignedOf } from "./values.ts";

export function buildMux(context: Context, element: OdxElement): MUXDOP {
  const key = requiredChild(context, element, "SWITCH-KEY");
  const fallback = child(element, "DEFAULT-CASE");
  return defined<MUXDOP>({
    byte_position: unsignedOf(context, element, "BYTE-POSITION"),
    switch_key: key && buildSwitchKey(context, key),
    default_case: fallback && buildCase(context, fallback),
    cases: unlessEmpty(
      list(element, "CASES", "CASE").map((one) => ({
        ...buildCase(context, one),
        ...defined<Pick<Case, "lower_limit" | "upper_limit">>(limitsOf(context, one)),
      })),
    ),
    is_visible: flagOf(context, element, "IS-VISIBLE"),
  });
}

function buildSwitchKey(context: Context, element: OdxElement): SwitchKey {
  return defined<SwitchKey>({
    byte_position: unsignedOf(context, element, "BYTE-POSITION"),
    bit_position: unsignedOf(context, element, "BIT-POSITION"),
    dop: referredDop(context, element, "DATA-OBJECT-PROP", ["DATA-OBJECT-PROP"]),
  });
}

/** A case without structure carries no data. */
function buildCase(context: Context, element: OdxElement): DefaultCase {
  return defined<DefaultCase>({
    short_name: nameOf(context, element),
    long_name: longNameOf(element),
    structure: referredDop(context, element, "STRUCTURE", ["STRUCTURE"]),
  });
}
