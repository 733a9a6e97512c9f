/**
 * Firmware from Eclipse hawkBit by its Direct Device Integration API: one controller, asked at the pace that it names. A deployment is what
 * the device shall have; how far the device may go with it is the deployment's word; what the device makes of it goes back as
 * feedback, and only `closed` ends an action there.
 */
import { Fault } from "#core/errors.ts";
import type { Report } from "./desk.ts";
import { type Feedback, HawkbitClient, type HawkbitServer, linkOf, pollMs } from "./hawkbit-client.ts";
import { type Gate, offsetOf, versionText } from "./next.ts";
import type { FirmwareSource, Nothing, Offer } from "./sources.ts";

export interface HawkbitOptions extends HawkbitServer {
  /** Pace when the server names none. */
  readonly pollMs: number;
  /** What is said to deployments that want a confirmation; `leave`: nothing, somebody else does. */
  readonly confirmation: "leave" | "confirmed" | "denied";
  readonly onProblem: (problem: unknown) => void;
}

interface Action {
  readonly id: string;
  readonly offer: Omit<Offer, "validMs" | "gate">;
  /** Undefined: not even to be downloaded. */
  gate: Gate | undefined;
  /** Tenths of the image, so that not every block is a request; `DOWNLOADED` when it is whole. */
  told: number;
  /** `swap` was answered, and the device has not come back with the new version. */
  swapping: boolean;
  outcome: "success" | "failure" | undefined;
}

const PERCENT_STEP = 10;
const DOWNLOADED = 11;
/** Times a device may drop an image before the action has failed. */
const MAX_REFUSALS = 3;

type Json = Record<string, unknown>;
interface Artifact {
  readonly filename?: string;
  readonly hashes?: { readonly sha256?: string };
}

export class HawkbitSource implements FirmwareSource {
  readonly #options: HawkbitOptions;
  readonly #client: HawkbitClient;
  #action: Action | undefined;
  #refusals = 0;
  #version: string | undefined;
  #signal = new AbortController().signal;
  #feedback: Promise<void> = Promise.resolve();

  constructor(options: HawkbitOptions) {
    this.#options = options;
    this.#client = new HawkbitClient(options);
  }

  async look(signal: AbortSignal): Promise<Offer | Nothing> {
    this.#signal = signal;
    await this.#feedback;
    const base = await this.#client.base(signal);
    await this.#obey(base, signal);
    // what was installed before is still wanted: a device may have been exchanged since
    const href = linkOf(base, "deploymentBase");
    const installed = href === undefined && this.#action === undefined ? linkOf(base, "installedBase") : undefined;
    const link = href ?? installed;
    if (link !== undefined) this.#take(await this.#client.follow(link, signal), installed !== undefined);
    const action = this.#action;
    const validMs = pollMs(base) ?? this.#options.pollMs;
    if (action?.gate === undefined || action.outcome === "failure") return { validMs };
    return { ...action.offer, gate: action.gate, validMs };
  }

  note({ status, answer, image }: Report): void {
    this.#version = versionText(status.version);
    const action = this.#action;
    if (action === undefined || action.outcome !== undefined || image?.sha256 !== action.offer.sha256) return;
    const offset = offsetOf(status, image);
    if (answer === "sync") this.#close(action, "success");
    else if (answer === "swap") {
      this.#progress(action, offset, image.sizeBytes);
      action.swapping = true;
    } else if (answer === "wait") this.#progress(action, offset, image.sizeBytes);
    else if (answer === "write") {
      if (action.swapping && ++this.#refusals >= MAX_REFUSALS) {
        this.#close(action, "failure");
        return;
      }
      action.swapping = false;
      this.#progress(action, offset, image.sizeBytes);
    }
  }

