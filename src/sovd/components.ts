/** Components: the list of ECUs, one ECU, and its variant detection. */
import { Type } from "#core/schema.ts";
import type { EcuView } from "#fleet/api.ts";
import { objectText, textOf } from "./json-text.ts";
import { type Answer, type Route, route } from "./route.ts";
import { CREATED_EMPTY, IncludeSchema, IncludeSdgs, ok, ResourceItem, SchemaQuery, wantsSdgs } from "./schemas.ts";
import { TARGET_COLLECTIONS } from "./updates.ts";

const COLLECTIONS = ["locks", "operations", "data", "configurations"] as const;
const MORE_COLLECTIONS = ["x-single-ecu-jobs", "faults", "modes"] as const;

const Links = Object.fromEntries([...COLLECTIONS, ...MORE_COLLECTIONS].map((name) => [name, Type.String()]));
const TargetLinks = Object.fromEntries(TARGET_COLLECTIONS.map((name) => [name, Type.Optional(Type.String())]));

const Component = Type.Object({
  id: Type.String(),
  name: Type.String(),
  variant: Type.Object({
    name: Type.String(),
    is_base_variant: Type.Boolean(),
    state: Type.String(),
    logical_address: Type.String(),
  }),
  ...Links,
  ...TargetLinks,
  sdgs: Type.Optional(Type.Array(Type.Unknown())),
});

/** Fields beside `items` are the operator's, each a list of its own. */
const Components = Type.Object({ items: Type.Array(ResourceItem) }, { additionalProperties: Type.Array(ResourceItem) });

/** The finished list of a set of ECUs for the prefix it was last asked with; a vehicle's clients use one. */
const LISTS = new WeakMap<readonly EcuView[], { readonly prefix: string; readonly answer: Answer }>();

/** The variant as the API shows it; its address has at least two digits, where other places show four. */
function variantOf(ecu: EcuView): Record<string, unknown> {
  return {
    name: ecu.variant ?? "Unknown",
    is_base_variant: ecu.isBaseVariant,
    state: ecu.state,
    logical_address: `0x${ecu.logicalAddress.toString(16).padStart(2, "0")}`,
  };
}

const detect = {
  path: "/components/{ecu}",
  summary: "Detect the component's variant now",
  tag: "components",
  open: true,
  responses: { 201: CREATED_EMPTY },
} as const;

const detectRoute = (method: "put" | "post"): Route =>
  route({
    ...detect,
    method,
    handle: async (request, { fleet }) => {
      await fleet.call(request.ecu.name, "detect", {}, request);
      return { status: 201 };
    },
  });

export const componentRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "/components",
    summary: "All components",
    tag: "components",
    open: true,
    links: true,
    query: SchemaQuery,
    responses: { 200: ok(Components) },
    handle: (request, { fleet, options, softwareUpdates }) => {
      const prefix = `${request.origin}${request.base}/components/`;
      const known = LISTS.get(fleet.ecus);
      if (known?.prefix === prefix && request.query["include-schema"] !== true) return known.answer;
      const show = (ecu: EcuView) => entry(ecu.id);
      const entry = (id: string) => ({ href: prefix + encodeURIComponent(id), id, name: id });
      const own = softwareUpdates?.ownComponents ?? [];
      const json: Record<string, unknown> = { items: [...fleet.ecus.map(show), ...own.map(entry)] };
      for (const field of options.componentFields) {
        json[field] = fleet.ecus.filter((ecu) => ecu.fields.includes(field)).map(show);
      }
      LISTS.set(fleet.ecus, { prefix, answer: { status: 200, body: Buffer.from(JSON.stringify(json)) } });
      return { status: 200, json };
    },
  }),
  route({
    method: "get",
    path: "/components/{ecu}",
    summary: "A component, its variant and where its resources are",
    tag: "components",
    open: true,
    links: true,
    query: Type.Object({ ...IncludeSchema, ...IncludeSdgs }),
    responses: { 200: ok(Component) },
    handle: async (request, { fleet, softwareUpdates }) => {
      const { ecu, origin, base } = request;
      const here = `${origin}${base}/components/${encodeURIComponent(ecu.id)}`;
      const links = (names: readonly string[]) =>
        Object.fromEntries(names.map((name) => [name, JSON.stringify(`${here}/${name}`)]));
      const sdgs = wantsSdgs(request.query) ? await fleet.call(ecu.name, "layerSdgs", {}, request) : undefined;
      const text = objectText({
        id: JSON.stringify(ecu.id),
        name: JSON.stringify(ecu.id),
        variant: JSON.stringify(variantOf(ecu)),
        ...links(COLLECTIONS),
        sdgs: sdgs === undefined ? undefined : textOf(sdgs.body),
        ...links(MORE_COLLECTIONS),
        ...(softwareUpdates?.isTarget(ecu.id) === true ? links(TARGET_COLLECTIONS) : {}),
      });
      return { status: 200, text };
    },
  }),
  detectRoute("put"),
  detectRoute("post"),
];
