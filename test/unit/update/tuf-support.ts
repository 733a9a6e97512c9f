/** A TUF repository made in the test: keys, roles, files as text, each as the test wants it. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { Key, Metadata, MetaFile, Root, Signature, Snapshot, TargetFile, Targets, Timestamp } from "@tufjs/models";
import type { TufFiles } from "#update/software/trust/tuf.ts";

export interface RoleKey {
  readonly key: Key;
  readonly privateKey: KeyObject;
}

export const NOW = Date.parse("2030-06-01T00:00:00Z");
export const LATER = "2030-07-01T00:00:00Z";
export const EARLIER = "2030-05-01T00:00:00Z";

export function newKey(id?: string): RoleKey {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("hex");
  const keyID = id ?? createHash("sha256").update(raw).digest("hex");
  return { privateKey, key: new Key({ keyID, keyType: "ed25519", scheme: "ed25519", keyVal: { public: raw } }) };
}

export interface Keys {
  readonly root: readonly RoleKey[];
  readonly timestamp: readonly RoleKey[];
  readonly snapshot: readonly RoleKey[];
  readonly targets: readonly RoleKey[];
}

export function newKeys(): Keys {
  return { root: [newKey(), newKey()], timestamp: [newKey()], snapshot: [newKey()], targets: [newKey(), newKey()] };
}

export function signed(body: Root | Timestamp | Snapshot | Targets, by: readonly RoleKey[]): string {
  const metadata = new Metadata(body as Root);
  for (const { key, privateKey } of by) {
    metadata.sign((data) => new Signature({ keyID: key.keyID, sig: sign(null, data, privateKey).toString("hex") }));
  }
  return JSON.stringify(metadata.toJSON());
}

/** Two of two for root and targets, one for the rest. */
export function rootOf(keys: Keys, version = 1, by: readonly RoleKey[] = keys.root, expires = LATER): string {
  const root = new Root({ version, specVersion: "1.0.31", expires, consistentSnapshot: true });
  for (const role of ["root", "timestamp", "snapshot", "targets"] as const) {
    for (const { key } of keys[role]) root.addKey(key, role);
    (root.roles[role] as { threshold: number }).threshold = keys[role].length;
  }
  return signed(root, by);
}

export interface RepositoryState {
  readonly keys: Keys;
  readonly versions?: { readonly timestamp?: number; readonly snapshot?: number; readonly targets?: number };
  readonly expires?: { readonly timestamp?: string; readonly snapshot?: string; readonly targets?: string };
  /** Who signs, where it is not those who should. */
  readonly by?: Partial<Keys>;
  readonly files?: Readonly<Record<string, { readonly content: string | Uint8Array; readonly custom?: object }>>;
}

/** All files but the roots, each naming the next with length and hash. */
export function repositoryOf({ keys, versions = {}, expires = {}, by = {}, files = {} }: RepositoryState): TufFiles {
  const common = { specVersion: "1.0.31" };
  const targetsBody = new Targets({
    ...common,
    version: versions.targets ?? 1,
    expires: expires.targets ?? LATER,
    targets: Object.fromEntries(
      Object.entries(files).map(([path, { content, custom }]) => [
        path,
        new TargetFile({
          path,
          length: content.length,
          hashes: {
            sha256: createHash("sha256").update(content).digest("hex"),
            sha512: createHash("sha512").update(content).digest("hex"),
          },
          ...(custom === undefined ? {} : { unrecognizedFields: { custom: custom as never } }),
        }),
      ]),
    ),
  });
  const targets = signed(targetsBody, by.targets ?? keys.targets);
  const snapshotBody = new Snapshot({
    ...common,
    version: versions.snapshot ?? 1,
    expires: expires.snapshot ?? LATER,
    meta: { "targets.json": metaOf(targets, targetsBody.version) },
  });
  const snapshot = signed(snapshotBody, by.snapshot ?? keys.snapshot);
  const timestampBody = new Timestamp({
    ...common,
    version: versions.timestamp ?? 1,
    expires: expires.timestamp ?? LATER,
    snapshotMeta: metaOf(snapshot, snapshotBody.version),
  });
  return { root: [], timestamp: signed(timestampBody, by.timestamp ?? keys.timestamp), snapshot, targets };
}

function metaOf(text: string, version: number): MetaFile {
  const sha256 = createHash("sha256").update(text).digest("hex");
  return new MetaFile({ version, length: Buffer.byteLength(text), hashes: { sha256 } });
}
