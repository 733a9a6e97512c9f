/** Names of uploaded databases: what a client may call a file, and where it says so. */
import { Fault } from "#core/errors.ts";
import { storedName } from "#store/names.ts";

const EXTENSION = ".mdd";

/**
 * The key under which a file of this name is kept: lower case, ending in `.mdd`, no path. Fault `invalidData`.
 */
export function databaseKey(name: string): string {
  const shown = name.length > 80 ? `${name.slice(0, 80)}…` : name;
  let key: string;
  try {
    key = storedName("file", name);
  } catch {
    throw new Fault("invalidData", `Invalid file name: ${shown}`);
  }
  if (!key.endsWith(EXTENSION) || key === EXTENSION) throw new Fault("invalidData", `Invalid file type: ${shown}`);
  return key;
}

/** The key of the one file of an ECU. Fault `invalidData` when its name cannot be a file's. */
export function ecuKey(ecuName: string): string {
  return databaseKey(`${ecuName}${EXTENSION}`);
}

const FILENAME = /;\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/i;

/** `filename` of a Content-Disposition header, quoted or not (RFC 6266 without `filename*`). Fault `badRequest`. */
export function dispositionName(header: string): string {
  if (header === "") throw new Fault("badRequest", "Missing Content-Disposition");
  const found = FILENAME.exec(header);
  const name = found?.[1]?.replace(/\\(.)/g, "$1") ?? found?.[2];
  if (name === undefined || name === "") {
    throw new Fault("badRequest", "Content-Disposition has no parameter `filename`");
  }
  return name;
}
