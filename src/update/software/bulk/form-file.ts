/** The one file of a multipart body, as it comes. */
import { Fault } from "#core/errors.ts";
import { type FilePart, takeFiles } from "#update/form-files.ts";

const MAX_FIELD_BYTES = 64 * 1024;
const LIMITS = { files: 1, fields: 16, fieldSize: MAX_FIELD_BYTES, parts: 17, headerPairs: 32 } as const;

/** Hands the file to `take`. @throws Fault badRequest for a broken form or one without a file, and what `take` and the body throw */
export async function takeFile<T>(
  contentType: string,
  body: AsyncIterable<Uint8Array>,
  take: (part: FilePart) => Promise<T>,
): Promise<T> {
  let result: { readonly of: T } | undefined;
  await takeFiles(contentType, body, { limits: LIMITS, refusesMore: false }, async (part) => {
    result = { of: await take({ ...part, name: part.name || "file" }) };
  });
  if (result === undefined) throw new Fault("badRequest", "The form has no file");
  return result.of;
}
