/**
 * Another SOVD server with `/updates`. The image is handed on by range, so that a cut costs no more than a segment; everything after is
 * the interface any client uses. A server of our own holds its trial until our verdict; of another we only learn that it is done.
 */
import { createHash } from "node:crypto";
import { Fault } from "#core/errors.ts";
import { JSON_TYPE } from "#core/media-types.ts";
import { packageOf } from "#update/software/package.ts";
import {
  isUnreachable,
  type TargetFacts,
  type TargetFault,
  type UpdateJob,
  type UpdateProvider,
} from "#update/software/provider.ts";
import { sleep } from "#update/software/sleep.ts";
import {
  type Answer,
  type ClientOptions,
  type Content,
  type Method,
  SecondaryClient,
  type SecondaryTarget,
} from "./secondary-client.ts";
import { relay, whereRelayed } from "./secondary-relay.ts";
import { faultOf, type SovdFault } from "./sovd-fault.ts";

export interface SecondaryOptions extends ClientOptions {
  readonly targetOf: (component: string) => SecondaryTarget | undefined;
  readonly pollMs: number;
  /** The other node rolls back by itself when it hears no verdict for so long. */
  readonly watchdogMs: number;
}

/** States in which the other node has rolled back, or never began. */
const OLD: ReadonlySet<string> = new Set(["rolledBack", "failed", "registered", "absent"]);
const NEW: ReadonlySet<string> = new Set(["committed", "closing", "completed"]);
/** States beside the old ones in which a node lets go of an update: it does nothing more by itself, or its operator gives it up. */
const RESTING: ReadonlySet<string> = new Set(["prepared", "done", "completed", "partial", "needsService"]);

/** What is to be done about a state: nothing more, give up, wait, or a verb. */
type Move = "done" | "failed" | "wait" | "prepare" | "execute" | "x-commit" | "x-rollback";
/** `sent`: the verb was accepted already. */
type Decide = (state: string, sent: boolean) => Move;

const DECISIONS = {
  prepare: (state) => {
    if (state === "prepared") return "done";
    if (state === "registered") return "prepare";
    return OLD.has(state) || state === "needsService" ? "failed" : "wait";
  },
  execute: (state) => {
    if (state === "awaitingVerdict" || state === "done" || NEW.has(state)) return "done";
    if (state === "prepared") return "execute";
    return OLD.has(state) || state === "needsService" || state === "partial" ? "failed" : "wait";
  },
  commit: (state) => {
    if (state === "done" || NEW.has(state)) return "done";
    if (state === "awaitingVerdict") return "x-commit";
    return OLD.has(state) || state === "rollingBack" || state === "needsService" ? "failed" : "wait";
  },
  rollback: (state, sent) => {
    if (OLD.has(state)) return "done";
    if (state === "needsService" && sent) return "failed";
    return state === "rollingBack" ? "wait" : "x-rollback";
  },
  forget: (state) => {
    if (OLD.has(state) || RESTING.has(state)) return "done";
    return state === "awaitingVerdict" || state === "committed" ? "failed" : "wait";
  },
} satisfies Readonly<Record<string, Decide>>;

export class SovdSecondaryProvider implements UpdateProvider {
  readonly kind = "sovd-secondary";
  readonly #options: SecondaryOptions;
  readonly #client: SecondaryClient;

  constructor(options: SecondaryOptions) {
    this.#options = options;
    this.#client = new SecondaryClient(options);
  }

