/** The security plugin's part: it is asked before services are sent for a client, and for each entry of a list. */
import { Fault } from "#core/errors.ts";
import { type CallOptions, type EcuView, membersOf } from "#fleet/api.ts";
import type {
  EcuCalls,
  GroupCalls,
  GroupOutcome,
  GroupServiceCallName,
  Reply,
  ServiceCallName,
  ServiceFacts,
} from "#fleet/messages.ts";
import type { Claims } from "#security/claims.ts";
import type { ServiceTarget } from "#security/plugin.ts";
import type { SovdContext } from "./context.ts";
import { textOf } from "./json-text.ts";
import type { Answer } from "./route.ts";

/** Of a request: who asks, and until when. */
type Asking = CallOptions & { readonly claims: Claims | undefined };
type AskingEcu = Asking & { readonly ecu: EcuView };
type AskingGroup = Asking & { readonly group: string };

/** Runs the call once the plugin allows every service it would run. Without a plugin there is no detour. */
export function callPermitted<K extends ServiceCallName>(
  request: AskingEcu,
  { fleet, authenticator }: SovdContext,
  call: K,
  args: EcuCalls[K],
  options: CallOptions = request,
): Promise<Reply> {
  const { ecu, claims } = request;
  const { validateService } = authenticator;
  if (validateService === undefined) return fleet.call(ecu.name, call, args, options);
  const permitted = async () => {
    const wanted = { call, args } as EcuCalls["resolveServices"];
    const { meta } = await fleet.call(ecu.name, "resolveServices", wanted, options);
    for (const facts of meta?.services ?? []) {
      await validateService(claims, facts, ecu.id, { addressing: "physical", ecus: [ecu.id] });
    }
  };
  return permitted().then(() => fleet.call(ecu.name, call, args, options));
}

/** The same for a functional group. */
export async function callGroupPermitted<K extends GroupServiceCallName>(
  request: AskingGroup,
  context: SovdContext,
  call: K,
  args: GroupCalls[K],
  options: CallOptions = request,
): Promise<Reply & { readonly outcome: GroupOutcome }> {
  const { group, claims } = request;
  const { validateService } = context.authenticator;
  if (validateService !== undefined) {
    const wanted = { call, args } as GroupCalls["groupResolveServices"];
    const { meta } = await context.fleet.callGroup(group, "groupResolveServices", wanted, options);
    const target = groupTarget(group, context);
    for (const facts of meta?.services ?? []) await validateService(claims, facts, group, target);
  }
  return context.fleet.callGroup(group, call, args, options);
}

function groupTarget(group: string, { fleet }: SovdContext): ServiceTarget {
  const ecus = membersOf(fleet, group).map(({ id }) => id);
  return { addressing: "functional", ecus };
}

interface ListItem {
  category?: string;
  readonly [member: string]: unknown;
}

/** How an entry of a list shows; undefined hides it. */
export type ItemView = (item: ListItem, facts: ServiceFacts) => ListItem | undefined;

/** Whose list it is, and for whom. */
interface ListRequest {
  readonly claims: Claims | undefined;
  readonly ecu: EcuView | undefined;
  readonly group: string | undefined;
}

/**
 * A worker's list without what the plugin refuses, each entry through `view`. Untouched bytes when there is nothing to ask and no
 * view.
 */
export async function visibleItems(
  reply: Reply,
  { claims, ecu, group = "" }: ListRequest,
  context: SovdContext,
  view?: ItemView,
): Promise<Answer> {
  const { validateService } = context.authenticator;
  const services = reply.meta?.services;
  if (services === undefined || (validateService === undefined && view === undefined)) return reply;
  const target =
    ecu === undefined ? groupTarget(group, context) : ({ addressing: "physical", ecus: [ecu.id] } as const);
  const list = JSON.parse(textOf(reply.body)) as { items: ListItem[] };
  const shown: ListItem[] = [];
  for (const [i, item] of list.items.entries()) {
    const facts = services[i];
    if (facts === undefined) continue;
    if (!(await holds(() => validateService?.(claims, facts, ecu?.id ?? group, target)))) continue;
    const seen = view === undefined ? item : view(item, facts);
    if (seen !== undefined) shown.push(seen);
  }
  return { status: reply.status, body: Buffer.from(JSON.stringify({ ...list, items: shown })) };
}

/** A refusal hides an entry; a plugin that fails does not pass for one that refuses. */
async function holds(check: () => void | Promise<void>): Promise<boolean> {
  try {
    await check();
    return true;
  } catch (error) {
    if (error instanceof Fault && error.kind === "forbidden") return false;
    throw error;
  }
}
