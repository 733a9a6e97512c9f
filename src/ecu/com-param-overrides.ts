/** Communication parameters with a caller's values laid over them. */
import { Fault } from "#core/errors.ts";
import type { ComParamInput } from "#fleet/messages.ts";
import { parseComParam } from "#uds/com-param-values.ts";
import { buildComParams, type ComParams } from "#uds/com-params.ts";

/**
 * `overrides` is by ODX short name; names inside complex parameters are found as well, names that have no effect on
 * communication are left alone. A simple value is text, or `{ value, unit: { factor_to_si_unit } }`.
 * @throws Fault badRequest naming the parameter whose value is none of its kind
 */
export function applyOverrides(base: ComParams, overrides: Readonly<Record<string, ComParamInput>>): ComParams {
  const simple = new Map<string, { text: string; factorToSi: number | undefined }>();
  collect(overrides, simple);
  if (simple.size === 0) return base;
  return buildComParams(({ group, field, def }) => {
    const given = def.name === "" ? undefined : simple.get(def.name);
    const present = (base[group] as Record<string, unknown>)[field];
    if (given === undefined) return present;
    const value = parseComParam(def.kind, given.text, given.factorToSi);
    if (value === undefined)
      throw new Fault("badRequest", `Invalid request: ${def.name}: '${given.text}' is no ${def.kind}`);
    return value;
  });
}

/** Overrides as the API shows values: `{ value, unit }`, or an object of these. */
export function overridesJson(overrides: Readonly<Record<string, ComParamInput>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(overrides).map(([name, input]) => {
      if (typeof input === "string") return [name, { value: input, unit: null }];
      if (typeof input.value !== "string") return [name, overridesJson(input as Record<string, ComParamInput>)];
      return [name, { value: input.value, unit: unitJson(input.unit) }];
    }),
  );
}

function unitJson(unit: unknown): unknown {
  if (typeof unit !== "object" || unit === null) return null;
  const { factor_to_si_unit = null, offset_to_si_unit = null } = unit as Record<string, unknown>;
  return { factor_to_si_unit, offset_to_si_unit };
}

function collect(
  overrides: Readonly<Record<string, ComParamInput>>,
  into: Map<string, { text: string; factorToSi: number | undefined }>,
): void {
  for (const [name, input] of Object.entries(overrides)) {
    if (typeof input === "string") into.set(name, { text: input, factorToSi: undefined });
    else if (typeof input.value === "string") into.set(name, { text: input.value, factorToSi: factorOf(input.unit) });
    else collect(input as Readonly<Record<string, ComParamInput>>, into);
  }
}

function factorOf(unit: unknown): number | undefined {
  const factor = (unit as { factor_to_si_unit?: unknown } | null | undefined)?.factor_to_si_unit;
  return typeof factor === "number" ? factor : undefined;
}
