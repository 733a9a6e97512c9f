/** COMPARAM-SPEC and its protocol stacks (ISO 22901-1 §7.4). */
import type { ComParamSpec, ProtStack } from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import { buildSubset } from "./com-params.ts";
import { type Context, once } from "./context.ts";
import { list, type OdxElement, textOf } from "./element.ts";
import { resolveAll } from "./links.ts";
import { longNameOf, nameOf, unlessEmpty } from "./values.ts";

export function buildComParamSpec(context: Context, element: OdxElement): ComParamSpec | undefined {
  return once(context, element, () => ({
    prot_stacks: list(element, "PROT-STACKS", "PROT-STACK").flatMap((stack) => buildProtStack(context, stack) ?? []),
  }));
}

export function buildProtStack(context: Context, element: OdxElement): ProtStack | undefined {
  return once(context, element, () => {
    const subsets = resolveAll(context, list(element, "COMPARAM-SUBSET-REFS", "COMPARAM-SUBSET-REF"), [
      "COMPARAM-SUBSET",
    ]);
    return defined<ProtStack>({
      short_name: nameOf(context, element),
      long_name: longNameOf(element),
      pdu_protocol_type: textOf(element, "PDU-PROTOCOL-TYPE"),
      physical_link_type: textOf(element, "PHYSICAL-LINK-TYPE"),
      comparam_subset_refs: unlessEmpty(subsets.flatMap((subset) => buildSubset(context, subset) ?? [])),
    });
  });
}
