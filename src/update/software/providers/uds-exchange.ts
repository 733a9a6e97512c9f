/** Single requests of a flash sequence: what finds no room goes again, a refusal is a fault that names itself. */
import { hexByte } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import type { Fleet } from "#fleet/api.ts";
import { nrcText } from "#uds/nrc.ts";
import { sleep } from "#update/software/sleep.ts";

export const NEGATIVE = 0x7f;
/** What a positive answer's service identifier has more than the request's. */
export const POSITIVE = 0x40;
/** The erasing may take minutes of 0x78. */
export const DEFAULT_TIMEOUT_MS = 120_000;
/** Pause before a request goes again that found no room beside those of clients. */
const OVERLOADED_RETRY_MS = 20;

export interface Exchange {
  readonly fleet: Fleet;
  readonly clock: Clock;
}

export interface ExchangeOptions {
  readonly signal: AbortSignal;
  /** Longest wait for the final answer. */
  readonly timeoutMs?: number | undefined;
}

/** The ECU's name as its database spells it. @throws Fault ecuOffline */
export function ecuName({ fleet }: Exchange, component: string): string {
  const ecu = fleet.ecu(component);
  if (ecu === undefined) throw new Fault("ecuOffline", `There is no ECU ${component}`);
  return ecu.name;
}

/** The ECU's final answer, refusals included. @throws Fault when there is none */
export async function ask(
  exchange: Exchange,
  component: string,
  request: Uint8Array,
  { signal, timeoutMs = DEFAULT_TIMEOUT_MS }: ExchangeOptions,
): Promise<Uint8Array> {
  const deadlineMs = exchange.clock.now() + timeoutMs;
  // a signal of its own for each call: thousands of blocks must not leave as many listeners on that of the job
  const call = new AbortController();
  const onAbort = (): void => call.abort();
  signal.throwIfAborted();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await send(exchange, component, request, call.signal, deadlineMs);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Clients that ask an ECU more than it answers must not end its update: what finds no room was not sent, and goes again. */
async function send(
  exchange: Exchange,
  component: string,
  request: Uint8Array,
  signal: AbortSignal,
  deadlineMs: number,
): Promise<Uint8Array> {
  const { fleet, clock } = exchange;
  for (;;) {
    try {
      const reply = await fleet.call(ecuName(exchange, component), "flashService", { request }, { signal, deadlineMs });
      return reply.body ?? new Uint8Array(0);
    } catch (error) {
      const hasRoomLater = error instanceof Fault && error.kind === "overloaded" && clock.now() < deadlineMs;
      if (!hasRoomLater) throw error;
      await sleep(clock, OVERLOADED_RETRY_MS, signal);
    }
  }
}

/** A positive answer. @throws Fault ecuRefused with the NRC, and those of `ask` */
export async function demand(
  exchange: Exchange,
  component: string,
  request: Uint8Array,
  options: ExchangeOptions & { readonly name: string },
): Promise<Uint8Array> {
  const answer = await ask(exchange, component, request, options);
  if (answer[0] === NEGATIVE) throw refused(options.name, answer);
  if (answer[0] !== request[0]! + POSITIVE) throw unexpected(options.name, answer);
  return answer;
}

export function unexpected(name: string, answer: Uint8Array): Fault {
  return new Fault("ecuRefused", `${name}: the ECU answered ${Buffer.from(answer).toString("hex")}`);
}

export function refused(name: string, answer: Uint8Array): Fault {
  const nrc = answer[2] ?? 0;
  const message = `${name}: refused with NRC 0x${hexByte(nrc)} (${nrcText(nrc)})`;
  return new Fault("ecuRefused", message, { nrc, sid: answer[1] });
}
