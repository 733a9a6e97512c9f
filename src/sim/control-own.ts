/** Control routes of our own, under `/x-sim`: misbehaviour on demand, unasked messages, further data identifiers. */
import { fromHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import { type Static, Type } from "#core/schema.ts";
import {
  type ControlAnswer,
  type ControlContext,
  type ControlRoute,
  ecuOf,
  endpointOf,
  NO_CONTENT,
  valid,
} from "./control-route.ts";
import { EcuMisbehaviourSchema, EntityMisbehaviourSchema, STRICT_ISO } from "./misbehaviour.ts";

const HexSchema = Type.String({ pattern: "^([0-9a-fA-F]{2})+$" });
const EmitSchema = Type.Object({ uds: HexSchema });
const RawSchema = Type.Object({ hex: HexSchema });
const DataSchema = Type.Object({ value: HexSchema, writable: Type.Optional(Type.Boolean()) });

export const OWN_ROUTES: readonly ControlRoute[] = [
  {
    method: "GET",
    path: "/x-sim",
    doc: "these routes and what they do",
    handle: () => ({
      status: 200,
      json: { items: OWN_ROUTES.map(({ method, path, doc }) => ({ method, path, doc })) },
    }),
  },
  {
    method: "GET",
    path: "/x-sim/ecus",
    doc: "ECUs with logical address, entity, and whether they are at work",
    handle: ({ vehicle }) => ({
      status: 200,
      json: {
        items: vehicle.entities.flatMap((entity) =>
          entity.ecus.map(({ name, logicalAddress, work }) => ({
            name,
            logicalAddress,
            entity: entity.name,
            busy: work !== undefined,
          })),
        ),
      },
    }),
  },
  ...misbehaviourRoutes("ecus", EcuMisbehaviourSchema, ecuOf, (ecu, rules) => {
    ecu.misbehaviour = rules;
  }),
  {
    method: "POST",
    path: "/x-sim/ecus/{name}/emit",
    body: "json",
    doc: "an unasked diagnostic message to every activated tester: uds (hex)",
    handle: emit,
  },
  {
    method: "PUT",
    path: "/x-sim/ecus/{name}/data/{did}",
    body: "json",
    doc: "a data identifier (4 hex digits) of the ECU: value (hex), writable",
    handle: putData,
  },
  ...misbehaviourRoutes("entities", EntityMisbehaviourSchema, endpointOf, (endpoint, rules) => {
    endpoint.misbehaviour = rules ?? {};
  }),
  {
    method: "POST",
    path: "/x-sim/entities/{name}/strict-iso",
    doc: "the timers and rules of ISO 13400-2: inactivity, socket limit, 0x03 on a second connection, closing",
    handle: (context) => {
      endpointOf(context).misbehaviour = { ...STRICT_ISO };
      return NO_CONTENT;
    },
  },
  {
    method: "POST",
    path: "/x-sim/entities/{name}/alive-check",
    doc: "alive check request on every connection; how many answered in time",
    handle: async (context) => {
      const results = await Promise.all([...endpointOf(context).connections].map((each) => each.isAlive()));
      return { status: 200, json: { connections: results.length, alive: results.filter(Boolean).length } };
    },
  },
  {
    method: "POST",
    path: "/x-sim/entities/{name}/raw",
    body: "json",
    doc: "bytes as they are on every connection: hex",
    handle: (context) => {
      const { hex } = valid(RawSchema, context);
      for (const connection of endpointOf(context).connections) connection.sendRaw(fromHex(hex)!);
      return NO_CONTENT;
    },
  },
  {
    method: "POST",
    path: "/x-sim/entities/{name}/announce",
    doc: "one vehicle announcement of each entity on that address, now",
    handle: (context) => {
      endpointOf(context).announceOnce();
      return NO_CONTENT;
    },
  },
  {
    method: "POST",
    path: "/x-sim/entities/{name}/disconnect",
    doc: "closes the TCP connections of one address",
    handle: (context) => {
      for (const connection of endpointOf(context).connections) connection.destroy();
      return NO_CONTENT;
    },
  },
];

/** Read, set and clear the misbehaviour of one kind of thing. */
function misbehaviourRoutes<
  S extends typeof EcuMisbehaviourSchema | typeof EntityMisbehaviourSchema,
  T extends { misbehaviour: Static<S> | undefined },
>(
  collection: string,
  schema: S,
  find: (context: ControlContext) => T,
  set: (target: T, rules: Static<S> | undefined) => void,
): ControlRoute[] {
  const path = `/x-sim/${collection}/{name}/misbehaviour`;
  return [
    {
      method: "GET",
      path,
      doc: "misbehaviour as set, with what is left of its counts",
      handle: (context) => ({ status: 200, json: find(context).misbehaviour ?? {} }),
    },
    {
      method: "PUT",
      path,
      body: "json",
      doc: `replaces the misbehaviour; keys: ${Object.keys(schema.properties).join(", ")}`,
      handle: (context) => {
        set(find(context), valid(schema, context));
        return { status: 200, json: find(context).misbehaviour };
      },
    },
    {
      method: "DELETE",
      path,
      doc: "behaves again",
      handle: (context) => {
        set(find(context), undefined);
        return NO_CONTENT;
      },
    },
  ];
}

function emit(context: ControlContext): ControlAnswer {
  const { uds } = valid(EmitSchema, context);
  const { logicalAddress } = ecuOf(context);
  for (const connection of endpointOf(context).connections) connection.emit(logicalAddress, fromHex(uds)!);
  return NO_CONTENT;
}

function putData(context: ControlContext): ControlAnswer {
  const { state } = ecuOf(context);
  if (!/^[0-9a-fA-F]{4}$/.test(context.params.did!)) throw new Fault("badRequest", "not a data identifier");
  const { value, writable = false } = valid(DataSchema, context);
  state.data.set(Number.parseInt(context.params.did!, 16), { value: fromHex(value)!, writable });
  return NO_CONTENT;
}
