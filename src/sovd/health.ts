/** Whether this program works, for people and for probes. */
import { Type } from "#core/schema.ts";
import { type Route, route } from "./route.ts";
import { NO_CONTENT, ok, SchemaQuery } from "./schemas.ts";

const Status = Type.Union(["Up", "Starting", "Pending", "Failed"].map((word) => Type.Literal(word)));

const Health = Type.Object({
  status: Status,
  version: Type.String(),
  components: Type.Array(Type.Object({ name: Type.String(), status: Status })),
});

const root = { method: "get", mount: "root", tag: "health", public: true, early: true, query: SchemaQuery } as const;

export const healthRoutes: readonly Route[] = [
  route({
    ...root,
    path: "/health",
    summary: "State of the program and its parts",
    responses: { 200: ok(Health) },
    handle: (_request, context) => {
      const { status, components } = context.health();
      const shown = components.map(({ name, status, details }) => ({ name, status, ...details }));
      return { status: 200, json: { status, version: context.version.version, components: shown } };
    },
  }),
  route({
    ...root,
    path: "/health/ready",
    summary: "Ready for requests",
    responses: { 204: NO_CONTENT, 503: { description: "Not ready." } },
    handle: (_request, context) => ({ status: context.health().status === "Up" ? 204 : 503 }),
  }),
];
