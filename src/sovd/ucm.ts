/** Updates as campaigns of AUTOSAR's UCM, as clients of OpenSOVD's native server know them. */
import { Fault } from "#core/errors.ts";
import type { Updates } from "#update/software/updates.ts";
import {
  NewUcmCampaignSchema,
  packageOfCampaign,
  UcmCampaignSchema,
  ucmCampaign,
} from "#update/software/views/ucm-campaign.ts";
import { type AnyRequest, type Route, route } from "./route.ts";
import { items, ok } from "./schemas.ts";
import { act, register, type UpdateWork, updatesOf } from "./updates.ts";

const COLLECTION = "/ucm/campaigns" as const;
const ONE = `${COLLECTION}/{id}` as const;
const tag = "ucm";
const LOCATION = { Location: "Path of the campaign." };

function locationOf({ base }: AnyRequest, id: string): Record<string, string> {
  return { Location: `${base}${COLLECTION}/${encodeURIComponent(id)}` };
}

/** `action`: what rights and the record call it. */
function verb(name: string, action: string, summary: string, work: UpdateWork): Route {
  return route({
    method: "post",
    path: `${ONE}/${name}`,
    summary,
    tag,
    early: true,
    responses: { 202: { ...ok(UcmCampaignSchema, "Under way; the campaign tells how far."), headers: LOCATION } },
    handle: async (request, context) => {
      const { id } = request.params;
      await act(request, context, action, id, work);
      const campaign = ucmCampaign(updatesOf(context), id);
      return { status: 202, headers: locationOf(request, campaign.id), json: campaign };
    },
  });
}

export const ucmRoutes: readonly Route[] = [
  route({
    method: "get",
    path: COLLECTION,
    summary: "Campaigns: all updates of this node",
    tag,
    early: true,
    responses: { 200: ok(items(UcmCampaignSchema)) },
    handle: (_request, context) => {
      const updates = updatesOf(context);
      return { status: 200, json: { items: updates.list({}).map((id) => ucmCampaign(updates, id)) } };
    },
  }),
  route({
    method: "post",
    path: COLLECTION,
    summary: "Register a campaign: an update of these components",
    tag,
    early: true,
    body: { kind: "json", family: "typed", schema: NewUcmCampaignSchema },
    responses: { 201: { ...ok(UcmCampaignSchema, "Registered."), headers: LOCATION } },
    handle: async (request, context) => {
      const updates = updatesOf(context);
      await requireKnown(updates, request.body.targetComponents);
      const id = await register(request, context, packageOfCampaign(updates, request.body));
      return { status: 201, headers: locationOf(request, id), json: ucmCampaign(updates, id) };
    },
  }),
  route({
    method: "get",
    path: ONE,
    summary: "A campaign and how far each component is",
    tag,
    early: true,
    responses: { 200: ok(UcmCampaignSchema) },
    handle: ({ params }, context) => ({ status: 200, json: ucmCampaign(updatesOf(context), params.id) }),
  }),
  // a campaign is transferred, processed and activated in one; an update that forbids that has to be prepared before
  verb("execute", "execute", "Transfer, process and activate on all components", (updates, id, actor) =>
    updates.get(id).automated === true ? updates.automated(id, actor) : updates.execute(id, actor),
  ),
  verb("rollback", "x-rollback", "Stop a campaign, or take back what was activated", (updates, id, actor) =>
    updates.rollback(id, actor),
  ),
];

/** @throws Fault notFound naming the components that this node does not know, also not by asking its secondaries */
async function requireKnown(updates: Updates, components: readonly string[]): Promise<void> {
  const unknown = await updates.unknown(components);
  if (unknown.length > 0) throw new Fault("notFound", `targetComponents: not known here: ${unknown.join(", ")}`);
}
