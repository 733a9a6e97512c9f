/** Units, their groups and physical dimensions (ISO 22901-1 §7.3.6.8). */
import type { PhysicalDimension, Unit, UnitGroup, UnitSpec } from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import { type Context, once } from "./context.ts";
import { list, type OdxElement, textOf } from "./element.ts";
import { resolveAll, resolveChild } from "./links.ts";
import { sdgsOf } from "./sdgs.ts";
import { floatOf, longNameOf, nameOf, signedOf, unlessEmpty } from "./values.ts";

export function buildUnit(context: Context, element: OdxElement): Unit | undefined {
  return once(context, element, () => {
    const dimension = resolveChild(context, element, "PHYSICAL-DIMENSION-REF", ["PHYSICAL-DIMENSION"]);
    return defined<Unit>({
      short_name: nameOf(context, element),
      display_name: textOf(element, "DISPLAY-NAME"),
      factorsitounit: floatOf(context, element, "FACTOR-SI-TO-UNIT"),
      offsetitounit: floatOf(context, element, "OFFSET-SI-TO-UNIT"),
      physical_dimension: dimension && buildDimension(context, dimension),
    });
  });
}

/** UNIT-SPEC of a COMPARAM-SUBSET, the only place where the schema keeps one. */
export function buildUnitSpec(context: Context, element: OdxElement | undefined): UnitSpec | undefined {
  if (element === undefined) return undefined;
  const all = <T>(wrapper: string, tag: string, build: (context: Context, one: OdxElement) => T | undefined) =>
    unlessEmpty(list(element, wrapper, tag).flatMap((one) => build(context, one) ?? []));
  return defined<UnitSpec>({
    unit_groups: all("UNIT-GROUPS", "UNIT-GROUP", buildGroup),
    units: all("UNITS", "UNIT", buildUnit),
    physical_dimensions: all("PHYSICAL-DIMENSIONS", "PHYSICAL-DIMENSION", buildDimension),
    sdgs: sdgsOf(context, element),
  });
}

function buildGroup(context: Context, element: OdxElement): UnitGroup {
  const units = resolveAll(context, list(element, "UNIT-REFS", "UNIT-REF"), ["UNIT"]);
  return defined<UnitGroup>({
    short_name: nameOf(context, element),
    long_name: longNameOf(element),
    unitrefs: unlessEmpty(units.flatMap((unit) => buildUnit(context, unit) ?? [])),
  });
}

function buildDimension(context: Context, element: OdxElement): PhysicalDimension | undefined {
  return once(context, element, () =>
    defined<PhysicalDimension>({
      short_name: nameOf(context, element),
      long_name: longNameOf(element),
      length_exp: signedOf(context, element, "LENGTH-EXP"),
      mass_exp: signedOf(context, element, "MASS-EXP"),
      time_exp: signedOf(context, element, "TIME-EXP"),
      current_exp: signedOf(context, element, "CURRENT-EXP"),
      temperature_exp: signedOf(context, element, "TEMPERATURE-EXP"),
      molar_amount_exp: signedOf(context, element, "MOLAR-AMOUNT-EXP"),
      luminous_intensity_exp: signedOf(context, element, "LUMINOUS-INTENSITY-EXP"),
    }),
  );
}
