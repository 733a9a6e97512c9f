/** Variant patterns (ISO 22901-1 §7.3.2.8). */
import type { DiagService, MatchingParameter, Param, VariantPattern } from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import type { Context } from "./context.ts";
import { child, list, type OdxElement } from "./element.ts";
import { resolveName } from "./links.ts";
import { booleanOf, requiredChild, snrefOf } from "./values.ts";

/**
 * Patterns of a variant: any must hold, each needs all of its conditions. A base variant has one; it is written as the schema says,
 * where other converters write its conditions in the place of patterns.
 */
export function patternsOf(context: Context, variant: OdxElement): VariantPattern[] {
  const base = child(variant, "BASE-VARIANT-PATTERN");
  const patterns = base === undefined ? list(variant, "ECU-VARIANT-PATTERNS", "ECU-VARIANT-PATTERN") : [base];
  return patterns.map((pattern) => {
    const conditions = [
      ...list(pattern, "MATCHING-PARAMETERS", "MATCHING-PARAMETER"),
      ...list(pattern, "MATCHING-BASE-VARIANT-PARAMETERS", "MATCHING-BASE-VARIANT-PARAMETER"),
    ];
    return { matching_parameter: conditions.flatMap((condition) => buildCondition(context, condition) ?? []) };
  });
}

function buildCondition(context: Context, element: OdxElement): MatchingParameter | undefined {
  const target = resolveName(context, element, "DIAG-COMM-SNREF", "diag-comm");
  const built = target && context.build.diagComm(context, target);
  if (built?.kind !== "DiagService") {
    if (target !== undefined) context.report.at(element, "error", `${element.tag} needs a DIAG-SERVICE`);
    return undefined;
  }
  return defined<MatchingParameter>({
    expected_value: requiredChild(context, element, "EXPECTED-VALUE")?.text,
    diag_service: built.value,
    out_param: outParam(context, element, built.value),
    use_physical_addressing: booleanOf(context, element, "USE-PHYSICAL-ADDRESSING"),
  });
}

/** The response parameter that a condition looks at: by name, or by a path through structures. */
function outParam(context: Context, element: OdxElement, service: DiagService): Param | undefined {
  const path = child(element, "OUT-PARAM-IF-SNPATHREF")?.attributes["SHORT-NAME-PATH"];
  const name = snrefOf(element, "OUT-PARAM-IF-SNREF") ?? path ?? "";
  const responses = service.pos_responses ?? [];
  for (const response of responses) {
    const found = follow(response.params ?? [], path === undefined ? [name] : name.split("."));
    if (found === undefined) continue;
    if (path?.includes("."))
      context.report.at(element, "warning", `${name} lies in a structure, not every reader finds it there`);
    return found;
  }
  context.report.at(
    element,
    "error",
    `no positive response of ${service.diag_comm?.short_name} has a parameter ${name}`,
  );
  return undefined;
}

function follow(params: readonly Param[], [name, ...rest]: readonly string[]): Param | undefined {
  const param = params.find((one) => one.short_name === name);
  if (param === undefined || rest.length === 0) return param;
  const dop = param.specific_data_type === "Value" ? param.specific_data.dop : undefined;
  return dop?.specific_data_type === "Structure" ? follow(dop.specific_data.params ?? [], rest) : undefined;
}
