/** Whether a manifest may be believed: signature, id, expiry, and that nothing goes back to an older version. */
import { createHash, type KeyObject, verify } from "node:crypto";
import type { TargetFile } from "@tufjs/models";
import { Fault } from "#core/errors.ts";
import type { Bulk, BulkInfo } from "#update/software/bulk/bulk.ts";
import { canonical } from "#update/software/canonical.ts";
import { keyOfId, type Manifest, type ManifestTarget } from "#update/software/package.ts";
import type { SignedManifest } from "#update/software/provider.ts";
import type { TufFiles, TufVerifier } from "./tuf.ts";
import { compareVersions } from "./versions.ts";

export type VerifyMode = "required" | "optional" | "none";

export interface Claim {
  readonly id: string;
  readonly manifest: Manifest | undefined;
  /** Base64. */
  readonly signatures: readonly string[];
}

export interface TrustOptions {
  readonly mode: VerifyMode;
  /** Of detached signatures. */
  readonly keys: readonly KeyObject[];
  /** Of metadata by TUF; undefined: the node trusts no root. */
  readonly tuf: TufVerifier | undefined;
  readonly nowMs: () => number;
  /** Of manifests; metadata by TUF keeps its own. */
  readonly signedTime: SignedTime;
}

/** The latest time a believed signature has told, milliseconds since 1970: it is later now, whatever the wall clock shows. */
export interface SignedTime {
  read(): number;
  /** Resolves when it is on the disk. */
  write(timeMs: number): Promise<void>;
}

/**
 * What a package says of its images, as far as it may be believed; before anything of it is fetched or stored. `components`: those that it
 * is for. `locate`: where a file of TUF targets is. @throws Fault as `checkManifest` and `TufVerifier.verify`
 */
export async function judge(
  claim: Claim & { readonly tuf?: TufFiles; readonly components: readonly string[] },
  trust: TrustOptions,
  locate: (file: TargetFile) => string | undefined,
): Promise<SignedManifest> {
  const { id, tuf, manifest, signatures } = claim;
  if (tuf === undefined) {
    checkManifest(claim, trust.mode, trust.keys, timeOf(trust));
    if (trust.mode !== "none" && signatures.length > 0) await keepTime(manifest, trust);
    return { manifest, signatures };
  }
  const trusting = known(trust.tuf);
  const { manifestOf, wantsOf } = await import("./tuf-manifest.ts");
  const believed = await trusting.verify(tuf, wantsOf(claim));
  const { roles } = believed.delegated;
  const files = { ...tuf, root: trusting.roots, delegated: roles };
  return { manifest: manifestOf(believed, id, locate), signatures: [], tuf: files };
}

/** What was judged some time ago has not expired since. @throws Fault invalidData */
export async function checkExpiry({ manifest, tuf }: SignedManifest, trust: TrustOptions): Promise<void> {
  if (tuf !== undefined) await known(trust.tuf).requireFresh(tuf);
  else if (manifest !== undefined) requireInTime(manifest, timeOf(trust));
}

function timeOf({ nowMs, signedTime }: TrustOptions): number {
  return Math.max(nowMs(), signedTime.read());
}

async function keepTime(manifest: Manifest | undefined, { signedTime }: TrustOptions): Promise<void> {
  if (manifest?.issued === undefined) return;
  const issuedMs = Date.parse(manifest.issued);
  if (Number.isNaN(issuedMs)) throw new Fault("invalidData", "The manifest's issued is no time");
  if (issuedMs > signedTime.read()) await signedTime.write(issuedMs);
}

function known(verifier: TufVerifier | undefined): TufVerifier {
  if (verifier === undefined) throw new Fault("invalidSignature", "No root of TUF metadata is trusted here");
  return verifier;
}

/**
 * Checks a package before anything of it is fetched or stored. @throws Fault invalidSignature when it is not signed as it should be,
 * invalidData when the manifest speaks of another package or has expired
 */
export function checkManifest(
  { id, manifest, signatures }: Claim,
  mode: VerifyMode,
  keys: readonly KeyObject[],
  nowMs: number,
): void {
  if (mode !== "none") checkSignature(manifest, signatures, mode, keys);
  if (manifest === undefined) return;
  if (keyOfId(manifest.id) !== keyOfId(id))
    throw new Fault("invalidData", `The manifest is that of update ${manifest.id}`);
  requireInTime(manifest, nowMs);
}

function requireInTime({ expires }: Manifest, nowMs: number): void {
  if (expires === undefined) return;
  const expiresMs = Date.parse(expires);
  if (Number.isNaN(expiresMs)) throw new Fault("invalidData", "The manifest's expires is no time");
  if (expiresMs <= nowMs) throw new Fault("invalidData", `The manifest expired at ${expires}`);
}

function checkSignature(
  manifest: Manifest | undefined,
  signatures: readonly string[],
  mode: VerifyMode,
  keys: readonly KeyObject[],
): void {
  if (manifest === undefined || signatures.length === 0) {
    if (mode === "optional" && signatures.length === 0) return;
    throw new Fault(
      "invalidSignature",
      manifest === undefined ? "The package has no manifest" : "The package is not signed",
    );
  }
  const signed = Buffer.from(canonical(manifest));
  const holds = signatures.some((sig) => keys.some((key) => verify(null, signed, key, Buffer.from(sig, "base64"))));
  if (!holds) throw new Fault("invalidSignature", "No trusted key made a signature of this manifest");
}

/** The image of a component must be the one the manifest names. @throws Fault invalidData */
export function checkImage(
  target: ManifestTarget,
  image: { readonly sizeBytes: number; readonly sha256: string },
): void {
  if (image.sizeBytes !== target.length) {
    throw new Fault("invalidData", `The image has ${image.sizeBytes} bytes, the manifest says ${target.length}`);
  }
  if (image.sha256 !== target.sha256.toLowerCase()) {
    throw new Fault(
      "invalidData",
      `The image has SHA-256 ${image.sha256}, the manifest says ${target.sha256.toLowerCase()}`,
    );
  }
}

/** Hashes beside SHA-256, which the store has already: worked out by reading the image. @throws Fault invalidData */
export async function checkMoreHashes({ sha512 }: ManifestTarget, image: BulkInfo, bulk: Bulk): Promise<void> {
  if (sha512 === undefined) return;
  const hash = createHash("sha512");
  for await (const chunk of bulk.artifact(image).read()) hash.update(chunk);
  if (hash.digest("hex") === sha512.toLowerCase()) return;
  throw new Fault("invalidData", "The image has not the SHA-512 that the manifest names");
}

/** @throws Fault conflict when an image's release counter is below the one that was last installed */
export function checkCounter(to: number | undefined, installed: number | undefined): void {
  if (installed === undefined || (to !== undefined && to >= installed)) return;
  throw new Fault("conflict", `Release counter ${to ?? "(none)"} is below ${installed}, which is installed`);
}

/** @throws Fault conflict when `to` is older than what is installed or than the floor, or names no version where there is a floor */
export function checkVersion(to: string | undefined, installed: string | undefined, floor: string | undefined): void {
  if (to === undefined) {
    if (floor === undefined) return;
    throw new Fault("conflict", `The package proves no version, and ${floor} is the oldest allowed`);
  }
  for (const [version, what] of [
    [installed, "installed"],
    [floor, "the oldest allowed"],
  ] as const) {
    if (version === undefined || compareVersions(to, version) >= 0) continue;
    throw new Fault("conflict", `Version ${to} is older than ${version}, which is ${what}`);
  }
}
