/** HTTP to other nodes. What they answer is bounded in bytes and in time, and believed in nothing: a node may be broken, or lie. */
import { readFileSync } from "node:fs";
import type { Dispatcher } from "undici";
import { gathered } from "#core/bytes.ts";
import { Fault, type FaultKind, reasonOf } from "#core/errors.ts";
import { parsedObject } from "#core/json.ts";
import { retryAfterMs } from "#core/retry-after.ts";
import type { Clock } from "#core/time.ts";
import { sleep } from "#update/software/sleep.ts";

export interface SecondaryTarget {
  /** Base path of the other server, e.g. `http://10.0.0.2:20002/api/v1`. */
  readonly url: string;
  /** What the other server calls the component. */
  readonly component: string;
  /** Default: that of all secondaries. */
  readonly token?: string;
  /** Connects to a node that was announced. */
  readonly dispatcher?: () => Promise<Dispatcher>;
}

/** PEM files. */
export interface TlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** What an HTTP client needs to connect. */
export function readTls(tls: TlsFiles | undefined): object {
  const read = (file: string | undefined) => (file === undefined ? undefined : readFileSync(file));
  return tls === undefined ? {} : { ca: read(tls.ca), cert: read(tls.cert), key: read(tls.key) };
}

export interface ClientOptions {
  readonly clock: Clock;
  readonly token: string | undefined;
  /** PEM files of mutual TLS. */
  readonly tls: TlsFiles | undefined;
  /** For a whole answer; of an upload for each silence within it. */
  readonly timeoutMs: number;
}

export type Method = "GET" | "PUT" | "POST" | "DELETE";

export interface Content {
  readonly headers?: Readonly<Record<string, string>>;
  /** Text at once; bytes as they come, of the length that the headers say. */
  readonly body?: string | AsyncIterable<Uint8Array>;
}

export interface Answer {
  readonly status: number;
  /** Empty for an answer without body. */
  readonly json: Readonly<Record<string, unknown>>;
  /** How long the server wants not to be asked again. */
  readonly retryMs?: number | undefined;
}

const MAX_ANSWER_BYTES = 4 << 20;

export class SecondaryClient {
  readonly #options: ClientOptions;
  readonly #connect: object;
  /** Made at first use: loading the client costs a start more than all else that an update needs. */
  #agent: Dispatcher | undefined;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#connect = readTls(options.tls);
  }

  /** A call that has to succeed. @throws Fault */
  async ask(
    target: SecondaryTarget,
    method: Method,
    path: string,
    signal: AbortSignal,
    content?: Content,
  ): Promise<Answer> {
    return this.demand(target, await this.send(target, method, path, signal, content));
  }

  /** @throws Fault for an answer that is none of success */
  demand({ component }: SecondaryTarget, answer: Answer): Answer {
    const { status, json } = answer;
    if (status < 300) return answer;
    const other = `answer ${status}${status < 400 ? ", which is not followed" : ""}`;
    throw new Fault(kindOf(answer), `${component}: ${typeof json.message === "string" ? json.message : other}`);
  }

  /**
   * Any answer. A node that says when to come again, such as one that has just been started, is asked then, as long as one answer may
   * take; bytes as they come cannot come twice. Redirects are not followed: the token is for this server. @throws Fault notResponding
   */
  async send(
    target: SecondaryTarget,
    method: Method,
    path: string,
    signal: AbortSignal,
    content: Content = {},
  ): Promise<Answer> {
    const { clock, timeoutMs } = this.#options;
    const untilMs = clock.now() + timeoutMs;
    for (;;) {
      const answer = await this.#once(target, method, path, signal, content);
      const { retryMs } = answer;
      if (retryMs === undefined || clock.now() + retryMs >= untilMs || typeof content.body === "object") return answer;
      await sleep(clock, retryMs, signal);
    }
  }

  async #once(
    target: SecondaryTarget,
    method: Method,
    path: string,
    signal: AbortSignal,
    content: Content,
  ): Promise<Answer> {
    const { url, token = this.#options.token, dispatcher: own } = target;
    const { timeoutMs } = this.#options;
    const isUpload = typeof content.body === "object";
    const headers = { ...content.headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
    try {
      const { Agent, request } = await import("undici");
      this.#agent ??= new Agent({ connect: this.#connect, connections: 4 });
      const answer = await request(`${url}${path}`, {
        method,
        headers,
        signal: isUpload ? signal : AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        dispatcher: (await own?.()) ?? this.#agent,
        ...(content.body === undefined ? {} : { body: content.body as string }),
      });
      const { statusCode: status } = answer;
      return { status, json: await objectOf(answer.body), retryMs: retryAfterMs(status, answer.headers) };
    } catch (error) {
      throw new Fault("notResponding", `${target.component} at ${url}: ${reasonOf(error)}`, undefined, error);
    }
  }

  async close(): Promise<void> {
    await this.#agent?.close();
  }
}

/** @throws Error for what is too long; anything that is no object of JSON is an empty one */
export async function objectOf(body: AsyncIterable<Uint8Array>): Promise<Answer["json"]> {
  const tooLong = () => new Error(`answers more than ${MAX_ANSWER_BYTES} bytes`);
  const bytes = await gathered(body, MAX_ANSWER_BYTES, tooLong);
  return parsedObject(bytes.toString()) ?? {};
}

/** Somebody else writes there: ourselves, over a connection that the other server does not know to be dead. */
const BUSY = "storage-transaction-busy";

/**
 * A refusal is a refusal; anything about the other server itself, or our token there, is a reason to ask again. So is a range (416) behind
 * what such a connection still brought.
 */
function kindOf({ status, json }: Answer): FaultKind {
  if (json.error_code === "invalid-signature") return "invalidSignature";
  if (status >= 500 || [401, 403, 408, 416, 429].includes(status) || json.vendor_code === BUSY) return "notResponding";
  return status === 400 || status === 415 || status === 422 ? "invalidData" : "conflict";
}
