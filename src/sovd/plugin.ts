/** The security plugin's part: it is asked before a physical service is sent, and for each entry of a list. */
import { hexByte, toHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import type { EcuView } from "#fleet/api.ts";
import type { ModeId, Reply, ServiceAction, ServiceFacts } from "#fleet/messages.ts";
import type { SovdContext } from "./context.ts";
import { textOf } from "./json-text.ts";
import type { Answer, Claims, SovdRequest } from "./route.ts";

type EcuRequest = SovdRequest<unknown, unknown, unknown, EcuView, undefined>;

/** Runs `send` once the plugin allows the service that `action` on `name` would run. Without a plugin there is no detour. */
export function sendPermitted(
  request: EcuRequest,
  context: SovdContext,
  service: string,
  action: ServiceAction,
  send: () => Promise<Answer>,
): Promise<Answer> {
  if (context.authenticator.validateService === undefined) return send();
  return permitNamed(request, context, service, action).then(send);
}

async function permitNamed(request: EcuRequest, context: SovdContext, service: string, action: ServiceAction) {
  const { meta } = await context.fleet.call(request.ecu.name, "resolveService", { service, action }, request);
  if (meta?.service === undefined) throw new Fault("notFound", `Not found: ${service}`);
  await context.authenticator.validateService?.(request.claims, meta.service, request.ecu.id);
}

/** The same for services that are known by their bytes: raw requests, modes, faults, reset, download. */
export async function permitBytes(
  request: EcuRequest,
  context: SovdContext,
  name: string,
  prefix: Uint8Array,
): Promise<void> {
  if (context.authenticator.validateService === undefined) return;
  const facts: ServiceFacts = { name, sid: prefix[0] ?? 0, prefix: toHex(prefix), functionalClasses: [] };
  await context.authenticator.validateService(request.claims, facts, request.ecu.id);
}

/** The same for one whole service. */
export function permitSid(request: EcuRequest, context: SovdContext, name: string, sid: number): Promise<void> {
  return permitBytes(request, context, name, Uint8Array.of(sid));
}

/** Service behind each mode (ISO 14229-1). */
export const MODE_SIDS: Readonly<Record<ModeId, number>> = {
  session: 0x10,
  security: 0x27,
  authentication: 0x29,
  commctrl: 0x28,
  dtcsetting: 0x85,
};

interface ListItem {
  category?: string;
  readonly [member: string]: unknown;
}

/** How an entry of a list shows; undefined hides it. */
export type ItemView = (item: ListItem, facts: ServiceFacts) => ListItem | undefined;

/**
 * A worker's list without what the plugin refuses, each entry through `view`. Untouched bytes when there is nothing to ask and no
 * view.
 */
export async function visibleItems(
  reply: Reply,
  claims: Claims | undefined,
  ecu: string,
  context: SovdContext,
  view?: ItemView,
): Promise<Answer> {
  const { authenticator } = context;
  const services = reply.meta?.services;
  if (services === undefined || (authenticator.validateService === undefined && view === undefined)) return reply;
  const list = JSON.parse(textOf(reply.body)) as { items: ListItem[] };
  const shown: ListItem[] = [];
  for (const [i, item] of list.items.entries()) {
    const facts = services[i];
    if (facts === undefined || !(await isPermitted(authenticator, claims, facts, ecu))) continue;
    const seen = view === undefined ? item : view(item, facts);
    if (seen !== undefined) shown.push(seen);
  }
  return { status: reply.status, body: Buffer.from(JSON.stringify({ ...list, items: shown })) };
}

async function isPermitted(
  authenticator: SovdContext["authenticator"],
  claims: Claims | undefined,
  facts: ServiceFacts,
  ecu: string,
): Promise<boolean> {
  try {
    await authenticator.validateService?.(claims, facts, ecu);
    return true;
  } catch (error) {
    if (error instanceof Fault) return false;
    throw error;
  }
}

/** `0x..` name of a service that has no name of its own. */
export function sidName(sid: number): string {
  return `0x${hexByte(sid)}`;
}
