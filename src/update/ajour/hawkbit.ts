/**
 * Firmware from Eclipse hawkBit by its Direct Device Integration API: one controller, polled at the pace it asks for. What the device
 * makes of it goes back as feedback; only `closed` ends an action there.
 */
import { Fault } from "#core/errors.ts";
import type { Report } from "./desk.ts";
import { jsonOf, requireOk, resumed, send } from "./download.ts";
import { offsetOf } from "./next.ts";
import type { FirmwareSource, Offer } from "./sources.ts";

export interface HawkbitOptions {
  /** Without the path of the API. */
  readonly url: string;
  readonly tenant: string;
  readonly controller: string;
  /** `TargetToken …` or `GatewayToken …`. */
  readonly authorization: string;
  readonly timeoutMs: number;
  /** Pace when the server names none. */
  readonly pollMs: number;
  readonly onProblem: (problem: unknown) => void;
}

type Execution = "proceeding" | "closed";
type Finished = "success" | "failure" | "none";

interface Action {
  readonly id: string;
  readonly offer: Offer;
  /** In tenths, so that not every block is a request. */
  told: number;
  /** `swap` was answered, and the device has not come back with the new version. */
  swapping: boolean;
  closed: boolean;
}

const PERCENT_STEP = 10;
/** Times a device may drop an image before the action has failed. */
const MAX_REFUSALS = 3;

interface Artifact {
  readonly filename?: string;
  readonly hashes?: { readonly sha256?: string };
  readonly _links?: Record<string, { readonly href?: string } | undefined>;
}

export class HawkbitSource implements FirmwareSource {
  readonly #options: HawkbitOptions;
  readonly #base: string;
  #action: Action | undefined;
  #refusals = 0;
  #signal: AbortSignal | undefined;
  #feedback: Promise<unknown> = Promise.resolve();

  constructor(options: HawkbitOptions) {
    this.#options = options;
    const { url, tenant, controller } = options;
    this.#base = `${url.replace(/\/+$/, "")}/${encodeURIComponent(tenant)}/controller/v1/${encodeURIComponent(controller)}`;
  }

  async look(signal: AbortSignal): Promise<Offer | undefined> {
    this.#signal = signal;
    const base = await this.#get(this.#base, signal);
    const links = (base._links ?? {}) as Record<string, { readonly href?: string } | undefined>;
    const validMs = pollMs(base) ?? this.#options.pollMs;
    if (links.cancelAction?.href !== undefined) await this.#cancel(links.cancelAction.href, signal);
    const href = links.deploymentBase?.href;
    if (href === undefined) return this.#action === undefined ? undefined : { ...this.#action.offer, validMs };
    const deployment = await this.#get(this.#own(href), signal);
    const id = String(deployment.id ?? "");
    if (this.#action?.id !== id) {
      const offer = this.#offerOf(deployment, validMs);
      this.#action = { id, offer, told: -1, swapping: false, closed: false };
      this.#refusals = 0;
    }
    return { ...this.#action.offer, validMs };
  }

  note({ status, answer, image }: Report): void {
    const action = this.#action;
    if (action === undefined || action.closed || image?.sha256 !== action.offer.sha256) return;
    if (answer === "sync") this.#close(action, "success");
    else if (answer === "swap") action.swapping = true;
    else if (answer === "write") {
      if (action.swapping && ++this.#refusals >= MAX_REFUSALS) {
        this.#close(action, "failure");
        return;
      }
      action.swapping = false;
      this.#progress(action, offsetOf(status, image), image.sizeBytes);
    }
  }

  #progress(action: Action, offset: number, sizeBytes: number): void {
    const tenths = Math.floor((100 * offset) / sizeBytes / PERCENT_STEP);
    if (tenths <= action.told) return;
    action.told = tenths;
    this.#tell(action.id, "proceeding", "none", { cnt: offset, of: sizeBytes });
  }

