/** RXSWIN (UN R156 7.2.1.2) of the components, and where their software came from. */
import { Fault } from "#core/errors.ts";
import { Type } from "#core/schema.ts";
import type { Updates } from "#update/software/updates.ts";
import {
  type Provenance,
  ProvenanceSchema,
  provenanceReader,
  RxswinEntrySchema,
  rxswinEntry,
} from "#update/software/views/provenance.ts";
import { resourceNotFound } from "./guard.ts";
import { inTurns } from "./in-turns.ts";
import { type Route, route } from "./route.ts";
import { items, ok } from "./schemas.ts";
import { updatesOf } from "./updates.ts";

const tag = "rxswin";
const UNKNOWN_VIN = "UNKNOWN";
const MAX_PROVENANCE = 1_000;

const Report = Type.Object({
  vin: Type.String(),
  generatedAt: Type.String(),
  entries: Type.Array(RxswinEntrySchema),
  totalComponents: Type.Integer(),
});
const AfterQuery = Type.Object({
  after: Type.Optional(Type.Integer({ minimum: 0, description: "Only what stands behind this `x-audit-seq`." })),
});

function entriesOf(updates: Updates) {
  return [...updates.installed()].flatMap(([component, installed]) => rxswinEntry(component, installed) ?? []);
}

export const rxswinRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "/rxswin",
    summary: "RXSWIN of each component that has one",
    tag,
    early: true,
    responses: { 200: ok(items(RxswinEntrySchema)) },
    handle: (_request, context) => ({ status: 200, json: { items: entriesOf(updatesOf(context)) } }),
  }),
  route({
    method: "get",
    path: "/rxswin/report",
    summary: "RXSWIN of the whole vehicle",
    tag,
    early: true,
    responses: { 200: ok(Report) },
    handle: (_request, context) => {
      const entries = entriesOf(updatesOf(context));
      const vin = context.vin?.() ?? UNKNOWN_VIN;
      const generatedAt = new Date().toISOString();
      return { status: 200, json: { vin, generatedAt, entries, totalComponents: entries.length } };
    },
  }),
  route({
    method: "get",
    path: "/rxswin/{component}",
    summary: "RXSWIN of a component",
    tag,
    early: true,
    responses: { 200: ok(RxswinEntrySchema) },
    handle: ({ params: { component }, path }, context) => {
      const updates = updatesOf(context);
      const installed = updates.installed().get(component);
      const entry = installed === undefined ? undefined : rxswinEntry(component, installed);
      if (entry !== undefined) return { status: 200, json: entry };
      if (!updates.knows(component)) throw resourceNotFound({ shownPath: path });
      throw new Fault("notFound", `No update has brought ${component} an RXSWIN`);
    },
  }),
  route({
    method: "get",
    path: "/update-provenance",
    summary: "Each end of an update on a component: what came, how, and whether it stayed; at most 1000 at once",
    tag,
    early: true,
    query: AfterQuery,
    responses: { 200: ok(items(ProvenanceSchema)) },
    handle: async ({ query }, context) => {
      const read = provenanceReader(query.after);
      const entries: Provenance[] = [];
      for await (const record of inTurns(updatesOf(context).auditChain())) {
        entries.push(...read(record));
        if (entries.length >= MAX_PROVENANCE) break;
      }
      return { status: 200, json: { items: entries } };
    },
  }),
];