  /** What the server asks for beside deployments. */
  async #obey(base: Json, signal: AbortSignal): Promise<void> {
    const { confirmation } = this.#options;
    const cancel = linkOf(base, "cancelAction");
    if (cancel !== undefined) await this.#cancel(await this.#client.follow(cancel, signal), signal);
    const confirm = linkOf(base, "confirmationBase");
    if (confirm !== undefined && confirmation !== "leave") {
      const waiting = await this.#client.follow(confirm, signal);
      if (waiting.id !== undefined) await this.#client.confirm(String(waiting.id), confirmation, signal);
    }
    if (linkOf(base, "configData") !== undefined && this.#version !== undefined) {
      await this.#client.putAttributes({ agent: "sovd-edge", version: this.#version }, signal);
    }
  }

  #take(document: Json, installed: boolean): void {
    const id = String(document.id ?? "");
    if (this.#action?.id !== id) {
      const outcome = installed ? "success" : undefined;
      this.#action = { id, offer: this.#offerOf(document), gate: "open", told: -1, swapping: false, outcome };
      this.#refusals = 0;
    } else if (!installed && this.#action.outcome !== undefined) {
      // the server has not heard it
      this.#close(this.#action, this.#action.outcome);
    }
    this.#action.gate = installed ? "open" : gateOf(document);
  }

  #progress(action: Action, offset: number, sizeBytes: number): void {
    const tenths = offset === sizeBytes ? DOWNLOADED : Math.floor((100 * offset) / sizeBytes / PERCENT_STEP);
    if (tenths <= action.told) return;
    action.told = tenths;
    const execution = tenths === DOWNLOADED ? "downloaded" : "proceeding";
    this.#tell(action, { execution, finished: "none", progress: { cnt: offset, of: sizeBytes } });
  }

  #close(action: Action, outcome: "success" | "failure"): void {
    action.outcome = outcome;
    this.#tell(action, { execution: "closed", finished: outcome });
  }

  /** One after the other: hawkBit keeps the order in which they come. */
  #tell(action: Action, feedback: Feedback): void {
    this.#feedback = this.#feedback
      .then(async () => {
        const goesOn = await this.#client.feedback("deploymentBase", action.id, feedback, this.#signal);
        // ended there, without us: nothing of it is served any more
        if (!goesOn && action.outcome === undefined && this.#action === action) this.#action = undefined;
      })
      .catch(this.#options.onProblem);
  }

  /** A deployment is withdrawn: nothing of it is served any more. A device that was told to swap cannot be called back. */
  async #cancel(document: Json, signal: AbortSignal): Promise<void> {
    const stopId = String((document.cancelAction as { stopId?: unknown } | undefined)?.stopId ?? "");
    const id = String(document.id ?? stopId);
    const action = this.#action?.id === stopId ? this.#action : undefined;
    if (action?.swapping === true || action?.outcome === "success") {
      const details = [`the device ${action.swapping ? "is starting" : "runs"} it already`];
      await this.#client.feedback("cancelAction", id, { execution: "rejected", finished: "none", details }, signal);
      return;
    }
    if (action !== undefined) this.#action = undefined;
    await this.#client.feedback("cancelAction", id, { execution: "closed", finished: "success" }, signal);
  }

  #offerOf(document: Json): Action["offer"] {
    const chunks = (document.deployment as { chunks?: unknown } | undefined)?.chunks;
    const [chunk] = Array.isArray(chunks) ? (chunks as { version?: unknown; artifacts?: unknown }[]) : [];
    const [artifact] = Array.isArray(chunk?.artifacts) ? (chunk.artifacts as (Artifact & Json)[]) : [];
    const sha256 = artifact?.hashes?.sha256?.toLowerCase() ?? "";
    const href = artifact && (linkOf(artifact, "download") ?? linkOf(artifact, "download-http"));
    if (typeof chunk?.version !== "string" || href === undefined || !/^[0-9a-f]{64}$/.test(sha256)) {
      throw new Fault("invalidData", `The deployment ${String(document.id)} has no artifact with version and SHA-256`);
    }
    return {
      name: artifact?.filename ?? "firmware",
      version: Buffer.from(chunk.version),
      sha256,
      fetch: (signal, offset) => this.#client.download(href, offset, signal),
    };
  }
}

/** How far a device may go: `attempt` and `forced` are both yes, and outside of its window nothing is started. */
function gateOf(document: Json): Gate | undefined {
  const { download, update, maintenanceWindow } = (document.deployment ?? {}) as Json;
  if (download === "skip") return undefined;
  return update === "skip" || maintenanceWindow === "unavailable" ? "download" : "open";
}
