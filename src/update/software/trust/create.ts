/** What this node trusts: keys and root of the configuration, and what it has believed so far. */
import { readFileSync } from "node:fs";
import type { Config } from "#config/types.ts";
import { Fault, reasonOf } from "#core/errors.ts";
import { readTrustedKeys } from "#security/keys.ts";
import type { Journal } from "#update/software/journal/journal.ts";
import type { SignedTime, TrustOptions } from "./trust.ts";
import type { TufStore, TufVerifier } from "./tuf.ts";

type UpdateConfig = Config["update"];
type Notes = Pick<Journal, "readNote" | "writeNote">;

const ROOT_NOTE = "tuf";
const TIME_NOTE = "time";

/** Finds for a configuration what is trusted by it; the root is that of the first. @throws Fault invalidConfig */
export async function createTrust(
  { trusted_root }: UpdateConfig,
  notes: Notes,
  nowMs: () => number,
): Promise<(update: UpdateConfig) => TrustOptions> {
  const tuf = trusted_root === undefined ? undefined : await trustedRoot(trusted_root, notes, nowMs);
  const signedTime = signedTimeOf(notes);
  return ({ verify, trusted_keys }) => ({ mode: verify, keys: readTrustedKeys(trusted_keys), tuf, nowMs, signedTime });
}

/** The latest of all that is written, also when two campaigns are judged at the same time. */
export function signedTimeOf(notes: Notes): SignedTime {
  let latestMs = Number(notes.readNote("trust", TIME_NOTE) ?? 0);
  return {
    read: () => latestMs,
    async write(timeMs) {
      latestMs = Math.max(latestMs, timeMs);
      await notes.writeNote("trust", TIME_NOTE, String(latestMs));
    },
  };
}

/** @throws Fault invalidConfig */
async function trustedRoot(file: string, notes: Notes, nowMs: () => number): Promise<TufVerifier> {
  let root: string;
  try {
    root = readFileSync(file, "utf8");
    JSON.parse(root);
  } catch (error) {
    throw new Fault("invalidConfig", `update.trusted_root: ${file}: ${reasonOf(error)}`, undefined, error);
  }
  const store: TufStore = {
    read: () => {
      const note = notes.readNote("trust", ROOT_NOTE);
      return note === undefined ? undefined : JSON.parse(note);
    },
    write: (state) => notes.writeNote("trust", ROOT_NOTE, JSON.stringify(state)),
  };
  const { TufVerifier } = await import("./tuf.ts");
  return new TufVerifier({ root, store, nowMs });
}
