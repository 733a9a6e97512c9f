/** Data object properties of every kind (ISO 22901-1 §7.3.6). */
import type {
  DOP,
  DOPType,
  EndOfPduField,
  EnvData,
  EnvDataDesc,
  NormalDOP,
  StaticField,
  Structure,
} from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import { buildCompuMethod } from "./compu.ts";
import { type Context, once } from "./context.ts";
import { buildDtcDop } from "./dtcs.ts";
import { child, list, type OdxElement } from "./element.ts";
import { buildDynamicLength, buildField } from "./fields.ts";
import { resolveAll, resolveChild } from "./links.ts";
import { buildMux } from "./mux.ts";
import { buildParams } from "./params.ts";
import { sdgsOf } from "./sdgs.ts";
import { buildCodedType, buildConstraint, buildPhysicalType } from "./types.ts";
import { buildUnit } from "./units.ts";
import {
  flagOf,
  nameOf,
  requiredChild,
  requiredUnsigned,
  snrefOf,
  unlessEmpty,
  unsignedOf,
  unsignedText,
} from "./values.ts";

type Specific = Extract<DOP, { specific_data_type: string }>;
type SpecificPart = Pick<Specific, "specific_data_type" | "specific_data">;

const BUILDERS: Readonly<
  Record<
    string,
    { readonly type: DOPType; readonly build: (context: Context, element: OdxElement) => SpecificPart | undefined }
  >
> = {
  "DATA-OBJECT-PROP": { type: "REGULAR", build: normal },
  "DTC-DOP": {
    type: "DTC",
    build: (context, element) => ({ specific_data_type: "DTCDOP", specific_data: buildDtcDop(context, element) }),
  },
  STRUCTURE: { type: "STRUCTURE", build: structure },
  "STATIC-FIELD": { type: "STATIC_FIELD", build: staticField },
  "END-OF-PDU-FIELD": { type: "END_OF_PDU_FIELD", build: endOfPduField },
  "DYNAMIC-LENGTH-FIELD": {
    type: "DYNAMIC_LENGTH_FIELD",
    build: (context, element) => ({
      specific_data_type: "DynamicLengthField",
      specific_data: buildDynamicLength(context, element),
    }),
  },
  "DYNAMIC-ENDMARKER-FIELD": { type: "DYNAMIC_END_MARKER_FIELD", build: endMarkerField },
  MUX: {
    type: "MUX",
    build: (context, element) => ({ specific_data_type: "MUXDOP", specific_data: buildMux(context, element) }),
  },
  "ENV-DATA": { type: "ENV_DATA", build: envData },
  "ENV-DATA-DESC": { type: "ENV_DATA_DESC", build: envDataDesc },
};

/** A DOP, built once. Undefined (and an error in the report) when it contains itself. */
export function buildDop(context: Context, element: OdxElement): DOP | undefined {
  return once(context, element, () => {
    const { type, build } = BUILDERS[element.tag]!;
    return {
      ...defined({ dop_type: type, short_name: nameOf(context, element), sdgs: sdgsOf(context, element) }),
      ...build(context, element),
    } as DOP;
  });
}

function normal(context: Context, element: OdxElement): SpecificPart {
  const coded = requiredChild(context, element, "DIAG-CODED-TYPE");
  const unit = resolveChild(context, element, "UNIT-REF", ["UNIT"]);
  const specific_data = defined<NormalDOP>({
    compu_method: buildCompuMethod(context, requiredChild(context, element, "COMPU-METHOD")),
    diag_coded_type: coded && buildCodedType(context, coded),
    physical_type: buildPhysicalType(context, requiredChild(context, element, "PHYSICAL-TYPE")),
    internal_constr: buildConstraint(context, child(element, "INTERNAL-CONSTR")),
    unit_ref: unit && buildUnit(context, unit),
    phys_constr: buildConstraint(context, child(element, "PHYS-CONSTR")),
  });
  return { specific_data_type: "NormalDOP", specific_data };
}

function structure(context: Context, element: OdxElement): SpecificPart {
  const specific_data = defined<Structure>({
    params: buildParams(context, element),
    byte_size: unsignedOf(context, element, "BYTE-SIZE"),
    is_visible: flagOf(context, element, "IS-VISIBLE"),
  });
  return { specific_data_type: "Structure", specific_data };
}

function staticField(context: Context, element: OdxElement): SpecificPart {
  const specific_data = defined<StaticField>({
    fixed_number_of_items: requiredUnsigned(context, element, "FIXED-NUMBER-OF-ITEMS"),
    item_byte_size: requiredUnsigned(context, element, "ITEM-BYTE-SIZE"),
    field: buildField(context, element),
  });
  return { specific_data_type: "StaticField", specific_data };
}

function endOfPduField(context: Context, element: OdxElement): SpecificPart {
  const specific_data = defined<EndOfPduField>({
    max_number_of_items: unsignedOf(context, element, "MAX-NUMBER-OF-ITEMS"),
    min_number_of_items: unsignedOf(context, element, "MIN-NUMBER-OF-ITEMS"),
    field: buildField(context, element),
  });
  return { specific_data_type: "EndOfPduField", specific_data };
}

/** The schema has a number for this kind but no table: the DOP keeps its name, and who uses it is told that there is nothing in it. */
function endMarkerField(context: Context, element: OdxElement): undefined {
  context.report.at(
    element,
    "left-out",
    `DYNAMIC-ENDMARKER-FIELD ${nameOf(context, element)} has no place in the database`,
  );
  return undefined;
}

function envData(context: Context, element: OdxElement): SpecificPart {
  const codes = list(element, "DTC-VALUES", "DTC-VALUE").flatMap((value) => unsignedText(context, value) ?? []);
  const specific_data = defined<EnvData>({ dtc_values: unlessEmpty(codes), params: buildParams(context, element) });
  return { specific_data_type: "EnvData", specific_data };
}

/** ODX 2.2 refers to its ENV-DATAs, 2.0 holds them. */
function envDataDesc(context: Context, element: OdxElement): SpecificPart {
  const datas = [
    ...list(element, "ENV-DATAS", "ENV-DATA"),
    ...resolveAll(context, list(element, "ENV-DATA-REFS", "ENV-DATA-REF"), ["ENV-DATA"]),
  ];
  const specific_data = defined<EnvDataDesc>({
    param_short_name: snrefOf(element, "PARAM-SNREF"),
    param_path_short_name: child(element, "PARAM-SNPATHREF")?.attributes["SHORT-NAME-PATH"],
    env_datas: unlessEmpty(datas.flatMap((data) => buildDop(context, data) ?? [])),
  });
  return { specific_data_type: "EnvDataDesc", specific_data };
}
