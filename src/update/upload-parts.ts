/** Takes the files out of an upload while it comes in: one file, or every part of a form that has a file name. */
import { Fault } from "#core/errors.ts";
import { databaseKey, dispositionName } from "./file-names.ts";
import { type FormRules, takeFiles } from "./form-files.ts";

export interface UploadHeaders {
  readonly contentType: string;
  readonly contentDisposition: string;
}

/** Takes the content of one file; the next file waits for it. */
export type TakeFile = (key: string, content: AsyncIterable<Uint8Array>) => Promise<void>;

/** A database update has a few hundred files at most. */
const RULES: FormRules = {
  limits: { parts: 2_000, files: 1_000, fields: 1_000, fieldSize: 1_024, headerPairs: 32 },
  refusesMore: true,
  // the name is looked at as the client wrote it, path and all
  preservePath: true,
  isPartAFile: (_field, _type, name) => name !== undefined,
};

/**
 * Hands each file to `take` and returns their keys in order. Faults: `badRequest` for a broken form, `invalidData` for a name that is
 * none, that comes twice, or no file at all; whatever `take` or the source throws.
 */
export async function takeParts(
  source: AsyncIterable<Uint8Array>,
  headers: UploadHeaders,
  take: TakeFile,
): Promise<readonly string[]> {
  if (headers.contentType.trim().toLowerCase().startsWith("multipart/")) return takeForm(source, headers, take);
  const key = databaseKey(dispositionName(headers.contentDisposition));
  await take(key, source);
  return [key];
}

async function takeForm(
  source: AsyncIterable<Uint8Array>,
  { contentType }: UploadHeaders,
  take: TakeFile,
): Promise<readonly string[]> {
  const keys: string[] = [];
  await takeFiles(contentType, source, RULES, async ({ name, chunks }) => {
    const key = databaseKey(name);
    if (keys.includes(key)) throw new Fault("invalidData", `Validation failed: ${key} comes twice in the request`);
    keys.push(key);
    await take(key, chunks);
  });
  if (keys.length === 0) throw new Fault("invalidData", "Validation failed: no file in the request");
  return keys;
}
