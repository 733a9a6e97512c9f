/** From what TUF targets metadata says, with Uptane's additions in `custom`, to the manifest of one update. */
import type { TargetFile } from "@tufjs/models";
import { Fault } from "#core/errors.ts";
import { type Static, Type } from "#core/schema.ts";
import { fits } from "#core/validate.ts";
import { componentOf, keyOfId, type Manifest, type ManifestTarget, RxswinFields } from "#update/software/package.ts";
import type { Believed } from "./tuf.ts";
import { HASHES } from "./tuf-checks.ts";

/** Who gets a file. `update`: only for the update of this id. `hardware_ids` and `release_counter`: Uptane 5.2.3.1.1. */
const CustomSchema = Type.Object({
  components: Type.Array(Type.String({ maxLength: 128, pattern: "[^/]$" }), { maxItems: 256 }),
  update: Type.Optional(Type.String()),
  hardware_ids: Type.Optional(Type.Array(Type.String({ maxLength: 128 }), { maxItems: 64 })),
  release_counter: Type.Optional(Type.Integer({ minimum: 0 })),
  ...RxswinFields,
  version: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  /** Where the file is, if not at its path; its hash is what is believed. */
  uri: Type.Optional(Type.String({ maxLength: 2048 })),
});
type Custom = Static<typeof CustomSchema>;

export interface Wanted {
  /** Of the update. */
  readonly id: string;
  readonly components: readonly string[];
}

/**
 * Whether a delegated role's file is for one of these components. Roles are trusted with paths, so the path has to name the component: who
 * may sign for `acme/camera/…` says nothing of the engine. What does not fit is passed over: no supplier keeps the others from their update.
 */
export function wantsOf({ id, components }: Wanted): (file: TargetFile) => boolean {
  return (file) => {
    const { custom } = file;
    if (!fits(CustomSchema, custom) || !isFor(custom, id)) return false;
    return named(file, custom).some((component) => components.includes(component));
  };
}

/** Components of `custom` that are a folder of the path. */
function named({ path }: TargetFile, custom: Custom): readonly string[] {
  const folders = path.toLowerCase().split("/").slice(0, -1);
  return custom.components.map(componentOf).filter((component) => folders.includes(component));
}

function isFor({ update }: Custom, id: string): boolean {
  return update === undefined || keyOfId(update) === keyOfId(id);
}

/**
 * Files without `components` are none of ours. `delegated`: those that `wantsOf` accepted. @throws Fault invalidData when two files are meant
 * for one component
 */
export function manifestOf(
  { targets, delegated }: Believed,
  id: string,
  locate: (file: TargetFile) => string | undefined,
): Manifest {
  const found: Record<string, ManifestTarget> = {};
  const add = (file: TargetFile, custom: Custom, components: readonly string[]): void => {
    const target = targetOf(file, custom, custom.uri ?? locate(file));
    // an id and a path may both name it
    for (const component of new Set(components)) {
      if (Object.hasOwn(found, component))
        throw new Fault("invalidData", `Targets name two files for component ${component}`);
      found[component] = target;
    }
  };
  for (const file of Object.values(targets.targets)) {
    const custom = customOf(file);
    if (custom !== undefined && isFor(custom, id)) add(file, custom, custom.components.map(componentOf));
  }
  for (const file of delegated.files) {
    const custom = customOf(file);
    if (custom !== undefined) add(file, custom, named(file, custom));
  }
  return { id, expires: targets.expires, targets: found };
}

function customOf({ path, custom }: TargetFile): Custom | undefined {
  if (custom?.components === undefined) return undefined;
  if (!fits(CustomSchema, custom)) throw new Fault("invalidData", `The custom data of target ${path} is none`);
  return custom;
}

function targetOf({ path, length, hashes }: TargetFile, custom: Custom, uri: string | undefined): ManifestTarget {
  const unknown = Object.keys(hashes).find((algorithm) => !HASHES.has(algorithm));
  if (unknown !== undefined) throw new Fault("invalidData", `Target ${path} has a hash ${unknown}, which is not known`);
  const { sha256, sha512 } = hashes;
  if (sha256 === undefined) throw new Fault("invalidData", `Target ${path} has no SHA-256`);
  const { version, hardware_ids, release_counter, rxswin, rxswin_authority, rxswin_approval } = custom;
  return {
    sha256,
    length,
    ...(sha512 === undefined ? {} : { sha512 }),
    ...(uri === undefined ? {} : { uri }),
    ...(version === undefined ? {} : { version }),
    ...(hardware_ids === undefined ? {} : { hardware_ids }),
    ...(release_counter === undefined ? {} : { release_counter }),
    ...(rxswin === undefined ? {} : { rxswin }),
    ...(rxswin_authority === undefined ? {} : { rxswin_authority }),
    ...(rxswin_approval === undefined ? {} : { rxswin_approval }),
  };
}
