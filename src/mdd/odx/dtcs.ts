/** Trouble codes and the DOPs that list them (ISO 22901-1 §7.3.6.9). */
import type { DTC, DTCDOP } from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import { buildCompuMethod } from "./compu.ts";
import { type Context, isUnderWay, once } from "./context.ts";
import { child, list, type OdxElement, textOf } from "./element.ts";
import { resolve, resolveChild } from "./links.ts";
import { sdgsOf } from "./sdgs.ts";
import { buildCodedType, buildPhysicalType, buildText } from "./types.ts";
import { flagOf, nameOf, requiredChild, requiredUnsigned, unlessEmpty, unsignedOf } from "./values.ts";

export function buildDtcDop(context: Context, element: OdxElement): DTCDOP {
  const coded = requiredChild(context, element, "DIAG-CODED-TYPE");
  return defined<DTCDOP>({
    diag_coded_type: coded && buildCodedType(context, coded),
    physical_type: buildPhysicalType(context, requiredChild(context, element, "PHYSICAL-TYPE")),
    compu_method: buildCompuMethod(context, requiredChild(context, element, "COMPU-METHOD")),
    dtcs: unlessEmpty(dtcsOf(context, element)),
    is_visible: flagOf(context, element, "IS-VISIBLE"),
  });
}

/** Own and referred trouble codes, then those of linked DTC-DOPs that are not kept away by short name. */
function dtcsOf(context: Context, element: OdxElement): readonly DTC[] {
  const own = list(element, "DTCS").flatMap((one) => {
    const target = one.tag === "DTC-REF" ? resolve(context, one, ["DTC"]) : one;
    return (target?.tag === "DTC" && buildDtc(context, target)) || [];
  });
  const linked = list(element, "LINKED-DTC-DOPS", "LINKED-DTC-DOP").flatMap((link) => {
    const target = resolveChild(context, link, "DTC-DOP-REF", ["DTC-DOP"]);
    if (target === undefined || target === element) return [];
    const excluded = new Set(
      list(link, "NOT-INHERITED-DTC-SNREFS", "NOT-INHERITED-DTC-SNREF").map((one) => one.attributes["SHORT-NAME"]),
    );
    if (isUnderWay(context, target))
      context.report.at(link, "warning", "LINKED-DTC-DOP leads back to where it came from");
    const dop = isUnderWay(context, target) ? undefined : context.build.dop(context, target);
    const dtcs = dop?.specific_data_type === "DTCDOP" ? (dop.specific_data.dtcs ?? []) : [];
    return dtcs.filter((dtc) => !excluded.has(dtc.short_name));
  });
  // each once: links that fork and join again would double the list at every step
  return [...new Set([...own, ...linked])];
}

export function buildDtc(context: Context, element: OdxElement): DTC | undefined {
  return once(context, element, () =>
    defined<DTC>({
      short_name: nameOf(context, element),
      trouble_code: requiredUnsigned(context, element, "TROUBLE-CODE"),
      display_trouble_code: textOf(element, "DISPLAY-TROUBLE-CODE"),
      text: buildText(child(element, "TEXT")),
      level: unsignedOf(context, element, "LEVEL"),
      sdgs: sdgsOf(context, element),
      is_temporary: flagOf(context, element, "IS-TEMPORARY"),
    }),
  );
}
