/** From what TUF targets metadata says, with Uptane's additions in `custom`, to the manifest of one update. */
import type { TargetFile, Targets } from "@tufjs/models";
import { Fault } from "#core/errors.ts";
import { type Static, Type } from "#core/schema.ts";
import { fits } from "#core/validate.ts";
import { componentOf, keyOfId, type Manifest, type ManifestTarget, RxswinFields } from "#update/software/package.ts";
import { HASHES } from "./tuf.ts";

/** Who gets a file. `update`: only for the update of this id. `hardware_ids` and `release_counter`: Uptane 5.2.3.1.1. */
const CustomSchema = Type.Object({
  components: Type.Array(Type.String({ minLength: 1, maxLength: 128 }), { maxItems: 256 }),
  update: Type.Optional(Type.String()),
  hardware_ids: Type.Optional(Type.Array(Type.String({ maxLength: 128 }), { maxItems: 64 })),
  release_counter: Type.Optional(Type.Integer({ minimum: 0 })),
  ...RxswinFields,
  version: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  /** Where the file is, if not at its path; its hash is what is believed. */
  uri: Type.Optional(Type.String({ maxLength: 2048 })),
});
type Custom = Static<typeof CustomSchema>;

/** Files without `components` are none of ours. @throws Fault invalidData when two files are meant for one component */
export function manifestOf(targets: Targets, id: string, locate: (file: TargetFile) => string | undefined): Manifest {
  const found: Record<string, ManifestTarget> = {};
  for (const file of Object.values(targets.targets)) {
    const custom = customOf(file);
    if (custom === undefined || (custom.update !== undefined && keyOfId(custom.update) !== keyOfId(id))) continue;
    const target = targetOf(file, custom, custom.uri ?? locate(file));
    for (const component of custom.components.map(componentOf)) {
      if (Object.hasOwn(found, component))
        throw new Fault("invalidData", `Targets name two files for component ${component}`);
      found[component] = target;
    }
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
