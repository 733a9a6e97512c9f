/**
 * The control API as a table of routes. The first part is what testers of the CDA drive; everything under `/x-sim` is ours and
 * sets misbehaviour. No authentication: it is for a test bench.
 */

import { DTC_STATUS_BITS } from "#core/dtc-status.ts";
import { Fault } from "#core/errors.ts";
import { Type } from "#core/schema.ts";
import { OWN_ROUTES } from "./control-own.ts";
import {
  type ControlAnswer,
  type ControlContext,
  type ControlRoute,
  ecuOf,
  NO_CONTENT,
  valid,
} from "./control-route.ts";
import { type DtcInput, dtcView, FAULT_MEMORIES, type FaultMemory, parseDtc, parseDtcId } from "./dtc.ts";
import { BLOCK_TYPES, DTC_SETTINGS, type EcuState, ROLES, SECURITY_LEVELS, SESSIONS, VARIANTS } from "./state.ts";
import { downloadsView, stateView } from "./state-view.ts";

const keysOf = <T extends object>(table: T) => Object.keys(table) as (keyof T & string)[];
const nullable = <T extends Parameters<typeof Type.Optional>[0]>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()]));

const StateSchema = Type.Object({
  variant: nullable(Type.Enum(keysOf(VARIANTS))),
  sessionState: nullable(Type.Enum(keysOf(SESSIONS))),
  securityAccess: nullable(Type.Enum(keysOf(SECURITY_LEVELS))),
  authentication: nullable(Type.Enum([...ROLES])),
  vin: nullable(Type.String()),
  maxNumberOfBlockLength: nullable(Type.Integer({ minimum: 0, maximum: 0xffff_ffff })),
  dtcSettingType: nullable(Type.Enum(keysOf(DTC_SETTINGS))),
  hardResetForSeconds: nullable(Type.Integer({ minimum: 0, maximum: 3600 })),
});

const BlockSchema = Type.Object({
  id: Type.String(),
  type: Type.Enum([...BLOCK_TYPES]),
  softwareVersion: nullable(Type.String({ pattern: "^\\d{1,2}\\.\\d{1,2}\\.\\d{1,2}$" })),
  partNumber: nullable(Type.String()),
});

const RecordNumber = Type.String();
const DtcSchema = Type.Object({
  id: Type.String(),
  statusMask: Type.Optional(Type.String()),
  status: Type.Optional(
    Type.Object(Object.fromEntries(DTC_STATUS_BITS.map((name) => [name, Type.Optional(Type.Boolean())]))),
  ),
  emissionsRelated: Type.Optional(Type.Boolean()),
  snapshots: Type.Optional(
    Type.Array(
      Type.Object({
        recordNumber: RecordNumber,
        records: Type.Array(Type.Object({ did: Type.String(), data: Type.String() })),
      }),
    ),
  ),
  extendedData: Type.Optional(Type.Array(Type.Object({ recordNumber: RecordNumber, data: Type.String() }))),
});

const InterceptorSchema = Type.Object({
  request: Type.String(),
  response: Type.String(),
  removeAfterNRequest: nullable(Type.Integer()),
});

export const CONTROL_ROUTES: readonly ControlRoute[] = [
  {
    method: "GET",
    path: "/",
    doc: "all routes; health probe",
    handle: () => ({ status: 200, json: { items: CONTROL_ROUTES.map(({ path, method }) => ({ path, method })) } }),
  },
  {
    method: "POST",
    path: "/reset",
    doc: "all ECUs back to their initial state, misbehaviour gone; connections stay",
    handle: ({ vehicle }) => {
      vehicle.reset();
      return NO_CONTENT;
    },
  },
  {
    method: "POST",
    path: "/disconnect",
    doc: "closes all TCP connections; listeners stay",
    handle: ({ vehicle }) => ({
      status: 200,
      json: { message: `Closed ${vehicle.disconnect()} TCP connection(s)` },
    }),
  },
  {
    method: "POST",
    path: "/shutdown",
    doc: "ends the simulator",
    handle: ({ vehicle }) => ({ status: 200, afterwards: () => void vehicle.close() }),
  },
  {
    method: "GET",
    path: "/keys",
    doc: "public key of the tokens",
    handle: async ({ tokens }) => ({ status: 200, json: await tokens.keys() }),
  },
  {
    method: "POST",
    path: "/token",
    body: "form",
    doc: "token by client credentials: grant_type, client_id, client_secret, scope",
    handle: issueToken,
  },
  {
    method: "PUT",
    path: "/interceptor/{ecu}/inbound/{name}",
    body: "json",
    doc: "answers matching requests instead of the ECU: request (hex pattern, [] for any bytes), response, removeAfterNRequest",
    handle: putInterceptor,
  },
  {
    method: "DELETE",
    path: "/interceptor/{ecu}/inbound/{name}",
    doc: "removes an interceptor, also one that is not there",
    handle: (context) => {
      ecuOf(context).removeInterceptor(context.params.name!);
      return NO_CONTENT;
    },
  },
  ...OWN_ROUTES,
  {
    method: "GET",
    path: "/{ecu}/state",
    doc: "state of the ECU",
    handle: (context) => ({ status: 200, json: stateView(ecuOf(context).state) }),
  },
  {
    method: "PUT",
    path: "/{ecu}/state",
    body: "json",
    doc: "changes the keys given; unknown keys are ignored",
    handle: putState,
  },
  {
    method: "PUT",
    path: "/{ecu}/state/blocks/{uuid}",
    body: "json",
    doc: "changes a software block: id, type, softwareVersion, partNumber",
    handle: putBlock,
  },
  {
    method: "GET",
    path: "/{ecu}/datatransfers/downloads",
    doc: "flash transfers since the last erase",
    handle: (context) => ({ status: 200, json: downloadsView(ecuOf(context).state) }),
  },
  {
    method: "POST",
    path: "/{ecu}/record",
    doc: "starts recording requests",
    handle: (context) => {
      ecuOf(context).startRecording();
      return NO_CONTENT;
    },
  },
  {
    method: "GET",
    path: "/{ecu}/record",
    doc: "recorded requests in hex",
    handle: (context) => ({ status: 200, json: ecuOf(context).recorded }),
  },
  {
    method: "DELETE",
    path: "/{ecu}/record",
    doc: "stops recording; the list stays",
    handle: (context) => {
      const ecu = ecuOf(context);
      ecu.stopRecording();
      return { status: 200, json: ecu.recorded };
    },
  },
  {
    method: "GET",
    path: "/{ecu}/dtc",
    doc: "fault memories",
    handle: () => ({ status: 200, json: { items: FAULT_MEMORIES.map((name) => ({ name })) } }),
  },
  {
    method: "GET",
    path: "/{ecu}/dtc/{memory}",
    doc: "DTCs of a memory",
    handle: (context) => withMemory(context, (dtcs) => ({ status: 200, json: [...dtcs.values()].map(dtcView) })),
  },
  {
    method: "PUT",
    path: "/{ecu}/dtc/{memory}",
    body: "json",
    doc: "adds a DTC or replaces the one with its id",
    handle: putDtc,
  },
  {
    method: "DELETE",
    path: "/{ecu}/dtc/{memory}/{id}",
    doc: "deletes a DTC, also one that is not there",
    handle: deleteDtc,
  },
  {
    method: "DELETE",
    path: "/{ecu}/dtc/{memory}",
    doc: "deletes all DTCs of a memory",
    handle: (context) =>
      withMemory(context, (dtcs) => {
        dtcs.clear();
        return DTCS_DELETED;
      }),
  },
];

