/** Who serves, and which version of the interface. */
import { Type } from "#core/schema.ts";
import type { SovdContext } from "./context.ts";
import { type Answer, type AnyRequest, route } from "./route.ts";
import { ok, SchemaQuery } from "./schemas.ts";

/** Version of ISO 17978-3 that the resources follow. */
const API_VERSION = "1.1";
/** What clients of the CDA read below its own base path; `/version-info` and the other base paths name this program. */
const CDA = { base: "/vehicle/v15", name: "Eclipse OpenSOVD Classic Diagnostic Adapter" } as const;

const VersionData = Type.Object({
  data: Type.Object({
    api: Type.Object({ version: Type.String() }),
    implementation: Type.Object({ build_date: Type.String(), commit: Type.String(), version: Type.String() }),
    name: Type.String(),
  }),
  id: Type.Literal("version"),
});

const VersionInfoList = Type.Object({
  sovd_info: Type.Array(
    Type.Object({
      version: Type.String(),
      base_uri: Type.String(),
      vendor_info: Type.Object({
        name: Type.String(),
        version: Type.String(),
        commit: Type.String(),
        build_date: Type.String(),
      }),
    }),
  ),
});

function versionData({ base }: AnyRequest, { version }: SovdContext): Answer {
  const implementation = { build_date: version.buildDate, commit: version.commit, version: version.version };
  const name = base === CDA.base ? CDA.name : version.name;
  return { status: 200, json: { data: { api: { version: API_VERSION }, implementation, name }, id: "version" } };
}

const data = {
  method: "get",
  summary: "Version of the interface and of this program",
  tag: "version",
  public: true,
  early: true,
  query: SchemaQuery,
  responses: { 200: ok(VersionData) },
  handle: versionData,
} as const;

export const versionRoutes = [
  route({ ...data, path: "/data/version" }),
  route({ ...data, path: "/apps/sovd2uds/data/version" }),
  route({
    method: "get",
    path: "/version-info",
    mount: "root",
    summary: "Versions of SOVD served here and where they begin, relative to this document",
    tag: "version",
    public: true,
    early: true,
    query: SchemaQuery,
    responses: { 200: ok(VersionInfoList) },
    handle: (_request, { version, options }) => {
      const { name, commit } = version;
      const vendor_info = { name, version: version.version, commit, build_date: version.buildDate };
      const sovd_info = options.basePaths.map((base) => ({
        version: API_VERSION,
        base_uri: base,
        vendor_info,
      }));
      return { status: 200, json: { sovd_info } };
    },
  }),
];
