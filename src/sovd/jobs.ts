/** Single ECU jobs as the database describes them; they cannot be run. */
import { Type } from "#core/schema.ts";
import { DataItem } from "./data.ts";
import { type Route, route } from "./route.ts";
import { items, ok, SchemaQuery } from "./schemas.ts";

const Param = Type.Object({
  short_name: Type.String(),
  physical_default_value: Type.Optional(Type.String()),
  semantic: Type.Optional(Type.String()),
  long_name: Type.Optional(Type.Object({ value: Type.Optional(Type.String()), ti: Type.Optional(Type.String()) })),
});
const ProgCode = Type.Object({
  code_file: Type.String(),
  encryption: Type.Optional(Type.String()),
  syntax: Type.Optional(Type.String()),
  revision: Type.String(),
  entrypoint: Type.String(),
});
const Job = Type.Object({
  "x-input-params": Type.Array(Param),
  "x-output-params": Type.Array(Param),
  "x-neg-output-params": Type.Array(Param),
  "x-prog-code": Type.Array(ProgCode),
});

const shared = { method: "get", tag: "jobs", open: true, query: SchemaQuery } as const;

export const jobRoutes: readonly Route[] = [
  route({
    ...shared,
    path: "/components/{ecu}/x-single-ecu-jobs",
    summary: "All single ECU jobs",
    responses: { 200: ok(items(DataItem)) },
    handle: (request, { fleet }) =>
      fleet.call(request.ecu.name, "jobList", { schema: request.query["include-schema"] === true }, request),
  }),
  route({
    ...shared,
    path: "/components/{ecu}/x-single-ecu-jobs/{job}",
    summary: "Parameters and code of a single ECU job",
    responses: { 200: ok(Job) },
    handle: (request, { fleet }) => {
      const args = { job: request.params.job, schema: request.query["include-schema"] === true };
      return fleet.call(request.ecu.name, "jobRead", args, request);
    },
  }),
];