  async describe(component: string, signal: AbortSignal): Promise<TargetFacts> {
    const path = pathOf(this.#target(component));
    const { status, json } = await this.#send(component, "GET", `${path}/x-medkit-update`, signal);
    // a node of another make may have updates and not tell of them
    if (status !== 200) await this.#ask(component, "GET", status === 404 ? path : `${path}/x-medkit-update`, signal);
    const text = (name: string) => (typeof json[name] === "string" ? (json[name] as string) : undefined);
    const number = (name: string) => (typeof json[name] === "number" ? (json[name] as number) : undefined);
    const [hardwareId, serial, version] = [text("ecu_hardware_id"), text("ecu_serial"), text("current_version")];
    const [freeBytes, verdictTimeoutMs] = [number("free_bytes"), number("verdict_timeout_ms")];
    // only a node of ours knows the verbs of a verdict; it says whether it holds a trial
    const isOurs = typeof json.supports_trial === "boolean";
    return {
      supportsRollback: isOurs && json.supports_rollback === true,
      supportsTrial: json.supports_trial === true,
      ...(hardwareId === undefined ? {} : { hardwareId }),
      ...(serial === undefined ? {} : { serial }),
      ...(version === undefined ? {} : { version }),
      ...(freeBytes === undefined ? {} : { freeBytes }),
      ...(verdictTimeoutMs === undefined ? {} : { verdictTimeoutMs }),
    };
  }

  prepare(job: UpdateJob): Promise<void> {
    return this.#patiently(job, async () => {
      const [state, isOurs] = [await this.#stateOf(job), await this.#isOurs(job)];
      if (!isOurs) await this.#closeFormer(job);
      if (!isOurs || OLD.has(state)) await this.#handOn(job);
      await this.#drive(job, DECISIONS.prepare);
    });
  }

  execute(job: UpdateJob): Promise<void> {
    return this.#patiently(job, () => this.#drive(job, DECISIONS.execute));
  }

  async verify(job: UpdateJob): Promise<void> {
    const status = await this.#statusOf(job);
    const state = stateOf(status);
    if (state === "awaitingVerdict" || state === "done" || NEW.has(state)) return;
    throw new Fault("conflict", `no longer on trial: ${whyNot(this.#target(job.component), state, status)}`);
  }

  commit(job: UpdateJob): Promise<void> {
    return this.#drive(job, DECISIONS.commit);
  }

