/** Checks data from outside (configuration, control API) against a schema; the message names the key that is wrong. */
import type { Static, TSchema } from "typebox";
import { Fault, type FaultKind } from "#core/errors.ts";
import { fits, problems } from "#core/validate.ts";

/** The value, typed; throws a `Fault` of the kind whose message reads `<where>: <key> <what is wrong>`. */
export function checked<S extends TSchema>(schema: S, value: unknown, where: string, kind: FaultKind): Static<S> {
  if (fits(schema, value)) return value;
  const [first] = problems(schema, value);
  const key = first === undefined ? "" : first.instancePath.slice(1).replaceAll("/", ".");
  const unknown = (first?.params as { readonly additionalProperties?: readonly string[] } | undefined)
    ?.additionalProperties;
  const what = unknown === undefined ? (first?.message ?? "is not valid") : `must not have ${unknown.join(", ")}`;
  throw new Fault(kind, `${where}: ${key === "" ? "" : `${key} `}${what}`, { key });
}
