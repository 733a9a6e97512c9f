/** Conditions of a package, read as data of ECUs: speed, voltage, ignition. What cannot be read does not hold. */
import type { Fleet } from "#fleet/api.ts";
import type { Precondition } from "#update/software/package.ts";

/** Whether a condition holds now. */
export async function isMet(fleet: Fleet, condition: Precondition, signal: AbortSignal): Promise<boolean> {
  const ecu = fleet.ecu(condition.component);
  if (ecu === undefined) return false;
  return matches(await dataOf(fleet, ecu.name, condition.data, condition.pointer, signal), condition);
}

/** A value of an ECU's data: `pointer` into the answer of `GET /components/{ecu}/data/{data}`. */
export async function dataOf(
  fleet: Fleet,
  ecu: string,
  data: string,
  pointer = "/data",
  signal?: AbortSignal,
): Promise<unknown> {
  const args = { service: data, id: data, resource: "data", accept: "json" } as const;
  const { body } = await fleet.call(ecu, "dataRead", args, signal === undefined ? {} : { signal });
  return valueAt(JSON.parse(Buffer.from(body ?? []).toString() || "null"), pointer);
}

/** RFC 6901. */
export function valueAt(value: unknown, pointer: string): unknown {
  let at = value;
  for (const part of pointer.split("/").slice(1)) {
    if (at === null || typeof at !== "object") return undefined;
    at = (at as Record<string, unknown>)[part.replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  return at;
}

export function matches(value: unknown, { min, max, equals }: Precondition): boolean {
  if (equals !== undefined && value !== equals) return false;
  if (min === undefined && max === undefined) return equals !== undefined || value === true;
  const number = typeof value === "string" ? Number.parseFloat(value) : value;
  if (typeof number !== "number" || Number.isNaN(number)) return false;
  return (min === undefined || number >= min) && (max === undefined || number <= max);
}
