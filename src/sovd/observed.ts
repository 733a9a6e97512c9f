/** What a cyclic subscription or a trigger may observe: the status of one update, or of all updates of a component. */
import { Fault, toFaultData } from "#core/errors.ts";
import { checkId, keyOfId } from "#update/software/package.ts";
import type { Updates } from "#update/software/updates.ts";
import { errorObjectAt } from "./errors.ts";
import { statusAt } from "./update-status.ts";

export type Observed = { readonly update: string } | { readonly component: string };

/** A resource as a client names it: with host and base path, with base path, or from the root of the tree. */
interface Named {
  readonly observed: Observed;
  /** Below which base path its status is read. */
  readonly base: string;
}

const STATUS = /^\/updates\/([^/]+)\/status$/i;
const UPDATES_OF = /^\/(?:components|apps)\/([^/]+)\/updates$/i;

/** `base`: that of the request, for a resource that names none. @throws Fault badRequest for what cannot be observed */
export function observedOf(resource: string, base: string, bases: readonly string[]): Named {
  const path = resource.replace(/^https?:\/\/[^/]*/i, "").replace(/\/+$/, "");
  const named = bases.find((each) => path.toLowerCase().startsWith(`${each}/`));
  const rest = path.slice(named?.length ?? 0);
  const [, update] = STATUS.exec(rest) ?? [];
  const [, component] = UPDATES_OF.exec(rest) ?? [];
  const at = { base: named ?? base };
  if (component !== undefined) return { ...at, observed: { component: decoded(component).toLowerCase() } };
  if (update === undefined)
    throw new Fault("badRequest", `${resource} cannot be observed; the status of an update can`);
  checkId(decoded(update));
  return { ...at, observed: { update: decoded(update) } };
}

/** The path of what is observed. */
export function pathOfObserved(base: string, observed: Observed): string {
  if ("update" in observed) return `${base}/updates/${encodeURIComponent(observed.update)}/status`;
  return `${base}/components/${encodeURIComponent(observed.component)}/updates`;
}

/** Whether an update is one of those observed. */
export function observes(observed: Observed, updates: Updates, id: string): boolean {
  if ("update" in observed) return keyOfId(observed.update) === keyOfId(id);
  return updates.record(id).members.some(({ component }) => component === observed.component);
}

/** One event (`EventEnvelope`): the status, or why it cannot be read. */
export function envelopeOf(base: string, updates: Updates, id: string): Readonly<Record<string, unknown>> {
  const timestamp = new Date().toISOString();
  try {
    return { timestamp, payload: statusAt(base, updates, id) };
  } catch (error) {
    return { timestamp, error: errorObjectAt(base, toFaultData(error)) };
  }
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
