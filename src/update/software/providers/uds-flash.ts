/**
 * A classic ECU over UDS (ISO 14229-1 clause 15), driven by a recipe. It has one memory: from the erasing on the old software is gone,
 * so the image that is on the ECU must be in the store before; it is what rollback flashes.
 */
import { hexByte } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import type { Fleet } from "#fleet/api.ts";
import type { Bulk, BulkInfo, BulkKey } from "../bulk.ts";
import type { Artifact, TargetFacts, TargetFault, UpdateJob, UpdateProvider } from "../provider.ts";
import { sleep } from "../sleep.ts";
import { percentOf } from "./files.ts";
import { type DownloadStep, type Recipe, type RecipeStep, requestBytes } from "./uds-recipe.ts";

/** Key of a seed: a module of the operator's. */
export type KeyOfSeed = (
  seed: Uint8Array,
  about: { readonly component: string; readonly level: number },
) => Uint8Array | Promise<Uint8Array>;

export interface UdsTarget {
  readonly recipe: Recipe;
  readonly keyOfSeed: KeyOfSeed | undefined;
  readonly hardwareId: string | undefined;
  readonly serial: string | undefined;
}

export interface UdsFlashOptions {
  readonly targets: Readonly<Record<string, UdsTarget>>;
  readonly fleet: Fleet;
  readonly bulk: Bulk;
  readonly clock: Clock;
  /** Holds the ECU for the update: nobody else may talk to it. Resolves with what gives it back. */
  readonly hold?: (component: string, campaign: string) => Promise<() => void>;
}

/** Category of the image that is on the ECU now: uploaded once by the operator, kept by each update. */
export const CURRENT_IMAGE = "current-image";
const NEGATIVE = 0x7f;
const POSITIVE = 0x40;
const SID = { securityAccess: 0x27, requestDownload: 0x34, transferData: 0x36, transferExit: 0x37 } as const;
/** Four bytes of address, four of size. */
const ADDRESS_AND_LENGTH_FORMAT = 0x44;
const BLOCK_HEAD_BYTES = 2;
const DEFAULT_BLOCK_BYTES = 4096;
/** The erasing may take minutes of 0x78. */
const DEFAULT_TIMEOUT_MS = 120_000;
const DETECT_RETRY_MS = 250;
/** Pause before a request goes again that found no room beside those of clients. */
const OVERLOADED_RETRY_MS = 20;
/** Acknowledged bytes are noted this often: what is lost by a restart is sent again. */
const NOTE_BYTES = 256 * 1024;

interface FlashRun {
  readonly job: UpdateJob;
  readonly image: Artifact;
  readonly recipe: Recipe;
  readonly version: string | undefined;
  readonly previous: string | undefined;
}

export class UdsFlashProvider implements UpdateProvider {
  readonly kind = "uds-flash";
  readonly #options: UdsFlashOptions;

  constructor(options: UdsFlashOptions) {
    this.#options = options;
  }

  async describe(component: string, signal: AbortSignal): Promise<TargetFacts> {
    const { hardwareId, serial } = this.#target(component);
    const version = await this.#readVersion(component, signal);
    return {
      supportsRollback: this.#currentImage(component) !== undefined,
      supportsTrial: false,
      ...(hardwareId === undefined ? {} : { hardwareId }),
      ...(serial === undefined ? {} : { serial }),
      ...(version === undefined ? {} : { version }),
    };
  }

  async prepare(job: UpdateJob): Promise<void> {
    const { artifact, component } = job;
    if (artifact === undefined) throw new Fault("invalidData", `The package has no image for ${component}`);
    const current = this.#currentImage(component);
    if (current !== undefined) await job.memory.set("previous", JSON.stringify(keyOf(current)));
    job.progress({ percent: 100, step: "staged" });
  }

  async execute(job: UpdateJob): Promise<void> {
    if (job.artifact === undefined) throw new Fault("invalidData", `The package has no image for ${job.component}`);
    if (job.memory.get("flashed") === job.artifact.sha256) return;
    await job.memory.set("touched", "yes");
    const { recipe } = this.#target(job.component);
    await this.#flash({ job, image: job.artifact, recipe, version: job.toVersion, previous: job.fromVersion });
    await job.memory.set("flashed", job.artifact.sha256);
  }

