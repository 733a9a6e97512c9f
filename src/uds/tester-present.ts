/** Keeps a diagnostic session alive (ISO 14229-1 clause 10.7) by the rules of the CP_TesterPresent parameters. */
import { toHex } from "#core/bytes.ts";
import { toFaultData } from "#core/errors.ts";
import type { Clock, TimerHandle } from "#core/time.ts";
import type { UdsClient } from "./client.ts";
import type { UdsParams } from "./com-params.ts";
import { SUPPRESS_POSITIVE_RESPONSE_BIT } from "./services.ts";

export interface TesterPresentOptions {
  readonly clock: Clock;
  /** The ECU of an ECU lock; absent for a group lock, which is always functional. */
  readonly physical?: UdsClient;
  /** The functional link of the ECU's gateway; for an ECU lock used when CP_TesterPresentAddrMode says so. */
  readonly functional?: UdsClient;
  /** Whether sending makes sense now; a skipped message is tried again one period later. */
  readonly isOnline: () => boolean;
  /** What goes wrong; the keep-alive goes on. */
  readonly onProblem?: (message: string) => void;
}

/** The message of these parameters: CP_TesterPresentMessage, with the suppress bit when no response is expected. */
export function testerPresentMessage(params: UdsParams): Uint8Array {
  const message = Uint8Array.from(params.testerPresentMessage);
  if (!params.testerPresentReqResp && message.length > 1) message[1] = message[1]! | SUPPRESS_POSITIVE_RESPONSE_BIT;
  return message;
}

export class TesterPresent {
  readonly #options: TesterPresentOptions;
  #timer: TimerHandle | undefined;
  /** Counts starts and stops: what ends after a stop must not schedule. */
  #run = 0;
  #running = false;

  /** Needs at least one of `physical` and `functional`. */
  constructor(options: TesterPresentOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Sends the first message at once. False: it runs already, or CP_TesterPresentHandling is off. */
  start(): boolean {
    if (this.#running || !this.#params().testerPresentHandling) return false;
    this.#running = true;
    this.#run++;
    this.#send();
    return true;
  }

  stop(): void {
    this.#running = false;
    this.#run++;
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    const params = this.#params();
    const nowMs = this.#options.clock.now();
    const idleLeftMs = this.#target(params).lastSentMs + params.testerPresentTimeMs - nowMs;
    if (params.testerPresentSendType === "OnIdle" && idleLeftMs > 0) this.#schedule(idleLeftMs);
    else this.#send();
  }

  #send(): void {
    const params = this.#params();
    const target = this.#target(params);
    if (!this.#options.isOnline() || !target.connected) {
      this.#schedule(params.testerPresentTimeMs);
      return;
    }
    const run = this.#run;
    const startedMs = this.#options.clock.now();
    const deadlineMs = startedMs + params.testerPresentTimeMs;
    const message = testerPresentMessage(params);
    // Answers to a functional message come on the links of the ECUs, where nobody waits for them.
    const awaited = params.testerPresentReqResp && target.addressing === "physical";
    const sent = awaited
      ? target.request(message, { deadlineMs }).then((response) => this.#judge(params, response))
      : target.transmit(message, { deadlineMs });
    void sent
      .catch((error) => this.#options.onProblem?.(`tester present for ${target.name}: ${toFaultData(error).message}`))
      .then(() => {
        // A late message delays the next one; missed ones are not made up for.
        if (run === this.#run) this.#schedule(Math.max(0, deadlineMs - this.#options.clock.now()));
      });
  }

  #judge(params: UdsParams, response: Uint8Array): void {
    if (startsWith(response, params.testerPresentExpPosResp)) return;
    const kind = startsWith(response, params.testerPresentExpNegResp) ? "refused" : "unexpected answer";
    this.#options.onProblem?.(`tester present ${kind}: ${toHex(response.subarray(0, 8))}`);
  }

  #schedule(delayMs: number): void {
    this.#timer = this.#options.clock.setTimeout(() => this.#tick(), delayMs);
  }

  #params(): UdsParams {
    return (this.#options.physical ?? this.#options.functional)!.params;
  }

  #target(params: UdsParams): UdsClient {
    const { physical, functional } = this.#options;
    if (functional !== undefined && params.testerPresentAddrMode === "Functional") return functional;
    return (physical ?? functional)!;
  }
}

function startsWith(bytes: Uint8Array, prefix: readonly number[]): boolean {
  return prefix.every((byte, at) => bytes[at] === byte);
}
