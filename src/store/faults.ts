import { statfsSync } from "node:fs";
import { Fault, type FaultKind } from "#core/errors.ts";

/** Return codes of LMDB and the operating system that have a kind of their own; all others are `storageIo`. */
const KINDS: Readonly<Record<string, FaultKind>> = {
  28: "noSpaceLeft", // ENOSPC
  122: "noSpaceLeft", // EDQUOT
  27: "noSpaceLeft", // EFBIG
  ENOSPC: "noSpaceLeft",
  EDQUOT: "noSpaceLeft",
  EFBIG: "noSpaceLeft",
  "-30792": "noSpaceLeft", // MDB_MAP_FULL
  1: "permissionDenied", // EPERM
  13: "permissionDenied", // EACCES
  30: "permissionDenied", // EROFS
  EPERM: "permissionDenied",
  EACCES: "permissionDenied",
  EROFS: "permissionDenied",
  "-30797": "corruption", // MDB_PAGE_NOTFOUND
  "-30796": "corruption", // MDB_CORRUPTED
  "-30795": "corruption", // MDB_PANIC
  "-30794": "corruption", // MDB_VERSION_MISMATCH
  "-30793": "corruption", // MDB_INVALID
};

/** LMDB makes this of a write the disk took only in part, which is how most disks run full. */
const EIO = 5;
const NEARLY_FULL_BYTES = 1 << 20;

/**
 * Anything LMDB or the file system throws as a `Fault` of the closed set; `doing` says what failed, `file` where, so that a full disk
 * is known for one.
 */
export async function storageFault(doing: string, error: unknown, file?: string): Promise<Fault> {
  if (error instanceof Fault) return error;
  const cause = await commitErrorOf(error);
  const { code, message } = cause as { code?: string | number; message?: string };
  const full = code === EIO && file !== undefined && isFull(file);
  const kind = full ? "noSpaceLeft" : (KINDS[String(code)] ?? "storageIo");
  return new Fault(kind, `${doing}: ${message ?? String(cause)}`, undefined, cause);
}

const isFull = (file: string): boolean => (freeBytes(file) ?? Number.POSITIVE_INFINITY) < NEARLY_FULL_BYTES;

/** Room left on the disk of a file; undefined where the system does not tell. */
export function freeBytes(file: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(file);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

/** A failed commit carries its reason as a promise, which would be reported as unhandled when nobody takes it. */
async function commitErrorOf(error: unknown): Promise<unknown> {
  const commitError = (error as { commitError?: Promise<unknown> } | undefined)?.commitError;
  if (commitError === undefined) return error;
  return commitError.then(
    () => error,
    (reason: unknown) => reason,
  );
}
