/** What an ECU with misbehaviour sends for one request, and when: pure, so that every knob can be tested without a socket. */
import { fromHex } from "#core/bytes.ts";
import { DIAGNOSTIC_ACK_CODE } from "#doip/tables.ts";
import { NRCS } from "#uds/nrc.ts";
import { NEGATIVE_RESPONSE_SID } from "#uds/services.ts";
import { drawDelay, type EcuMisbehaviour, uses } from "./misbehaviour.ts";

export type Emission =
  | { readonly kind: "acknowledge"; readonly code: number; readonly echo: Uint8Array }
  | { readonly kind: "refuse"; readonly code: number }
  /** `held`: leaves only behind the next answer on its connection. */
  | { readonly kind: "uds"; readonly bytes: Uint8Array; readonly held: boolean };

export interface Step {
  readonly afterMs: number;
  readonly emission: Emission;
}

export interface Plan {
  /** In order of time. */
  readonly steps: readonly Step[];
  /** The ECU takes no other request for so long. */
  readonly busyMs: number;
}

export interface PlanInput {
  readonly misbehaviour: EcuMisbehaviour;
  readonly request: Uint8Array;
  /** Carries the request out. */
  readonly handle: (request: Uint8Array) => Uint8Array | undefined;
  readonly random: () => number;
}

const NOTHING = new Uint8Array(0);

/** Steps for one request. Uses up what is counted in the misbehaviour. */
export function planAnswer({ misbehaviour, request, handle, random }: PlanInput): Plan {
  const own = appliesTo(misbehaviour, request) ? misbehaviour : {};
  if (uses(own.nack)) return { steps: [at(0, { kind: "refuse", code: own.nack.code })], busyMs: 0 };
  const response = respond(own, request, handle);
  const answers: Step[] = [];
  let answerMs = 0;
  if (response !== undefined && uses(own.pending)) {
    const pending = Uint8Array.of(NEGATIVE_RESPONSE_SID, own.pending.sid ?? request[0]!, NRCS.responsePending.code);
    for (let i = 0; i < own.pending.count; i++) answers.push(at(i * own.pending.intervalMs, uds(pending)));
    answerMs = own.pending.count * own.pending.intervalMs;
  }
  if (own.delay !== undefined) answerMs += drawDelay(own.delay, random);
  if (uses(own.stray)) answers.push(at(answerMs, uds(fromHex(own.stray.uds)!)));
  if (response !== undefined) answers.push(...answerSteps(own, response, answerMs));
  const steps = withAcknowledgement(own, request, answers);
  return { steps: steps.sort((a, b) => a.afterMs - b.afterMs), busyMs: steps.at(-1)?.afterMs ?? 0 };
}

function appliesTo({ only }: EcuMisbehaviour, request: Uint8Array): boolean {
  return only === undefined || fromHex(only)!.every((byte, i) => byte === request[i]);
}

function respond(own: EcuMisbehaviour, request: Uint8Array, handle: PlanInput["handle"]): Uint8Array | undefined {
  if (uses(own.silent)) return undefined;
  if (uses(own.nrc)) return Uint8Array.of(NEGATIVE_RESPONSE_SID, request[0]!, own.nrc.code);
  return handle(request);
}

function answerSteps({ frame }: EcuMisbehaviour, response: Uint8Array, answerMs: number): Step[] {
  if (!uses(frame)) return [at(answerMs, uds(response))];
  switch (frame.kind) {
    case "lost":
      return [];
    case "doubled":
      return [at(answerMs, uds(response)), at(answerMs, uds(response))];
    case "reordered":
      return [at(answerMs, { kind: "uds", bytes: response, held: true })];
    default: {
      const wrong = at(answerMs, uds(WRONG[frame.kind](response)));
      return frame.correctAfterMs === undefined ? [wrong] : [wrong, at(answerMs + frame.correctAfterMs, uds(response))];
    }
  }
}

const WRONG = {
  /** The last echoed byte of an identifier, or the sub-function, is another one. */
  wrongDid: (response: Uint8Array) => flip(response, Math.min(2, response.length - 1)),
  /** The service that a positive or negative response belongs to is another one. */
  wrongSid: (response: Uint8Array) => flip(response, response[0] === NEGATIVE_RESPONSE_SID ? 1 : 0),
  truncated: (response: Uint8Array) => response.subarray(0, Math.max(1, response.length - 1)),
} as const;

function flip(response: Uint8Array, index: number): Uint8Array {
  const changed = new Uint8Array(response);
  changed[index]! ^= 0x01;
  return changed;
}

function withAcknowledgement(own: EcuMisbehaviour, request: Uint8Array, answers: Step[]): Step[] {
  const mode = own.ack ?? "plain";
  if (mode === "none") return answers;
  const echo = mode === "echo" ? request : mode === "wrongEcho" ? request.map((byte) => ~byte) : NOTHING;
  const acknowledge: Emission = { kind: "acknowledge", code: DIAGNOSTIC_ACK_CODE, echo };
  const delayMs = own.ackDelayMs ?? 0;
  if (mode === "afterResponse") return [...answers, at((answers.at(-1)?.afterMs ?? 0) + delayMs, acknowledge)];
  const first = at(delayMs, acknowledge);
  return mode === "twice" ? [first, first, ...answers] : [first, ...answers];
}

function at(afterMs: number, emission: Emission): Step {
  return { afterMs, emission };
}

function uds(bytes: Uint8Array): Emission {
  return { kind: "uds", bytes, held: false };
}