const DTCS_DELETED: ControlAnswer = { status: 200, json: { message: "DTCs were deleted" } };

function putState(context: ControlContext): ControlAnswer {
  const { state } = ecuOf(context);
  const given = Object.entries(valid(StateSchema, context)).filter(
    ([key, value]) => key in StateSchema.properties && value !== null,
  );
  Object.assign(state, Object.fromEntries(given));
  return { status: 200, json: stateView(state) };
}

function putBlock(context: ControlContext): ControlAnswer {
  const { state } = ecuOf(context);
  const uuid = context.params.uuid!.toLowerCase();
  if (!/^[0-9a-f]{1,8}(-[0-9a-f]{1,4}){3}-[0-9a-f]{1,12}$/.test(uuid)) throw new Fault("internal", "not a UUID");
  const { type, softwareVersion, partNumber } = valid(BlockSchema, context);
  const block = state.blocks.find(({ id }) => id === uuid);
  if (block === undefined) return { status: 404 };
  block.type = type;
  if (softwareVersion != null) {
    block.softwareVersion = softwareVersion
      .split(".")
      .map((part) => part.padStart(2, "0"))
      .join(".");
  }
  if (partNumber != null) block.partNumber = partNumber;
  return { status: 200, json: stateView(state) };
}

function putInterceptor(context: ControlContext): ControlAnswer {
  const ecu = ecuOf(context);
  const name = context.params.name!;
  if (name.trim() === "") return { status: 400, text: "name must not be blank" };
  const { request, response, removeAfterNRequest } = valid(InterceptorSchema, context);
  ecu.intercept(name, request, response, removeAfterNRequest ?? undefined);
  return { status: 202 };
}

function withMemory(
  context: ControlContext,
  use: (dtcs: EcuState["dtcs"][FaultMemory]) => ControlAnswer,
): ControlAnswer {
  const { state } = ecuOf(context);
  const memory = FAULT_MEMORIES.find((name) => name === context.params.memory);
  if (memory === undefined) {
    return { status: 400, json: { message: `Fault memory ${context.params.memory} doesn't exist` } };
  }
  return use(state.dtcs[memory]);
}

function putDtc(context: ControlContext): ControlAnswer {
  return withMemory(context, (dtcs) => {
    // A missing id and a lower-case letter are the tester's mistakes too, but this API has always answered them so.
    if ((context.body as { id?: unknown } | null)?.id === undefined) return { status: 500 };
    const parsed = parseDtc(valid(DtcSchema, context) as DtcInput);
    if ("problem" in parsed) return { status: parsed.problem === "malformed" ? 400 : 500 };
    dtcs.set(parsed.dtc.id, parsed.dtc);
    return { status: 201, json: { message: "DTC was created" } };
  });
}

function deleteDtc(context: ControlContext): ControlAnswer {
  return withMemory(context, (dtcs) => {
    const id = parseDtcId(context.params.id!);
    if (typeof id === "string") return { status: 400 };
    dtcs.delete(id);
    return DTCS_DELETED;
  });
}

async function issueToken({ body, tokens }: ControlContext): Promise<ControlAnswer> {
  const form = body as URLSearchParams;
  if (form.get("grant_type") !== "client_credentials") return { status: 500 };
  const clientId = form.get("client_id") ?? "";
  if (clientId.trim() === "" || (form.get("client_secret") ?? "").trim() === "") return { status: 400 };
  const scopes = (form.get("scope") ?? "").split(" ").filter((scope) => scope !== "");
  return { status: 200, json: await tokens.issue(clientId, scopes) };
}
