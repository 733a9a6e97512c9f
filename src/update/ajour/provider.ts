/**
 * Campaigns over devices that speak drogue-ajour. A device asks and is answered, so each call sets a gate and waits for the reports that
 * show it was passed: `prepare` fills the device's spare memory, `execute` lets it swap, and only `commit` tells it to mark the new
 * software good. Until then the new software runs on trial and the device falls back by itself at its next restart.
 */
import { Fault } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import type { Artifact, TargetFacts, UpdateJob, UpdateProvider } from "#update/software/provider.ts";
import { type Assignment, type Assignments, NO_JOB } from "./assignments.ts";
import type { Desk, Report } from "./desk.ts";
import type { Images } from "./images.ts";
import { type Image, offsetOf, sameVersion, versionText } from "./next.ts";

/** The device that a component is. */
export interface AjourTarget {
  /** Its key. */
  readonly device: string;
  readonly hardwareId?: string | undefined;
  readonly serial?: string | undefined;
}

export interface AjourProviderOptions {
  readonly desk: Desk;
  readonly assignments: Assignments;
  readonly images: Images;
  readonly clock: Clock;
  /** The image of a version that a device runs by configuration; undefined when it is not kept. */
  readonly configured: (device: string) => Image | undefined;
  /** By component id, lower case. */
  readonly targets: Readonly<Record<string, AjourTarget>>;
  /** A device silent for longer cannot be reached; shorter on trial, where it reports all the time. */
  readonly offlineMs: number;
  readonly trialSilenceMs: number;
  /** Tries of a device to take an image that it then dropped again. */
  readonly maxRefusals: number;
  /** Images that nobody names any more may go. */
  readonly collect: () => Promise<void>;
}

export class AjourProvider implements UpdateProvider {
  readonly kind = "ajour";
  readonly #options: AjourProviderOptions;
  readonly #startedMs: number;

  constructor(options: AjourProviderOptions) {
    this.#options = options;
    this.#startedMs = options.clock.now();
  }

  async describe(component: string, signal: AbortSignal): Promise<TargetFacts> {
    const { device, hardwareId, serial = device } = this.#targetOf(component);
    await this.#awaitFirst(device, signal);
    const { status } = this.#heard(device);
    return {
      ...(hardwareId === undefined ? {} : { hardwareId }),
      serial,
      version: versionText(status.version),
      supportsRollback: this.#running(device, status.version) !== undefined,
      supportsTrial: true,
    };
  }

  /** Keeps the image beside what the device has now, and waits until the device has received all of it. */
  async prepare(job: UpdateJob): Promise<void> {
    const { device } = this.#targetOf(job.component);
    const artifact = requireArtifact(job);
    const known = this.#options.assignments.get(device);
    try {
      const assignment = known?.job === jobKey(job) ? known : await this.#stage(job, device, artifact, known);
      await this.#options.desk.until(device, job.signal, (report) => downloaded(report, assignment.image, job));
    } catch (error) {
      // a process that ends goes on with this later
      if (!endsWithProcess(job.signal)) await this.#giveUp(device, job);
      throw error;
    }
  }

