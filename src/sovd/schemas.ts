/** Schemas that several resources share, and the `schema` member of answers (`include-schema=true`). */
import type { TObject, TProperties, TSchema } from "typebox";
import { Type } from "#core/schema.ts";
import type { ResponseSpec } from "./route.ts";

const Uuid = Type.String({
  pattern: "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
});
export const IdParams = Type.Object({ id: Uuid });

export const SovdErrorSchema = Type.Object({
  message: Type.String(),
  error_code: Type.String(),
  vendor_code: Type.Optional(Type.String()),
  parameters: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  "x-errorsource": Type.Optional(Type.String()),
});

export const DataErrors = Type.Array(Type.Object({ path: Type.String(), error: SovdErrorSchema }));

/** Values by name, shaped by the diagnostic database. */
export const Values = Type.Record(Type.String(), Type.Unknown());

export const IncludeSchema = { "include-schema": Type.Optional(Type.Boolean()) };
export const SchemaQuery = Type.Object(IncludeSchema);

/** The special data flag and its alias. */
export const IncludeSdgs = {
  "x-sovd2uds-includesdgs": Type.Optional(Type.Boolean()),
  "x-include-sdgs": Type.Optional(Type.Boolean()),
};

/** True when either name of the special data flag is set. */
export function wantsSdgs(query: { "x-sovd2uds-includesdgs"?: boolean; "x-include-sdgs"?: boolean }): boolean {
  return query["x-sovd2uds-includesdgs"] === true || query["x-include-sdgs"] === true;
}

export const ResourceItem = Type.Object({ href: Type.String(), id: Type.String(), name: Type.String() });
export const LinkItem = Type.Object({ href: Type.String(), name: Type.String() });
export const IdItem = Type.Object({ id: Type.String() });

export const ExecutionStatus = Type.Union(
  ["running", "completed", "failed", "stopped"].map((word) => Type.Literal(word)),
);

/** A collection: `{"items":[…]}` and what else it has. */
export function items<S extends TSchema>(item: S, more: TProperties = {}): TObject {
  return Type.Object({ items: Type.Array(item), ...more });
}

/** A JSON answer. */
export function ok(schema: TSchema, description = "Done."): ResponseSpec {
  return { description, schema };
}

export const NO_CONTENT: ResponseSpec = { description: "Done; nothing to say." };
export const CREATED_EMPTY: ResponseSpec = { description: "Done; nothing to say." };

const DRAFT = "https://json-schema.org/draft/2020-12/schema";
const shown = new WeakMap<TSchema, string>();

/** JSON text of an answer's schema, without descriptions. */
export function schemaText(schema: TSchema): string {
  let text = shown.get(schema);
  if (text === undefined) {
    text = JSON.stringify({ $schema: DRAFT, ...schema }, (key, value) => (key === "description" ? undefined : value));
    shown.set(schema, text);
  }
  return text;
}
