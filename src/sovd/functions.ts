/** Functional groups: structure, data and modes of many ECUs at once. */
import { Type } from "#core/schema.ts";
import type { ModeId, ServiceBody } from "#fleet/messages.ts";
import { MODE_NAMES } from "#fleet/messages.ts";
import type { SovdContext } from "./context.ts";
import { categoryView, DataBody, DataItem } from "./data.ts";
import { groupStateText, groupText } from "./group-answer.ts";
import { MODE_BODIES, ModeItem, modeWriteOf } from "./modes.ts";
import { callGroupPermitted, visibleItems } from "./permit.ts";
import { type Answer, type Route, route, type SovdRequest } from "./route.ts";
import { DataErrors, items, ok, ResourceItem, SchemaQuery, Values } from "./schemas.ts";

const GROUPS = "/functions/functionalgroups" as const;
const GROUP = `${GROUPS}/{group}` as const;
const LINKS = ["locks", "operations", "data", "modes"] as const;
const MODES = ["commctrl", "dtcsetting", "session"] as const satisfies readonly ModeId[];
const tag = "functional groups";

const GroupData = Type.Object({ data: Values, errors: Type.Optional(DataErrors) });
const GroupModes = Type.Object({ modes: Values, errors: Type.Optional(DataErrors) });
const GroupEntity = Type.Object({
  id: Type.String(),
  ...Object.fromEntries(LINKS.map((name) => [name, Type.String()])),
});

const NO_BODY: ServiceBody = { type: "none" };

type DataRequest = SovdRequest<{ readonly service: string }, unknown, unknown, undefined, string>;

async function data(
  request: DataRequest,
  context: SovdContext,
  action: "read" | "write",
  body: ServiceBody,
): Promise<Answer> {
  const { group, params } = request;
  const args = { service: params.service, action, body };
  const { outcome } = await callGroupPermitted(request, context, "groupData", args);
  return { status: 200, text: groupText("data", group, outcome, context) };
}

function modeRoutesOf(mode: (typeof MODES)[number]): Route[] {
  const path = `${GROUP}/modes/${mode}` as const;
  const write = (method: "put" | "post") =>
    route({
      method,
      path,
      summary: `Change for a group: ${MODE_NAMES[mode]}`,
      tag,
      lock: "group",
      query: SchemaQuery,
      body: { kind: "json", family: "wrapped", schema: MODE_BODIES[mode] },
      responses: { 200: ok(GroupModes) },
      handle: async (request, context) => {
        const args = modeWriteOf(mode, request.body, false);
        const { outcome } = await callGroupPermitted(request, context, "groupModeWrite", args);
        return { status: 200, text: groupText("modes", request.group, outcome, context) };
      },
    });
  const read = route({
    method: "get",
    path,
    summary: `State of a group: ${MODE_NAMES[mode]}`,
    tag,
    query: SchemaQuery,
    responses: { 200: ok(GroupModes) },
    handle: async (request, context) => {
      const { outcome } = await context.fleet.callGroup(request.group, "groupModeRead", { mode }, request);
      return { status: 200, text: groupStateText(request.group, outcome, context) };
    },
  });
  return [read, write("put"), write("post")];
}

const index = { method: "get", tag, open: true, links: true, query: SchemaQuery } as const;

export const functionRoutes: readonly Route[] = [
  route({
    ...index,
    path: "/functions",
    summary: "Functions of the vehicle",
    responses: { 200: ok(items(ResourceItem)) },
    handle: ({ origin, base }) => {
      const item = { href: `${origin}${base}${GROUPS}`, id: "functionalgroups", name: "functionalgroups" };
      return { status: 200, json: { items: [item] } };
    },
  }),
  route({
    ...index,
    path: GROUPS,
    summary: "All functional groups",
    responses: { 200: ok(items(ResourceItem)) },
    handle: ({ origin, base }, { fleet }) => {
      const show = (group: string) => ({
        href: `${origin}${base}${GROUPS}/${encodeURIComponent(group)}`,
        id: group,
        name: group,
      });
      return { status: 200, json: { items: fleet.groups.map(show) } };
    },
  }),
  route({
    ...index,
    path: GROUP,
    summary: "A functional group and where its resources are",
    responses: { 200: ok(GroupEntity) },
    handle: ({ origin, base, group }) => {
      const here = `${origin}${base}${GROUPS}/${encodeURIComponent(group)}`;
      return {
        status: 200,
        json: { id: group, ...Object.fromEntries(LINKS.map((name) => [name, `${here}/${name}`])) },
      };
    },
  }),
  route({
    method: "get",
    path: `${GROUP}/data`,
    summary: "All data of a group",
    tag,
    query: SchemaQuery,
    responses: { 200: ok(items(DataItem)) },
    handle: async (request, context) => {
      const schema = request.query["include-schema"] === true;
      const reply = await context.fleet.callGroup(request.group, "groupDataList", { schema }, request);
      return visibleItems(reply, request, context, categoryView(context.options.dataCategories));
    },
  }),
  route({
    method: "get",
    path: `${GROUP}/data/{service}`,
    summary: "Read a value from every ECU of a group",
    tag,
    exclusive: true,
    negotiated: true,
    query: SchemaQuery,
    responses: { 200: ok(GroupData) },
    handle: (request, context) => data(request, context, "read", NO_BODY),
  }),
  route({
    method: "put",
    path: `${GROUP}/data/{service}`,
    summary: "Write a value to every ECU of a group",
    tag,
    negotiated: true,
    query: SchemaQuery,
    body: {
      kind: "service",
      member: "data",
      memberRequired: true,
      required: false,
      schema: DataBody,
    },
    responses: { 200: ok(GroupData) },
    handle: (request, context) => data(request, context, "write", request.body.service),
  }),
  route({
    ...index,
    links: false,
    path: `${GROUP}/modes`,
    summary: "All modes of a group",
    responses: { 200: ok(items(ModeItem)) },
    handle: () => ({ status: 200, json: { items: MODES.map((id) => ({ id, name: MODE_NAMES[id] })) } }),
  }),
  ...MODES.flatMap(modeRoutesOf),
];
