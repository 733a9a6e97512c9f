/** Bodies that are handed on as they come: backpressure, limits, clients that go, and answers to those who still send. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { PAUSE_ABOVE_BYTES, RESUME_BELOW_BYTES, UploadStream } from "#http/upload-stream.ts";
import type { HttpResponse } from "#http/uws.ts";

const KIB = 1024;

/** A socket that is fed by hand. */
class FakeSocket {
  readonly events: string[] = [];
  #listener: (chunk: ArrayBuffer, isLast: boolean) => void = () => undefined;
  readonly res = {
    onData: (listener: (chunk: ArrayBuffer, isLast: boolean) => void) => {
      this.#listener = listener;
    },
    pause: () => this.events.push("pause"),
    resume: () => this.events.push("resume"),
  } as unknown as HttpResponse;

  /** Hands out a buffer that is overwritten afterwards, as uWebSockets.js does. */
  feed(bytes: number, { fill = 1, isLast = false } = {}): void {
    const chunk = new ArrayBuffer(bytes);
    new Uint8Array(chunk).fill(fill);
    this.#listener(chunk, isLast);
    new Uint8Array(chunk).fill(0xee);
  }
}

function stream(contentLength = "", maxBytes = 100 * KIB * KIB) {
  const socket = new FakeSocket();
  return { socket, upload: new UploadStream(socket.res, contentLength, maxBytes) };
}

test("chunks come in order, each in a buffer of its own, then the end", async () => {
  const { socket, upload } = stream();
  socket.feed(3, { fill: 1 });
  const rest = (async () => {
    const got: number[][] = [];
    for await (const chunk of upload) got.push([...chunk]);
    return got;
  })();
  socket.feed(2, { fill: 2 });
  socket.feed(0, { isLast: true });
  assert.deepEqual(await rest, [
    [1, 1, 1],
    [2, 2],
  ]);
});

test("the socket is paused above the mark and goes on below the other; nothing beyond is held", async () => {
  const { socket, upload } = stream();
  const chunk = 512 * KIB;
  let fed = 0;
  while (!socket.events.includes("pause")) {
    socket.feed(chunk);
    fed += chunk;
  }
  assert.ok(fed > PAUSE_ABOVE_BYTES && fed <= PAUSE_ABOVE_BYTES + chunk);
  let taken = 0;
  while (!socket.events.includes("resume")) {
    const { value } = await upload.next();
    taken += value!.byteLength;
  }
  // the last one handed out counts as taken only when the next is asked for
  assert.ok(fed - taken + chunk < RESUME_BELOW_BYTES + chunk);
  assert.deepEqual(socket.events, ["pause", "resume"]);
});

for (const [name, contentLength] of [
  ["announced", "11"],
  ["found out", ""],
] as const) {
  test(`too much, ${name}`, async () => {
    const { socket, upload } = stream(contentLength, 10);
    socket.feed(11);
    await assert.rejects(upload.next(), { kind: "payloadTooLarge" });
  });
}

test("a client that goes, or whose time is up, ends the wait; the socket is not touched any more", async () => {
  const { socket, upload } = stream();
  const waiting = upload.next();
  upload.fail(new Fault("badRequest", "gone"));
  await assert.rejects(waiting, { kind: "badRequest" });
  await assert.rejects(upload.next(), { kind: "badRequest" });
  socket.feed(9);
  await upload.discard();
  upload.detach();
  assert.deepEqual(socket.events, []);
});

test("a refused body is read to its end before the answer, a paused socket goes on for it", async () => {
  const { socket, upload } = stream();
  for (let i = 0; i < 9; i++) socket.feed(512 * KIB);
  let answered = false;
  const discarded = upload.discard().then(() => {
    answered = true;
  });
  assert.deepEqual(socket.events, ["pause", "resume"]);
  socket.feed(512 * KIB);
  await Promise.resolve();
  assert.equal(answered, false);
  socket.feed(1, { isLast: true });
  await discarded;
});

test("a refused body without end is not read for ever", async () => {
  const { socket, upload } = stream("", 1_000);
  const discarded = upload.discard();
  for (let i = 0; i < 3; i++) socket.feed(1_000);
  await discarded;
});
