/** Faults of a component: DTCs by status, severity and memory, their environment data, clearing them. */
import { DTC_STATUS_BITS } from "#core/dtc-status.ts";
import { Fault } from "#core/errors.ts";
import { Type } from "#core/schema.ts";
import type { SovdContext } from "./context.ts";
import { invalidValue } from "./errors.ts";
import { callPermitted } from "./permit.ts";
import { type Route, route } from "./route.ts";
import { DataErrors, IncludeSchema, items, NO_CONTENT, ok, Values } from "./schemas.ts";

/** Name of the user memory in `GET` before both names were taken in both. */
const USER_MEMORY = "UserMem";

const Flag = Type.Union(["true", "false", "1", "0"].map((word) => Type.Literal(word)));
const StatusFlags = Object.fromEntries(DTC_STATUS_BITS.map((bit) => [`status[${bit}]`, Type.Optional(Flag)]));

const ListQuery = Type.Object({
  ...IncludeSchema,
  ...StatusFlags,
  "status[mask]": Type.Optional(Type.String({ pattern: "^(0[xX])?[0-9a-fA-F]{1,2}$" })),
  severity: Type.Optional(Type.Integer({ minimum: 0 })),
  scope: Type.Optional(Type.String()),
  memorySelection: Type.Optional(Type.Integer({ minimum: 0, maximum: 0xff })),
  "memory-selection": Type.Optional(Type.Integer({ minimum: 0, maximum: 0xff })),
});
const ReadQuery = Type.Object({
  ...IncludeSchema,
  "include-extended-data": Type.Optional(Type.Boolean()),
  "include-snapshot-data": Type.Optional(Type.Boolean()),
  "include-snapshot": Type.Optional(Type.Boolean()),
  "memory-selection": Type.Optional(Type.Integer({ minimum: 0, maximum: 0xff })),
  memorySelection: Type.Optional(Type.Integer({ minimum: 0, maximum: 0xff })),
});
const ScopeQuery = Type.Object({ scope: Type.Optional(Type.String()) });

const FaultItem = Type.Object({
  code: Type.String(),
  scope: Type.Optional(Type.String()),
  display_code: Type.Optional(Type.String()),
  fault_name: Type.String(),
  severity: Type.Optional(Type.Integer()),
  status: Type.Optional(Values),
});
const Records = Type.Optional(Type.Object({ data: Type.Optional(Values), errors: Type.Optional(DataErrors) }));
const FaultDetail = Type.Object({
  item: FaultItem,
  environment_data: Type.Optional(Type.Object({ extended_data_records: Records, snapshots: Records })),
});

/** Status mask of the query: bits OR-ed, with `status[mask]` too; undefined when no bit is asked for. */
function statusMaskOf(query: Readonly<Record<string, unknown>>): number | undefined {
  const text = query["status[mask]"];
  let mask = typeof text === "string" ? Number.parseInt(text.replace(/^0[xX]/, ""), 16) : 0;
  for (const [bit, name] of DTC_STATUS_BITS.entries()) {
    const flag = query[`status[${name}]`];
    if (flag === "true" || flag === "1") mask |= 1 << bit;
  }
  return mask === 0 ? undefined : mask;
}

/** A scope name in any case as the configuration spells it; `invalidParameter` for a foreign one. */
function scopeOf(scope: string | undefined, { options }: SovdContext): string | undefined {
  if (scope === undefined) return undefined;
  const { default: fallback, userMemory } = options.faultScopes;
  const wanted = scope.toLowerCase();
  if (wanted === fallback.toLowerCase()) return fallback;
  if (wanted === userMemory.toLowerCase() || wanted === USER_MEMORY.toLowerCase()) return userMemory;
  throw invalidValue([fallback, userMemory, USER_MEMORY]);
}

const HEX_CODE = /^(0x)?[0-9a-f]{6}$/;
const SAE_CODE = /^[pcbu][0-9a-f]{6}$/;

/** `01E240`, `0x01E240` or a 7-character SAE code; `badRequest` for anything else. */
function codeOf(id: string): string {
  if (HEX_CODE.test(id)) return id.slice(-6).toUpperCase();
  if (SAE_CODE.test(id)) return id.toUpperCase();
  throw new Fault("badRequest", `Invalid DTC code: ${id}`);
}

/**
 * A shard refuses a code that its database does not know as the CDA does, with `badRequest`; by choice that is `notFound`. The form of
 * the code has been checked before, so nothing else arrives here as `badRequest`.
 */
function unknownCode(error: unknown, { options }: SovdContext): unknown {
  const unknown = error instanceof Fault && error.kind === "badRequest" && options.unknownFaultStatus === 404;
  return unknown ? new Fault("notFound", error.message, error.details) : error;
}

const tag = "faults";
const LIST = "/components/{ecu}/faults" as const;
const ONE = `${LIST}/{code}` as const;

export const faultRoutes: readonly Route[] = [
  route({
    method: "get",
    path: LIST,
    summary: "Faults of a component",
    tag,
    exclusive: true,
    query: ListQuery,
    responses: { 200: ok(items(FaultItem)) },
    handle: async (request, context) => {
      const { query } = request;
      const statusMask = statusMaskOf(query);
      const scope = scopeOf(query.scope, context);
      const memorySelection = query.memorySelection ?? query["memory-selection"];
      const filter = {
        schema: query["include-schema"] === true,
        ...(statusMask === undefined ? {} : { statusMask }),
        ...(query.severity === undefined ? {} : { severity: query.severity }),
        ...(scope === undefined ? {} : { scope }),
        ...(memorySelection === undefined ? {} : { memorySelection }),
      };
      return callPermitted(request, context, "faultList", filter);
    },
  }),
  route({
    method: "delete",
    path: LIST,
    summary: "Clear all faults of a memory",
    tag,
    lock: "ecu",
    query: ScopeQuery,
    responses: { 204: NO_CONTENT },
    handle: async (request, context) => {
      const scope = scopeOf(request.query.scope, context);
      const args = scope === undefined || scope === context.options.faultScopes.default ? {} : { scope };
      return callPermitted(request, context, "faultClear", args);
    },
  }),
  route({
    method: "get",
    path: ONE,
    summary: "A fault and its environment data",
    tag,
    exclusive: true,
    query: ReadQuery,
    responses: { 200: ok(FaultDetail) },
    handle: async (request, context) => {
      const { query } = request;
      const memorySelection = query["memory-selection"] ?? query.memorySelection;
      const code = codeOf(request.params.code);
      const args = {
        code,
        schema: query["include-schema"] === true,
        extendedData: query["include-extended-data"] ?? true,
        snapshotData: query["include-snapshot-data"] ?? query["include-snapshot"] ?? true,
        ...(memorySelection === undefined ? {} : { memorySelection }),
      };
      try {
        return await callPermitted(request, context, "faultRead", args);
      } catch (error) {
        throw unknownCode(error, context);
      }
    },
  }),
  route({
    method: "delete",
    path: ONE,
    summary: "Clear one fault",
    tag,
    lock: "ecu",
    query: ScopeQuery,
    responses: { 204: NO_CONTENT },
    handle: async (request, context) => {
      if (request.query.scope !== undefined) {
        throw new Fault("badRequest", "A scope cannot be given when one fault is cleared");
      }
      const code = codeOf(request.params.code);
      try {
        return await callPermitted(request, context, "faultClear", { code });
      } catch (error) {
        throw unknownCode(error, context);
      }
    },
  }),
];
