/** Variants that detection can never find. */
import type { EcuData, MatchingParameter, Variant, VariantPattern } from "../generated/description.ts";
import type { FindingList } from "./findings.ts";

/** Checks the variants of a description and their patterns. */
export function checkVariants({ variants = [] }: EcuData, found: FindingList): void {
  const bases = variants.filter(({ is_base_variant }) => is_base_variant);
  if (variants.length > 0 && bases.length === 0)
    found.add("error", "unreachable-variant", "variants", "no base variant");
  if (bases.length > 1)
    found.add("warning", "unreachable-variant", "variants", "several base variants: the first is used");
  const names = new Set<string>();
  for (const variant of variants) {
    const name = nameOf(variant);
    if (names.has(name.toLowerCase()))
      found.add("error", "duplicate-name", placeOf(variant), "two variants have this name");
    names.add(name.toLowerCase());
  }
  checkReach(
    variants.filter(({ is_base_variant }) => !is_base_variant),
    found,
  );
}

const nameOf = ({ diag_layer }: Variant): string => diag_layer?.short_name ?? "";
const placeOf = (variant: Variant): string => `variants[${nameOf(variant)}]`;

/** Conditions of a pattern by what they ask, each with the text it wants. */
type Conditions = ReadonlyMap<string, string>;

/** Detection takes the first variant with a pattern that holds, so a later one may stand in the shadow of an earlier one. */
function checkReach(variants: readonly Variant[], found: FindingList): void {
  const earlier: { readonly name: string; readonly conditions: Conditions }[] = [];
  for (const variant of variants) {
    const patterns = variant.variant_pattern ?? [];
    const usable = patterns.flatMap(
      (pattern, i) => conditionsOf(pattern, `${placeOf(variant)}.variant_pattern[${i}]`, found) ?? [],
    );
    const shadows = usable.map((conditions) => earlier.find((other) => isImplied(other.conditions, conditions))?.name);
    if (patterns.length === 0) found.add("error", "unreachable-variant", placeOf(variant), "has no pattern");
    else if (usable.length === 0) found.add("error", "unreachable-variant", placeOf(variant), "no pattern can hold");
    else if (shadows.every((name) => name !== undefined))
      found.add(
        "error",
        "unreachable-variant",
        placeOf(variant),
        `whatever it matches, '${shadows[0]}' matches before`,
      );
    earlier.push(...usable.map((conditions) => ({ name: nameOf(variant), conditions })));
  }
}

/** True when the earlier pattern holds wherever the later one does. */
function isImplied(earlier: Conditions, later: Conditions): boolean {
  return [...earlier].every(([asked, wanted]) => later.get(asked) === wanted);
}

/** The conditions of a pattern; undefined when it can never hold. */
function conditionsOf(
  { matching_parameter: matching = [] }: VariantPattern,
  place: string,
  found: FindingList,
): Conditions | undefined {
  if (matching.length === 0) {
    found.add("warning", "unreachable-variant", place, "a pattern without conditions matches nothing");
    return undefined;
  }
  const conditions = new Map<string, string>();
  for (const condition of matching) {
    const asked = `${condition.diag_service?.diag_comm?.short_name ?? ""}/${condition.out_param?.short_name ?? ""}`;
    const wanted = condition.expected_value ?? "";
    const problem = problemOf(condition, asked, conditions.get(asked), wanted);
    if (problem !== undefined) {
      found.add("error", "unreachable-variant", place, problem);
      return undefined;
    }
    conditions.set(asked, wanted);
  }
  return conditions;
}

function problemOf(
  { diag_service: service, out_param: param }: MatchingParameter,
  asked: string,
  before: string | undefined,
  wanted: string,
): string | undefined {
  if (before !== undefined && before !== wanted) return `${asked} cannot be both '${before}' and '${wanted}'`;
  const answers = service?.pos_responses?.flatMap(({ params = [] }) => params) ?? [];
  const isThere = answers.some(({ short_name }) => short_name === param?.short_name);
  return isThere ? undefined : `no positive response gives ${asked}`;
}
