/**
 * Targets that the top-level targets role has others sign (specification 1.0.31, 5.6.7): the search that a client makes for a path, pre-order
 * and depth first. A role that is asked for a path has to be there and right; the others may be broken or missing.
 */
import type { Metadata, Snapshot, TargetFile, Targets } from "@tufjs/models";
import { Fault } from "#core/errors.ts";
import type { Delegated, DelegatedFiles } from "./tuf.ts";
import {
  parse,
  requireDistinctKeys,
  requireFresh,
  requireNamed,
  requireSigned,
  requireVersion,
  type Walk,
} from "./tuf-checks.ts";
import { MAX_DELEGATED } from "./tuf-repository.ts";

const MAX_PATH_CHARACTERS = 256;
/** Shell patterns of the specification: no braces, lists or classes, whose matching others could make endless. */
const PATTERN = /^[^{}()[\]!\\]{1,256}$/;
/** The work of matching grows with the power of these in one segment. */
const MANY_STARS = /(?:\*[^/*]*){3}/;
/** Patterns and prefixes that are held against paths in one search of all: about a second at worst. */
const MAX_MATCHES = 16_384;

type DelegatedRole = NonNullable<NonNullable<Targets["delegations"]>["roles"]>[string];

interface Judged extends Walk {
  readonly snapshot: Metadata<Snapshot>;
  /** The top-level role's. */
  readonly targets: Metadata<Targets>;
}

interface Role {
  readonly name: string;
  readonly targets: Metadata<Targets>;
}

interface Step {
  readonly name: string;
  /** Who says which keys sign for it; undefined: the top-level role, which is judged already. */
  readonly by?: Role;
}

/** The wanted files that delegated roles sign and may sign. @throws Fault as `TufVerifier.verify` */
export function delegatedFiles(
  judged: Judged,
  delegated: Delegated,
  wants: (file: TargetFile) => boolean,
): DelegatedFiles {
  const names = Object.keys(delegated);
  if (names.length > MAX_DELEGATED)
    throw new Fault("invalidData", `There are more than ${MAX_DELEGATED} delegated roles`);
  const paths = new Set(names.flatMap((name) => pathsIn(judged, delegated[name]!, wants)));
  if (paths.size === 0) return { files: [], roles: {} };
  const roleOf = roles(judged, delegated);
  const isTrusted = trusting();
  const found = [...paths].map((path) => search(path, roleOf, isTrusted));
  const asked = found.flatMap(({ visited }) => [...visited]).filter((name) => Object.hasOwn(delegated, name));
  return {
    // the answer may be another role's than the one that brought the path up
    files: found.flatMap(({ file, by }) => (file !== undefined && by !== TOP && wants(file) ? [file] : [])),
    roles: Object.fromEntries(asked.map((name) => [name, delegated[name]!])),
  };
}

const TOP = "targets";

/** Paths of wanted files; what cannot be read has none: whoever asks this role will say so. */
function pathsIn({ models }: Walk, text: string, wants: (file: TargetFile) => boolean): readonly string[] {
  try {
    const files = Object.values(parse(models, TOP, text).signed.targets);
    return files.filter((file) => file.path.length <= MAX_PATH_CHARACTERS && wants(file)).map(({ path }) => path);
  } catch {
    return [];
  }
}

/** What a client finds for a path: the first answer; behind a terminating delegation nobody else is asked. */
function search(path: string, roleOf: (step: Step) => Metadata<Targets>, isTrusted: ReturnType<typeof trusting>) {
  const visited = new Set<string>();
  let pending: Step[] = [{ name: TOP }];
  for (let step = pending.pop(); step !== undefined; step = pending.pop()) {
    const { name } = step;
    // a cycle
    if (visited.has(name)) continue;
    visited.add(name);
    const targets = roleOf(step);
    const files = targets.signed.targets;
    if (Object.hasOwn(files, path)) return { visited, by: name, file: files[path] };
    const trusted = delegationsOf(targets).filter((role) => isTrusted(role, path));
    const last = trusted.findIndex(({ terminating }) => terminating);
    if (last >= 0) pending = [];
    const next = last < 0 ? trusted : trusted.slice(0, last + 1);
    pending.push(...next.map((role) => ({ name: role.name, by: { name, targets } })).toReversed());
  }
  return { visited, by: TOP, file: undefined };
}

/** Whether a role is trusted with a path. A supplier whose key was stolen writes as many patterns as he likes. @throws Fault invalidData */
function trusting(): (role: DelegatedRole, path: string) => boolean {
  let tried = 0;
  return (role, path) => {
    tried += 1 + (role.paths ?? role.pathHashPrefixes ?? []).length;
    if (tried > MAX_MATCHES)
      throw new Fault("invalidData", `Delegated roles have more paths and patterns than ${MAX_MATCHES} comparisons`);
    return role.isDelegatedPath(path);
  };
}

function delegationsOf({ signed: { delegations } }: Metadata<Targets>): readonly DelegatedRole[] {
  return Object.values(delegations?.roles ?? {});
}

/** Judges a role at its first use by each role that delegates to it: they may name other keys. */
function roles(judged: Judged, delegated: Delegated): (step: Step) => Metadata<Targets> {
  const known = new Map<string, Metadata<Targets>>();
  checkDelegations(TOP, judged.targets);
  return ({ name, by }) => {
    if (by === undefined) return judged.targets;
    const key = JSON.stringify([by.name, name]);
    const role = known.get(key) ?? judgeRole(judged, name, by.targets, delegated);
    known.set(key, role);
    return role;
  };
}

function judgeRole(walk: Judged, name: string, by: Metadata<Targets>, delegated: Delegated): Metadata<Targets> {
  const what = `delegated role ${name}`;
  const meta = walk.snapshot.signed.meta[`${name}.json`];
  if (meta === undefined) throw new Fault("invalidData", `The snapshot names no ${what}`);
  const text = Object.hasOwn(delegated, name) ? delegated[name] : undefined;
  if (text === undefined) throw new Fault("invalidData", `The metadata of the ${what} is missing`);
  requireNamed(what, text, meta, "snapshot");
  const role = parse(walk.models, "targets", text);
  requireSigned(by, name, role);
  requireVersion(what, role.signed.version, meta.version);
  requireFresh(walk, what, role.signed.expires);
  checkDelegations(name, role);
  return role;
}

/** @throws Fault invalidData for delegations that are not followed, so that none is half done */
function checkDelegations(name: string, { signed: { delegations } }: Metadata<Targets>): void {
  if (delegations === undefined) return;
  if (delegations.succinctRoles !== undefined)
    throw new Fault("invalidData", `The succinct roles of ${name} are not supported`);
  requireDistinctKeys(`role ${name}`, delegations.keys);
  for (const pattern of Object.values(delegations.roles ?? {}).flatMap(({ paths }) => paths ?? []))
    if (!PATTERN.test(pattern) || MANY_STARS.test(pattern))
      throw new Fault("invalidData", `The path pattern ${pattern} of role ${name} is not supported`);
}
