/** Audiences and functional classes (ISO 22901-1 §7.3.3.4, §7.3.4). */
import type { AdditionalAudience, Audience, FunctClass } from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import { type Context, once } from "./context.ts";
import { child, list, type OdxElement, shortName } from "./element.ts";
import { resolveAll } from "./links.ts";
import { flagOf, longNameOf, nameOf, unlessEmpty } from "./values.ts";

export function buildAdditionalAudience(context: Context, element: OdxElement): AdditionalAudience | undefined {
  return once(context, element, () =>
    defined<AdditionalAudience>({ short_name: nameOf(context, element), long_name: longNameOf(element) }),
  );
}

/** AUDIENCE of a service, job or row. Its flags are true unless the file says otherwise (ISO 22901-1), and the schema's default is false. */
export function buildAudience(context: Context, owner: OdxElement): Audience | undefined {
  const element = child(owner, "AUDIENCE");
  if (element === undefined) return undefined;
  const flag = (name: string) => flagOf(context, element, name) ?? true;
  return defined<Audience>({
    enabled_audiences: unlessEmpty(referred(context, element, "ENABLED-AUDIENCE-REF")),
    disabled_audiences: unlessEmpty(referred(context, element, "DISABLED-AUDIENCE-REF")),
    is_supplier: flag("IS-SUPPLIER"),
    is_development: flag("IS-DEVELOPMENT"),
    is_manufacturing: flag("IS-MANUFACTURING"),
    is_after_sales: flag("IS-AFTERSALES"),
    is_after_market: flag("IS-AFTERMARKET"),
  });
}

function referred(context: Context, audience: OdxElement, tag: string): AdditionalAudience[] {
  const elements = resolveAll(context, list(audience, `${tag}S`, tag), ["ADDITIONAL-AUDIENCE"]);
  return elements.flatMap((element) => buildAdditionalAudience(context, element) ?? []);
}

/**
 * Whether a service or job is for one of the audiences that the caller asked for. One that enables no audience by name is for all,
 * and so is everything when no audience was asked for.
 */
export function isForAudience(context: Context, diagComm: OdxElement): boolean {
  const refs = list(child(diagComm, "AUDIENCE"), "ENABLED-AUDIENCE-REFS", "ENABLED-AUDIENCE-REF");
  if (context.audiences.length === 0 || refs.length === 0) return true;
  const names = resolveAll(context, refs, ["ADDITIONAL-AUDIENCE"]).map((one) => shortName(one).toLowerCase());
  return names.some((name) => context.audiences.includes(name));
}

export function buildFunctClass(context: Context, element: OdxElement): FunctClass | undefined {
  return once(context, element, () => ({ short_name: nameOf(context, element) }));
}

export function functClassesOf(context: Context, owner: OdxElement): FunctClass[] {
  const elements = resolveAll(context, list(owner, "FUNCT-CLASS-REFS", "FUNCT-CLASS-REF"), ["FUNCT-CLASS"]);
  return elements.flatMap((element) => buildFunctClass(context, element) ?? []);
}
