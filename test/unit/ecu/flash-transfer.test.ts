import assert from "node:assert/strict";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { FlashTransfer } from "#ecu/flash-transfer.ts";
import type { TransferMessage, TransferStart } from "#fleet/messages.ts";
import { scratchFolder } from "../../fixtures/cleanup.ts";

async function image(bytes: Uint8Array): Promise<string> {
  const folder = scratchFolder("flash");
  const path = join(folder, "image.bin");
  await writeFile(path, bytes);
  return path;
}

const start = (path: string, over: Partial<TransferStart>): TransferStart => ({
  id: "t1",
  path,
  fileId: "image_bin",
  blockSequenceCounter: 1,
  blockSize: 6,
  offset: 0,
  length: 10,
  ...over,
});

function run(transferStart: TransferStart, answer: (message: Uint8Array, transfer: FlashTransfer) => Uint8Array) {
  const told: TransferMessage[] = [];
  const sent: Uint8Array[] = [];
  let now = 0;
  const transfer: FlashTransfer = new FlashTransfer("ECU", transferStart, {
    request: async (bytes) => {
      sent.push(bytes.slice());
      return answer(bytes, transfer);
    },
    progress: (message) => told.push(message),
    now: () => (now += 100),
  });
  return { transfer, told, sent };
}

const positive = (message: Uint8Array) => Uint8Array.of(0x76, message[1]!);

test("blocks carry the counter, the last one is short, every byte arrives once", async () => {
  const bytes = Uint8Array.from({ length: 12 }, (_, i) => i);
  const { transfer, told, sent } = run(start(await image(bytes), { offset: 2 }), positive);
  await transfer.run();
  assert.deepEqual(
    sent.map((m) => [...m]),
    [
      [0x36, 1, 2, 3, 4, 5],
      [0x36, 2, 6, 7, 8, 9],
      [0x36, 3, 10, 11],
    ],
  );
  const last = told.at(-1)!;
  assert.deepEqual([last.status, last.acknowledgedBytes, last.nextBlockSequenceCounter], ["finished", 10, 4]);
});

test("while a block is on its way the next two are read", async (t) => {
  const path = await image(new Uint8Array(16));
  const handle = await open(path);
  const reads = t.mock.method(Object.getPrototypeOf(handle), "read");
  await handle.close();
  const started: number[] = [];
  const { transfer, told } = run(start(path, { length: 16, blockSize: 6 }), (message) => {
    started.push(reads.mock.callCount());
    return positive(message);
  });
  await transfer.run();
  assert.deepEqual(started, [3, 4, 4, 4], "of four blocks");
  assert.equal(told.at(-1)!.status, "finished");
});

test("the counter runs from 0xFF to 0x00", async () => {
  const { transfer, sent } = run(start(await image(new Uint8Array(300)), { length: 300, blockSize: 3 }), positive);
  await transfer.run();
  assert.equal(sent.length, 300);
  assert.deepEqual([sent[254]![1], sent[255]![1], sent[256]![1]], [0xff, 0x00, 0x01]);
});

for (const [name, answer, text] of [
  ["a refusal", () => Uint8Array.of(0x7f, 0x36, 0x73), /0x73 \(wrongBlockSequenceCounter\)/],
  ["a foreign counter", () => Uint8Array.of(0x76, 0x55), /acknowledged block 85/],
  ["an empty answer", () => new Uint8Array(0), /unexpected answer/],
] as const) {
  test(`${name} ends the transfer`, async () => {
    const { transfer, told, sent } = run(start(await image(new Uint8Array(10)), {}), answer);
    await transfer.run();
    assert.equal(sent.length, 1);
    assert.equal(told.at(-1)!.status, "aborted");
    assert.match(told.at(-1)!.error!, text);
    assert.equal(told.at(-1)!.acknowledgedBytes, 0);
  });
}

test("abort stops before the next block and says why", async () => {
  const { transfer, told, sent } = run(start(await image(new Uint8Array(10)), {}), (message, self) => {
    self.abort("the lock was released");
    return positive(message);
  });
  await transfer.run();
  assert.equal(sent.length, 1);
  assert.deepEqual([told.at(-1)!.status, told.at(-1)!.error], ["aborted", "the lock was released"]);
});

test("a file that ends early aborts, a block size without room for data is refused", async () => {
  const path = await image(new Uint8Array(5));
  const { transfer, told } = run(start(path, {}), positive);
  await transfer.run();
  assert.match(told.at(-1)!.error!, /the file ended at byte 5/);
  assert.throws(() => run(start(path, { blockSize: 2 }), positive), /blocksize/);
});

test("a file that is gone aborts the transfer and nothing else", async () => {
  const { transfer, told } = run(start("/nowhere/image.bin", {}), positive);
  await transfer.run();
  assert.deepEqual(
    told.map(({ status }) => status),
    ["queued", "aborted"],
  );
  assert.match(told.at(-1)!.error!, /ENOENT/);
});
