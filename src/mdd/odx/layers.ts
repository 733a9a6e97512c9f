/** Diag layers of every kind and how they inherit (ISO 22901-1 §7.3.2). */
import type {
  DiagLayer,
  EcuSharedData,
  FunctionalGroup,
  ParentRef,
  Protocol,
  ProtStack,
  Variant,
} from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import { buildAdditionalAudience, buildFunctClass, isForAudience } from "./audiences.ts";
import { comParamRefsOf } from "./com-params.ts";
import { type BuiltDiagComm, type Context, once } from "./context.ts";
import { child, list, type OdxElement } from "./element.ts";
import { NOT_INHERITED, notInherited, PARENT_TAGS, resolve, resolveChild } from "./links.ts";
import { patternsOf } from "./patterns.ts";
import { protStackNamed } from "./protocols.ts";
import { sdgsOf } from "./sdgs.ts";
import { buildComParamSpec } from "./stacks.ts";
import { buildStateChart } from "./states.ts";
import { longNameOf, nameOf, unlessEmpty } from "./values.ts";

const DIAG_COMM_TAGS: readonly string[] = ["DIAG-SERVICE", "SINGLE-ECU-JOB"];

/** BASE-VARIANT or ECU-VARIANT. */
export function buildVariant(context: Context, element: OdxElement): Variant | undefined {
  return once(context, element, () =>
    defined<Variant>({
      diag_layer: buildLayer(context, element),
      is_base_variant: element.tag === "BASE-VARIANT",
      variant_pattern: unlessEmpty(patternsOf(context, element)),
      parent_refs: unlessEmpty(parentRefsOf(context, element)),
    }),
  );
}

export function buildFunctionalGroup(context: Context, element: OdxElement): FunctionalGroup | undefined {
  return once(context, element, () =>
    defined<FunctionalGroup>({
      diag_layer: buildLayer(context, element),
      parent_refs: unlessEmpty(parentRefsOf(context, element)),
    }),
  );
}

export function buildProtocol(context: Context, element: OdxElement): Protocol | undefined {
  return once(context, element, () => {
    const spec = resolveChild(context, element, "COMPARAM-SPEC-REF", ["COMPARAM-SPEC"]);
    const stack = child(element, "PROT-STACK-SNREF");
    return defined<Protocol>({
      diag_layer: buildLayer(context, element),
      com_param_spec: spec && buildComParamSpec(context, spec),
      prot_stack: stack && protStackOf(context, stack, spec),
      parent_refs: unlessEmpty(parentRefsOf(context, element)),
    });
  });
}

/** A protocol's stack belongs to its own COMPARAM-SPEC, if that has one of the name. */
function protStackOf(context: Context, ref: OdxElement, spec: OdxElement | undefined): ProtStack | undefined {
  const name = ref.attributes["SHORT-NAME"];
  const own = list(spec, "PROT-STACKS", "PROT-STACK").find((one) => child(one, "SHORT-NAME")?.text.trim() === name);
  return own === undefined ? protStackNamed(context, ref) : context.build.protStack(context, own);
}

function buildSharedData(context: Context, element: OdxElement): EcuSharedData | undefined {
  return once(context, element, () => ({ diag_layer: buildLayer(context, element) }));
}

function buildLayer(context: Context, element: OdxElement): DiagLayer {
  const diagComms = diagCommsOf(context, element);
  return defined<DiagLayer>({
    short_name: nameOf(context, element),
    long_name: longNameOf(element),
    funct_classes: unlessEmpty(
      list(element, "FUNCT-CLASSS", "FUNCT-CLASS").flatMap((one) => buildFunctClass(context, one) ?? []),
    ),
    com_param_refs: unlessEmpty(comParamRefsOf(context, element)),
    diag_services: diagComms.flatMap((one) => (one.kind === "DiagService" ? [one.value] : [])),
    single_ecu_jobs: diagComms.flatMap((one) => (one.kind === "SingleEcuJob" ? [one.value] : [])),
    state_charts: unlessEmpty(
      list(element, "STATE-CHARTS", "STATE-CHART").map((chart) => buildStateChart(context, chart)),
    ),
    additional_audiences: unlessEmpty(
      list(element, "ADDITIONAL-AUDIENCES", "ADDITIONAL-AUDIENCE").flatMap(
        (one) => buildAdditionalAudience(context, one) ?? [],
      ),
    ),
    sdgs: sdgsOf(context, element),
  });
}

/** Referred services and jobs first, then the layer's own, each in order. */
function diagCommsOf(context: Context, layer: OdxElement): BuiltDiagComm[] {
  const referred = list(layer, "DIAG-COMMS", "DIAG-COMM-REF").flatMap(
    (ref) => resolve(context, ref, DIAG_COMM_TAGS) ?? [],
  );
  const own = list(layer, "DIAG-COMMS", ...DIAG_COMM_TAGS);
  return [...referred, ...own]
    .filter((element) => isForAudience(context, element))
    .flatMap((element) => context.build.diagComm(context, element) ?? []);
}

function parentRefsOf(context: Context, layer: OdxElement): ParentRef[] {
  return list(layer, "PARENT-REFS", "PARENT-REF").flatMap((ref) => {
    const target = resolve(context, ref, PARENT_TAGS);
    const parent = target && buildParent(context, target);
    if (parent === undefined) return [];
    const names = (entry: readonly [string, string]) => unlessEmpty(notInherited(ref, entry));
    return [
      {
        ...parent,
        ...defined({
          not_inherited_diag_comm_short_names: names(NOT_INHERITED["diag-comm"]),
          not_inherited_variables_short_names: names(["NOT-INHERITED-VARIABLES", "NOT-INHERITED-VARIABLE"]),
          not_inherited_dops_short_names: names(NOT_INHERITED.dop),
          not_inherited_tables_short_names: names(NOT_INHERITED.table),
          not_inherited_global_neg_responses_short_names: names(NOT_INHERITED["global-negative"]),
        }),
      } as ParentRef,
    ];
  });
}

const PARENT_BUILDERS = {
  PROTOCOL: ["Protocol", buildProtocol],
  "FUNCTIONAL-GROUP": ["FunctionalGroup", buildFunctionalGroup],
  "ECU-SHARED-DATA": ["EcuSharedData", buildSharedData],
  "BASE-VARIANT": ["Variant", buildVariant],
  "ECU-VARIANT": ["Variant", buildVariant],
} as const;

function buildParent(context: Context, element: OdxElement): Pick<ParentRef, "ref_type" | "ref"> | undefined {
  const [ref_type, build] = PARENT_BUILDERS[element.tag as keyof typeof PARENT_BUILDERS];
  const ref = build(context, element);
  return ref && ({ ref_type, ref } as Pick<ParentRef, "ref_type" | "ref">);
}
