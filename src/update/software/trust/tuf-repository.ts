/** The metadata files of a TUF repository, as the client of the specification asks for them (5.3 to 5.6). Nothing here is believed yet. */
import { Fault } from "#core/errors.ts";
import type { Delegated, TufFiles } from "./tuf.ts";

/** More roots than anybody makes: an endless sender ends here. */
const MAX_ROOTS = 64;
/** Delegated roles of one set of metadata. */
export const MAX_DELEGATED = 32;

/** `fetchText`: a file below `metadata/`; undefined when it is not there. @throws Fault invalidData for a file that is missing */
export async function fetchTufFiles(
  rootVersion: number,
  fetchText: (path: string) => Promise<string | undefined>,
): Promise<TufFiles> {
  const root: string[] = [];
  while (root.length < MAX_ROOTS) {
    const next = await fetchText(`${rootVersion + root.length + 1}.root.json`);
    if (next === undefined) break;
    root.push(next);
  }
  const named = async (file: string, version: number | undefined): Promise<string> => {
    const consistent = version === undefined ? undefined : await fetchText(`${version}.${file}`);
    const text = consistent ?? (await fetchText(file));
    if (text === undefined) throw new Fault("invalidData", `The update server has no ${file}`);
    return text;
  };
  const timestamp = await named("timestamp.json", undefined);
  const snapshot = await named("snapshot.json", versionIn(timestamp, "snapshot.json"));
  const targets = await named("targets.json", versionIn(snapshot, "targets.json"));
  const delegated = await fetchDelegated(targets, snapshot, fetchText);
  return { root, timestamp, snapshot, targets, delegated };
}

/** Metadata of roles below the top-level targets, the nearest first; what is not there is missed by whoever asks for it. */
async function fetchDelegated(
  targets: string,
  snapshot: string,
  fetchText: (path: string) => Promise<string | undefined>,
): Promise<Delegated> {
  const texts = new Map<string, string>();
  const names = new Set(delegatedIn(targets));
  let tried = 0;
  // grows while it is walked
  for (const name of names) {
    if (++tried > MAX_DELEGATED) break;
    const version = versionIn(snapshot, `${name}.json`);
    const file = `${encodeURIComponent(name)}.json`;
    const text =
      version === undefined ? undefined : ((await fetchText(`${version}.${file}`)) ?? (await fetchText(file)));
    if (text === undefined) continue;
    texts.set(name, text);
    for (const further of delegatedIn(text)) names.add(further);
  }
  return Object.fromEntries(texts);
}

/** Names of the roles that metadata delegates to; none when it cannot be read, which the judge of it will say. */
function delegatedIn(text: string): readonly string[] {
  try {
    const roles: unknown = JSON.parse(text)?.signed?.delegations?.roles;
    const names: unknown[] = Array.isArray(roles) ? roles.map((role) => role?.name) : [];
    return names.filter((name) => typeof name === "string");
  } catch {
    return [];
  }
}

/** The version of a file that metadata names; undefined when it cannot be read, which the judge of it will say. */
function versionIn(text: string, file: string): number | undefined {
  try {
    const version: unknown = JSON.parse(text)?.signed?.meta?.[file]?.version;
    return Number.isSafeInteger(version) ? (version as number) : undefined;
  } catch {
    return undefined;
  }
}
