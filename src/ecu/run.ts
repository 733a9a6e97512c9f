/** One service run: guard, preconditions, encode, send, refusal, tracked states. Every call that sends goes through here. */
import { Fault } from "#core/errors.ts";
import type { ServiceBody } from "#fleet/messages.ts";
import type { ServicePlan } from "#mdd/codec/plan.ts";
import type { ServiceEntry } from "#mdd/query/service-entry.ts";
import { checkPreconditions, stateMismatchFault } from "#mdd/query/state-charts.ts";
import { encodeService, refusalOf } from "./codec.ts";
import type { Ecu } from "./ecu.ts";
import type { SendOptions } from "./endpoint.ts";
import { canBeAsked, needsDetection } from "./life.ts";
import { statesAfter, UNKNOWN_STATES } from "./states.ts";

const NEGATIVE = 0x7f;
const ECU_RESET = 0x11;
const TESTER_PRESENT = 0x3e;

export interface Answer {
  readonly plan: ServicePlan;
  readonly request: Uint8Array;
  /** Positive. A view: copy what outlives the call. */
  readonly response: Uint8Array;
}

export const NO_BODY: ServiceBody = { type: "none" };

/** What must be done before a call looks up its service: which variant is there decides which services there are. */
export function detectFirst(ecu: Ecu): Promise<void> | undefined {
  return needsDetection(ecu.life) ? ecu.endpoint?.detector.join() : undefined;
}

/** The ECU is there, or the call ends here. @throws Fault ecuOffline, conflict for a duplicate */
export function requireOnline(ecu: Ecu): void {
  if (canBeAsked(ecu.life) && ecu.endpoint !== undefined) return;
  if (ecu.life.finding.kind !== "Duplicate") throw offline(ecu);
  throw new Fault("conflict", `Ecu ${ecu.name} is a duplicate: another database speaks for the ECU at its address`);
}

export function offline(ecu: Ecu): Fault {
  return new Fault("ecuOffline", `Ecu ${ecu.name} offline`);
}

/** Runs a service and gives its positive answer. @throws Fault, `ecuRefused` with `sid` and `nrc` for a negative response */
export async function runService(
  ecu: Ecu,
  service: ServiceEntry,
  body: ServiceBody,
  options: SendOptions,
): Promise<Answer> {
  return answerOf(ecu, service, body, options, (answer) => answer);
}

/**
 * What `take` makes of a service's positive answer: `runService` without a promise for each step of the way.
 * @throws Fault at once or as a rejection
 */
export function answerOf<T>(
  ecu: Ecu,
  service: ServiceEntry,
  body: ServiceBody,
  options: SendOptions,
  take: (answer: Answer) => T,
): Promise<T> {
  requireOnline(ecu);
  requireState(ecu, service);
  const plan = ecu.plan(service.table);
  const request = encodeService(plan, body, options.isStrict);
  return send(ecu, request, options, service.shortName, (response) => {
    throwRefusal(plan, response);
    track(ecu, service);
    return take({ plan, request, response });
  });
}

/** Sends complete UDS bytes, of `service` where the database knows it; a refusal is an answer. @throws Fault */
export async function sendRaw(
  ecu: Ecu,
  request: Uint8Array,
  options: SendOptions,
  service?: ServiceEntry,
): Promise<Uint8Array> {
  requireOnline(ecu);
  return send(ecu, request, options, service?.shortName, (response) => response);
}

/** The database's preconditions against what is tracked. @throws Fault badRequest */
export function requireState(ecu: Ecu, service: ServiceEntry): void {
  if (service.preconditions.length === 0) return;
  ecu.seedStates();
  const mismatch = checkPreconditions(ecu.charts, ecu.states, service);
  if (mismatch !== undefined) throw stateMismatchFault(service, mismatch);
}

/** What a positive response to `service` changes. */
export function track(ecu: Ecu, service: ServiceEntry): void {
  if (service.sid === ECU_RESET) {
    ecu.states = UNKNOWN_STATES;
    ecu.expiries.clearAll();
    ecu.seedStates();
    return;
  }
  if (service.transitions.length === 0) return;
  ecu.seedStates();
  ecu.states = statesAfter(ecu.charts, ecu.states, service);
}

/** What `take` makes of the response. */
function send<T>(
  ecu: Ecu,
  request: Uint8Array,
  options: SendOptions,
  service: string | undefined,
  take: (response: Uint8Array) => T,
): Promise<T> {
  const endpoint = ecu.endpoint;
  if (endpoint === undefined) throw offline(ecu);
  return endpoint.request(request, options, service).then(take, (error: unknown) => {
    if (!(error instanceof Fault)) throw error;
    if (error.kind === "ecuOffline") throw offline(ecu);
    // Silence after every repeat: the ECU is gone, though its gateway may live. A caller's own deadline says nothing of the kind.
    if (isSilence(error, request) && !endpoint.detector.running) ecu.event({ kind: "silent" });
    throw error;
  });
}

/** A request that only waited for its turn, and a keep-alive, tell nothing of the ECU. */
function isSilence({ kind, details }: Fault, request: Uint8Array): boolean {
  return kind === "notResponding" && details?.waiting !== true && request[0] !== TESTER_PRESENT;
}

/** A positive response as it is. @throws Fault ecuRefused */
export function throwRefusal(plan: ServicePlan | undefined, response: Uint8Array): Uint8Array {
  if (response[0] === NEGATIVE) throw refusalOf(plan, response);
  return response;
}
