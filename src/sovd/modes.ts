/** Modes of a component: session, security access, communication control, DTC setting, authentication. */
import { Fault } from "#core/errors.ts";
import { type Static, Type } from "#core/schema.ts";
import type { ModeId, ModeWrite } from "#fleet/messages.ts";
import { MODE_NAMES } from "#fleet/messages.ts";
import { callPermitted } from "./permit.ts";
import { type Method, type Route, route } from "./route.ts";
import { items, ok, SchemaQuery, Values } from "./schemas.ts";

export const ModeItem = Type.Object({ id: Type.String(), name: Type.String() });
const ModeState = Type.Object({ name: Type.Optional(Type.String()), value: Type.String() });
const ModeChange = Type.Object({ id: Type.String(), value: Type.Optional(Type.String()) });
const Expiration = Type.Optional(Type.Integer({ minimum: 0, description: "Seconds." }));

const KeyObject = Type.Object({ Send_Key: Type.Optional(Type.String()), Security: Type.Optional(Type.String()) });

/** A body per mode; unknown members are ignored. */
export const MODE_BODIES = {
  session: Type.Object({ value: Type.String(), mode_expiration: Expiration }),
  security: Type.Object({
    value: Type.String(),
    mode_expiration: Expiration,
    parameters: Type.Optional(Values),
    Key: Type.Optional(KeyObject),
    SendKey: Type.Optional(KeyObject),
  }),
  commctrl: Type.Object({ value: Type.String(), parameters: Type.Optional(Values) }),
  dtcsetting: Type.Object({ value: Type.String(), parameters: Type.Optional(Values) }),
  authentication: Type.Object({ value: Type.String(), parameters: Type.Optional(Values) }),
} as const;

interface AnyModeBody {
  readonly value: string;
  readonly mode_expiration?: number;
  readonly parameters?: Readonly<Record<string, unknown>>;
}

/** The shard's call for a mode body without a key. */
export function modeWriteOf(mode: ModeId, body: AnyModeBody, schema: boolean): ModeWrite {
  return {
    mode,
    value: body.value,
    schema,
    ...(body.parameters === undefined ? {} : { parameters: body.parameters }),
    ...(body.mode_expiration === undefined ? {} : { expirationS: body.mode_expiration }),
  };
}

/** `<Level>_RequestSeed`, in any case. */
function asksForSeed(value: string): boolean {
  const parts = value.split("_");
  return parts.length >= 2 && parts.at(-1)!.toLowerCase() === "requestseed";
}

/** Hex text of the key under any of its names; the combination with `_RequestSeed` is checked. */
function keyOf(body: Static<(typeof MODE_BODIES)["security"]>): string | undefined {
  const object = body.Key ?? body.SendKey;
  const key = object?.Send_Key ?? object?.Security;
  if (asksForSeed(body.value)) {
    if (object !== undefined) throw new Fault("badRequest", "RequestSeed and SendKey cannot be used at the same time.");
    return undefined;
  }
  if (key === undefined) throw new Fault("badRequest", "RequestSeed is not set but no key is given.");
  return key;
}

function writeRoute(mode: ModeId, method: Method): Route {
  return route({
    method,
    path: `/components/{ecu}/modes/${mode}`,
    summary: `Change: ${MODE_NAMES[mode]}`,
    tag: "modes",
    lock: "ecu",
    query: SchemaQuery,
    body: { kind: "json", family: "wrapped", schema: MODE_BODIES[mode] },
    responses: { 200: ok(ModeChange) },
    handle: async (request, context) => {
      const { body } = request;
      const write = modeWriteOf(mode, body, request.query["include-schema"] === true);
      const key = mode === "security" ? keyOf(body) : undefined;
      return callPermitted(request, context, "modeWrite", key === undefined ? write : { ...write, key });
    },
  });
}

function routesOf(mode: ModeId): Route[] {
  const read = route({
    method: "get",
    path: `/components/{ecu}/modes/${mode}`,
    summary: `State: ${MODE_NAMES[mode]}`,
    tag: "modes",
    lock: mode === "security" ? "ecu" : "none",
    query: SchemaQuery,
    responses: { 200: ok(ModeState) },
    handle: (request, { fleet }) =>
      fleet.call(request.ecu.name, "modeRead", { mode, schema: request.query["include-schema"] === true }, request),
  });
  return [read, writeRoute(mode, "put"), writeRoute(mode, "post")];
}

const MODES = Object.keys(MODE_NAMES) as ModeId[];
/** Authentication stands beside the list, which is the CDA's. */
const LISTED = MODES.filter((mode) => mode !== "authentication");

export const modeRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "/components/{ecu}/modes",
    summary: "All modes of a component",
    tag: "modes",
    open: true,
    query: SchemaQuery,
    responses: { 200: ok(items(ModeItem)) },
    handle: () => ({ status: 200, json: { items: LISTED.map((id) => ({ id, name: MODE_NAMES[id] })) } }),
  }),
  ...MODES.flatMap(routesOf),
];
