/** Bodies that are handed on as they come: backpressure, limits, clients that go, and answers to those who still send. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { PAUSE_ABOVE_BYTES, UploadBudget, UploadStream } from "#http/upload-stream.ts";
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
    close: () => this.events.push("close"),
  } as unknown as HttpResponse;

  /** Hands out a buffer that is overwritten afterwards, as uWebSockets.js does. */
  feed(bytes: number, { fill = 1, isLast = false } = {}): void {
    const chunk = new ArrayBuffer(bytes);
    new Uint8Array(chunk).fill(fill);
    this.#listener(chunk, isLast);
    new Uint8Array(chunk).fill(0xee);
  }
}

function stream(contentLength = "", maxBytes = 100 * KIB * KIB, budget = new UploadBudget(64 * KIB * KIB)) {
  const socket = new FakeSocket();
  return { socket, budget, upload: new UploadStream(socket.res, contentLength, maxBytes, budget) };
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
  const chunk = 128 * KIB;
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
  assert.ok(fed - taken <= PAUSE_ABOVE_BYTES / 4);
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

test("nothing is read before what it waits for has settled, whichever way", async () => {
  for (const settle of [Promise.resolve(), Promise.reject(new Error("cannot"))]) {
    const { socket, upload } = stream();
    upload.hold(settle);
    assert.deepEqual(socket.events, ["pause"]);
    const first = upload.next();
    assert.deepEqual(socket.events, ["pause"]);
    await settle.catch(() => undefined);
    assert.deepEqual(socket.events, ["pause", "resume"]);
    socket.feed(1);
    assert.equal((await first).value?.byteLength, 1);
  }
});

test("bodies share one budget: the more there are, the sooner each is paused; who brings more is closed, the others go on", async () => {
  const budget = new UploadBudget(1_000);
  const uploads = [1, 2, 3].map(() => stream("", 10_000, budget));
  const [first, second, third] = uploads as [(typeof uploads)[0], (typeof uploads)[0], (typeof uploads)[0]];
  first.socket.feed(80);
  assert.deepEqual(first.socket.events, [], "a third of a quarter");
  first.socket.feed(10);
  assert.deepEqual(first.socket.events, ["pause"]);
  second.socket.feed(900);
  assert.deepEqual(second.socket.events, ["pause"]);
  // a pause that does not stop the sender
  second.socket.feed(20);
  assert.deepEqual(second.socket.events, ["pause", "close"]);
  await assert.rejects(second.upload.next(), { kind: "overloaded" });
  assert.deepEqual([budget.cut, budget.usedBytes, budget.bodies, budget.peakBytes], [1, 90, 2, 990]);
  third.socket.feed(50, { isLast: true });
  assert.equal((await third.upload.next()).value?.byteLength, 50);
});

test("whichever way a body ends, nothing of it stays counted", async () => {
  const ends: readonly ((upload: UploadStream) => unknown)[] = [
    (upload) => upload.detach(),
    (upload) => upload.fail(new Fault("badRequest", "gone")),
    (upload) => {
      void upload.discard();
      upload.detach();
    },
    async (upload) => {
      await upload.next();
      upload.detach();
    },
  ];
  for (const end of ends) {
    const { socket, upload, budget } = stream();
    socket.feed(300);
    socket.feed(400);
    assert.equal(budget.usedBytes, 700);
    await end(upload);
    assert.deepEqual([budget.usedBytes, budget.bodies], [0, 0]);
  }
});
