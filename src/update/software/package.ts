/** The description of an update as a client registers it (ISO 17978-3 7.18, Table 261), and what a campaign reads from it. */
import { Fault } from "#core/errors.ts";
import { type Static, Type } from "#core/schema.ts";
import { type RollbackPolicy, UPDATE_METHODS, type UpdateMethod } from "#update/software/campaign/states.ts";
import type { TufFiles } from "#update/software/trust/tuf.ts";

export const MAX_ID_LENGTH = 256;
const ID = /^[A-Za-z0-9._-]{1,256}$/;
/** Stands for what a server chose itself (Table 258). */
export const RESERVED_ID = "autonomous";
const ORIGIN = /^(remote|proximity|x-(?!sovd-)[a-z0-9]+-[a-z0-9-]+)$/;

const Names = Type.Array(Type.String({ minLength: 1, maxLength: 512 }), { maxItems: 256 });
const Version = Type.String({ minLength: 1, maxLength: 128 });

/** A condition read as data of a component: `pointer` (RFC 6901) into the answer of `GET /components/{component}/data/{data}`. */
export const PreconditionSchema = Type.Object({
  component: Type.String(),
  data: Type.String(),
  pointer: Type.Optional(Type.String()),
  min: Type.Optional(Type.Number()),
  max: Type.Optional(Type.Number()),
  equals: Type.Optional(Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
});
export type Precondition = Static<typeof PreconditionSchema>;

/**
 * Identifier of the type-approved software (UN R156 7.2.1.2) that a component has with an image, who approved it, and under which
 * reference.
 */
export const RxswinFields = {
  rxswin: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  rxswin_authority: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  rxswin_approval: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
};

export const TargetSchema = Type.Object({
  uri: Type.Optional(Type.String({ maxLength: 2048 })),
  sha256: Type.String({ pattern: "^[0-9a-fA-F]{64}$" }),
  length: Type.Integer({ minimum: 0 }),
  version: Type.Optional(Version),
  hardware_id: Type.Optional(Type.String({ maxLength: 128 })),
  /** Any of these will do. */
  hardware_ids: Type.Optional(Type.Array(Type.String({ maxLength: 128 }), { maxItems: 64 })),
  sha512: Type.Optional(Type.String({ pattern: "^[0-9a-fA-F]{128}$" })),
  /** Uptane's release counter: does not fall. */
  release_counter: Type.Optional(Type.Integer({ minimum: 0 })),
  ...RxswinFields,
});

/** What is signed: which image each component gets. `issued`, `expires`: RFC 3339. */
export const ManifestSchema = Type.Object({
  id: Type.String(),
  version: Type.Optional(Version),
  issued: Type.Optional(Type.String()),
  expires: Type.Optional(Type.String()),
  targets: Type.Record(Type.String(), TargetSchema),
});
export type Manifest = Static<typeof ManifestSchema>;
export type ManifestTarget = Static<typeof TargetSchema>;

/** Base64 of an Ed25519 signature over the canonical manifest; several keys may sign. */
export const SignaturesSchema = Type.Union([
  Type.String({ maxLength: 256 }),
  Type.Array(Type.Object({ sig: Type.String({ maxLength: 256 }) }), { maxItems: 16 }),
]);

/** Metadata of The Update Framework: the text of each file as it was signed. */
export const TufSchema = Type.Object({
  root: Type.Optional(Type.Array(Type.String(), { maxItems: 64 })),
  timestamp: Type.String(),
  snapshot: Type.String(),
  targets: Type.String(),
  delegated: Type.Optional(Type.Record(Type.String(), Type.String())),
});

export const PackageSchema = Type.Object({
  id: Type.String(),
  update_name: Type.Optional(Type.String()),
  automated: Type.Optional(Type.Boolean()),
  origins: Type.Optional(Type.Array(Type.String(), { maxItems: 16 })),
  origin: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String(), { maxItems: 16 })])),
  rollback_policy: Type.Optional(Type.Union([Type.Literal("independent"), Type.Literal("coordinated")])),
  artifact_uri: Type.Optional(Type.String({ maxLength: 2048 })),
  target_version: Type.Optional(Version),
  size: Type.Optional(Type.Integer({ minimum: 0 })),
  affected_components: Type.Optional(Names),
  updated_components: Type.Optional(Names),
  "x-manifest": Type.Optional(ManifestSchema),
  "x-signature": Type.Optional(SignaturesSchema),
  "x-tuf": Type.Optional(TufSchema),
  "x-allow-no-rollback": Type.Optional(Names),
  /** How the software came; default: by its first origin. */
  "x-update-method": Type.Optional(Type.Enum([...UPDATE_METHODS])),
  "x-preconditions": Type.Optional(Type.Array(PreconditionSchema, { maxItems: 64 })),
  "x-orchestrator": Type.Optional(Type.Object({ watchdog_ms: Type.Integer({ minimum: 100 }) })),
});

