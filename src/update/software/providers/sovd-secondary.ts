/**
 * Another SOVD server with `/updates`. The image is handed on by range, so that a cut costs no more than a segment; everything after is
 * the interface any client uses. A server of our own holds its trial until our verdict; of another we only learn that it is done.
 */
import { readFileSync } from "node:fs";
import type { Dispatcher } from "undici";
import { Fault, type FaultKind } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import { packageOf } from "../package.ts";
import type { TargetFacts, TargetFault, UpdateJob, UpdateProvider } from "../provider.ts";
import { sleep } from "../sleep.ts";
import { percentOf } from "./files.ts";
import { faultOf } from "./uds-flash.ts";

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

export interface SecondaryOptions {
  readonly targetOf: (component: string) => SecondaryTarget | undefined;
  readonly clock: Clock;
  readonly token: string | undefined;
  /** PEM files of mutual TLS. */
  readonly tls: TlsFiles | undefined;
  readonly timeoutMs: number;
  readonly pollMs: number;
  /** The other node rolls back by itself when it hears no verdict for so long. */
  readonly watchdogMs: number;
}

/** Category of what is handed on. */
export const RELAYED = "x-relayed";
const PART_BYTES = 4 << 20;

interface Answer {
  readonly status: number;
  readonly json: Readonly<Record<string, unknown>>;
}

interface RemoteStatus {
  readonly phase?: string;
  readonly status?: string;
  readonly progress?: number;
  readonly "x-state"?: string;
  readonly "x-medkit"?: { readonly phase?: string };
  readonly error?: string | { readonly message?: string };
}

/** States in which the other node has rolled back, or never began. */
const OLD: ReadonlySet<string> = new Set(["rolledBack", "failed", "registered", "absent"]);
const NEW: ReadonlySet<string> = new Set(["committed", "closing", "completed"]);

export class SovdSecondaryProvider implements UpdateProvider {
  readonly kind = "sovd-secondary";
  readonly #options: SecondaryOptions;
  /** Made at first use: loading the client costs a start more than all else that an update needs. */
  #agent: Dispatcher | undefined;
  readonly #connect: object;

  constructor(options: SecondaryOptions) {
    this.#options = options;
    this.#connect = readTls(options.tls);
  }

  async describe(component: string, signal: AbortSignal): Promise<TargetFacts> {
    const remote = this.#target(component);
    const { json } = await this.#ask(component, "GET", `/components/${remote.component}/x-medkit-update`, signal);
    const text = (name: string) => (typeof json[name] === "string" ? (json[name] as string) : undefined);
    const number = (name: string) => (typeof json[name] === "number" ? (json[name] as number) : undefined);
    const [hardwareId, serial, version] = [text("ecu_hardware_id"), text("ecu_serial"), text("current_version")];
    const [freeBytes, verdictTimeoutMs] = [number("free_bytes"), number("verdict_timeout_ms")];
    return {
      supportsRollback: json.supports_rollback === true,
      supportsTrial: json.supports_trial !== false,
      ...(hardwareId === undefined ? {} : { hardwareId }),
      ...(serial === undefined ? {} : { serial }),
      ...(version === undefined ? {} : { version }),
      ...(freeBytes === undefined ? {} : { freeBytes }),
      ...(verdictTimeoutMs === undefined ? {} : { verdictTimeoutMs }),
    };
  }

