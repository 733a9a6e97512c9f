/**
 * Runs a flash recipe against an ECU (seed 002, 3.4.1): its steps in order; steps marked `always` also after a failure, so that no other
 * ECU stays silent or without its DTCs because one could not be flashed.
 */
import { Fault, type FaultData, reasonOf } from "#core/errors.ts";
import type { Artifact, UpdateJob } from "#update/software/provider.ts";
import { aborted, sleep } from "#update/software/sleep.ts";
import { percentOf } from "./files.ts";
import {
  ask,
  DEFAULT_TIMEOUT_MS,
  demand,
  type Exchange,
  ecuName,
  NEGATIVE,
  POSITIVE,
  refused,
  unexpected,
} from "./uds-exchange.ts";
import {
  type Fillings,
  type ModeStep,
  othersOf,
  partsOf,
  type Recipe,
  type RecipeStep,
  type RequestStep,
  requestBytes,
  type Segment,
} from "./uds-recipe.ts";
import { crc32Of, download, forgetReached, reachedBefore } from "./uds-transfer.ts";

/** Key of a seed: a module of the operator's. */
export type KeyOfSeed = (
  seed: Uint8Array,
  about: { readonly component: string; readonly level: number },
) => Uint8Array | Promise<Uint8Array>;

export interface FlashRun {
  readonly exchange: Exchange;
  readonly job: UpdateJob;
  readonly image: Artifact;
  readonly recipe: Recipe;
  readonly keyOfSeed: KeyOfSeed | undefined;
  /** Version the image has, and the one it replaces. */
  readonly version: string | undefined;
  readonly previous: string | undefined;
  /** Awaited before the first step that changes what is on the ECU. */
  readonly onChange: () => Promise<void>;
}

/** Services that leave an ECU's memory as it is: sessions, reset, reading, security, the link, what the other ECUs are told. */
const HARMLESS: ReadonlySet<number> = new Set([
  0x10, 0x11, 0x19, 0x22, 0x23, 0x24, 0x27, 0x28, 0x29, 0x3e, 0x83, 0x85, 0x87,
]);
const SESSION_STEP = /^\s*10\s*([0-9a-f]{2})/i;
const DEFAULT_SESSION = Uint8Array.of(0x10, 0x01);
/** A boot loader is left by a start. */
const HARD_RESET = Uint8Array.of(0x11, 0x01);
const LEAVE_TIMEOUT_MS = 2_000;
const SECURITY_ACCESS = 0x27;
const SEED_AT = 2;
/** The ECU counts down before it gives a seed again: after a start, after wrong keys. */
const REQUIRED_TIME_DELAY_NOT_EXPIRED = 0x37;
const SEED_RETRY_MS = 500;
const DETECT_RETRY_MS = 250;
/** For all `always` steps together once something has failed: the end of the program waits for them. */
const MAKE_GOOD_MS = 10_000;

/** Flashes the image; goes on where a former process was, if the ECU lets it, else begins anew. @throws Fault */
export async function flash(run: FlashRun): Promise<void> {
  const { job } = run;
  const release = await keepAlive(run);
  try {
    if (reachedBefore(run) !== undefined) {
      try {
        return await steps(run, true);
      } catch (error) {
        if (!(error instanceof Fault) || error.kind !== "ecuRefused") throw error;
        job.log("the ECU does not go on where it was, beginning anew", { problem: error.message });
        await forgetReached(run);
      }
    }
    await steps(run, false);
  } finally {
    await release();
  }
}

type MakeGoodRun = Omit<FlashRun, "image" | "keyOfSeed" | "onChange"> & Partial<FlashRun>;

/** Only what makes good again, also for an ECU that there is no image for. Never rejects. */
export async function makeGood(run: MakeGoodRun, from = 0): Promise<void> {
  const { job, recipe } = run;
  const { signal, end } = limited(run.exchange, MAKE_GOOD_MS);
  const apart = { image: NO_IMAGE, keyOfSeed: undefined, onChange: NOTHING, ...run, job: { ...job, signal } };
  for (const [index, step] of recipe.step.entries()) {
    if (index < from || step.always !== true) continue;
    await perform(apart, step, index).catch((error: unknown) => {
      job.log("a step that makes good failed", { step: nameOf(step), problem: reasonOf(error) });
    });
  }
  end();
}

/** A signal of its own, for what is done when the job's may be aborted. */
function limited({ clock }: Exchange, limitMs: number): { readonly signal: AbortSignal; end(): void } {
  const limit = new AbortController();
  const timer = clock.setTimeout(() => limit.abort(new Fault("requestTimeout", "took too long")), limitMs);
  return { signal: limit.signal, end: () => clock.clearTimeout(timer) };
}

const NOTHING = async (): Promise<void> => undefined;
const NO_IMAGE: Artifact = { name: "", sizeBytes: 0, sha256: "", async *read() {} };

