/** The diagnostic databases as bulk data: current, pending and backup set. */
import { Fault } from "#core/errors.ts";
import { BYTES_TYPE, MULTIPART_TYPE } from "#core/media-types.ts";
import { Type } from "#core/schema.ts";
import { FILE_SETS, type FileSet, type RuntimeFile } from "#update/api.ts";
import { databaseUpdateOf } from "./database-update.ts";
import { type Answer, type Route, route } from "./route.ts";
import { IdItem, IncludeSchema, items, NO_CONTENT, ok } from "./schemas.ts";

export const BULK_DATA = "/apps/sovd2uds/bulk-data" as const;
const PENDING = `${BULK_DATA}/runtimefiles-nextupdate` as const;
const tag = "database update";

const ListQuery = Type.Object({
  ...IncludeSchema,
  "x-sovd2uds-include-file-size": Type.Optional(Type.Boolean()),
  "x-sovd2uds-include-hash": Type.Optional(Type.Literal("sha256")),
  "x-sovd2uds-include-revision": Type.Optional(Type.Boolean()),
  "created-after": Type.Optional(Type.String()),
  "created-before": Type.Optional(Type.String()),
});

const DatabaseFile = Type.Object({
  id: Type.String(),
  mimetype: Type.String(),
  name: Type.String(),
  size: Type.Optional(Type.Integer()),
  hash: Type.Optional(Type.String()),
  hash_algorithm: Type.Optional(Type.Literal("sha256")),
  "x-sovd2uds-revision": Type.Optional(Type.String()),
});

const Deleted = Type.Object({ deleted_ids: Type.Array(Type.String()), errors: Type.Array(Type.Unknown()) });

interface Shown {
  readonly "x-sovd2uds-include-file-size"?: boolean;
  readonly "x-sovd2uds-include-hash"?: "sha256";
  readonly "x-sovd2uds-include-revision"?: boolean;
}

function show({ id, sizeBytes, sha256, revision }: RuntimeFile, query: Shown): Record<string, unknown> {
  return {
    id,
    mimetype: BYTES_TYPE,
    name: id,
    ...(query["x-sovd2uds-include-file-size"] === true ? { size: sizeBytes } : {}),
    ...(query["x-sovd2uds-include-hash"] === undefined ? {} : { hash: sha256, hash_algorithm: "sha256" }),
    ...(query["x-sovd2uds-include-revision"] === true && revision !== undefined
      ? { "x-sovd2uds-revision": revision }
      : {}),
  };
}

const SUMMARIES: Readonly<Record<FileSet, string>> = {
  current: "Databases in use",
  nextupdate: "Databases as an update would make them",
  backup: "Databases that a rollback would bring back",
};

function listRoute(set: FileSet): Route {
  return route({
    method: "get",
    path: `${BULK_DATA}/runtimefiles-${set}`,
    summary: SUMMARIES[set],
    tag,
    query: ListQuery,
    responses: { 200: ok(items(DatabaseFile)) },
    handle: ({ query }, context) => {
      const files = databaseUpdateOf(context).files(set);
      return { status: 200, json: { items: files.map((file) => show(file, query)) } };
    },
  });
}

function deleteAllRoute(set: "nextupdate" | "backup", summary: string): Route {
  return route({
    method: "delete",
    path: `${BULK_DATA}/runtimefiles-${set}`,
    summary,
    tag,
    lock: "vehicle",
    responses: { 200: ok(Deleted) },
    handle: async (_request, context) => {
      const ids = await databaseUpdateOf(context).removeAll(set);
      return { status: 200, json: { deleted_ids: ids, errors: [] } };
    },
  });
}

/** Content of a database; only there when the operator allows it. */
function contentRoute(set: FileSet): Route {
  return route({
    method: "get",
    path: `${BULK_DATA}/runtimefiles-${set}/{id}`,
    summary: "Content of a database file",
    tag,
    responses: { 200: { description: "The file.", contentType: BYTES_TYPE } },
    handle: ({ params }, context): Answer => {
      const stream = databaseUpdateOf(context).open(set, params.id);
      if (stream === undefined) throw new Fault("notFound", `File not found: ${params.id}`);
      return { status: 200, stream, contentType: BYTES_TYPE };
    },
  });
}

export const runtimeFileRoutes: readonly Route[] = [
  ...FILE_SETS.map(listRoute),
  route({
    method: "post",
    path: PENDING,
    summary: "Add databases to the pending set, all of the request or none",
    tag,
    lock: "vehicle",
    links: true,
    body: { kind: "upload", types: [MULTIPART_TYPE, BYTES_TYPE] },
    responses: { 201: ok(items(IdItem), "Verified and pending.") },
    handle: async (request, context) => {
      const ids = await databaseUpdateOf(context).upload(request.body);
      const location = `${request.origin}${request.base}${PENDING}/${encodeURIComponent(ids[0] ?? "")}`;
      return { status: 201, headers: { Location: location }, json: { items: ids.map((id) => ({ id })) } };
    },
  }),
  deleteAllRoute("nextupdate", "Forget all pending changes"),
  deleteAllRoute("backup", "Delete the backup"),
  route({
    method: "delete",
    path: `${PENDING}/{id}`,
    summary: "Take a database out of the pending set",
    tag,
    lock: "vehicle",
    responses: { 204: NO_CONTENT },
    handle: async ({ params }, context) => {
      await databaseUpdateOf(context).removePending(params.id);
      return { status: 204 };
    },
  }),
];

export const runtimeContentRoutes: readonly Route[] = FILE_SETS.map(contentRoute);
