/** JSON Schemas that answers carry on request (`include-schema`): fixed envelopes around what the database says of a service. */
import { DTC_STATUS_MEMBERS } from "#core/dtc-status.ts";
import { responseSchema } from "#mdd/query/json-schema.ts";
import type { ServiceEntry } from "#mdd/query/service-entry.ts";
import type { Ecu } from "./ecu.ts";

const DIALECT = "https://json-schema.org/draft/2020-12/schema";
const STRING = { type: "string" };
const BOOLEAN = { type: "boolean" };
const ANY_OBJECT = { type: "object" };
const ERRORS = { type: "array", items: ANY_OBJECT };

type Properties = Readonly<Record<string, unknown>>;

function object(properties: Properties, optional: readonly string[] = []) {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { $schema: DIALECT, type: "object", properties, required };
}

function list(properties: Properties, optional: readonly string[] = []) {
  const { $schema: _, ...item } = object(properties, optional);
  return object({ items: { type: "array", items: item } });
}

const LISTS = {
  data: list({ category: STRING, id: STRING, name: STRING }),
  configurations: list({
    id: STRING,
    name: STRING,
    configurations_type: STRING,
    type: STRING,
    "x-sovd2uds-ServiceAbstract": { type: "array", items: STRING },
    "x-sovd2uds-serviceAbstract": { type: "array", items: STRING },
  }),
  operations: list({
    id: STRING,
    name: STRING,
    proximity_proof_required: BOOLEAN,
    asynchronous_execution: BOOLEAN,
  }),
  jobs: list({ category: STRING, id: STRING, name: STRING }),
  job: object({
    "x-input-params": ERRORS,
    "x-output-params": ERRORS,
    "x-neg-output-params": ERRORS,
    "x-prog-code": ERRORS,
  }),
  sdgs: object({ items: { type: "object", additionalProperties: ANY_OBJECT } }),
} as const;

/** Schema of a list or of a description that no service stands behind. */
export function listSchema(name: keyof typeof LISTS): unknown {
  return LISTS[name];
}

/** Schema of the parameters that a service answers, from the database. */
export function parametersSchema(ecu: Ecu, service: ServiceEntry, { flatten }: { readonly flatten: boolean }): unknown {
  return responseSchema(ecu.loaded.database, service, { flatten }).schema ?? ANY_OBJECT;
}

/** Schema of a service's answer. */
export function answerSchema(
  ecu: Ecu,
  service: ServiceEntry,
  member: "data" | "parameters" | "requestdownload",
  options: { readonly flatten: boolean },
): unknown {
  const parameters = parametersSchema(ecu, service, options);
  if (member === "data") return object({ id: STRING, data: parameters, errors: ERRORS }, ["errors"]);
  if (member === "requestdownload") return object({ [member]: parameters, errors: ERRORS }, ["errors"]);
  return object({ [member]: parameters, error: ANY_OBJECT }, [member, "error"]);
}

const MODES = {
  read: object({ name: STRING, value: STRING }, ["name"]),
  write: object({ id: STRING, value: STRING }),
  seed: object({ id: STRING, seed: object({ Request_Seed: STRING }) }),
  authentication: object({ id: STRING, value: STRING, parameters: ANY_OBJECT }),
} as const;

export function modeSchema(name: keyof typeof MODES): unknown {
  return MODES[name];
}

const STATUS = object({ ...Object.fromEntries(DTC_STATUS_MEMBERS.map((name) => [name, BOOLEAN])), mask: STRING });
const FAULT: Properties = {
  code: STRING,
  scope: STRING,
  display_code: STRING,
  fault_name: STRING,
  severity: { type: "integer" },
  status: STATUS,
};
const FAULT_OPTIONAL = ["scope", "display_code", "severity", "status"] as const;

export function faultSchema(form: "list" | "one"): unknown {
  if (form === "list") return list(FAULT, FAULT_OPTIONAL);
  return object({ item: object(FAULT, FAULT_OPTIONAL), environment_data: ANY_OBJECT }, ["environment_data"]);
}
