/** Checks data from outside (configuration, control API) against a schema; the message names the key that is wrong. */
import type { Static, TSchema } from "typebox";
import { Check, Errors } from "typebox/value";
import { Fault, type FaultKind } from "#core/errors.ts";

/** The value, typed; throws a `Fault` of the kind whose message reads `<where>: <key> <what is wrong>`. */
export function checked<S extends TSchema>(schema: S, value: unknown, where: string, kind: FaultKind): Static<S> {
  if (Check(schema, value)) return value as Static<S>;
  const [first] = Errors(schema, value);
  const key = first === undefined ? "" : first.instancePath.slice(1).replaceAll("/", ".");
  const unknown = (first?.params as { additionalProperties?: readonly string[] } | undefined)?.additionalProperties;
  const what = unknown === undefined ? (first?.message ?? "is not valid") : `must not have ${unknown.join(", ")}`;
  throw new Fault(kind, `${where}: ${key === "" ? "" : `${key} `}${what}`, { key });
}