  async close(job: UpdateJob): Promise<void> {
    if ((await this.#stateOf(job)) === "committed") await this.#put(job, "x-close");
  }

  rollback(job: UpdateJob): Promise<void> {
    return this.#drive(job, DECISIONS.rollback);
  }

  async cancel(job: UpdateJob): Promise<void> {
    await this.#put(job, "x-rollback");
  }

  /** The package there, with which a node of ours drops its image; then what was handed on before a package said what it is. */
  forget(job: UpdateJob): Promise<void> {
    return this.#patiently(job, async () => {
      const known = await this.#find(job, updatePath(job));
      // another of that name is theirs who registered it there
      if (typeof known?.["x-relay"] === "string") {
        await this.#drive(job, DECISIONS.forget);
        await this.#remove(job, updatePath(job));
      }
      const image = whereRelayed(this.#target(job.component), job);
      if (image !== undefined) await this.#remove(job, image);
    });
  }

  async faults(component: string, signal: AbortSignal): Promise<readonly TargetFault[]> {
    const path = `${pathOf(this.#target(component))}/faults`;
    const { status, json } = await this.#send(component, "GET", path, signal);
    if (status === 404) return [];
    if (status !== 200) throw new Fault("notResponding", `${component}: faults answer ${status}`);
    return Array.isArray(json.items) ? (json.items as SovdFault[]).map(faultOf) : [];
  }

  async dispose(): Promise<void> {
    await this.#client.close();
  }

  /** One that was committed, and never heard in time that all have done so: another update of its component means that it is over. */
  async #closeFormer({ component, signal }: UpdateJob): Promise<void> {
    const path = `${pathOf(this.#target(component))}/x-medkit-update`;
    const { clock, pollMs } = this.#options;
    for (;;) {
      const { state, update } = (await this.#send(component, "GET", path, signal)).json;
      if (typeof update !== "string" || (state !== "committed" && state !== "closing")) return;
      if (state === "committed")
        await this.#ask(component, "PUT", `/updates/${encodeURIComponent(update)}/x-close`, signal);
      await sleep(clock, pollMs, signal);
    }
  }

  /** The image, then the package. */
  async #handOn(job: UpdateJob): Promise<void> {
    const { artifact } = job;
    const target = this.#target(job.component);
    const { clock, pollMs: pauseMs } = this.#options;
    const run = { client: this.#client, target, job, clock, pauseMs };
    await this.#register(job, artifact === undefined ? undefined : await relay({ ...run, artifact }));
  }

  async #register(job: UpdateJob, uri: string | undefined): Promise<void> {
    const { component } = this.#target(job.component);
    const coordinated = job.package.rollback_policy === "coordinated";
    const own = this.#options.watchdogMs;
    // no longer than the other node is ready to wait
    const { verdictTimeoutMs = own } = coordinated ? await this.describe(job.component, job.signal) : {};
    const body = {
      update_name: job.package.update_name ?? job.campaign,
      origins: ["proximity"],
      automated: false,
      rollback_policy: coordinated ? "coordinated" : "independent",
      updated_components: [component],
      ...(uri === undefined ? {} : { artifact_uri: uri }),
      ...(job.toVersion === undefined ? {} : { target_version: job.toVersion }),
      ...renamed(job, component),
      "x-relay": relayOf(job),
      "x-update-method": packageOf(job).method,
      ...(coordinated ? { "x-orchestrator": { watchdog_ms: Math.min(own, verdictTimeoutMs) } } : {}),
    };
    const post = () =>
      this.#send(job.component, "POST", "/updates", job.signal, jsonContent({ id: idOf(job), ...body }));
    let answer = await post();
    if (answer.status === 400 && idOf(job).includes(".")) {
      // ros2_medkit's ids have no dots
      await job.memory.set(ID_NOTE, plainId(job.campaign));
      answer = await post();
    }
    if (answer.json.vendor_code === ALREADY_EXISTS) {
      await this.#ask(job.component, "DELETE", updatePath(job), job.signal);
      answer = await post();
    }
    this.#client.demand(this.#target(job.component), answer);
  }

  /** Whether the other node's package is that of this very attempt. */
  async #isOurs(job: UpdateJob): Promise<boolean> {
    const { status, json } = await this.#send(job.component, "GET", updatePath(job), job.signal);
    return status === 200 && json["x-relay"] === relayOf(job);
  }

  async #put(job: UpdateJob, verb: string): Promise<void> {
    await this.#ask(job.component, "PUT", `${updatePath(job)}/${verb}`, job.signal);
  }

  async #stateOf(job: UpdateJob): Promise<string> {
    return stateOf(await this.#statusOf(job));
  }

  /** Undefined when the other node does not know the update. */
  #statusOf(job: UpdateJob): Promise<RemoteStatus | undefined> {
    return this.#find(job, `${updatePath(job)}/status`);
  }

  async #find({ component, signal }: UpdateJob, path: string): Promise<Answer["json"] | undefined> {
    const { status, json } = await this.#send(component, "GET", path, signal);
    // 400: an id that it could not have
    if (status === 404 || status === 400) return undefined;
    if (status !== 200) throw new Fault("notResponding", `${component}: ${path} answers ${status}`);
    return json;
  }

  async #remove({ component, signal }: UpdateJob, path: string): Promise<void> {
    const answer = await this.#send(component, "DELETE", path, signal);
    if (answer.status !== 404) this.#client.demand(this.#target(component), answer);
  }

  /**
   * A node that is away for a while is waited for, but one that does not answer at first is not. Only for what comes before the verdict,
   * and after all: between them the campaign comes again by itself, and sees to the others meanwhile.
   */
  async #patiently(job: UpdateJob, work: () => Promise<void>): Promise<void> {
    const { clock, pollMs } = this.#options;
    await this.#statusOf(job);
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!isUnreachable(error) || job.signal.aborted) throw error;
      }
      await sleep(clock, pollMs, job.signal);
    }
  }

  /** Asks for the state and does what it calls for, until that is nothing. */
  async #drive(job: UpdateJob, decide: Decide): Promise<void> {
    const { clock, pollMs } = this.#options;
    for (let sent = false; ; await sleep(clock, pollMs, job.signal)) {
      const status = await this.#statusOf(job);
      const state = stateOf(status);
      const { progress } = status ?? {};
      if (typeof progress === "number") job.progress({ percent: Math.min(100, Math.max(0, progress)), step: state });
      const move = decide(state, sent);
      if (move === "done") return;
      if (move === "failed") throw new Fault("conflict", whyNot(this.#target(job.component), state, status));
      if (move === "wait" || sent) continue;
      await this.#put(job, move);
      sent = true;
    }
  }

  #ask(component: string, method: Method, path: string, signal: AbortSignal): Promise<Answer> {
    return this.#client.ask(this.#target(component), method, path, signal);
  }

  #send(component: string, method: Method, path: string, signal: AbortSignal, content?: Content): Promise<Answer> {
    return this.#client.send(this.#target(component), method, path, signal, content);
  }

  #target(component: string): SecondaryTarget {
    const target = this.#options.targetOf(component);
    if (target === undefined) throw new Fault("notResponding", `No node is known that has component ${component}`);
    return target;
  }
}