  async verify(job: UpdateJob): Promise<void> {
    const version = await this.#readVersion(job.component, job.signal);
    if (version === undefined || job.toVersion === undefined || version === job.toVersion) return;
    throw new Fault("conflict", `${job.component} reports version ${version} instead of ${job.toVersion}`);
  }

  /** It runs already, and the old image stays in the store until `close`. */
  async commit(): Promise<void> {}

  async rollback(job: UpdateJob): Promise<void> {
    if (job.memory.get("touched") === undefined || job.memory.get("rolledBack") !== undefined) return;
    const note = job.memory.get("previous");
    const info = note === undefined ? undefined : this.#options.bulk.find(JSON.parse(note) as BulkKey);
    if (info === undefined) throw new Fault("conflict", `There is no image to bring ${job.component} back with`);
    await job.memory.set("flashed", "");
    await job.memory.set("offset", "0");
    const { recipe } = this.#target(job.component);
    const image = this.#options.bulk.artifact(info);
    await this.#flash({ job, image, recipe, version: job.fromVersion, previous: job.toVersion });
    await job.memory.set("rolledBack", "yes");
  }

  /** What was flashed is now the image to go back to. */
  async close(job: UpdateJob): Promise<void> {
    const { bulk } = this.#options;
    const { artifact, component } = job;
    if (artifact === undefined) return;
    const old = bulk.list(component, CURRENT_IMAGE);
    const id = artifact.sha256.slice(0, 32);
    const key = { component, category: CURRENT_IMAGE, id };
    if (bulk.find(key)?.complete !== true) {
      await bulk.write({ ...key, name: artifact.name, mimetype: "application/octet-stream" }, 0, artifact.read(), true);
    }
    for (const info of old) if (info.id !== id) await bulk.remove(keyOf(info));
  }

  async faults(component: string, signal: AbortSignal): Promise<readonly TargetFault[]> {
    const reply = await this.#options.fleet.call(this.#ecu(component), "faultList", { statusMask: 0xff }, { signal });
    const { items = [] } = JSON.parse(Buffer.from(reply.body ?? []).toString() || "{}") as { items?: SovdFault[] };
    return items.map(faultOf);
  }

