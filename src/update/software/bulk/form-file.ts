/** The one file of a multipart body, as it comes. */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Fault, reasonOf } from "#core/errors.ts";

export interface FilePart {
  readonly name: string;
  readonly mimetype: string;
  readonly chunks: AsyncIterable<Uint8Array>;
}

const MAX_FIELD_BYTES = 64 * 1024;
const LIMITS = { files: 1, fields: 16, fieldSize: MAX_FIELD_BYTES, parts: 17, headerPairs: 32 } as const;

/** Hands the file to `take`. @throws Fault badRequest for a broken form or one without a file, and what `take` and the body throw */
export async function takeFile<T>(
  contentType: string,
  body: AsyncIterable<Uint8Array>,
  take: (part: FilePart) => Promise<T>,
): Promise<T> {
  const { Busboy } = await import("@fastify/busboy");
  const parser = new Busboy({ headers: { "content-type": contentType }, limits: LIMITS });
  const stop = new AbortController();
  let content: Readable | undefined;
  let taken: Promise<T> | undefined;
  let failure: unknown;
  const fail = (error: unknown): void => {
    failure ??= error;
    stop.abort();
  };
  parser.on("file", (_field, stream, name, _encoding, mimetype) => {
    content = stream;
    stream.on("error", () => undefined); // it reaches `take` as well
    taken = take({ name: name || "file", mimetype, chunks: stream as AsyncIterable<Uint8Array> });
    taken.catch(fail);
  });
  try {
    await pipeline(Readable.from(body), parser, { signal: stop.signal });
  } catch (error) {
    fail(error instanceof Fault ? error : new Fault("badRequest", `The form is broken: ${reasonOf(error)}`));
    content?.destroy(failure as Error);
  }
  const result = await taken?.catch(fail);
  if (failure !== undefined) throw failure;
  if (taken === undefined) throw new Fault("badRequest", "The form has no file");
  return result as T;
}