async function steps(run: FlashRun, resuming: boolean): Promise<void> {
  const { job, recipe } = run;
  let changed = resuming;
  let leave: Uint8Array | undefined;
  for (const [index, step] of recipe.step.entries()) {
    if (resuming && step.skip_on_resume === true) continue;
    const session = sessionOf(step);
    try {
      if (job.signal.aborted) throw aborted(job.signal);
      if (!("download" in step)) job.progress({ percent: percentOf(index, recipe.step.length), step: nameOf(step) });
      if (!changed && changes(step)) {
        await run.onChange();
        changed = true;
      }
      if (session !== undefined) leave ??= DEFAULT_SESSION;
      await perform(run, step, index);
      if (session === PROGRAMMING) leave = HARD_RESET;
    } catch (error) {
      await makeGood(run, index);
      if (!changed && leave !== undefined) await leaveSession(run, leave);
      throw error;
    }
  }
}

const PROGRAMMING = 2;

/** The session that a step asks the ECU for. */
function sessionOf(step: RecipeStep): number | undefined {
  if (!("request" in step) || step.ecu !== undefined) return undefined;
  const [, subFunction] = SESSION_STEP.exec(step.request) ?? [];
  return subFunction === undefined ? undefined : Number.parseInt(subFunction, 16) & 0x7f;
}

function changes(step: RecipeStep): boolean {
  if ("download" in step) return true;
  if (!("request" in step) || step.ecu !== undefined || step.harmless === true) return false;
  return !HARMLESS.has(Number.parseInt(step.request.trim().slice(0, 2), 16));
}

/** An ECU that is as it was does not wait for its session's end. Never rejects. */
async function leaveSession({ exchange, job }: FlashRun, request: Uint8Array): Promise<void> {
  const { signal, end } = limited(exchange, LEAVE_TIMEOUT_MS);
  await ask(exchange, job.component, request, { signal, timeoutMs: LEAVE_TIMEOUT_MS }).catch(() => undefined);
  await exchange.fleet.call(ecuName(exchange, job.component), "detect", {}, { signal }).catch(() => undefined);
  end();
}

async function perform(run: FlashRun, step: RecipeStep, index: number): Promise<void> {
  const { exchange, job, recipe, image } = run;
  if ("security" in step) return unlock(run, step.security, step.timeout_ms);
  if ("detect" in step) return detect(run, step.timeout_ms);
  if ("wait_ms" in step) return sleep(exchange.clock, step.wait_ms, job.signal);
  if ("group" in step) return writeMode(run, step);
  if ("request" in step) return request(run, step);
  return download(run, step, (bytes) => {
    const share = (index + bytes / Math.max(1, image.sizeBytes)) / recipe.step.length;
    job.progress({ percent: Math.floor(100 * share), step: nameOf(step) });
  });
}

/** One request, or one for each segment. */
async function request(run: FlashRun, step: RequestStep): Promise<void> {
  const { recipe, image } = run;
  for (const segment of partsOf(recipe, step, image.sizeBytes)) await requestOf(run, step, segment);
}

async function requestOf(run: FlashRun, step: RequestStep, segment: Segment): Promise<void> {
  const { exchange, job, version, previous, image } = run;
  const needsChecksum = `${step.request}${step.expect ?? ""}`.includes("{crc32}");
  const fillings: Fillings = {
    version,
    previous,
    size: segment.memoryBytes,
    address: segment.address,
    crc32: needsChecksum ? await crc32Of(image, segment) : 0,
  };
  const bytes = requestBytes(step.request, fillings);
  let answer: Uint8Array;
  try {
    answer = await ask(exchange, step.ecu ?? job.component, bytes, { signal: job.signal, timeoutMs: step.timeout_ms });
  } catch (error) {
    const tolerated = step.ignore_silence === true && !job.signal.aborted && isSilence(error);
    if (tolerated) return;
    throw error;
  }
  if (answer[0] === NEGATIVE) {
    if (step.ignore_refusal === true) return;
    throw refused(nameOf(step), answer);
  }
  // bit 7 of a sub-function asks for silence, which then is the good answer
  if (answer.byteLength === 0 && step.expect === undefined) return;
  const expected =
    step.expect === undefined ? Uint8Array.of(bytes[0]! + POSITIVE) : requestBytes(step.expect, fillings);
  if (expected.every((byte, i) => answer[i] === byte)) return;
  throw unexpected(nameOf(step), answer);
}

const SILENCE: ReadonlySet<string> = new Set(["notResponding", "ecuOffline", "requestTimeout"]);

function isSilence(error: unknown): boolean {
  return error instanceof Fault && SILENCE.has(error.kind);
}

const NOBODY: { readonly fault: FaultData } = {
  fault: { kind: "notResponding", message: "no ECU of the group is there" },
};

