/** One simulated ECU: its state, its S3 timer, interceptors, recording and misbehaviour. Knows nothing of sockets. */
import { fromHex, toHex } from "#core/bytes.ts";
import type { Clock, TimerHandle } from "#core/time.ts";
import { answer, refuse } from "./matching.ts";
import type { EcuMisbehaviour } from "./misbehaviour.ts";
import { type Plan, planAnswer } from "./plan.ts";
import { SERVICES } from "./services/index.ts";
import { expireSession } from "./services/session.ts";
import { type DataIdentifier, type EcuState, initialState } from "./state.ts";

/** S3 server (ISO 14229-2), milliseconds. */
export const S3_SERVER_MS = 5_000;
/** A record that was forgotten stops growing here. */
const MAX_RECORDED = 1_000_000;

export interface EcuOptions {
  readonly name: string;
  readonly logicalAddress: number;
  readonly vin?: string;
  /** Data identifiers beyond the built-in ones. */
  readonly data?: ReadonlyMap<number, DataIdentifier>;
  readonly misbehaviour?: EcuMisbehaviour;
}

export interface EcuContext {
  readonly clock: Clock;
  readonly random: () => number;
  /** A request came in, before anything is done with it. Undefined: nobody listens. */
  readonly onRequest: (ecu: Ecu, request: Uint8Array) => void;
}

/** Takes requests that match `pattern` out of the way. `response` undefined: silence; `malformed`: NRC 0x10. */
export interface Interceptor {
  readonly kind: "intercept";
  readonly name: string;
  readonly pattern: RegExp;
  readonly response: Uint8Array | "malformed" | undefined;
  remaining: number;
}

/** Hooks run in order of installation. */
type Hook = Interceptor | { readonly kind: "record" };

export class Ecu {
  readonly name: string;
  readonly logicalAddress: number;
  state: EcuState;
  /** Undefined costs nothing per request. */
  misbehaviour: EcuMisbehaviour | undefined;
  /** What is being worked on; meanwhile another request gets NRC 0x21. */
  work: Plan | undefined;
  readonly #options: EcuOptions;
  readonly #vin: string;
  readonly #context: EcuContext;
  #hooks: Hook[] = [];
  #recorded: string[] = [];
  #lastActivityMs = 0;
  #s3Timer: TimerHandle | undefined;
  #awayTimer: TimerHandle | undefined;

