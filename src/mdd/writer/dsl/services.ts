import type {
  DiagComm,
  DiagService,
  FunctClass,
  Param,
  PreConditionStateRef,
  Response,
  State,
  StateChart,
  StateTransition,
  StateTransitionRef,
} from "../../generated/description.ts";
import { defined } from "./defined.ts";
import { codedConst, matchingRequest } from "./params.ts";

/** Added to the service id in a positive response (ISO 14229-1 §8.2). */
const POSITIVE = 0x40;
const NEGATIVE_RESPONSE = 0x7f;

export const functClass = (name: string): FunctClass => ({ short_name: name });

/** Properties of a service beside its messages. */
export interface ServiceOptions {
  /** `DATA` when absent. */
  readonly semantic?: string | undefined;
  readonly classes?: readonly FunctClass[] | undefined;
  readonly negative?: readonly Response[] | undefined;
  readonly preconditions?: readonly PreConditionStateRef[] | undefined;
  readonly transitions?: readonly StateTransitionRef[] | undefined;
  readonly functional?: boolean | undefined;
  /** The ECU does not answer: there is no positive response. */
  readonly sendOnly?: boolean | undefined;
}

/** A service of given request and positive response parameters. */
export function service(
  name: string,
  request: readonly Param[],
  positive: readonly Param[],
  options: ServiceOptions = {},
): DiagService {
  return defined<DiagService>({
    diag_comm: defined<DiagComm>({
      short_name: name,
      semantic: options.semantic ?? "DATA",
      funct_class: options.classes,
      pre_condition_state_refs: options.preconditions,
      state_transition_refs: options.transitions,
    }),
    request: { params: request },
    pos_responses: options.sendOnly ? undefined : [{ params: positive }],
    neg_responses: options.negative,
    addressing: options.functional ? undefined : "PHYSICAL",
    transmission_mode: options.sendOnly ? undefined : "SEND_AND_RECEIVE",
  });
}

export const sidRequest = (sid: number): Param => codedConst("SID_RQ", sid, 8, { semantic: "SERVICE-ID" });
export const sidResponse = (sid: number): Param => codedConst("SID_PR", sid + POSITIVE, 8, { semantic: "SERVICE-ID" });

/** Negative response 7F SID, then the given parameters (the NRC at byte 2). */
export function negativeResponse(params: readonly Param[]): Response {
  const head = [
    codedConst("SID_NR", NEGATIVE_RESPONSE, 8, { semantic: "SERVICE-ID" }),
    matchingRequest("SIDRQ_NR", 0, 1, { byte: 1, semantic: "SERVICEIDRQ" }),
  ];
  return { response_type: "NEG_RESPONSE", params: [...head, ...params] };
}

/** Head of a request by data identifier: SID, then the DID at byte 1. */
export function didRequest(sid: number, did: number): Param[] {
  return [sidRequest(sid), codedConst("DID_RQ", did, 16, { byte: 1, semantic: "ID" })];
}

/** Head of its positive response: SID, then the DID repeated. */
export function didResponse(sid: number): Param[] {
  return [sidResponse(sid), matchingRequest("DID_PR", 1, 2, { byte: 1, semantic: "ID" })];
}

/** ReadDataByIdentifier 22: the response carries `params` from byte 3 on. */
export function readService(
  name: string,
  did: number,
  params: readonly Param[],
  options?: ServiceOptions,
): DiagService {
  return service(name, didRequest(0x22, did), [...didResponse(0x22), ...params], options);
}

/** WriteDataByIdentifier 2E: the request carries `params` from byte 3 on. */
export function writeService(
  name: string,
  did: number,
  params: readonly Param[],
  options?: ServiceOptions,
): DiagService {
  return service(name, [...didRequest(0x2e, did), ...params], didResponse(0x2e), options);
}

/** A service with sub-function, such as 10, 11, 28, 29, 3E, 85; `more` are parameters from byte 2 on. */
export function subFunctionService(
  name: string,
  sid: number,
  subFunction: number,
  more: { readonly request?: readonly Param[]; readonly response?: readonly Param[] } = {},
  options?: ServiceOptions,
): DiagService {
  const place = { byte: 1, semantic: "SUBFUNCTION" };
  const request = [sidRequest(sid), codedConst("SUBFUNCTION_RQ", subFunction, 8, place), ...(more.request ?? [])];
  const response = [sidResponse(sid), matchingRequest("SUBFUNCTION_PR", 1, 1, place), ...(more.response ?? [])];
  return service(name, request, response, options);
}

/** RoutineControl 31: sub-function 1 start, 2 stop, 3 results; `more` are parameters from byte 4 on. */
export function routineService(
  name: string,
  subFunction: 1 | 2 | 3,
  routine: number,
  more: { readonly request?: readonly Param[]; readonly response?: readonly Param[] } = {},
  options?: ServiceOptions,
): DiagService {
  const place = { byte: 2, semantic: "ID" };
  const request = [codedConst("RID_RQ", routine, 16, place), ...(more.request ?? [])];
  const response = [matchingRequest("RID_PR", 2, 2, place), ...(more.response ?? [])];
  return subFunctionService(name, 0x31, subFunction, { request, response }, options);
}

/** A state chart, its transitions as [source, target]; each is named `source_target`. */
export function stateChart(
  name: string,
  semantic: string,
  states: readonly string[],
  transitions: readonly (readonly [string, string])[],
): StateChart {
  return defined<StateChart>({
    short_name: name,
    semantic,
    state_transitions: transitions.map(([source, target]) => transition(source, target)),
    start_state_short_name_ref: states[0],
    states: states.map((state) => ({ short_name: state })),
  });
}

function transition(source: string, target: string): StateTransition {
  return { short_name: `${source}_${target}`, source_short_name_ref: source, target_short_name_ref: target };
}

/** PRE-CONDITION-STATE-REF: the service asks for this state. */
export function precondition(state: string): PreConditionStateRef {
  const content: State = { short_name: state };
  return { state: content };
}

/** STATE-TRANSITION-REF: the service, when it succeeds, leads from one state to the other. */
export function stateTransition(source: string, target: string): StateTransitionRef {
  return { state_transition: transition(source, target) };
}
