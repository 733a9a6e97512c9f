/** Requests and responses (ISO 22901-1 §7.3.5). */
import type { Request, Response, ResponseType } from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import { type Context, once } from "./context.ts";
import { list, type OdxElement, type Scope, shortName } from "./element.ts";
import { isExcluded, parentsOf } from "./links.ts";
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
export function globalNegatives(context: Context, layer: Scope, seen: Set<Scope> = new Set()): OdxElement[] {
  if (seen.has(layer)) return [];
  seen.add(layer);
  const found = [...list(layer.root, "GLOBAL-NEG-RESPONSES", "GLOBAL-NEG-RESPONSE")];
  for (const parent of parentsOf(context, layer)) {
    for (const inherited of globalNegatives(context, parent, seen)) {
      const name = shortName(inherited);
      const isHidden = found.some((one) => shortName(one) === name);
      if (!isHidden && !isExcluded(context, layer, parent, "global-negative", name)) found.push(inherited);
    }
  }
  return found;
}
