/** Special data groups (ISO 22901-1 §7.1.2.3). */
import type { SD, SDG, SDGS, SDOrSDG } from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import type { Context } from "./context.ts";
import { child, list, type OdxElement, shortName } from "./element.ts";
import { resolve } from "./links.ts";
import { unlessEmpty } from "./values.ts";

/** SDGS of an element; undefined when it has none. */
export function sdgsOf(context: Context, element: OdxElement): SDGS | undefined {
  const groups = list(element, "SDGS", "SDG");
  return groups.length === 0 ? undefined : { sdgs: groups.map((group) => buildGroup(context, group)) };
}

function buildGroup(context: Context, element: OdxElement): SDG {
  const members = element.children.flatMap((member): SDOrSDG[] => {
    if (member.tag === "SDG") return [{ sd_or_sdg_type: "SDG", sd_or_sdg: buildGroup(context, member) }];
    return member.tag === "SD" ? [{ sd_or_sdg_type: "SD", sd_or_sdg: buildData(member) }] : [];
  });
  return defined<SDG>({
    caption_sn: captionOf(context, element),
    sds: unlessEmpty(members),
    si: element.attributes.SI,
  });
}

function buildData({ text, attributes }: OdxElement): SD {
  return defined<SD>({ value: text, si: attributes.SI, ti: attributes.TI });
}

function captionOf(context: Context, element: OdxElement): string | undefined {
  const ref = child(element, "SDG-CAPTION-REF");
  const caption = child(element, "SDG-CAPTION") ?? (ref && resolve(context, ref, ["SDG-CAPTION"]));
  return caption && shortName(caption);
}