export interface UpdatePackage {
  readonly id: string;
  readonly automated: boolean;
  readonly origins: readonly string[];
  readonly method: UpdateMethod;
  readonly policy: RollbackPolicy;
  /** Component ids, lower case, each once. */
  readonly components: readonly string[];
  readonly targetVersion: string | undefined;
  readonly artifactUri: string | undefined;
  readonly manifest: Manifest | undefined;
  readonly signatures: readonly string[];
  /** Instead of a manifest and its signatures. */
  readonly tuf: TufFiles | undefined;
  readonly allowNoRollback: readonly string[];
  readonly preconditions: readonly Precondition[];
  /** Another node gives the verdict, within so long. */
  readonly watchdogMs: number | undefined;
}

/** Ids are the same in any case: they are path segments. */
export function keyOfId(id: string): string {
  return id.toLowerCase();
}

/** Whether a text can be an update's id, the reserved one included. */
export function isId(text: string): boolean {
  return ID.test(text) && text !== "." && text !== "..";
}

/** @throws Fault badRequest for an id that is none */
export function checkId(id: string): void {
  if (!isId(id)) {
    throw new Fault("badRequest", `An update id has 1 to ${MAX_ID_LENGTH} of A-Z a-z 0-9 . _ -`);
  }
  if (keyOfId(id) === RESERVED_ID) throw new Fault("badRequest", `The id ${RESERVED_ID} is reserved`);
}

/** @throws Fault badRequest for a word that is neither the standard's nor an extension `x-<ext>-<name>` */
export function checkOrigin(origin: string): void {
  if (!ORIGIN.test(origin)) throw new Fault("badRequest", `Unknown origin: ${origin}`);
}

/** What a campaign reads from a body that has passed `PackageSchema`. @throws Fault badRequest */
export function readPackage(body: Static<typeof PackageSchema>): UpdatePackage {
  checkId(body.id);
  const origins = body.origins ?? (body.origin === undefined ? ["remote"] : [body.origin].flat());
  for (const origin of origins) checkOrigin(origin);
  const signature = body["x-signature"];
  const tuf = body["x-tuf"];
  if (tuf !== undefined && (body["x-manifest"] ?? signature) !== undefined) {
    throw new Fault("badRequest", "x-tuf stands in the place of x-manifest and x-signature");
  }
  return {
    id: body.id,
    automated: body.automated === true,
    origins,
    method: body["x-update-method"] ?? (origins[0] === "proximity" ? "workshop" : "ota"),
    policy: body.rollback_policy ?? "independent",
    components: [...new Set((body.updated_components ?? body.affected_components ?? []).map(componentOf))],
    targetVersion: body.target_version,
    artifactUri: body.artifact_uri,
    manifest: body["x-manifest"],
    signatures: typeof signature === "string" ? [signature] : (signature ?? []).map(({ sig }) => sig),
    tuf: tuf === undefined ? undefined : { ...tuf, root: tuf.root ?? [] },
    allowNoRollback: (body["x-allow-no-rollback"] ?? []).map(componentOf),
    preconditions: body["x-preconditions"] ?? [],
    watchdogMs: body["x-orchestrator"]?.watchdog_ms,
  };
}

/** The package of a campaign: its body passed the schema when it was registered. */
export function packageOf(record: { readonly package: Readonly<Record<string, unknown>> }): UpdatePackage {
  return readPackage(record.package as Static<typeof PackageSchema>);
}

/** ISO lists paths, others ids: `/components/body_mcu` and `body_mcu` are the same. */
export function componentOf(name: string): string {
  const id = name.split("/").at(-1) ?? "";
  if (id === "") throw new Fault("badRequest", `"${name}" names no component`);
  return id.toLowerCase();
}