  /** Lets the device swap and waits until it reports the new version. */
  async execute(job: UpdateJob): Promise<void> {
    const { device } = this.#targetOf(job.component);
    const assignment = this.#assigned(job, device);
    await this.#options.assignments.set(device, { ...assignment, gate: "trial", released: true });
    let refusals = 0;
    let told = false;
    await this.#options.desk.until(device, job.signal, ({ status, answer }) => {
      if (sameVersion(status.version, assignment.image.version)) return true;
      if (answer === "none") return false;
      if (told && answer === "write" && ++refusals >= this.#options.maxRefusals) {
        throw new Fault("conflict", `The device did not take version ${versionText(assignment.image.version)}`);
      }
      told = answer === "swap";
      job.progress({ percent: told ? 50 : 0, step: told ? "swap" : "transfer" });
      return false;
    });
  }

  async verify(job: UpdateJob): Promise<void> {
    const { device } = this.#targetOf(job.component);
    const { image } = this.#assigned(job, device);
    const { version } = this.#heard(device, this.#options.trialSilenceMs).status;
    if (sameVersion(version, image.version)) return;
    throw new Fault("conflict", `The device runs version ${versionText(version)}`);
  }

  /** Resolves when the device was told to mark the new software good. */
  async commit(job: UpdateJob): Promise<void> {
    const { device } = this.#targetOf(job.component);
    const assignment = this.#assigned(job, device);
    await this.#options.assignments.set(device, { ...assignment, gate: "open" });
    await this.#options.desk.until(device, job.signal, ({ status, answer }) => {
      if (answer === "sync") return true;
      if (answer === "wait" || answer === "none") return false;
      throw new Fault("conflict", `The device fell back to version ${versionText(status.version)}`);
    });
  }

  async rollback(job: UpdateJob): Promise<void> {
    const { device } = this.#targetOf(job.component);
    const assignment = this.#options.assignments.get(device);
    if (assignment?.job !== jobKey(job)) return;
    if (!assignment.released) {
      await this.#leave(device, assignment.previous);
      return;
    }
    const back = assignment.goingBack ? assignment : wayBack(assignment);
    await this.#options.assignments.set(device, back);
    const old = back.goingBack ? back.image : undefined;
    await this.#options.desk.until(device, job.signal, ({ status: { version } }) =>
      old === undefined ? !sameVersion(version, back.image.version) : sameVersion(version, old.version),
    );
    await this.#leave(device, old);
  }

  async close(job: UpdateJob): Promise<void> {
    const { device } = this.#targetOf(job.component);
    const assignment = this.#options.assignments.get(device);
    if (assignment?.job === jobKey(job)) await this.#leave(device, assignment.image);
  }

  /** A device that was prepared is not offered the image any more; one that may have swapped goes on as it was told. */
  async forget(job: UpdateJob): Promise<void> {
    const { device } = this.#targetOf(job.component);
    if (this.#options.assignments.get(device)?.released !== true) await this.#giveUp(device, job);
  }

  async #stage(
    job: UpdateJob,
    device: string,
    artifact: Artifact,
    before: Assignment | undefined,
  ): Promise<Assignment> {
    const { images, assignments } = this.#options;
    const { name, sha256 } = artifact;
    const read = (offset: number) => stoppable(artifact.read(offset), job.signal);
    return images.put({ name, sha256, read }, async (sizeBytes) => {
      const running = this.#running(device, this.#heard(device).status.version, before);
      const image = { version: Buffer.from(versionOf(job, sha256)), sizeBytes, sha256 };
      const assignment = { ...NEW, job: jobKey(job), gate: "download", image, previous: running } as const;
      await assignments.set(device, assignment);
      return assignment;
    });
  }

  /** What the device keeps after a campaign; nothing: configuration decides again. */
  async #leave(device: string, image: Image | undefined): Promise<void> {
    const { assignments, collect } = this.#options;
    if (image === undefined) await assignments.remove(device);
    else await assignments.set(device, { ...NEW, job: NO_JOB, gate: "open", image });
    await collect();
  }

  /** What was staged is taken away again; the device swaps to nothing it has of it. */
  async #giveUp(device: string, job: UpdateJob): Promise<void> {
    const assignment = this.#options.assignments.get(device);
    if (assignment?.job === jobKey(job)) await this.#leave(device, assignment.previous);
    else await this.#options.collect();
  }

  /** The kept image of the version a device runs. */
  #running(device: string, version: Uint8Array, assignment = this.#options.assignments.get(device)): Image | undefined {
    const known = [assignment?.image, assignment?.previous, this.#options.configured(device)];
    return known.find((image) => {
      if (image === undefined || !sameVersion(image.version, version)) return false;
      return this.#options.images.sizeOf(image.sha256) !== undefined;
    });
  }

  #assigned(job: UpdateJob, device: string): Assignment {
    const assignment = this.#options.assignments.get(device);
    if (assignment?.job === jobKey(job)) return assignment;
    throw new Fault("conflict", `Device ${device} was not prepared for update ${job.campaign}`);
  }

  #targetOf(component: string): AjourTarget {
    const target = this.#options.targets[component];
    if (target === undefined) throw new Fault("misconfigured", `No device is named for component ${component}`);
    return target;
  }

  /** After a start, a device that only sleeps is not gone. */
  async #awaitFirst(device: string, signal: AbortSignal): Promise<void> {
    const { desk, clock, offlineMs } = this.#options;
    const patienceMs = this.#startedMs + offlineMs - clock.now();
    if (desk.last(device) !== undefined || patienceMs <= 0) return;
    const over = new AbortController();
    const timer = clock.setTimeout(() => over.abort(silent(device)), patienceMs);
    const any = AbortSignal.any([signal, over.signal]);
    await desk.until(device, any, () => true).finally(() => clock.clearTimeout(timer));
  }

  #heard(device: string, patienceMs = this.#options.offlineMs): Report {
    const report = this.#options.desk.last(device);
    const silentMs = report === undefined ? Number.POSITIVE_INFINITY : this.#options.clock.now() - report.atMs;
    if (report === undefined || silentMs > patienceMs) throw silent(device);
    return report;
  }
}

const NEW = { released: false, goingBack: false } as const;

/**
 * The device asks for its old image as for any other. Where that is not kept, it is held until its own restart brings the old software
 * back: it was never told to mark the new one good.
 */
function wayBack(assignment: Assignment): Assignment {
  const { image, previous } = assignment;
  if (previous === undefined) return { ...assignment, gate: "held" };
  return { ...assignment, gate: "open", image: previous, previous: image, goingBack: true };
}

function silent(device: string): Fault {
  return new Fault("notResponding", `Device ${device} has not reported`);
}

function downloaded({ status }: Report, image: Image, job: UpdateJob): boolean {
  if (sameVersion(status.version, image.version)) return true;
  const offset = offsetOf(status, image);
  job.progress({ percent: Math.floor((100 * offset) / image.sizeBytes), step: "transfer" });
  return offset === image.sizeBytes;
}

function requireArtifact({ artifact }: UpdateJob): Artifact {
  if (artifact === undefined) throw new Fault("unprocessable", "An ajour device needs an image");
  if (artifact.sizeBytes === 0 || artifact.sizeBytes > MAX_IMAGE_BYTES) {
    throw new Fault("unprocessable", `The protocol carries images of 1 to ${MAX_IMAGE_BYTES} bytes`);
  }
  return artifact;
}

/** Offsets have 32 bits. */
const MAX_IMAGE_BYTES = 0xffff_ffff;

/** An image without a version is told apart by its hash; devices have room for 16 bytes. */
function versionOf({ toVersion }: UpdateJob, sha256: string): string {
  return toVersion ?? sha256.slice(0, 16);
}

function endsWithProcess({ aborted, reason }: AbortSignal): boolean {
  return aborted && reason instanceof Fault && reason.kind === "notReady";
}

function jobKey({ campaign, attempt }: UpdateJob): string {
  return `${campaign}/${attempt}`;
}

async function* stoppable(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    signal.throwIfAborted();
    yield chunk;
  }
}
