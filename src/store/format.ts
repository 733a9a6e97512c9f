import { Fault } from "#core/errors.ts";
import { type Environment, getRecord, putRecord } from "./lmdb-env.ts";

/** Version of what the tables of an environment mean. */
export const FORMAT_VERSION = 1;

/** Entry n makes version n + 1 of version n. It works on the tables synchronously, inside the transaction that notes the version. */
export type Migrations = Readonly<Record<number, (env: Environment) => void>>;

export const MIGRATIONS: Migrations = {};

/**
 * Brings an environment to `version`, all steps in one transaction; a new environment is of that version at once. Throws `storageIo` for
 * a version from the future, or one that no step leads on from.
 */
export async function migrate(env: Environment, version: number, migrations: Migrations): Promise<void> {
  const meta = env.table("meta");
  const found = getRecord<number>(meta, "format");
  if (found === version) return;
  if (found !== undefined && found > version)
    throw new Fault("storageIo", `${env.file} has format ${found}; this version knows up to ${version}`);
  await env.commit(`Migrating ${env.file}`, () => {
    for (let from = found ?? version; from < version; from++) {
      const step = migrations[from];
      if (step === undefined) throw new Fault("storageIo", `${env.file}: no way from format ${from} on`);
      step(env);
    }
    putRecord(meta, "format", version);
  });
}
