/** Files that a component's diagnostic database carries. */
import { Fault } from "#core/errors.ts";
import { BYTES_TYPE } from "#core/media-types.ts";
import { Type } from "#core/schema.ts";
import { indexRoute } from "./links.ts";
import { type Route, route } from "./route.ts";
import { items, ok, SchemaQuery } from "./schemas.ts";

export const FileItem = Type.Object({
  id: Type.String(),
  mimetype: Type.String(),
  name: Type.String(),
  size: Type.Integer(),
  "x-sovd2uds-OrigPath": Type.String(),
});

const BULK = "/components/{ecu}/x-sovd2uds-bulk-data" as const;
const FILES = `${BULK}/mdd-embedded-files` as const;
const tag = "bulk-data";

export const embeddedRoutes: readonly Route[] = [
  indexRoute(BULK, "Bulk data of a component", tag, [{ name: "mdd-embedded-files" }]),
  route({
    method: "get",
    path: FILES,
    summary: "Files inside the diagnostic database",
    tag,
    open: true,
    query: SchemaQuery,
    responses: { 200: ok(items(FileItem)) },
    handle: async (request, { embeddedFiles }) => {
      const files = await embeddedFiles.list(request.ecu);
      const shown = files.map(({ id, mimetype, name, sizeBytes, originalPath }) => ({
        id,
        mimetype,
        name,
        size: sizeBytes,
        "x-sovd2uds-OrigPath": originalPath,
      }));
      return { status: 200, json: { items: shown } };
    },
  }),
  route({
    method: "get",
    path: `${FILES}/{id}`,
    summary: "Content of a file",
    tag,
    open: true,
    responses: { 200: { description: "The file.", contentType: BYTES_TYPE } },
    handle: async (request, { embeddedFiles }) => {
      const file = await embeddedFiles.read(request.ecu, request.params.id);
      if (file === undefined) throw new Fault("notFound", `File not found: ${request.params.id}`);
      return { status: 200, body: file.bytes, contentType: file.contentType };
    },
  }),
];
