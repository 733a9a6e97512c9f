/** The files of a form, as they come: how a body goes through the parser, and what ends it. */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { BusboyConfig } from "@fastify/busboy";
import { Fault, reasonOf } from "#core/errors.ts";

export interface FilePart {
  readonly name: string;
  readonly mimetype: string;
  readonly chunks: AsyncIterable<Uint8Array>;
}

export interface FormRules extends Omit<BusboyConfig, "headers"> {
  /** Parts beyond the limits end the form; else they are left out. */
  readonly refusesMore: boolean;
}

/**
 * Hands each file to `take`; the next file waits for it. Resolves when all were taken. @throws Fault badRequest for a broken form, and what
 * `take` and the body throw; the first of these
 */
export async function takeFiles(
  contentType: string,
  body: AsyncIterable<Uint8Array>,
  { refusesMore, ...config }: FormRules,
  take: (part: FilePart) => Promise<void>,
): Promise<void> {
  const { Busboy } = await import("@fastify/busboy");
  const parser = new Busboy({ ...config, headers: { "content-type": contentType } });
  const stop = new AbortController();
  const open = new Set<Readable>();
  const taken: Promise<void>[] = [];
  let failure: unknown;
  const fail = (error: unknown): void => {
    failure ??= error;
    stop.abort();
  };
  parser.on("file", (_field, content, name, _encoding, mimetype) => {
    open.add(content);
    content.once("close", () => open.delete(content));
    content.on("error", () => undefined); // it reaches `take` as well
    const chunks = content as AsyncIterable<Uint8Array>;
    taken.push(
      take({ name, mimetype, chunks }).catch((error: unknown) => {
        content.resume();
        fail(error);
      }),
    );
  });
  for (const limit of refusesMore ? (["partsLimit", "filesLimit", "fieldsLimit"] as const) : []) {
    parser.on(limit, () => fail(new Fault("badRequest", "The form has too many parts")));
  }
  try {
    await pipeline(Readable.from(body), parser, { signal: stop.signal });
  } catch (error) {
    fail(error instanceof Fault ? error : new Fault("badRequest", `The form is broken: ${reasonOf(error)}`));
    for (const content of open) content.destroy(failure as Error);
  }
  await Promise.all(taken);
  if (failure !== undefined) throw failure;
}