/** Of ros2_medkit. */
const ALREADY_EXISTS = "x-medkit-update-already-exists";
const ID_NOTE = "remote-id";

function idOf({ campaign, memory }: UpdateJob): string {
  return memory.get(ID_NOTE) ?? campaign;
}

/** An id of letters, digits, `_` and `-` that stands for no other. */
function plainId(campaign: string): string {
  const digest = createHash("sha256").update(campaign).digest("hex").slice(0, 8);
  return `${campaign.replaceAll(".", "_").slice(0, 200)}-${digest}`;
}

function updatePath(job: UpdateJob): string {
  return `/updates/${encodeURIComponent(idOf(job))}`;
}

function pathOf({ component }: SecondaryTarget): string {
  return `/components/${encodeURIComponent(component)}`;
}

function jsonContent(body: object): Content {
  return { headers: { "content-type": JSON_TYPE }, body: JSON.stringify(body) };
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

/** What another node says; nothing of it is checked. */
interface RemoteStatus {
  readonly phase?: unknown;
  readonly status?: unknown;
  readonly progress?: unknown;
  readonly "x-state"?: unknown;
  readonly "x-medkit"?: unknown;
  readonly error?: unknown;
}

/** Ours, or what the state must be where the other server does not say (ISO's status, ros2_medkit's phase). */
function stateOf(status: RemoteStatus | undefined): string {
  if (status === undefined) return "absent";
  const own = status["x-state"];
  if (typeof own === "string") return own;
  const { phase: medkit } = (status["x-medkit"] ?? {}) as { phase?: unknown };
  if (status.status === "failed") return "failed";
  if (medkit === "prepared" || (status.phase === "prepare" && status.status === "completed")) return "prepared";
  if (medkit === "executed" || (medkit === undefined && status.status === "completed")) return "done";
  const isFresh =
    medkit === "none" || (medkit === undefined && status.phase !== "execute" && status.status === "pending");
  return isFresh ? "registered" : "executing";
}

/** What the node says of it; whose component it is, the campaign says itself. */
function whyNot({ component }: SecondaryTarget, state: string, status: RemoteStatus | undefined): string {
  if (status === undefined) return "the node does not know the update";
  const { error } = status;
  const said = typeof error === "object" && error !== null ? (error as { message?: unknown }).message : error;
  if (typeof said !== "string") return `${state}, without a reason`;
  const own = `${component}: `;
  return (said.startsWith(own) ? said.slice(own.length) : said).slice(0, MAX_ERROR_CHARACTERS);
}

const MAX_ERROR_CHARACTERS = 1_024;
