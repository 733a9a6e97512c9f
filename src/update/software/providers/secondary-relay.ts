/** Hands an image on to another node: by range where it takes that, so that a cut costs no more than a part; else as a form. */
import { Fault } from "#core/errors.ts";
import { BYTES_TYPE, MULTIPART_TYPE } from "#core/media-types.ts";
import type { Clock } from "#core/time.ts";
import { RELAYED } from "#update/software/campaign/relayed.ts";
import { type Artifact, isUnreachable, type UpdateJob } from "#update/software/provider.ts";
import { sleep } from "#update/software/sleep.ts";
import { percentOf } from "./files.ts";
import type { Answer, SecondaryClient, SecondaryTarget } from "./secondary-client.ts";

/** Category for a node of another make: the one that its manufacturer writes of. */
const FOREIGN_CATEGORY = "firmware-artifacts";
const PART_BYTES = 4 << 20;
/** Times in a row that a node may have no more than before. */
const MAX_STANDSTILLS = 5;
/** Where a form's file is, as the node has said. */
const FORM_NOTE = "uri";
const BOUNDARY = "sovd-edge-image-0f6b2c";

export interface Relay {
  readonly client: SecondaryClient;
  readonly target: SecondaryTarget;
  readonly job: UpdateJob;
  readonly artifact: Artifact;
  readonly clock: Clock;
  /** Between two tries to reach a node that was there. */
  readonly pauseMs: number;
}

/** Resolves with the image's path on the other node. @throws Fault notResponding when it never answers; corruption, conflict when it lies */
export async function relay(run: Relay): Promise<string> {
  const { client, target, job, artifact } = run;
  const path = relayedPath(target, artifact);
  let answer = await client.send(target, "GET", `${path}/x-upload`, job.signal);
  if (answer.status === 404) return relayForm(run);
  let [furthest, standstills] = [-1, 0];
  for (;;) {
    const { offset, complete, sha256 } = answer.json;
    if (answer.status === 200) {
      if (complete === true && sha256 === artifact.sha256) return path;
      const from = complete !== true && isOffset(offset, artifact) ? offset : 0;
      if (from > furthest) [furthest, standstills] = [from, 0];
      else if (standstills > MAX_STANDSTILLS) throw unkept(run, complete === true);
      // only what it said to have taken must be there
      if ((await patiently(run, () => sendPart(run, path, from))) !== undefined) standstills++;
    }
    const next = await patiently(run, () => client.ask(target, "GET", `${path}/x-upload`, job.signal));
    answer = next ?? { status: 0, json: {} };
  }
}

function isOffset(offset: unknown, { sizeBytes }: Artifact): offset is number {
  return Number.isInteger(offset) && (offset as number) >= 0 && (offset as number) <= sizeBytes;
}

function unkept({ target }: Relay, isComplete: boolean): Fault {
  if (isComplete) return new Fault("corruption", `${target.component} has another image than it was sent`);
  return new Fault("conflict", `${target.component} does not keep what it is sent`);
}

/** Undefined, after a pause, when the node could not be reached: it is away for a while. */
async function patiently<T>({ job, clock, pauseMs }: Relay, call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if (!isUnreachable(error) || job.signal.aborted) throw error;
    await sleep(clock, pauseMs, job.signal);
    return undefined;
  }
}

function sendPart(run: Relay, path: string, from: number): Promise<Answer> {
  const { client, target, job, artifact } = run;
  const bytes = Math.min(PART_BYTES, artifact.sizeBytes - from);
  const headers = {
    "content-type": BYTES_TYPE,
    "content-disposition": `attachment; filename="${fileName(artifact)}"`,
    "content-length": String(bytes),
    ...(bytes === 0 ? {} : { "content-range": `bytes ${from}-${from + bytes - 1}/${artifact.sizeBytes}` }),
  };
  return client.ask(target, "PUT", path, job.signal, { headers, body: read(run, from, bytes) });
}

/** Where an image was handed on to, so far as that has begun; undefined for an update without one. */
export function whereRelayed(target: SecondaryTarget, { memory, artifact }: UpdateJob): string | undefined {
  return memory.get(FORM_NOTE) ?? (artifact === undefined ? undefined : relayedPath(target, artifact));
}

/** To a node that takes uploads only whole (ISO 17978-3: multipart/form-data). */
async function relayForm(run: Relay): Promise<string> {
  const { client, target, job, artifact } = run;
  const known = job.memory.get(FORM_NOTE);
  if (known !== undefined) return known;
  const head = Buffer.from(
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="${fileName(artifact)}"\r\n` +
      `Content-Type: ${BYTES_TYPE}\r\n\r\n`,
  );
  const tail = Buffer.from(`\r\n--${BOUNDARY}--\r\n`);
  const headers = {
    "content-type": `${MULTIPART_TYPE}; boundary=${BOUNDARY}`,
    "content-length": String(head.byteLength + artifact.sizeBytes + tail.byteLength),
  };
  const path = `${under(target)}/${FOREIGN_CATEGORY}`;
  const form = async function* () {
    yield head;
    yield* read(run, 0, artifact.sizeBytes);
    yield tail;
  };
  const { json } = await client.ask(target, "POST", path, job.signal, { headers, body: form() });
  if (typeof json.id !== "string" || json.id === "") throw new Fault("conflict", `${target.component} names no upload`);
  const uri = `${path}/${encodeURIComponent(json.id)}`;
  // after a restart of ours the other node has it already
  await job.memory.set(FORM_NOTE, uri);
  return uri;
}

/** `count` bytes of the image, told as progress. */
async function* read({ job, artifact }: Relay, from: number, count: number): AsyncGenerator<Uint8Array> {
  let left = count;
  if (left === 0) return;
  for await (const chunk of artifact.read(from)) {
    yield chunk.subarray(0, left);
    left -= chunk.byteLength;
    job.progress({ percent: percentOf(from + count - Math.max(0, left), artifact.sizeBytes), step: "relay" });
    if (left <= 0) return;
  }
}

function relayedPath(target: SecondaryTarget, { sha256 }: Artifact): string {
  return `${under(target)}/${RELAYED}/${sha256.slice(0, 32)}`;
}

function under({ component }: SecondaryTarget): string {
  return `/components/${encodeURIComponent(component)}/bulk-data`;
}

function fileName({ name }: Artifact): string {
  return name.replace(/[^\w.-]/g, "_");
}
