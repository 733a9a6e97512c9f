/** Requests and responses (ISO 22901-1 §7.3.5). */
import type { Request, Response, ResponseType } from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import { type Context, once } from "./context.ts";
import { list, type OdxElement, type Scope, shortName } from "./element.ts";
import { checkInheritance, isExcluded, parentsOf } from "./links.ts";
import { buildParams } from "./params.ts";
import { sdgsOf } from "./sdgs.ts";

const RESPONSE_TYPES: Readonly<Record<string, ResponseType>> = {
  "POS-RESPONSE": "POS_RESPONSE",
  "NEG-RESPONSE": "NEG_RESPONSE",
  "GLOBAL-NEG-RESPONSE": "GLOBAL_NEG_RESPONSE",
};

export function buildRequest(context: Context, element: OdxElement): Request | undefined {
  return once(context, element, () =>
    defined<Request>({ params: buildParams(context, element), sdgs: sdgsOf(context, element) }),
  );
}

export function buildResponse(context: Context, element: OdxElement): Response | undefined {
  return once(context, element, () =>
    defined<Response>({
      response_type: RESPONSE_TYPES[element.tag],
      params: buildParams(context, element),
      sdgs: sdgsOf(context, element),
    }),
  );
}

/** Global negative responses that hold in a layer: its own, then inherited ones that neither a name nor a NOT-INHERITED list hides. */
export function globalNegatives(context: Context, layer: Scope, depth = 0): readonly OdxElement[] {
  const known = context.globalNegatives.get(layer);
  if (known !== undefined) return known;
  context.globalNegatives.set(layer, []);
  checkInheritance(context, layer, depth);
  const found = [...list(layer.root, "GLOBAL-NEG-RESPONSES", "GLOBAL-NEG-RESPONSE")];
  const names = new Set(found.map(shortName));
  for (const parent of parentsOf(context, layer)) {
    for (const inherited of globalNegatives(context, parent, depth + 1)) {
      const name = shortName(inherited);
      if (names.has(name) || isExcluded(context, layer, parent, "global-negative", name)) continue;
      names.add(name);
      found.push(inherited);
    }
  }
  context.globalNegatives.set(layer, found);
  return found;
}
