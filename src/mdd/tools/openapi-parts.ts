/** Parts that every path of an API document is made of. */
import { toHex } from "#core/bytes.ts";
import { DTC_STATUS_MEMBERS } from "#core/dtc-status.ts";
import { JSON_TYPE } from "#core/media-types.ts";
import type { ServiceEntry } from "../query/service-entry.ts";
import type { JsonSchema } from "../query/value-schema.ts";

type Json = Readonly<Record<string, unknown>>;

export const STRING: JsonSchema = { type: "string" };
export const OBJECT: JsonSchema = { type: "object" };
const BOOLEAN: JsonSchema = { type: "boolean" };

/** Parameters that could not be read, by JSON pointer. */
export const ERRORS: JsonSchema = { $ref: "#/components/schemas/DataErrors" };

/** An object; members are required unless `optional` names them. */
export function objectOf(properties: Json, optional: readonly string[] = []): JsonSchema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, ...(required.length > 0 && { required }) };
}

/** A collection: `{"items":[…]}`. */
export function listOf(item: JsonSchema): JsonSchema {
  return objectOf({ items: { type: "array", items: item } });
}

export function answerOf(schema: JsonSchema): Json {
  return { description: "Done.", content: { [JSON_TYPE]: { schema } } };
}

export function bodyOf(schema: JsonSchema): Json {
  return { required: true, content: { [JSON_TYPE]: { schema } } };
}

/** One method of a path; `service` is what the ECU is asked with. */
export function operation(
  tag: string,
  summary: string,
  responses: Json,
  more: { readonly service?: ServiceEntry | undefined; readonly requestBody?: Json } = {},
): Json {
  const { service, requestBody } = more;
  return {
    tags: [tag],
    summary,
    ...(service && { "x-uds-service": service.shortName, "x-uds-request": toHex(service.prefix) }),
    ...(requestBody && { requestBody }),
    responses: { ...responses, default: { $ref: "#/components/responses/Error" } },
  };
}

/** What paths refer to by name. */
export const SHARED: Json = {
  securitySchemes: { bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" } },
  schemas: {
    Error: objectOf({ message: STRING, error_code: STRING, vendor_code: STRING, parameters: OBJECT }, [
      "vendor_code",
      "parameters",
    ]),
    DataErrors: { type: "array", items: objectOf({ path: STRING, error: { $ref: "#/components/schemas/Error" } }) },
    ExecutionStatus: { type: "string", enum: ["running", "completed", "failed", "stopped"] },
    Fault: objectOf(
      {
        code: STRING,
        scope: STRING,
        display_code: STRING,
        fault_name: STRING,
        severity: { type: "integer" },
        status: objectOf({ ...Object.fromEntries(DTC_STATUS_MEMBERS.map((bit) => [bit, BOOLEAN])), mask: STRING }),
      },
      ["scope", "display_code", "severity", "status"],
    ),
  },
  responses: {
    Error: {
      description: "What went wrong.",
      content: { [JSON_TYPE]: { schema: { $ref: "#/components/schemas/Error" } } },
    },
  },
};