  constructor(options: EcuOptions, vin: string, context: EcuContext) {
    this.name = options.name;
    this.logicalAddress = options.logicalAddress;
    this.#options = options;
    this.#vin = options.vin ?? vin;
    this.#context = context;
    this.state = initialState(this.#vin, options.data);
    this.misbehaviour = options.misbehaviour && structuredClone(options.misbehaviour);
  }

  /** The answer to a request when nothing special is set; undefined: silence. */
  receive(request: Uint8Array): Uint8Array | undefined {
    this.touch();
    this.#context.onRequest(this, request);
    if (this.#hooks.length > 0) {
      const taken = this.#runHooks(request);
      if (taken !== undefined) return intercepted(taken, request);
    }
    return this.#awayTimer === undefined ? this.#carryOut(request) : undefined;
  }

  /** What is sent for a request under misbehaviour, and when. */
  plan(request: Uint8Array): Plan {
    const { random } = this.#context;
    return planAnswer({ misbehaviour: this.misbehaviour ?? {}, request, handle: (r) => this.receive(r), random });
  }

  /** The refusal of a request that arrives while another one is worked on. */
  receiveWhileBusy(request: Uint8Array): Uint8Array {
    this.touch();
    this.#context.onRequest(this, request);
    if (this.#hooks.some(({ kind }) => kind === "record")) this.#record(toHex(request));
    return refuse(request, "busyRepeatRequest");
  }

  /** Restarts S3: for each request and each response. */
  touch(): void {
    if (this.state.s3) this.#lastActivityMs = this.#context.clock.now();
  }

  /** For some seconds the ECU takes requests and does not answer them (hard reset of an ECU behind a gateway). */
  goAway(seconds: number): void {
    const { clock } = this.#context;
    if (this.#awayTimer !== undefined) clock.clearTimeout(this.#awayTimer);
    this.#awayTimer = clock.setTimeout(() => {
      this.#awayTimer = undefined;
    }, seconds * 1000);
  }

  /** Starts recording requests; an earlier record goes on. */
  startRecording(): void {
    if (!this.#hooks.some(({ kind }) => kind === "record")) this.#hooks.push({ kind: "record" });
  }

  /** Stops recording; the record stays readable. */
  stopRecording(): void {
    this.#hooks = this.#hooks.filter(({ kind }) => kind !== "record");
  }

  /** Requests in upper-case hex, oldest first. */
  get recorded(): readonly string[] {
    return this.#recorded;
  }

  /**
   * Installs an interceptor behind the hooks that exist, in place of one of the same name.
   * @param request upper- or lower-case hex as a regular expression over the whole request; `[]` stands for any bytes
   * @param response hex; blank: silence
   * @param times removed after so many requests
   */
  intercept(name: string, request: string, response: string, times = Number.POSITIVE_INFINITY): void {
    const source = request.toUpperCase().replace(/\s/g, "").replaceAll("[]", ".*");
    this.removeInterceptor(name);
    this.#hooks.push({
      kind: "intercept",
      name,
      pattern: new RegExp(`^(?:${source})$`),
      response: response.trim() === "" ? undefined : (fromHex(response) ?? "malformed"),
      remaining: times,
    });
  }

  removeInterceptor(name: string): void {
    this.#hooks = this.#hooks.filter((hook) => hook.kind !== "intercept" || hook.name !== name);
  }

  /** Back to the state after start; interceptors, record, timers and misbehaviour are gone. */
  reset(): void {
    this.close();
    this.state = initialState(this.#vin, this.#options.data);
    this.misbehaviour = this.#options.misbehaviour && structuredClone(this.#options.misbehaviour);
    this.work = undefined;
    this.#hooks = [];
    this.#recorded = [];
  }

  /** Stops the timers. */
  close(): void {
    const { clock } = this.#context;
    for (const timer of [this.#s3Timer, this.#awayTimer]) if (timer !== undefined) clock.clearTimeout(timer);
    this.#s3Timer = undefined;
    this.#awayTimer = undefined;
  }

  #carryOut(request: Uint8Array): Uint8Array | undefined {
    const response = answer(SERVICES, this.state, request);
    this.touch();
    if (this.state.s3 && this.#s3Timer === undefined) this.#watchS3(S3_SERVER_MS);
    return response;
  }

  // One timer that looks at the last activity when it fires: a request only stores a number.
  #watchS3(delayMs: number): void {
    const { clock } = this.#context;
    this.#s3Timer = clock.setTimeout(() => {
      this.#s3Timer = undefined;
      if (!this.state.s3) return;
      const restMs = this.#lastActivityMs + S3_SERVER_MS - clock.now();
      if (restMs > 0) this.#watchS3(Math.ceil(restMs));
      else expireSession(this.state);
    }, delayMs);
  }

  #record(hex: string): void {
    if (this.#recorded.length < MAX_RECORDED) this.#recorded.push(hex);
  }

  #runHooks(request: Uint8Array): Interceptor | undefined {
    const hex = toHex(request);
    for (const hook of this.#hooks) {
      if (hook.kind === "record") this.#record(hex);
      else if (hook.pattern.test(hex)) {
        if (--hook.remaining <= 0) this.removeInterceptor(hook.name);
        return hook;
      }
    }
    return undefined;
  }
}

function intercepted({ response }: Interceptor, request: Uint8Array): Uint8Array | undefined {
  return response === "malformed" ? refuse(request, "generalReject") : response;
}
