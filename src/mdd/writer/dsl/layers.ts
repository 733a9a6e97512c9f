import type {
  ComParam,
  ComParamRef,
  ComplexValue,
  DiagLayer,
  DiagService,
  EcuSharedData,
  FunctionalGroup,
  Param,
  ParentRef,
  Protocol,
  SingleEcuJob,
  StateChart,
  Unit,
  Variant,
  VariantPattern,
} from "../../generated/description.ts";
import { defined } from "./defined.ts";
import { normalDop } from "./dops.ts";
import { functClass } from "./services.ts";
import { physicalType, standardLength } from "./types.ts";

export interface Layer {
  readonly services?: readonly DiagService[] | undefined;
  readonly jobs?: readonly SingleEcuJob[] | undefined;
  readonly classes?: readonly string[] | undefined;
  readonly comParams?: readonly ComParamRef[] | undefined;
  readonly stateCharts?: readonly StateChart[] | undefined;
}

export function diagLayer(name: string, { services, jobs, classes, comParams, stateCharts }: Layer = {}): DiagLayer {
  return defined<DiagLayer>({
    short_name: name,
    funct_classes: classes?.map(functClass),
    com_param_refs: comParams,
    diag_services: services ?? [],
    single_ecu_jobs: jobs,
    state_charts: stateCharts,
  });
}

export const protocol = (name: string, layer?: Layer): Protocol => ({ diag_layer: diagLayer(name, layer) });
export const ecuSharedData = (name: string, layer?: Layer): EcuSharedData => ({ diag_layer: diagLayer(name, layer) });

type Parent = Extract<ParentRef, { ref_type: string }>;

/** PARENT-REF to a layer of the given kind, without the named services. */
export function parentRef(type: Parent["ref_type"], ref: Parent["ref"], notInherited?: readonly string[]): ParentRef {
  return defined({ ref_type: type, ref, not_inherited_diag_comm_short_names: notInherited }) as ParentRef;
}

export function baseVariant(layer: DiagLayer, parents?: readonly ParentRef[]): Variant {
  return defined<Variant>({ diag_layer: layer, is_base_variant: true, parent_refs: parents });
}

export function ecuVariant(
  layer: DiagLayer,
  parents: readonly ParentRef[],
  patterns?: readonly VariantPattern[],
): Variant {
  return defined<Variant>({ diag_layer: layer, variant_pattern: patterns, parent_refs: parents });
}

export function functionalGroup(layer: DiagLayer, parents: readonly ParentRef[]): FunctionalGroup {
  return { diag_layer: layer, parent_refs: parents };
}

/** One condition of a pattern: the service's response parameter has this text. */
export interface Match {
  readonly service: DiagService;
  readonly param: string;
  readonly expected: string;
}

/** A variant pattern: all conditions must hold. Throws when a service has no such response parameter. */
export function variantPattern(...matches: readonly Match[]): VariantPattern {
  return {
    matching_parameter: matches.map(({ service, param, expected }) => ({
      expected_value: expected,
      diag_service: service,
      out_param: outParam(service, param),
    })),
  };
}

function outParam(service: DiagService, name: string): Param {
  const params = service.pos_responses?.flatMap((response) => response.params ?? []) ?? [];
  const found = params.find((param) => param.short_name === name);
  if (found === undefined) throw new Error(`${service.diag_comm?.short_name} answers no ${name}`);
  return found;
}

function regular(name: string, unit?: Unit): ComParam {
  const dop = normalDop(name, {
    coded: standardLength("A_UINT_32", 32),
    physical: physicalType("A_UINT_32"),
    ...(unit && { unit }),
  });
  return { short_name: name, specific_data_type: "RegularComParam", specific_data: { dop } };
}

/** A com param of one value for a protocol; values are physical text. */
export function comParam(name: string, value: string | number, of: Protocol, unit?: Unit): ComParamRef {
  return { simple_value: { value: String(value) }, com_param: regular(name, unit), protocol: of };
}

/** A com param of several named values: entries stand in the order of its members. */
export function complexComParam(
  name: string,
  values: Readonly<Record<string, string | number>>,
  of: Protocol,
): ComParamRef {
  const entries = Object.values(values).map((value) => ({ value: String(value) }));
  const content: ComplexValue = { entries_type: entries.map(() => "SimpleValue" as const), entries };
  return {
    complex_value: content,
    com_param: {
      com_param_type: "COMPLEX",
      short_name: name,
      specific_data_type: "ComplexComParam",
      specific_data: { com_params: Object.keys(values).map((key) => regular(key)) },
    },
    protocol: of,
  };
}

/** Addresses of an ECU behind a DoIP gateway, as the com params that carry them. */
export interface DoipAddresses {
  readonly gateway: number;
  readonly ecu: number;
  readonly functional: number;
  readonly tester?: number;
}

export function doipComParams(addresses: DoipAddresses, of: Protocol): ComParamRef[] {
  const { gateway, ecu, functional, tester } = addresses;
  const refs = [
    comParam("CP_DoIPLogicalGatewayAddress", gateway, of),
    comParam("CP_DoIPLogicalFunctionalAddress", functional, of),
    complexComParam("CP_UniqueRespIdTable", { CP_DoIPLogicalEcuAddress: ecu }, of),
  ];
  return tester === undefined ? refs : [...refs, comParam("CP_DoIPLogicalTesterAddress", tester, of)];
}
