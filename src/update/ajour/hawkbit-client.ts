/** Requests of hawkBit's Direct Device Integration API for one controller. The token goes to that server and nowhere else. */
import type { Response } from "undici";
import { Fault } from "#core/errors.ts";
import { JSON_TYPE } from "#core/media-types.ts";
import { jsonOf, requireOk, resumed, send } from "./download.ts";

export interface HawkbitServer {
  /** Without the path of the API. */
  readonly url: string;
  readonly tenant: string;
  readonly controller: string;
  /** `TargetToken …` or `GatewayToken …`; empty: none. */
  readonly authorization: string;
  readonly timeoutMs: number;
}

export type Execution = "proceeding" | "downloaded" | "closed" | "rejected";
export type Finished = "success" | "failure" | "none";

export interface Feedback {
  readonly execution: Execution;
  readonly finished: Finished;
  readonly progress?: { readonly cnt: number; readonly of: number };
  /** For people. */
  readonly details?: readonly string[];
}

type Json = Record<string, unknown>;
type Links = Readonly<Record<string, { readonly href?: string } | undefined>>;

const NOT_MODIFIED = 304;
/** The action is over on the server, or was never there. */
const GONE: ReadonlySet<number> = new Set([404, 410]);

export class HawkbitClient {
  readonly #server: HawkbitServer;
  readonly #base: string;
  #known: { readonly etag: string; readonly base: Json } | undefined;

  constructor(server: HawkbitServer) {
    this.#server = server;
    const { url, tenant, controller } = server;
    this.#base = `${url.replace(/\/+$/, "")}/${encodeURIComponent(tenant)}/controller/v1/${encodeURIComponent(controller)}`;
  }

  /** The controller's own resource: what there is to do. */
  async base(signal: AbortSignal): Promise<Json> {
    const known = this.#known;
    const response = await this.#ask(this.#base, signal, known === undefined ? {} : { "if-none-match": known.etag });
    if (response.status === NOT_MODIFIED && known !== undefined) {
      await response.body?.cancel();
      return known.base;
    }
    requireOk(response);
    const base = await jsonOf(response);
    const etag = response.headers.get("etag");
    this.#known = etag === null ? undefined : { etag, base };
    return base;
  }

  /** What a link of the server names. @throws Fault invalidData for a link elsewhere */
  async follow(href: string, signal: AbortSignal): Promise<Json> {
    const own = URL.canParse(href) && new URL(href).origin === new URL(this.#base).origin;
    if (!own) throw new Fault("invalidData", `hawkBit links to another server: ${href}`);
    const response = await this.#ask(href, signal);
    requireOk(response);
    return jsonOf(response);
  }

  /** Resolves with whether the action still goes on there. */
  feedback(
    resource: "deploymentBase" | "cancelAction",
    action: string,
    { execution, finished, progress, details = [] }: Feedback,
    signal: AbortSignal,
  ): Promise<boolean> {
    const status = { execution, result: { finished, ...(progress && { progress }) }, details };
    return this.#tell("POST", `${resource}/${encodeURIComponent(action)}/feedback`, { status }, signal);
  }

  confirm(action: string, confirmation: "confirmed" | "denied", signal: AbortSignal): Promise<boolean> {
    const path = `confirmationBase/${encodeURIComponent(action)}/feedback`;
    return this.#tell("POST", path, { confirmation, details: ["by configuration"] }, signal);
  }

  /** Attributes of the controller; others stay. */
  putAttributes(data: Readonly<Record<string, string>>, signal: AbortSignal): Promise<boolean> {
    return this.#tell("PUT", "configData", { mode: "merge", data }, signal);
  }

  /** Bytes of an artifact from `offset` on. */
  download(href: string, offset: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    // artifacts may be elsewhere, and then the token is none of their business
    const own = new URL(href).origin === new URL(this.#base).origin;
    const headers = own ? this.#headers() : {};
    const { timeoutMs } = this.#server;
    return resumed((more) => send(href, { headers: { ...headers, ...more }, signal, timeoutMs }), offset, signal);
  }

  #ask(url: string, signal: AbortSignal, more: Readonly<Record<string, string>> = {}): Promise<Response> {
    const headers = { ...this.#headers(), accept: JSON_TYPE, ...more };
    return send(url, { headers, signal, timeoutMs: this.#server.timeoutMs });
  }

  async #tell(method: "POST" | "PUT", path: string, about: object, signal: AbortSignal): Promise<boolean> {
    const response = await send(`${this.#base}/${path}`, {
      method,
      headers: { ...this.#headers(), "content-type": JSON_TYPE },
      body: JSON.stringify({ timestamp: Date.now(), ...about }),
      signal,
      timeoutMs: this.#server.timeoutMs,
    });
    await response.body?.cancel();
    if (GONE.has(response.status)) return false;
    requireOk(response);
    return true;
  }

  #headers(): Record<string, string> {
    return this.#server.authorization === "" ? {} : { authorization: this.#server.authorization };
  }
}

/** Where a HAL document links to. */
export function linkOf({ _links }: Json, name: string): string | undefined {
  return (_links as Links | undefined)?.[name]?.href;
}

/** `config.polling.sleep`, "HH:mm:ss", at least a second. */
export function pollMs(base: Json): number | undefined {
  const sleep = (base.config as { polling?: { sleep?: unknown } } | undefined)?.polling?.sleep;
  const [, hours, minutes, seconds] = /^(\d{1,3}):(\d{2}):(\d{2})$/.exec(String(sleep)) ?? [];
  if (seconds === undefined) return undefined;
  return Math.max(1, (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1_000;
}