  async #flash(run: FlashRun): Promise<void> {
    const { fleet, hold } = this.#options;
    const { job, recipe } = run;
    const ecu = this.#ecu(job.component);
    const release = await hold?.(job.component, job.campaign);
    // keeps the session alive (3E 80) while blocks are read and sent
    await fleet.call(ecu, "lockAcquired", {}, { signal: job.signal });
    try {
      const resuming = Number(job.memory.get("offset") ?? 0) > 0;
      for (const [index, step] of recipe.step.entries()) {
        job.signal.throwIfAborted();
        if (resuming && step.skip_on_resume === true) continue;
        if (!("download" in step)) job.progress({ percent: percentOf(index, recipe.step.length), step: nameOf(step) });
        await this.#step(run, step, index);
      }
    } finally {
      await fleet.call(ecu, "lockReleased", {}).catch(() => undefined);
      release?.();
    }
  }

  async #step(run: FlashRun, step: RecipeStep, index: number): Promise<void> {
    if ("security" in step) return this.#unlock(run, step.security, step.timeout_ms);
    if ("detect" in step) return this.#detect(run.job, step.timeout_ms);
    if ("download" in step) return this.#download(run, step, index);
    const fillings = { version: run.version, previous: run.previous, size: run.image.sizeBytes, address: 0 };
    const request = requestBytes(step.request, fillings);
    const answer = await this.#send(run.job, request, step.timeout_ms);
    if (answer[0] === NEGATIVE) {
      if (step.ignore_refusal === true) return;
      throw refused(step, answer);
    }
    const expected = step.expect === undefined ? positiveOf(request) : requestBytes(step.expect, fillings);
    if (!expected.every((byte, i) => answer[i] === byte)) {
      throw new Fault("ecuRefused", `${nameOf(step)}: the ECU answered ${Buffer.from(answer).toString("hex")}`);
    }
  }

  async #unlock({ job }: FlashRun, level: number, timeoutMs?: number): Promise<void> {
    const { keyOfSeed } = this.#target(job.component);
    const seedAnswer = await this.#send(job, Uint8Array.of(SID.securityAccess, level), timeoutMs);
    if (seedAnswer[0] === NEGATIVE) throw refused({ name: "request seed" }, seedAnswer);
    const seed = seedAnswer.slice(2);
    // a seed of zeros: unlocked already
    if (seed.every((byte) => byte === 0)) return;
    if (keyOfSeed === undefined) throw new Fault("misconfigured", `No key module is configured for ${job.component}`);
    const key = await keyOfSeed(seed, { component: job.component, level });
    const answer = await this.#send(job, Uint8Array.of(SID.securityAccess, level + 1, ...key), timeoutMs);
    if (answer[0] === NEGATIVE) throw refused({ name: "send key" }, answer);
  }

  async #download(run: FlashRun, step: DownloadStep, index: number): Promise<void> {
    const { job, image, recipe } = run;
    const { address = 0, data_format = 0, max_block_bytes = DEFAULT_BLOCK_BYTES, resumable = false } = step.download;
    const from = resumable ? Math.min(Number(job.memory.get("offset") ?? 0), image.sizeBytes) : 0;
    const request = Buffer.alloc(11);
    request.set([SID.requestDownload, data_format, ADDRESS_AND_LENGTH_FORMAT]);
    request.writeUInt32BE((address + from) >>> 0, 3);
    request.writeUInt32BE(image.sizeBytes - from, 7);
    const offer = await this.#send(job, request, step.timeout_ms);
    if (offer[0] === NEGATIVE) throw refused(step, offer);
    const blockBytes = Math.min(maxBlockOf(offer), max_block_bytes) - BLOCK_HEAD_BYTES;
    if (blockBytes < 1) throw new Fault("ecuRefused", "The ECU takes no data in a block");
    let counter = 1;
    let sent = from;
    let noted = from;
    for await (const data of blocks(image.read(from), blockBytes)) {
      job.signal.throwIfAborted();
      const answer = await this.#send(job, Uint8Array.of(SID.transferData, counter, ...data), step.timeout_ms);
      if (answer[0] === NEGATIVE) throw refused({ name: `block ${counter} at byte ${sent}` }, answer);
      if (answer[1] !== counter)
        throw new Fault("ecuRefused", `The ECU acknowledged block ${answer[1]} instead of ${counter}`);
      counter = (counter + 1) & 0xff;
      sent += data.byteLength;
      const share = (index + sent / Math.max(1, image.sizeBytes)) / recipe.step.length;
      job.progress({ percent: Math.floor(100 * share), step: nameOf(step) });
      if (resumable && sent - noted >= NOTE_BYTES) {
        noted = sent;
        await job.memory.set("offset", String(sent));
      }
    }
    const exit = await this.#send(job, Uint8Array.of(SID.transferExit), step.timeout_ms);
    if (exit[0] === NEGATIVE) throw refused({ name: "transfer exit" }, exit);
    if (resumable) await job.memory.set("offset", "0");
  }

  /** A reset takes the ECU off the network for a while. */
  async #detect(job: UpdateJob, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<void> {
    const { fleet, clock } = this.#options;
    const untilMs = clock.now() + timeoutMs;
    for (;;) {
      await fleet.call(this.#ecu(job.component), "detect", {}, { signal: job.signal }).catch(() => undefined);
      if (fleet.ecu(job.component)?.state === "Online") return;
      if (clock.now() >= untilMs) throw new Fault("notResponding", `${job.component} did not come back`);
      await sleep(clock, DETECT_RETRY_MS, job.signal);
    }
  }

  async #readVersion(component: string, signal: AbortSignal): Promise<string | undefined> {
    const { version } = this.#target(component).recipe;
    if (version === undefined) return undefined;
    const request = requestBytes(version.request, { version: "", previous: "", size: 0, address: 0 });
    const answer = await this.#call(component, request, signal);
    if (answer[0] === NEGATIVE) throw refused({ name: "read version" }, answer);
    return Buffer.from(answer.subarray(version.skip ?? request.byteLength))
      .toString("latin1")
      .replace(/[\0\s]+$/, "");
  }

  #send(job: UpdateJob, request: Uint8Array, timeoutMs?: number): Promise<Uint8Array> {
    return this.#call(job.component, request, job.signal, timeoutMs);
  }

  async #call(
    component: string,
    request: Uint8Array,
    signal: AbortSignal,
    timeoutMs = DEFAULT_TIMEOUT_MS,
  ): Promise<Uint8Array> {
    const { clock } = this.#options;
    // a signal of its own for each call: thousands of blocks must not leave as many listeners on that of the job
    const call = new AbortController();
    const onAbort = (): void => call.abort();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await this.#ask(component, request, call.signal, clock.now() + timeoutMs);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Clients that ask an ECU more than it answers must not end its update: what finds no room was not sent, and goes again. */
  async #ask(component: string, request: Uint8Array, signal: AbortSignal, deadlineMs: number): Promise<Uint8Array> {
    const { fleet, clock } = this.#options;
    for (;;) {
      try {
        const reply = await fleet.call(this.#ecu(component), "flashService", { request }, { signal, deadlineMs });
        return reply.body ?? new Uint8Array(0);
      } catch (error) {
        const hasRoomLater = error instanceof Fault && error.kind === "overloaded" && clock.now() < deadlineMs;
        if (!hasRoomLater) throw error;
        await sleep(clock, OVERLOADED_RETRY_MS, signal);
      }
    }
  }

  #ecu(component: string): string {
    const ecu = this.#options.fleet.ecu(component);
    if (ecu === undefined) throw new Fault("ecuOffline", `There is no ECU ${component}`);
    return ecu.name;
  }

  #currentImage(component: string): BulkInfo | undefined {
    return this.#options.bulk.list(component, CURRENT_IMAGE).findLast(({ complete }) => complete);
  }

  #target(component: string): UdsTarget {
    const target = this.#options.targets[component];
    if (target === undefined) throw new Fault("misconfigured", `No flash recipe is configured for ${component}`);
    return target;
  }
}