  #close(action: Action, finished: Finished): void {
    action.closed = true;
    this.#tell(action.id, "closed", finished);
  }

  #tell(id: string, execution: Execution, finished: Finished, progress?: { cnt: number; of: number }): void {
    const url = `${this.#base}/deploymentBase/${encodeURIComponent(id)}/feedback`;
    this.#feedback = this.#feedback
      .then(() => this.#post(url, { execution, result: { finished, ...(progress && { progress }) }, details: [] }))
      .catch(this.#options.onProblem);
  }

  /** The deployment is withdrawn: nothing of it is served any more. */
  async #cancel(href: string, signal: AbortSignal): Promise<void> {
    const cancel = await this.#get(this.#own(href), signal);
    const stopId = String((cancel.cancelAction as { stopId?: unknown } | undefined)?.stopId ?? "");
    const withdrawn = this.#action?.id === stopId && !this.#action.closed;
    if (withdrawn) this.#action = undefined;
    const id = encodeURIComponent(String(cancel.id ?? stopId));
    const status = { execution: "closed", result: { finished: "success" }, details: [] };
    await this.#post(`${this.#base}/cancelAction/${id}/feedback`, status);
  }

  async #post(url: string, status: object): Promise<void> {
    const response = await send(url, {
      method: "POST",
      headers: { ...this.#headers(), "content-type": "application/json" },
      body: JSON.stringify({ timestamp: Date.now(), status }),
      signal: this.#signal ?? new AbortController().signal,
      timeoutMs: this.#options.timeoutMs,
    });
    await response.body?.cancel();
    // 410: the action is over already
    if (response.status !== 410) requireOk(response);
  }

  #offerOf(deployment: Record<string, unknown>, validMs: number): Offer {
    const chunks = (deployment.deployment as { chunks?: unknown } | undefined)?.chunks;
    const [chunk] = Array.isArray(chunks) ? (chunks as { version?: unknown; artifacts?: unknown }[]) : [];
    const [artifact] = Array.isArray(chunk?.artifacts) ? (chunk.artifacts as Artifact[]) : [];
    const sha256 = artifact?.hashes?.sha256?.toLowerCase() ?? "";
    const href = artifact?._links?.download?.href ?? artifact?._links?.["download-http"]?.href;
    if (typeof chunk?.version !== "string" || href === undefined || !/^[0-9a-f]{64}$/.test(sha256)) {
      throw new Fault(
        "invalidData",
        `The deployment ${String(deployment.id)} has no artifact with version and SHA-256`,
      );
    }
    return {
      name: artifact?.filename ?? "firmware",
      version: Buffer.from(chunk.version),
      sha256,
      validMs,
      fetch: (signal, offset) => this.#download(href, signal, offset),
    };
  }

  #download(href: string, signal: AbortSignal, offset: number): AsyncGenerator<Uint8Array> {
    // artifacts may be elsewhere, and then the token is none of their business
    const own = new URL(href).origin === new URL(this.#base).origin;
    const headers = own ? this.#headers() : {};
    const { timeoutMs } = this.#options;
    const open = (more: object) => send(href, { headers: { ...headers, ...more }, signal, timeoutMs });
    return resumed(open, offset, signal);
  }

  async #get(url: string, signal: AbortSignal): Promise<Record<string, unknown>> {
    const headers = { ...this.#headers(), accept: "application/json" };
    const response = await send(url, { headers, signal, timeoutMs: this.#options.timeoutMs });
    requireOk(response);
    return jsonOf(response);
  }

  #headers(): Record<string, string> {
    return this.#options.authorization === "" ? {} : { authorization: this.#options.authorization };
  }

  /** A link of the server's own. The token goes nowhere else. @throws Fault invalidData */
  #own(href: string): string {
    if (URL.canParse(href) && new URL(href).origin === new URL(this.#base).origin) return href;
    throw new Fault("invalidData", `hawkBit links to another server: ${href}`);
  }
}

/** `config.polling.sleep`, "HH:mm:ss". */
export function pollMs(base: Record<string, unknown>): number | undefined {
  const sleep = (base.config as { polling?: { sleep?: unknown } } | undefined)?.polling?.sleep;
  const [, hours, minutes, seconds] = /^(\d{1,3}):(\d{2}):(\d{2})$/.exec(String(sleep)) ?? [];
  if (seconds === undefined) return undefined;
  return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1_000;
}
