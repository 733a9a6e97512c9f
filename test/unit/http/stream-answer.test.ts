/** An answer that is read while it goes out: what becomes of one that cannot be read to its end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Sending, writeStream } from "#http/stream-answer.ts";
import type { HttpResponse } from "#http/uws.ts";

const SIZE_BYTES = 8;

function* cutAfter(pieces: number): Generator<Uint8Array> {
  for (let piece = 0; piece < pieces; piece++) yield new Uint8Array(2);
  throw new Error("the disk is gone");
}

for (const pieces of [0, 1, 3]) {
  test(`reading that fails after ${pieces} pieces is told, and the connection is closed`, async () => {
    let sending: Sending | undefined;
    let closed = 0;
    const res = {
      writeStatus: () => res,
      writeHeader: () => res,
      onWritable: () => res,
      cork: (write: () => void) => write(),
      tryEnd: () => [true, false],
      // as uWebSockets.js does, whoever sends is told of it before this returns
      close: () => {
        closed++;
        sending?.stop();
      },
    };
    const problem = await new Promise((resolve) => {
      const stream = { sizeBytes: SIZE_BYTES, chunks: cutAfter(pieces), close: () => undefined };
      sending = writeStream(res as unknown as HttpResponse, { status: 200, stream }, false, resolve);
    });
    assert.equal((problem as Error | undefined)?.message, "the disk is gone");
    assert.equal(closed, 1);
  });
}