interface SovdFault {
  readonly code: string;
  readonly severity?: number;
  readonly status?: Readonly<Record<string, unknown>>;
}

/** Bits of the DTC status (ISO 14229-1, D.2) that say that a fault is there, as ISO and as the CDA spell them. */
const ACTIVE_BITS = ["confirmedDTC", "testFailed", "confirmed_dtc", "test_failed"] as const;

const CONFIRMED_BITS = ["confirmedDTC", "confirmed_dtc"] as const;

/** A fault as the interface lists it (ISO 17978-3, Table 122). */
export function faultOf({ code, severity, status = {} }: SovdFault): TargetFault {
  const set = (name: string) => status[name] === true || status[name] === "1" || status[name] === 1;
  const active = status.aggregatedStatus === "active" || ACTIVE_BITS.some(set);
  const known = CONFIRMED_BITS.some((name) => status[name] !== undefined);
  return {
    code,
    active,
    ...(severity === undefined ? {} : { severity }),
    ...(known ? { confirmed: CONFIRMED_BITS.some(set) } : {}),
  };
}

function keyOf({ component, category, id }: BulkInfo): BulkKey {
  return { component, category, id };
}

function nameOf(step: { readonly name?: string; readonly request?: string }): string {
  return step.name ?? step.request ?? "transfer";
}

function positiveOf(request: Uint8Array): Uint8Array {
  return Uint8Array.of(request[0]! + POSITIVE);
}

/** maxNumberOfBlockLength fills the rest of the answer, whichever nibble an ECU writes its length into. */
function maxBlockOf(offer: Uint8Array): number {
  let bytes = 0;
  for (const byte of offer.subarray(2, 8)) bytes = bytes * 256 + byte;
  return bytes;
}

function refused(step: { readonly name?: string; readonly request?: string }, answer: Uint8Array): Fault {
  const nrc = answer[2] ?? 0;
  return new Fault("ecuRefused", `${nameOf(step)}: refused with NRC 0x${hexByte(nrc)}`, { nrc, sid: answer[1] });
}

/** The same bytes in pieces of `size`. */
async function* blocks(chunks: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array(0);
  for await (const chunk of chunks) {
    let at = 0;
    if (rest.byteLength > 0) {
      at = Math.min(size - rest.byteLength, chunk.byteLength);
      rest = Buffer.concat([rest, chunk.subarray(0, at)]);
      if (rest.byteLength < size) continue;
      yield rest;
    }
    for (; at + size <= chunk.byteLength; at += size) yield chunk.subarray(at, at + size);
    rest = chunk.slice(at);
  }
  if (rest.byteLength > 0) yield rest;
}
