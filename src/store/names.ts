import { Fault } from "#core/errors.ts";

/** The collections of the storage access API that have a meaning of their own; any other name is a custom collection. */
export const COLLECTIONS = {
  DiagnosticDatabase: "diagnostic_database",
  DiagnosticDatabaseNextUpdate: "diagnostic_database_next_update",
  DiagnosticDatabaseBackup: "diagnostic_database_backup",
  Configuration: "configuration",
} as const;

const MAX_NAME_BYTES = 255;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what a name must not carry
const FORBIDDEN = /[/\\\u0000-\u001f\u007f]/;

/**
 * A collection name, key, bucket or part as it is stored: ASCII letters in lower case, so that names are the same in any case.
 * Throws `invalidParameter` for an empty name, `.`, `..`, one over 255 bytes, or one with a slash, backslash or control character.
 */
export function storedName(what: string, name: string): string {
  if (typeof name !== "string" || name === "" || name === "." || name === ".." || FORBIDDEN.test(name))
    throw new Fault("invalidParameter", `${what} "${name}" is not a valid name`, { name });
  if (Buffer.byteLength(name) > MAX_NAME_BYTES || Buffer.from(name).toString() !== name)
    throw new Fault("invalidParameter", `${what} is longer than ${MAX_NAME_BYTES} bytes or not valid text`, { name });
  return name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
