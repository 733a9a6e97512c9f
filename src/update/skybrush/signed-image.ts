/**
 * An image with its signed manifests before it: one file, which any client of Flockwave can upload without knowing of signatures. Made
 * by `sovd-edge update pack`.
 *
 * A line that says what it is, a line of JSON `{"manifests": {component: {manifest, signature}}}`, then the image. Each component has a
 * manifest of its own, because each upload is an update of one.
 */
import { Fault } from "#core/errors.ts";
import { isObject } from "#core/json.ts";

export interface SignedManifest {
  readonly manifest: Readonly<Record<string, unknown>>;
  /** Base64. */
  readonly signature: string;
}

export interface SignedImage {
  /** By component id, lower case. */
  readonly manifests: ReadonlyMap<string, SignedManifest>;
  readonly image: Uint8Array;
}

const MAGIC = Buffer.from("sovd-edge signed image 1\n");
const NEWLINE = 0x0a;
/** As much as an update package may have. */
const MAX_HEAD_BYTES = 256 << 10;

/** What stands before the image. */
export function encodeHead(manifests: Readonly<Record<string, SignedManifest>>): Uint8Array {
  return Buffer.concat([MAGIC, Buffer.from(`${JSON.stringify({ manifests })}\n`)]);
}

/** Undefined: it is an image only. The image is not copied. @throws Fault badRequest */
export function decodeSignedImage(blob: Uint8Array): SignedImage | undefined {
  const bytes = Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength);
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const end = bytes.subarray(0, MAGIC.length + MAX_HEAD_BYTES).indexOf(NEWLINE, MAGIC.length);
  const manifests = end === -1 ? undefined : manifestsOf(bytes.toString("utf8", MAGIC.length, end));
  if (manifests === undefined) throw new Fault("badRequest", "The head of the signed image cannot be read");
  return { manifests, image: bytes.subarray(end + 1) };
}

function manifestsOf(text: string): Map<string, SignedManifest> | undefined {
  try {
    const { manifests } = JSON.parse(text) as { manifests?: unknown };
    if (!isObject(manifests)) return undefined;
    const entries = Object.entries(manifests);
    return entries.every(([, each]) => isSigned(each)) ? new Map(entries as [string, SignedManifest][]) : undefined;
  } catch {
    return undefined;
  }
}

function isSigned(value: unknown): value is SignedManifest {
  return isObject(value) && isObject(value.manifest) && typeof value.signature === "string";
}
