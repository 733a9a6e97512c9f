import type { AffixList, AffixPosition, NamingConvention, ServiceAction } from "./naming-convention.ts";

/** `name` without the first affix of the list that fits; a name that is nothing but the affix stays whole. */
export function trimAffix(name: string, { position, affixes }: AffixList): string {
  const lower = name.toLowerCase();
  for (const affix of affixes) {
    const wanted = affix.toLowerCase();
    if (wanted === "" || wanted.length >= lower.length) continue;
    if (position === "Suffix" && lower.endsWith(wanted)) return name.slice(0, -wanted.length);
    if (position === "Prefix" && lower.startsWith(wanted)) return name.slice(wanted.length);
  }
  return name;
}

/** Resource id of a service: its short name, case kept, without the affix of its SID or else the general one. */
export function trimServiceName(naming: NamingConvention, shortName: string, sid: number | undefined): string {
  const own = sid === undefined ? undefined : naming.byService[sid];
  return trimAffix(shortName, own ?? naming.shortName);
}

/** The short name a caller means who names `name` and wants to do `action` with it. */
export function withAction(naming: NamingConvention, name: string, action: ServiceAction): string {
  const affix = naming.action[action];
  return naming.action.position === "Suffix" ? name + affix : affix + name;
}

/** Name of a functional group as the API shows it: lower case, without the protocol's name and the underscore that joins it. */
export function functionalGroupId(name: string, protocol: string | undefined, position: AffixPosition): string {
  const lower = name.toLowerCase();
  if (protocol === undefined || protocol === "") return lower;
  const joined = position === "Suffix" ? `_${protocol}` : `${protocol}_`;
  return trimAffix(lower, { position, affixes: [joined, protocol] });
}
