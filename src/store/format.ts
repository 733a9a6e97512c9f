import { Fault } from "#core/errors.ts";
import { type Environment, getRecord, type Writes } from "./lmdb-env.ts";

/** Version of what the tables of an environment mean. */
export const FORMAT_VERSION = 1;

/** Entry n makes version n + 1 of version n, in one transaction that also notes the new version. */
type Migrations = Readonly<Record<number, (env: Environment, write: Writes) => void>>;

export interface Format {
  readonly version: number;
  readonly migrations: Migrations;
}

/** What this program writes, and how it gets there from what older ones wrote. */
export const FORMAT: Format = { version: FORMAT_VERSION, migrations: {} };

/**
 * Brings an environment to a format step by step, each whole or not at all; a new environment is of that version at once. Throws
 * `storageIo` for a version from the future, or one that no step leads on from, with nothing changed.
 */
export async function migrate(env: Environment, { version, migrations }: Format): Promise<void> {
  const meta = env.table("meta");
  const found = getRecord<number>(meta, "format");
  if (found !== undefined && found > version)
    throw new Fault("storageIo", `${env.file} has format ${found}; this version knows up to ${version}`);
  for (let from = found ?? version; from < version; from++)
    if (migrations[from] === undefined) throw new Fault("storageIo", `${env.file}: no way from format ${from} on`);
  if (found === undefined) await env.commit("Naming the format", (write) => write.record(meta, "format", version));
  for (let from = found ?? version; from < version; from++)
    await env.commit(`Migrating ${env.file} from format ${from}`, (write) => {
      migrations[from]?.(env, write);
      write.record(meta, "format", from + 1);
    });
}