/** Done when one ECU of the group has done it: others may be asleep, or be the one that is flashed. */
async function writeMode({ exchange, job }: FlashRun, step: ModeStep): Promise<void> {
  const { group, mode, value, timeout_ms = DEFAULT_TIMEOUT_MS } = step;
  const deadlineMs = exchange.clock.now() + timeout_ms;
  const { signal } = job;
  const { outcome } = await exchange.fleet.callGroup(group, "groupModeWrite", { mode, value }, { signal, deadlineMs });
  if (outcome.errors.length > 0) job.log("not all of a group", { step: nameOf(step), errors: outcome.errors });
  if (Object.keys(outcome.results).length > 0) return;
  const { fault } = outcome.errors[0] ?? NOBODY;
  if (fault.kind === "ecuRefused" ? step.ignore_refusal : step.ignore_silence) return;
  throw new Fault(fault.kind, `${nameOf(step)}: ${fault.message}`, fault.details);
}

async function unlock(
  { exchange, job, keyOfSeed }: FlashRun,
  level: number,
  timeoutMs = DEFAULT_TIMEOUT_MS,
): Promise<void> {
  const { component, signal } = job;
  const seed = await seedOf({ exchange, job }, level, timeoutMs);
  // a seed of zeros: unlocked already
  if (seed.every((byte) => byte === 0)) return;
  if (keyOfSeed === undefined) throw new Fault("misconfigured", `No key module is configured for ${component}`);
  const made = (async () => keyOfSeed(seed, { component, level }))();
  const key = await within(exchange, made, timeoutMs, signal);
  // anything else would be sent as zeros, and counted as an attempt
  if (!(key instanceof Uint8Array)) throw new Fault("misconfigured", `The key module of ${component} gives no bytes`);
  const bytes = Uint8Array.of(SECURITY_ACCESS, level + 1, ...key);
  await demand(exchange, component, bytes, { signal, timeoutMs, name: "send key" });
}

/** What is behind a key module, such as a remote service, may never answer: neither a cancel nor the end of the program waits for it. */
async function within<T>({ clock }: Exchange, work: Promise<T>, limitMs: number, signal: AbortSignal): Promise<T> {
  const answered = new AbortController();
  const late = sleep(clock, limitMs, AbortSignal.any([signal, answered.signal])).then((): never => {
    throw new Fault("requestTimeout", "The key module does not answer");
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    answered.abort();
  }
}

async function seedOf(
  { exchange, job }: Pick<FlashRun, "exchange" | "job">,
  level: number,
  timeoutMs: number,
): Promise<Uint8Array> {
  const { clock } = exchange;
  const { component, signal } = job;
  const untilMs = clock.now() + timeoutMs;
  for (;;) {
    const answer = await ask(exchange, component, Uint8Array.of(SECURITY_ACCESS, level), { signal, timeoutMs });
    const isSeed = answer[0] === SECURITY_ACCESS + POSITIVE && answer[1] === level && answer.byteLength > SEED_AT;
    if (isSeed) return answer.slice(SEED_AT);
    if (answer[0] !== NEGATIVE) throw unexpected("request seed", answer);
    const comesLater = answer[2] === REQUIRED_TIME_DELAY_NOT_EXPIRED && clock.now() + SEED_RETRY_MS < untilMs;
    if (!comesLater) throw refused("request seed", answer);
    await sleep(clock, SEED_RETRY_MS, signal);
  }
}

/** A reset takes the ECU off the network for a while. */
async function detect({ exchange, job }: FlashRun, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<void> {
  const { fleet, clock } = exchange;
  const { component, signal } = job;
  const untilMs = clock.now() + timeoutMs;
  for (;;) {
    await fleet.call(ecuName(exchange, component), "detect", {}, { signal }).catch(() => undefined);
    const state = fleet.ecu(component)?.state;
    if (state === "Online") return;
    if (clock.now() >= untilMs) throw new Fault("notResponding", `${component} did not come back, it is ${state}`);
    await sleep(clock, DETECT_RETRY_MS, signal);
  }
}

/** Keeps the sessions of all ECUs of the recipe alive (3E 80). Resolves with what ends that. */
async function keepAlive({ exchange, job, recipe }: FlashRun): Promise<() => Promise<void>> {
  const { fleet } = exchange;
  const { signal } = job;
  const { groups, ecus: others } = othersOf(recipe);
  const ecus = new Set([job.component, ...others].map((component) => ecuName(exchange, component)));
  const release = async (): Promise<void> => {
    for (const ecu of ecus) await fleet.call(ecu, "lockReleased", {}).catch(() => undefined);
    for (const group of groups) await fleet.callGroup(group, "groupLockReleased", {}).catch(() => undefined);
  };
  try {
    // the groups first: beginning theirs ends those of their members
    for (const group of groups) await fleet.callGroup(group, "groupLockAcquired", {}, { signal });
    for (const ecu of ecus) await fleet.call(ecu, "lockAcquired", {}, { signal });
  } catch (error) {
    await release();
    throw error;
  }
  return release;
}

function nameOf(step: RecipeStep): string {
  if (step.name !== undefined) return step.name;
  if ("request" in step) return step.request;
  if ("mode" in step) return `${step.mode} ${step.value}`;
  if ("security" in step) return "security access";
  if ("detect" in step) return "detection";
  return "download" in step ? "transfer" : "pause";
}
