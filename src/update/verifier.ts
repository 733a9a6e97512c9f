/**
 * Judges databases before they may become current: container, hashes, signatures, versions. The defaults follow `[update]`; a module
 * of the operator's is asked beside them.
 */
import type { Config } from "#config/types.ts";
import { Fault, reasonOf } from "#core/errors.ts";
import { makeOfModule } from "#core/module.ts";
import { ed25519Checker } from "#mdd/container/ed25519.ts";
import { readTrustedKeys } from "#security/keys.ts";
import { compareRevisions, type ParseDatabase, type ParsedDatabase } from "#store/databases.ts";
import { inflateLzmaHere } from "#store/lzma.ts";
import { createMddParser, verifyOptionsOf } from "./mdd-parser.ts";

/** Why a database is refused; goes to the caller. */
export type Refusal = string;

export interface DatabaseFacts {
  /** Key of the file. */
  readonly file: string;
  readonly ecuName: string;
  readonly revision: string | undefined;
}

/** What is known of an ECU's databases. */
export interface KnownVersions {
  /** Revision in use. */
  readonly current: string | undefined;
  /** Highest that ever was, deleted ones included. */
  readonly highest: string | undefined;
}

/** What the default export of `[update] database_verifier` makes. It says no in words; `undefined` means yes. */
export interface DatabaseVerifier {
  verify(
    database: DatabaseFacts & { readonly container: Uint8Array },
    known: KnownVersions,
  ): Refusal | undefined | Promise<Refusal | undefined>;
}

export interface Verification {
  /**
   * Takes a file apart and judges it. Fault `invalidData` when it is broken or refused.
   */
  verify(file: string, container: Uint8Array, known: (ecuName: string) => KnownVersions): Promise<ParsedDatabase>;
  /** The rule of versions alone. */
  checkVersion(database: DatabaseFacts, known: KnownVersions): void;
}

/** @throws Fault `invalidConfig` when a key cannot be read, and for an operator's module that is none */
export async function createVerification(config: Pick<Config, "flat_buf" | "update">): Promise<Verification> {
  const { update } = config;
  const parse = await createParser(config);
  const plugin = update.database_verifier === undefined ? undefined : await loadVerifier(update.database_verifier);

  function checkVersion(database: DatabaseFacts, { highest }: KnownVersions): void {
    const { file, ecuName, revision } = database;
    if (update.allow_downgrade || compareRevisions(revision, highest) >= 0) return;
    const found = revision === undefined ? "has no revision" : `has revision ${revision}`;
    throw refused(file, `${ecuName} ${found}, older than ${highest}`);
  }

  return {
    checkVersion,
    async verify(file, container, knownOf) {
      const parsed = await parsing(parse, file, container);
      const facts: DatabaseFacts = { file, ecuName: parsed.ecuName, revision: parsed.revision };
      const known = knownOf(parsed.ecuName);
      checkVersion(facts, known);
      const refusal = await plugin?.verify({ ...facts, container }, known);
      if (refusal !== undefined) throw refused(file, refusal);
      return parsed;
    },
  };
}

function refused(file: string, why: string): Fault {
  return new Fault("invalidData", `Validation failed: ${file}: ${why}`);
}

/** The file is what is wrong, whatever the parser calls it. */
async function parsing(parse: ParseDatabase, file: string, container: Uint8Array): Promise<ParsedDatabase> {
  try {
    return await parse(container, file);
  } catch (error) {
    throw refused(file, reasonOf(error));
  }
}

async function createParser(config: Pick<Config, "flat_buf" | "update">): Promise<ParseDatabase> {
  const { update } = config;
  const limits = verifyOptionsOf(config);
  // beside a server at work: at the priority of this thread, not at that of libuv's pool
  const inflate = inflateLzmaHere;
  if (update.verify_databases === "none") return createMddParser(limits, { inflate });
  return createMddParser(limits, {
    inflate,
    checkSignature: ed25519Checker(readTrustedKeys(update.trusted_keys)),
    requireSignature: update.verify_databases === "required",
  });
}

async function loadVerifier(path: string): Promise<DatabaseVerifier> {
  const verifier = await makeOfModule("update.database_verifier", path);
  if (typeof (verifier as Partial<DatabaseVerifier> | undefined)?.verify === "function") {
    return verifier as DatabaseVerifier;
  }
  throw new Fault("invalidConfig", `update.database_verifier: the default export of ${path} makes no verifier`);
}