  async prepare(job: UpdateJob): Promise<void> {
    const state = await this.#stateOf(job);
    if (!(await this.#isOurs(job)) || OLD.has(state)) {
      const uri = job.artifact === undefined ? undefined : await this.#relay(job);
      await this.#register(job, uri);
      await this.#put(job, "prepare");
    }
    await this.#until(job, (status) => (isPrepared(status) ? true : status.status === "failed" ? "failed" : false));
  }

  async execute(job: UpdateJob): Promise<void> {
    const state = await this.#stateOf(job);
    if (state === "prepared") await this.#put(job, "execute");
    else if (OLD.has(state)) throw new Fault("conflict", `${state}, cannot be executed`);
    await this.#until(job, (status) => {
      if (status.status === "failed") return "failed";
      return status["x-state"] === "awaitingVerdict" || status.status === "completed"
        ? status.phase !== "prepare"
        : false;
    });
  }

  async verify(job: UpdateJob): Promise<void> {
    const status = await this.#statusOf(job);
    const state = status === undefined ? "absent" : stateOf(status);
    if (state === "awaitingVerdict" || state === "done" || NEW.has(state)) return;
    throw new Fault("conflict", `no longer on trial, ${state}: ${errorOf(status ?? {})}`);
  }

  async commit(job: UpdateJob): Promise<void> {
    const state = await this.#stateOf(job);
    if (state === "done" || NEW.has(state)) return;
    await this.#put(job, "x-commit");
    await this.#until(job, (status) => {
      const now = stateOf(status);
      return NEW.has(now) ? true : OLD.has(now) || now === "rollingBack" ? "failed" : false;
    });
  }

  async close(job: UpdateJob): Promise<void> {
    const state = await this.#stateOf(job);
    if (state === "committed") await this.#put(job, "x-close");
  }

  async rollback(job: UpdateJob): Promise<void> {
    const state = await this.#stateOf(job);
    if (OLD.has(state)) return;
    if (state !== "rollingBack") await this.#put(job, "x-rollback");
    await this.#until(job, (status) => {
      const now = stateOf(status);
      return OLD.has(now) ? true : now === "needsService" ? "failed" : false;
    });
  }

  async cancel(job: UpdateJob): Promise<void> {
    await this.#put(job, "x-rollback");
  }

  async faults(component: string, signal: AbortSignal): Promise<readonly TargetFault[]> {
    const path = `/components/${this.#target(component).component}/faults`;
    const { status, json } = await this.#send(component, "GET", path, { signal });
    if (status === 404) return [];
    if (status !== 200) throw new Fault("notResponding", `${component}: faults answer ${status}`);
    return ((json.items ?? []) as Parameters<typeof faultOf>[0][]).map(faultOf);
  }

  async dispose(): Promise<void> {
    await this.#agent?.close();
  }

  /** Sends what the other node does not have yet; a part that was lost on the way is sent again. */
  async #relay(job: UpdateJob): Promise<string> {
    const artifact = job.artifact!;
    const { component } = this.#target(job.component);
    const id = `${artifact.sha256.slice(0, 32)}`;
    const path = `/components/${component}/bulk-data/${RELAYED}/${id}`;
    for (;;) {
      const there = await this.#send(job.component, "GET", `${path}/x-upload`, { signal: job.signal });
      const {
        offset = 0,
        complete = false,
        sha256,
      } = there.json as { offset?: number; complete?: boolean; sha256?: string };
      if (complete && sha256 === artifact.sha256) return path;
      const from = complete ? 0 : offset;
      const { value: part, done } = await partOf(artifact.read(from)).next();
      const bytes = done === true ? new Uint8Array(0) : part;
      const range = `bytes ${from}-${Math.max(from, from + bytes.byteLength - 1)}/${artifact.sizeBytes}`;
      const headers = {
        "content-type": "application/octet-stream",
        "content-disposition": `attachment; filename="${artifact.name.replace(/[^\w.-]/g, "_")}"`,
        ...(artifact.sizeBytes === 0 ? {} : { "content-range": range }),
      };
      await this.#ask(job.component, "PUT", path, job.signal, { headers, body: bytes });
      job.progress({ percent: percentOf(from + bytes.byteLength, artifact.sizeBytes), step: "relay" });
    }
  }

  async #register(job: UpdateJob, uri: string | undefined): Promise<void> {
    const { component } = this.#target(job.component);
    const coordinated = job.package.rollback_policy === "coordinated";
    const own = this.#options.watchdogMs;
    // no longer than the other node is ready to wait
    const { verdictTimeoutMs = own } = coordinated ? await this.describe(job.component, job.signal) : {};
    const manifest = renamed(job, component);
    const body = {
      id: job.campaign,
      update_name: job.package.update_name,
      origins: ["proximity"],
      automated: false,
      rollback_policy: coordinated ? "coordinated" : "independent",
      updated_components: [component],
      ...(uri === undefined ? {} : { artifact_uri: uri }),
      ...(job.toVersion === undefined ? {} : { target_version: job.toVersion }),
      ...manifest,
      "x-relay": relayOf(job),
      "x-update-method": packageOf(job).method,
      ...(coordinated ? { "x-orchestrator": { watchdog_ms: Math.min(own, verdictTimeoutMs) } } : {}),
    };
    const headers = { "content-type": "application/json" };
    await this.#ask(job.component, "POST", "/updates", job.signal, { headers, body: JSON.stringify(body) });
  }

  /** Whether the other node's package is that of this very attempt. */
  async #isOurs(job: UpdateJob): Promise<boolean> {
    const { status, json } = await this.#send(job.component, "GET", `/updates/${job.campaign}`, { signal: job.signal });
    return status === 200 && json["x-relay"] === relayOf(job);
  }

  async #put(job: UpdateJob, verb: string): Promise<void> {
    await this.#ask(job.component, "PUT", `/updates/${job.campaign}/${verb}`, job.signal);
  }

  async #stateOf(job: UpdateJob): Promise<string> {
    const status = await this.#statusOf(job);
    return status === undefined ? "absent" : stateOf(status);
  }

  /** Undefined when the other node does not know the update. */
  async #statusOf(job: UpdateJob): Promise<RemoteStatus | undefined> {
    const path = `/updates/${job.campaign}/status`;
    const { status, json } = await this.#send(job.component, "GET", path, { signal: job.signal });
    if (status === 404) return undefined;
    if (status !== 200) throw new Fault("notResponding", `the status answers ${status}`);
    return json as RemoteStatus;
  }

  /** Polls until `done` says true, or "failed". A server that is away for a while is waited for. */
  async #until(job: UpdateJob, done: (status: RemoteStatus) => boolean | "failed"): Promise<void> {
    const { clock, pollMs } = this.#options;
    for (;;) {
      const path = `/updates/${job.campaign}/status`;
      const answer = await this.#send(job.component, "GET", path, { signal: job.signal }).catch((error: unknown) => {
        if (job.signal.aborted) throw error;
        return undefined;
      });
      if (answer?.status === 404) throw new Fault("conflict", "the node has forgotten the update");
      if (answer?.status === 200) {
        const status = answer.json as RemoteStatus;
        if (status.progress !== undefined) job.progress({ percent: status.progress, step: stateOf(status) });
        const verdict = done(status);
        if (verdict === true) return;
        if (verdict === "failed") throw new Fault("conflict", errorOf(status));
      }
      await sleep(clock, pollMs, job.signal);
    }
  }

  /** A call that has to succeed. */
  async #ask(
    component: string,
    method: "GET" | "PUT" | "POST",
    path: string,
    signal: AbortSignal,
    content: { headers?: Record<string, string>; body?: Uint8Array | string } = {},
  ): Promise<Answer> {
    const answer = await this.#send(component, method, path, { signal, ...content });
    if (answer.status < 300) return answer;
    const message = typeof answer.json.message === "string" ? answer.json.message : `answer ${answer.status}`;
    throw new Fault(kindOf(answer), `${component}: ${message}`);
  }

  async #send(
    component: string,
    method: "GET" | "PUT" | "POST",
    path: string,
    options: { signal: AbortSignal; headers?: Record<string, string>; body?: Uint8Array | string },
  ): Promise<Answer> {
    const { url, token = this.#options.token, dispatcher: own } = this.#target(component);
    const { timeoutMs } = this.#options;
    const headers = { ...options.headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
    try {
      const { Agent, request } = await import("undici");
      this.#agent ??= new Agent({ connect: this.#connect, connections: 4 });
      const { statusCode, body } = await request(`${url}${path}`, {
        method,
        headers,
        signal: AbortSignal.any([options.signal, AbortSignal.timeout(timeoutMs)]),
        dispatcher: (await own?.()) ?? this.#agent,
        ...(options.body === undefined ? {} : { body: options.body }),
      });
      const text = await body.text();
      return { status: statusCode, json: text === "" ? {} : (JSON.parse(text) as Answer["json"]) };
    } catch (error) {
      throw new Fault("notResponding", `${component} at ${url}: ${(error as Error).message}`, undefined, error);
    }
  }

  #target(component: string): SecondaryTarget {
    const target = this.#options.targetOf(component);
    if (target === undefined) throw new Fault("notResponding", `No node is known that has component ${component}`);
    return target;
  }
}

