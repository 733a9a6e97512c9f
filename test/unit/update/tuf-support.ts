/** A TUF repository made in the test: keys, roles, files as text, each as the test wants it. */
import assert from "node:assert/strict";
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { Key, Metadata, MetaFile, Root, Signature, Snapshot, type TargetFile, Targets, Timestamp } from "@tufjs/models";
import { Fault, type FaultKind } from "#core/errors.ts";
import { type Believed, type TufFiles, type TufState, TufVerifier } from "#update/software/trust/tuf.ts";

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

/** The same key under another id. `write`: how, from hexadecimal. */
export function sameKey({ key, privateKey }: RoleKey, write = (hex: string) => hex): RoleKey {
  const again = newKey("another-id");
  const keyVal = { public: write(key.keyVal.public!) };
  return { privateKey, key: Object.assign(Object.create(Object.getPrototypeOf(key)), again.key, { keyVal }) };
}

/** Ways to write one key. */
export const WRITTEN: Readonly<Record<string, (hex: string) => string>> = {
  "in capitals": (hex) => hex.toUpperCase(),
  "with half a byte more": (hex) => `${hex}0`,
  "as PEM": (hex) => {
    const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), Buffer.from(hex, "hex")]);
    return createPublicKey({ key: der, format: "der", type: "spki" })
      .export({ type: "spki", format: "pem" })
      .toString();
  },
};

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
  readonly files?: FileStates;
  /** Delegated roles, by name. */
  readonly roles?: Readonly<Record<string, RoleState>>;
  /** To whom the top-level targets delegate. Default: to all, in their order. */
  readonly to?: readonly string[];
  /** The top-level targets have hash bins (TAP 15). */
  readonly succinct?: boolean;
  /** The snapshot names versions alone. */
  readonly bare?: boolean;
  /** Roles that the snapshot leaves out. */
  readonly unnamed?: readonly string[];
}

export type FileStates = Readonly<Record<string, { readonly content: string | Uint8Array; readonly custom?: object }>>;

export interface RoleState {
  readonly keys: readonly RoleKey[];
  /** Default: as many as keys. */
  readonly threshold?: number;
  /** What it is trusted with. */
  readonly paths?: readonly string[];
  readonly prefixes?: readonly string[];
  readonly terminating?: boolean;
  /** Who signs, where it is not those who should. */
  readonly by?: readonly RoleKey[];
  readonly version?: number;
  readonly expires?: string;
  readonly files?: FileStates;
  readonly to?: readonly string[];
}

/** All files but the roots, each naming the next with length and hash. */
export function repositoryOf(
  state: RepositoryState,
): TufFiles & { readonly delegated: Readonly<Record<string, string>> } {
  const { keys, versions = {}, expires = {}, by = {}, files = {}, roles = {}, unnamed = [] } = state;
  const { to = Object.keys(roles), succinct } = state;
  const common = { specVersion: "1.0.31" };
  const targetsBody = targetsOf(state, { version: versions.targets, expires: expires.targets, files, to, succinct });
  const targets = signed(targetsBody, by.targets ?? keys.targets);
  const delegated = Object.fromEntries(
    Object.entries(roles).map(([name, role]) => [name, signed(targetsOf(state, role), role.by ?? role.keys)]),
  );
  const snapshotBody = new Snapshot({
    ...common,
    version: versions.snapshot ?? 1,
    expires: expires.snapshot ?? LATER,
    meta: {
      "targets.json": metaOf(targets, targetsBody.version),
      ...Object.fromEntries(
        Object.entries(roles)
          .filter(([name]) => !unnamed.includes(name))
          .map(([name, { version = 1 }]) => [
            `${name}.json`,
            state.bare === true ? new MetaFile({ version }) : metaOf(delegated[name]!, version),
          ]),
      ),
    },
  });
  const snapshot = signed(snapshotBody, by.snapshot ?? keys.snapshot);
  const timestampBody = new Timestamp({
    ...common,
    version: versions.timestamp ?? 1,
    expires: expires.timestamp ?? LATER,
    snapshotMeta: metaOf(snapshot, snapshotBody.version),
  });
  return { root: [], timestamp: signed(timestampBody, by.timestamp ?? keys.timestamp), snapshot, targets, delegated };
}

interface TargetsState {
  readonly version?: number | undefined;
  readonly expires?: string | undefined;
  readonly files?: FileStates;
  readonly to?: readonly string[];
  readonly succinct?: boolean | undefined;
}

function targetsOf(
  { roles = {} }: RepositoryState,
  { version = 1, expires = LATER, files = {}, to = [], succinct }: TargetsState,
) {
  const delegations = {
    keys: Object.fromEntries(
      to.flatMap((name) => roles[name]!.keys.map(({ key }) => [key.keyID, key.toJSON()] as const)),
    ),
    ...(succinct === true
      ? { succinct_roles: { keyids: [], threshold: 1, bit_length: 4, name_prefix: "bin" } }
      : { roles: to.map((name) => delegationOf(name, roles[name]!)) }),
  };
  return Targets.fromJSON({
    _type: "targets",
    spec_version: "1.0.31",
    version,
    expires,
    targets: Object.fromEntries(Object.entries(files).map(([path, file]) => [path, fileOf(file)])),
    ...(to.length === 0 ? {} : { delegations }),
  } as never);
}

function delegationOf(name: string, role: RoleState) {
  const { keys, threshold = keys.length, paths = ["*/*"], prefixes, terminating = false } = role;
  const trusted = prefixes === undefined ? { paths } : { path_hash_prefixes: prefixes };
  return { name, keyids: keys.map(({ key }) => key.keyID), threshold, terminating, ...trusted };
}

function fileOf({ content, custom }: FileStates[string]) {
  const hash = (algorithm: string) => createHash(algorithm).update(content).digest("hex");
  return {
    length: content.length,
    hashes: { sha256: hash("sha256"), sha512: hash("sha512") },
    ...(custom === undefined ? {} : { custom }),
  };
}

function metaOf(text: string, version: number): MetaFile {
  const sha256 = createHash("sha256").update(text).digest("hex");
  return new MetaFile({ version, length: Buffer.byteLength(text), hashes: { sha256 } });
}

export interface Node {
  readonly verifier: TufVerifier;
  /** `wants`: which files of delegated roles are looked for. Default: none. */
  verify(files: TufFiles, wants?: (file: TargetFile) => boolean): Promise<Believed>;
  state: TufState | undefined;
}

/** `clock`: what its wall clock shows. */
export function nodeOf(root: string, clock = { nowMs: NOW }): Node {
  const node: Node = {
    state: undefined,
    verify: (files, wants = () => false) => node.verifier.verify(files, wants),
    verifier: new TufVerifier({
      root,
      nowMs: () => clock.nowMs,
      store: {
        read: () => node.state,
        async write(state) {
          node.state = JSON.parse(JSON.stringify(state));
        },
      },
    }),
  };
  return node;
}

/** How work ends. */
export async function kindOf(work: Promise<unknown>): Promise<readonly [FaultKind | "ok", string]> {
  return work.then(
    () => ["ok", ""] as const,
    (error: unknown) => {
      assert.ok(error instanceof Fault, `not a fault: ${(error as Error).stack}`);
      return [error.kind, error.message] as const;
    },
  );
}
