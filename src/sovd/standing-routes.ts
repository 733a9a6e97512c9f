/** The routes of a collection of standing requests, at every entity that may host one. */
import type { TObject, TSchema } from "typebox";
import { EVENTS_TYPE } from "#core/media-types.ts";
import { type Static, Type } from "#core/schema.ts";
import type { SovdContext } from "./context.ts";
import { resourceNotFound } from "./guard.ts";
import { type AnswerEvents, type AnyRequest, type Route, route } from "./route.ts";
import { items, NO_CONTENT, ok, SchemaQuery } from "./schemas.ts";
import type { Standing, StandingRequests } from "./standing.ts";
import { updatesOf } from "./updates.ts";

/** What differs between the collections. */
export interface StandingKind<T, B extends TSchema, P extends TSchema> {
  readonly name: "cyclic-subscriptions" | "triggers";
  /** Singular, in words. */
  readonly one: string;
  readonly body: B;
  readonly change: P;
  readonly item: TObject;
  readonly check?: (body: Static<B>) => string | undefined;
  requests(context: SovdContext): StandingRequests<T>;
  create(body: Static<B>, base: string, context: SovdContext): Pick<Standing<T>, "base" | "lifetimeS" | "what">;
  changed(standing: Standing<T>, change: Static<P>): Partial<Pick<Standing<T>, "lifetimeS" | "what">>;
  /** `path`: of the request itself. */
  show(standing: Standing<T>, path: string): Readonly<Record<string, unknown>>;
  /** Undefined: the client has seen the last one. */
  events(standing: Standing<T>, context: SovdContext, lastEventId: string): AnswerEvents | undefined;
}

/** Who may host a standing request: whatever can be updated, this program, and its functions. */
const HOSTS: Readonly<Record<string, (context: SovdContext, name: string) => boolean>> = {
  components: (context, name) => updatesOf(context).knows(name),
  apps: (_context, name) => name === "sovd2uds",
  functions: (_context, name) => name === "functionalgroups",
};

export function standingRoutes<T, B extends TSchema, P extends TSchema>(kind: StandingKind<T, B, P>): readonly Route[] {
  return Object.entries(HOSTS).flatMap(([host, knows]) => routesAt(kind, host, knows));
}

function routesAt<T, B extends TSchema, P extends TSchema>(
  kind: StandingKind<T, B, P>,
  host: string,
  knows: (context: SovdContext, name: string) => boolean,
): readonly Route[] {
  const { name, one, body, change, item, check } = kind;
  const path = `/${host}/{entity}/${name}` as "/components/{entity}/standing";
  const shared = { tag: name, early: true } as const;
  const hostOf = (request: AnyRequest, context: SovdContext): string => {
    const { entity } = request.params as { entity: string };
    if (!knows(context, entity)) throw resourceNotFound({ shownPath: request.path });
    return `${host}/${entity}`;
  };
  const show = (standing: Standing<T>, { base }: AnyRequest) =>
    kind.show(standing, `${base}/${standing.entity}/${name}/${standing.id}`);
  const found = (request: AnyRequest, context: SovdContext): Standing<T> =>
    kind.requests(context).get(hostOf(request, context), request.params.id as string);
  return [
    route({
      ...shared,
      method: "get",
      path,
      summary: `All ${name.replace("-", " ")} at the entity`,
      query: SchemaQuery,
      responses: { 200: ok(items(item)) },
      handle: (request, context) => {
        const all = kind.requests(context).list(hostOf(request, context));
        return { status: 200, json: { items: all.map((standing) => show(standing, request)) } };
      },
    }),
    route({
      ...shared,
      method: "post",
      path,
      summary: `Create a ${one}`,
      body: { kind: "json", family: "typed", schema: body, ...(check === undefined ? {} : { check: check as never }) },
      responses: { 201: { ...ok(item, "Created."), headers: { Location: "Its path." } } },
      handle: (request, context) => {
        const entity = hostOf(request, context);
        const created = kind.create(request.body as Static<B>, request.base, context);
        const standing = kind.requests(context).add({ ...created, entity });
        const Location = `${request.base}/${entity}/${name}/${standing.id}`;
        return { status: 201, headers: { Location }, json: show(standing, request) };
      },
    }),
    route({
      ...shared,
      method: "get",
      path: `${path}/{id}`,
      summary: `A ${one}`,
      query: SchemaQuery,
      responses: { 200: ok(item) },
      handle: (request, context) => ({ status: 200, json: show(found(request, context), request) }),
    }),
    route({
      ...shared,
      method: "put",
      path: `${path}/{id}`,
      summary: `Change a ${one}; its time begins anew`,
      body: { kind: "json", family: "typed", schema: change },
      responses: { 200: ok(item) },
      handle: (request, context) => {
        const standing = found(request, context);
        const wanted = kind.changed(standing, request.body as Static<P>);
        const changed = kind.requests(context).change(standing.entity, standing.id, wanted);
        return { status: 200, json: show(changed, request) };
      },
    }),
    route({
      ...shared,
      method: "delete",
      path: `${path}/{id}`,
      summary: `Delete a ${one}; its stream ends`,
      responses: { 204: NO_CONTENT },
      handle: (request, context) => {
        const { entity, id } = found(request, context);
        kind.requests(context).remove(entity, id);
        return { status: 204 };
      },
    }),
    route({
      ...shared,
      method: "get",
      path: `${path}/{id}/events`,
      summary: `Events of a ${one}, as server-sent events`,
      headers: ["last-event-id"],
      responses: {
        200: { ...ok(Event, "Each event is one of these."), contentType: EVENTS_TYPE },
        204: { description: "To a client that has seen the last one (`Last-Event-ID`)." },
      },
      handle: (request, context) => {
        const standing = found(request, context);
        const events = kind.events(standing, context, request.header("last-event-id"));
        if (events === undefined) return { status: 204 };
        return { status: 200, events: kind.requests(context).stream(standing.entity, standing.id, events) };
      },
    }),
  ];
}

const Event = Type.Object({
  timestamp: Type.String(),
  payload: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  error: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
});
