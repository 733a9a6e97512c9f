/** Relative difference of two numbers that still are the same value. */
const TOLERANCE = 1e-9;

/** JSON values equal but for key order and a relative difference of numbers of 1e-9. */
export function isNearlyEqual(a: unknown, b: unknown): boolean {
  if (typeof a === "number" && typeof b === "number")
    return Object.is(a, b) || Math.abs(a - b) <= TOLERANCE * Math.max(Math.abs(a), Math.abs(b));
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  const keys = Object.keys(a).sort();
  if (Array.isArray(a) !== Array.isArray(b) || keys.join("\n") !== Object.keys(b).sort().join("\n")) return false;
  return keys.every((key) => isNearlyEqual((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]));
}

/** JSON text of a value for a message; integers beyond 2^53 as their digits. */
export function shown(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? String(inner) : inner)) ?? "nothing";
}
