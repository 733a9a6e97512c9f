/** Takes the files out of an upload while it comes in: one file, or every part of a form that has a file name. */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Fault, reasonOf } from "#core/errors.ts";
import { databaseKey, dispositionName } from "./file-names.ts";

export interface UploadHeaders {
  readonly contentType: string;
  readonly contentDisposition: string;
}

/** Takes the content of one file; the next file waits for it. */
export type TakeFile = (key: string, content: AsyncIterable<Uint8Array>) => Promise<void>;

/** Parts of a form; a database update has a few hundred files at most. */
const LIMITS = { parts: 2_000, files: 1_000, fields: 1_000, fieldSize: 1_024, headerPairs: 32 } as const;

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
  const { Busboy } = await import("@fastify/busboy");
  const parser = new Busboy({
    headers: { "content-type": contentType },
    // the name is looked at as the client wrote it, path and all
    preservePath: true,
    limits: LIMITS,
    isPartAFile: (_field, _type, name) => name !== undefined,
  });
  const keys: string[] = [];
  const taken: Promise<void>[] = [];
  const stop = new AbortController();
  let failure: unknown;
  const fail = (error: unknown): void => {
    failure ??= error;
    stop.abort();
  };
  const open = new Set<Readable>();
  parser.on("file", (_field, content, name) => {
    open.add(content);
    content.once("close", () => open.delete(content));
    content.on("error", () => undefined); // it reaches `take` as well
    taken.push(
      takePart(keys, name, content, take).catch((error: unknown) => {
        content.resume();
        fail(error);
      }),
    );
  });
  for (const limit of ["partsLimit", "filesLimit", "fieldsLimit"] as const) {
    parser.on(limit, () => fail(new Fault("badRequest", "The form has too many parts")));
  }
  try {
    await pipeline(Readable.from(source), parser, { signal: stop.signal });
  } catch (error) {
    fail(error instanceof Fault ? error : new Fault("badRequest", `The form is broken: ${reasonOf(error)}`));
    for (const content of open) content.destroy(new Fault("badRequest", "The form is broken"));
  }
  await Promise.all(taken);
  if (failure !== undefined) throw failure;
  if (keys.length === 0) throw new Fault("invalidData", "Validation failed: no file in the request");
  return keys;
}

async function takePart(keys: string[], name: string, content: Readable, take: TakeFile): Promise<void> {
  const key = databaseKey(name);
  if (keys.includes(key)) throw new Fault("invalidData", `Validation failed: ${key} comes twice in the request`);
  keys.push(key);
  await take(key, content as AsyncIterable<Uint8Array>);
}
