/** One request to a group address, answers from many ECUs (ISO 14229-1 clause 7.3): each is matched by the rules of a single request. */
import { Fault } from "#core/errors.ts";
import type { Clock, TimerHandle } from "#core/time.ts";
import type { Listener, Reservation, UdsClient } from "./client.ts";
import type { UdsParams } from "./com-params.ts";
import { type Caller, silent } from "./job.ts";
import { matchResponse } from "./match.ts";
import { suppressesPositiveResponse } from "./services.ts";

/** Answers that a request without positive responses may still bring: refusals. */
export const SUPPRESSED_WINDOW_MS = 500;

export interface FunctionalRequest {
  /** Client of the functional link of the members' gateway. */
  readonly group: UdsClient;
  /** The ECUs that are expected to answer. */
  readonly members: readonly UdsClient[];
  readonly request: Uint8Array;
  /** Short name of the service. */
  readonly service?: string;
  /** Windows and 0x78 rule for all members. */
  readonly params: UdsParams;
  readonly deadlineMs?: number;
  readonly caller?: Caller;
}

/** A final answer (negative ones included), why there is none, or undefined: silence where silence was asked for. */
export type FunctionalResult = Uint8Array | Fault | undefined;

/**
 * Waits for each member's turn, sends once, collects. The results stand in the order of `members`. Rejects with `Fault` only when
 * nothing was sent.
 */
export async function functionalRequest(options: FunctionalRequest): Promise<FunctionalResult[]> {
  const { group, members, request, params } = options;
  const limits = options.deadlineMs === undefined ? {} : { deadlineMs: options.deadlineMs };
  // All turns are asked for in one go: two functional requests stand in the same order in every queue and cannot block each other.
  const turns = await Promise.all(members.map((member) => member.reserve(limits).catch(toFault)));
  const collector = new Collector(group.clock, request, params, turns, options.deadlineMs);
  try {
    const named = options.caller === undefined ? limits : { ...limits, caller: options.caller };
    await group.transmit(request, named, options.service);
    return await collector.collect();
  } finally {
    collector.close();
    for (const turn of turns) if (!(turn instanceof Fault)) turn.release();
  }
}

class Collector {
  readonly #clock: Clock;
  readonly #request: Uint8Array;
  readonly #params: UdsParams;
  readonly #deadlineMs: number;
  readonly #results: FunctionalResult[];
  /** Members still awaited → end of their window. */
  readonly #windows = new Map<number, number>();
  #startedMs: number | undefined;
  #timer: TimerHandle | undefined;
  #resolve: ((results: FunctionalResult[]) => void) | undefined;

  constructor(
    clock: Clock,
    request: Uint8Array,
    params: UdsParams,
    turns: readonly (Reservation | Fault)[],
    deadlineMs = Number.POSITIVE_INFINITY,
  ) {
    this.#clock = clock;
    this.#request = request;
    this.#params = params;
    this.#deadlineMs = deadlineMs;
    this.#results = turns.map((turn) => (turn instanceof Fault ? turn : undefined));
    for (const [member, turn] of turns.entries()) {
      if (turn instanceof Fault) continue;
      this.#windows.set(member, Number.POSITIVE_INFINITY);
      // Before sending: an ECU may answer before the gateway acknowledges.
      turn.listen(request, this.#listener(member));
    }
  }

  /** Opens the windows; resolves when the last member answered or its window is over. */
  collect(): Promise<FunctionalResult[]> {
    this.#startedMs = this.#clock.now();
    const windowMs = suppressesPositiveResponse(this.#request) ? SUPPRESSED_WINDOW_MS : this.#params.p6MaxMs;
    for (const [member, endMs] of this.#windows) {
      if (endMs === Number.POSITIVE_INFINITY) this.#openWindow(member, windowMs);
    }
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#check();
    });
  }

  close(): void {
    this.#disarm();
    this.#windows.clear();
  }

  #listener(member: number): Listener {
    return {
      onResponse: (response) => this.#onResponse(member, response),
      onFailed: (fault) => this.#end(member, fault),
    };
  }

  #onResponse(member: number, response: Uint8Array): void {
    switch (matchResponse(this.#request, response)) {
      case "foreign":
        break;
      case "pending":
        if (this.#mayGoOn()) {
          this.#openWindow(member, this.#params.p6StarMs);
          this.#check();
        } else this.#end(member, response);
        break;
      default:
        this.#end(member, response);
    }
  }

  #mayGoOn(): boolean {
    const { rc78Handling, rc78CompletionTimeoutMs } = this.#params;
    if (rc78Handling === "Disabled") return false;
    // Answers that overtake the acknowledgement come before the start.
    const elapsedMs = this.#startedMs === undefined ? 0 : this.#clock.now() - this.#startedMs;
    return rc78Handling === "ContinueUnlimited" || elapsedMs <= rc78CompletionTimeoutMs;
  }

  #openWindow(member: number, windowMs: number): void {
    if (this.#windows.has(member)) {
      this.#windows.set(member, Math.min(this.#clock.now() + windowMs, this.#deadlineMs));
    }
  }

  #end(member: number, result: FunctionalResult): void {
    if (!this.#windows.delete(member)) return;
    this.#results[member] = result;
    this.#check();
  }

  /** Ends windows that are over and sets the timer for the next one. */
  #check(): void {
    if (this.#resolve === undefined) return;
    this.#disarm();
    const nowMs = this.#clock.now();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [member, endMs] of this.#windows) {
      if (endMs > nowMs) nextMs = Math.min(nextMs, endMs);
      else {
        this.#windows.delete(member);
        this.#results[member] = suppressesPositiveResponse(this.#request) ? undefined : silent();
      }
    }
    if (this.#windows.size === 0) this.#resolve(this.#results);
    else this.#timer = this.#clock.setTimeout(() => this.#check(), nextMs - nowMs);
  }

  #disarm(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

function toFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  throw error;
}
