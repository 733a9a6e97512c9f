/** Services and jobs (ISO 22901-1 §7.3.3). */
import type {
  Addressing,
  DiagClassType,
  DiagComm,
  DiagService,
  JobParam,
  Protocol,
  SingleEcuJob,
  TransmissionMode,
} from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import { buildAudience, functClassesOf } from "./audiences.ts";
import { buildProgCode } from "./code.ts";
import { comParamRefsOf } from "./com-params.ts";
import { type BuiltDiagComm, type Context, once } from "./context.ts";
import { list, type OdxElement, textOf } from "./element.ts";
import { referredDop } from "./fields.ts";
import { resolveAll, resolveChild } from "./links.ts";
import { buildRequest, buildResponse, globalNegatives } from "./messages.ts";
import { DOP_TAGS } from "./params.ts";
import { protocolNamed } from "./protocols.ts";
import { sdgsOf } from "./sdgs.ts";
import { preConditionsOf, transitionRefsOf } from "./states.ts";
import { flagOf, longNameOf, nameOf, requiredChild, unlessEmpty, wordOf } from "./values.ts";

const CLASSES: Readonly<Record<string, DiagClassType>> = {
  STARTCOMM: "START_COMM",
  STOPCOMM: "STOP_COMM",
  VARIANTIDENTIFICATION: "VARIANT_IDENTIFICATION",
  "READ-DYN-DEFINED-MESSAGE": "READ_DYN_DEF_MESSAGE",
  "DYN-DEF-MESSAGE": "DYN_DEF_MESSAGE",
  "CLEAR-DYN-DEF-MESSAGE": "CLEAR_DYN_DEF_MESSAGE",
};

const ADDRESSINGS: Readonly<Record<string, Addressing>> = {
  FUNCTIONAL: "FUNCTIONAL",
  PHYSICAL: "PHYSICAL",
  "FUNCTIONAL-OR-PHYSICAL": "FUNCTIONAL_OR_PHYSICAL",
};

const TRANSMISSIONS: Readonly<Record<string, TransmissionMode>> = {
  "SEND-ONLY": "SEND_ONLY",
  "RECEIVE-ONLY": "RECEIVE_ONLY",
  "SEND-AND-RECEIVE": "SEND_AND_RECEIVE",
  "SEND-OR-RECEIVE": "SEND_OR_RECEIVE",
};

/** A DIAG-SERVICE or SINGLE-ECU-JOB, built once. */
export function buildDiagComm(context: Context, element: OdxElement): BuiltDiagComm | undefined {
  return once<BuiltDiagComm>(context, element, () =>
    element.tag === "DIAG-SERVICE"
      ? { kind: "DiagService", value: buildService(context, element) }
      : { kind: "SingleEcuJob", value: buildJob(context, element) },
  );
}

function buildService(context: Context, element: OdxElement): DiagService {
  const { attributes } = element;
  const request = resolveChild(context, element, "REQUEST-REF", ["REQUEST"]);
  const responses = (tag: string) => resolveAll(context, list(element, `${tag}-REFS`, `${tag}-REF`), [tag]);
  const negatives = [...responses("NEG-RESPONSE"), ...globalNegatives(context, element.scope)];
  return defined<DiagService>({
    diag_comm: buildCommon(context, element),
    request: request && buildRequest(context, request),
    pos_responses: responses("POS-RESPONSE").flatMap((one) => buildResponse(context, one) ?? []),
    neg_responses: negatives.flatMap((one) => buildResponse(context, one) ?? []),
    is_cyclic: flagOf(context, element, "IS-CYCLIC"),
    is_multiple: flagOf(context, element, "IS-MULTIPLE"),
    addressing: wordOf(context, element, attributes.ADDRESSING ?? "PHYSICAL", ADDRESSINGS),
    transmission_mode: wordOf(context, element, attributes["TRANSMISSION-MODE"] ?? "SEND-AND-RECEIVE", TRANSMISSIONS),
    com_param_refs: unlessEmpty(comParamRefsOf(context, element)),
  });
}

function buildCommon(context: Context, element: OdxElement): DiagComm {
  return defined<DiagComm>({
    short_name: nameOf(context, element),
    long_name: longNameOf(element),
    semantic: element.attributes.SEMANTIC,
    funct_class: unlessEmpty(functClassesOf(context, element)),
    sdgs: sdgsOf(context, element),
    diag_class_type: wordOf(context, element, element.attributes["DIAGNOSTIC-CLASS"], CLASSES),
    pre_condition_state_refs: unlessEmpty(preConditionsOf(context, element)),
    state_transition_refs: unlessEmpty(transitionRefsOf(context, element)),
    protocols: unlessEmpty(protocolsOf(context, element)),
    audience: buildAudience(context, element),
    is_mandatory: flagOf(context, element, "IS-MANDATORY"),
    is_executable: flagOf(context, element, "IS-EXECUTABLE"),
    is_final: flagOf(context, element, "IS-FINAL"),
  });
}

function protocolsOf(context: Context, element: OdxElement): Protocol[] {
  return list(element, "PROTOCOL-SNREFS", "PROTOCOL-SNREF").flatMap((ref) => protocolNamed(context, ref) ?? []);
}

function buildJob(context: Context, element: OdxElement): SingleEcuJob {
  const params = (wrapper: string, tag: string) =>
    unlessEmpty(list(element, wrapper, tag).map((param) => buildJobParam(context, param)));
  return defined<SingleEcuJob>({
    diag_comm: buildCommon(context, element),
    prog_codes: unlessEmpty(list(element, "PROG-CODES", "PROG-CODE").map((code) => buildProgCode(context, code))),
    input_params: params("INPUT-PARAMS", "INPUT-PARAM"),
    output_params: params("OUTPUT-PARAMS", "OUTPUT-PARAM"),
    neg_output_params: params("NEG-OUTPUT-PARAMS", "NEG-OUTPUT-PARAM"),
  });
}

function buildJobParam(context: Context, element: OdxElement): JobParam {
  requiredChild(context, element, "DOP-BASE-REF");
  return defined<JobParam>({
    short_name: nameOf(context, element),
    long_name: longNameOf(element),
    physical_default_value: textOf(element, "PHYSICAL-DEFAULT-VALUE"),
    dop_base: referredDop(context, element, "DOP-BASE", DOP_TAGS),
    semantic: element.attributes.SEMANTIC,
  });
}
