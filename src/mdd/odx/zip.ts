/** ZIP archives (PDX, and code files that are JARs): looked through first, inflated file by file. */
import { type UnzipFileInfo, unzipSync } from "fflate";
import { Fault, reasonOf } from "#core/errors.ts";
import type { OdxLimits } from "./limits.ts";

/** A file whose content is made when asked for. */
export interface OdxSource {
  /** Relative, with `/`. */
  readonly name: string;
  readonly read: () => Uint8Array;
}

/**
 * The files of an archive. Nothing is inflated before every entry's name, size and ratio have been judged; each `read` inflates one.
 * @throws Fault invalidData naming archive and entry
 */
export function readZip(archive: string, bytes: Uint8Array, limits: OdxLimits): OdxSource[] {
  const names = new Set<string>();
  let totalBytes = 0;
  let entries = 0;
  scan(archive, bytes, (entry) => {
    entries++;
    totalBytes += entry.originalSize;
    const problem =
      problemOf(entry, entries, totalBytes, limits) ?? (names.has(entry.name) ? "appears twice" : undefined);
    if (problem !== undefined) throw refused(archive, `${entry.name}: ${problem}`);
    if (!entry.name.endsWith("/")) names.add(entry.name);
    return false;
  });
  return [...names].map((name) => ({ name, read: () => inflate(archive, bytes, name) }));
}

function inflate(archive: string, bytes: Uint8Array, name: string): Uint8Array {
  const files = scan(archive, bytes, (entry) => entry.name === name);
  const content = Object.hasOwn(files, name) ? files[name] : undefined;
  if (content === undefined) throw refused(archive, `${name}: not found any more`);
  return content;
}

function scan(
  archive: string,
  bytes: Uint8Array,
  filter: (entry: UnzipFileInfo) => boolean,
): Record<string, Uint8Array> {
  try {
    return unzipSync(bytes, { filter });
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw refused(archive, `no readable ZIP: ${reasonOf(error)}`);
  }
}

function problemOf(entry: UnzipFileInfo, entries: number, totalBytes: number, limits: OdxLimits): string | undefined {
  const { name, size, originalSize } = entry;
  if (entries > limits.maxFiles) return `more than ${limits.maxFiles} entries`;
  if (leadsOutside(name)) return "the name leads outside the archive";
  if (originalSize > limits.maxFileBytes) return `${originalSize} bytes, at most ${limits.maxFileBytes} are allowed`;
  if (totalBytes > limits.maxTotalBytes) return `the archive inflates to more than ${limits.maxTotalBytes} bytes`;
  if (originalSize > limits.ratioFromBytes && originalSize > size * limits.maxRatio)
    return `inflates to more than ${limits.maxRatio} times its size`;
  return undefined;
}

/** A name that is absolute, climbs up, or means something else on another system. */
export function leadsOutside(name: string): boolean {
  return name === "" || /^[/\\]|^[a-z]:|\0|\\/i.test(name) || name.split("/").includes("..");
}

function refused(archive: string, what: string): Fault {
  return new Fault("invalidData", `${archive}: ${what}`, { file: archive });
}