/** A refusal is a refusal; anything about the other server itself is a reason to ask again. */
function kindOf({ status, json }: Answer): FaultKind {
  if (json.error_code === "invalid-signature") return "invalidSignature";
  if (status >= 500 || status === 408 || status === 429) return "notResponding";
  return status === 400 || status === 415 || status === 422 ? "invalidData" : "conflict";
}

function relayOf({ attempt, artifact }: UpdateJob): string {
  return `${attempt}:${artifact?.sha256 ?? ""}`;
}

/** The manifest as it was signed, when the other node calls the component the same; else the target's part under its own name. */
function renamed({ signed, component }: UpdateJob, remote: string): Record<string, unknown> {
  if (signed?.manifest === undefined || component !== remote) return {};
  if (signed.tuf !== undefined) return { "x-tuf": signed.tuf };
  return {
    "x-manifest": signed.manifest,
    ...(signed.signatures.length === 0 ? {} : { "x-signature": signed.signatures.map((sig) => ({ sig })) }),
  };
}

/** Ours, or what the state must be where the other server does not say. */
function stateOf(status: RemoteStatus): string {
  const own = status["x-state"];
  if (own !== undefined) return own;
  const medkit = status["x-medkit"]?.phase;
  if (status.status === "failed") return "failed";
  if (medkit === "prepared" || (status.phase === "prepare" && status.status === "completed")) return "prepared";
  if (medkit === "executed" || status.status === "completed") return "done";
  return medkit === "none" || status.status === "pending" ? "registered" : "executing";
}

function isPrepared(status: RemoteStatus): boolean {
  return stateOf(status) === "prepared";
}

function errorOf({ error }: RemoteStatus): string {
  return (typeof error === "string" ? error : error?.message) ?? "failed";
}

async function* partOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    parts.push(chunk);
    size += chunk.byteLength;
    if (size >= PART_BYTES) break;
  }
  if (size > 0) yield Buffer.concat(parts);
}
