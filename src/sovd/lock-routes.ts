/** Locks of components, functional groups and the vehicle: three scopes, one shape. */
import { Fault } from "#core/errors.ts";
import { Type } from "#core/schema.ts";
import type { LockScope } from "./locks.ts";
import { type AnyRequest, type Route, route } from "./route.ts";
import { items, NO_CONTENT, ok, SchemaQuery } from "./schemas.ts";

const LockBody = Type.Object({
  lock_expiration: Type.Integer({ minimum: 0, description: "Seconds from now." }),
});
const LockItem = Type.Object({ id: Type.String(), owned: Type.Boolean() });
const LockEnd = Type.Object({ lock_expiration: Type.String({ format: "date-time" }) });

const SCOPES = [
  { scope: "ecu", prefix: "/components/{ecu}", entity: (request: AnyRequest) => request.ecu.id as string },
  {
    scope: "group",
    prefix: "/functions/functionalgroups/{group}",
    entity: (request: AnyRequest) => request.group as string,
  },
  { scope: "vehicle", prefix: "", entity: () => "" },
] as const satisfies readonly { scope: LockScope; prefix: string; entity: (request: AnyRequest) => string }[];

const body = { kind: "json", family: "wrapped", schema: LockBody } as const;

/** Ids are compared as sent: any text that is no lock's id is simply not found. */
function lockRoutesOf({ scope, prefix, entity }: (typeof SCOPES)[number]): Route[] {
  const collection = `${prefix}/locks`;
  const one = `${prefix}/locks/{id}` as const;
  const tag = "locks";
  return [
    route({
      method: "get",
      path: collection,
      summary: "The lock, if there is one",
      tag,
      query: SchemaQuery,
      responses: { 200: ok(items(LockItem)) },
      handle: (request, { locks }) => {
        const lock = locks.get(scope, entity(request));
        const shown = lock === undefined ? [] : [{ id: lock.id, owned: lock.owner === request.owner }];
        return { status: 200, json: { items: shown } };
      },
    }),
    route({
      method: "post",
      path: collection,
      summary: "Acquire the lock, or prolong one's own",
      tag,
      body,
      responses: { 201: ok(LockItem, "Locked.") },
      handle: (request, { locks }) => {
        const lock = locks.acquire(scope, entity(request), request.owner, request.body.lock_expiration);
        return { status: 201, json: { id: lock.id, owned: true } };
      },
    }),
    route({
      method: "get",
      path: one,
      summary: "End of the lock",
      tag,
      query: SchemaQuery,
      responses: { 200: ok(LockEnd) },
      handle: (request, { locks }) => {
        const lock = locks.get(scope, entity(request));
        if (lock?.id !== request.params.id) throw new Fault("notFound", `no lock found with id ${request.params.id}`);
        return { status: 200, json: { lock_expiration: lock.expiration } };
      },
    }),
    route({
      method: "put",
      path: one,
      summary: "Give the lock a new end",
      tag,
      body,
      responses: { 204: NO_CONTENT },
      handle: (request, { locks }) => {
        locks.extend(scope, entity(request), request.params.id, request.owner, request.body.lock_expiration);
        return { status: 204 };
      },
    }),
    route({
      method: "delete",
      path: one,
      summary: "Give the lock back",
      tag,
      responses: { 204: NO_CONTENT },
      handle: (request, { locks }) => {
        locks.release(scope, entity(request), request.params.id, request.owner);
        return { status: 204 };
      },
    }),
  ];
}

export const lockRoutes: readonly Route[] = SCOPES.flatMap(lockRoutesOf);
