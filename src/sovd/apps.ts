/** The application `sovd2uds`: this program as an entity of its own. */
import { BYTES_TYPE } from "#core/media-types.ts";
import { FileItem } from "./embedded.ts";
import { indexRoute } from "./links.ts";
import { NetworkStructure, networkStructure } from "./network-structure.ts";
import { type Route, route } from "./route.ts";
import { items, ok, SchemaQuery } from "./schemas.ts";

const APP = "/apps/sovd2uds" as const;
const tag = "apps";
const BULK = ["flashfiles", "runtimefiles-current", "runtimefiles-nextupdate", "runtimefiles-backup"];

const named = (names: readonly string[]) => names.map((name) => ({ name }));
const shared = { method: "get", tag, open: true, query: SchemaQuery } as const;

export const appRoutes: readonly Route[] = [
  indexRoute("/apps", "All applications", tag, named(["sovd2uds"])),
  indexRoute(APP, "Resources of the application", tag, named(["bulk-data", "data", "operations"])),
  indexRoute(`${APP}/bulk-data`, "Categories of bulk data", tag, named(BULK)),
  indexRoute(`${APP}/data`, "Data of the application", tag, named(["networkstructure", "version"])),
  route({
    ...shared,
    path: `${APP}/bulk-data/flashfiles`,
    summary: "Files that may be flashed",
    responses: { 200: ok(items(FileItem)) },
    handle: async (_request, { flashFiles }) => {
      const files = await flashFiles.list();
      const shown = files.map(({ id, name, sizeBytes, originalPath }) => ({
        id,
        mimetype: BYTES_TYPE,
        name,
        size: sizeBytes,
        "x-sovd2uds-OrigPath": originalPath,
      }));
      return { status: 200, json: { items: shown } };
    },
  }),
  route({
    ...shared,
    path: `${APP}/data/networkstructure`,
    summary: "Gateways, functional groups, and the ECUs of each",
    responses: { 200: ok(NetworkStructure) },
    handle: (_request, { fleet }) => ({ status: 200, json: networkStructure(fleet) }),
  }),
];
