/** The vehicle itself: what stands at the root of the tree. */
import { Type } from "#core/schema.ts";
import { type Route, route } from "./route.ts";
import { ok, SchemaQuery } from "./schemas.ts";

const COLLECTIONS = ["components", "apps", "functions", "locks"] as const;

const Vehicle = Type.Object(Object.fromEntries(COLLECTIONS.map((name) => [name, Type.String()])));

export const vehicleRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "",
    summary: "Where the vehicle's resources are",
    tag: "vehicle",
    open: true,
    links: true,
    query: SchemaQuery,
    responses: { 200: ok(Vehicle) },
    handle: ({ origin, base }) => ({
      status: 200,
      json: Object.fromEntries(COLLECTIONS.map((name) => [name, `${origin}${base}/${name}`])),
    }),
  }),
];
