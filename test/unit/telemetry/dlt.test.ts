import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync, readSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { openDlt, readLine } from "#telemetry/dlt.ts";
import {
  encodeLog,
  encodeRegisterApplication,
  encodeRegisterContext,
  encodeUnregisterApplication,
} from "#telemetry/dlt-codec.ts";
import { cleanup, scratchFolder } from "../../fixtures/cleanup.ts";
import fc from "../../fixtures/properties.ts";

const IDENTITY = { application: "SINA", pid: 28_288 };

/** Recorded with strace from dlt-adaptor-stdin 2.18.8, which wrote "hello dlt\n" into the daemon's FIFO. */
const VECTORS = [
  {
    name: "register application",
    bytes: "44554801 02000000 53494e41 806e0000 19000000 737464696e2061646170746f72206170706c69636174696f6e",
    made: encodeRegisterApplication(IDENTITY, "stdin adaptor application"),
  },
  {
    name: "register context",
    bytes:
      "44554801 04000000 53494e41 53494e43 00000000 fefe 806e0000 15000000 737464696e2061646170746f7220636f6e74657874",
    made: encodeRegisterContext(IDENTITY, "SINC", 0, "stdin adaptor context"),
  },
  {
    name: "log",
    bytes:
      "44554801 01000000 3d00002b45435531 00006e80 02b8ce88 4101 53494e41 53494e43 00020000 0b00 68656c6c6f20646c740a00",
    made: encodeLog(IDENTITY, { context: "SINC", level: "info", text: "hello dlt\n", counter: 0, uptime: 0x02b8ce88 }),
  },
  {
    name: "unregister application",
    bytes: "44554801 03000000 53494e41 806e0000",
    made: encodeUnregisterApplication(IDENTITY),
  },
] as const;

for (const { name, bytes, made } of VECTORS) {
  test(`DLT: ${name}`, () => assert.equal(made.toString("hex"), bytes.replaceAll(" ", "")));
}

test("a text of any length fits one message, and its length field says how long it is", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 6_000, unit: "grapheme" }), (text) => {
      const bytes = encodeLog(IDENTITY, { context: "MAIN", level: "warn", text, counter: 300, uptime: 2 ** 33 });
      assert.ok(bytes.length <= 4_096);
      assert.equal(bytes.readUInt16BE(10), bytes.length - 8);
      assert.equal(bytes[9], 300 % 256);
      assert.equal(bytes.at(-1), 0);
    }),
  );
});

for (const [line, context, level, text] of [
  ['{"level":30,"time":1,"scope":"doip","msg":"connected"}', "DOIP", "info", "connected"],
  ['{"level":50,"time":1,"scope":"detection","msg":"failed","ecu":"A"}', "CORE", "error", 'failed {"ecu":"A"}'],
  ['{"level":20,"time":1,"scope":"unheard","msg":"x"}', "MAIN", "debug", "x"],
  ['{"level":60,"time":1}', "MAIN", "fatal", ""],
] as const) {
  test(`a line of scope and level: ${line}`, () => assert.deepEqual(readLine(line), { context, level, text }));
}

const LINE = '{"level":30,"time":1,"scope":"uds","msg":"tester present"}';

test("a daemon that listens gets the registrations once, then the lines", (t) => {
  const fifo = join(scratchFolder("dlt"), "dlt");
  execFileSync("mkfifo", [fifo]);
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  cleanup(t, () => closeSync(reader));
  const dlt = openDlt({ application: "CDA", description: "d", fifo, pid: 7 });
  dlt.write(LINE);
  dlt.write(LINE);
  const buffer = Buffer.alloc(65_536);
  const text = buffer.subarray(0, readSync(reader, buffer)).toString("latin1");
  assert.equal(text.split("DUH\u0001\u0002").length - 1, 1, "one application");
  assert.equal(text.split("DUH\u0001\u0004").length - 1, 6, "six contexts");
  assert.equal(text.split("tester present").length - 1, 2, "two lines");
  assert.equal(dlt.dropped, 0);
  dlt.close();
});

test("without a daemon lines are counted, and the next one is looked for only after a while", (t) => {
  const fifo = join(scratchFolder("dlt"), "dlt");
  let now = 0;
  const dlt = openDlt({ application: "CDA", description: "", fifo, now: () => now });
  dlt.write(LINE);
  execFileSync("mkfifo", [fifo]);
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  cleanup(t, () => closeSync(reader));
  dlt.write(LINE);
  assert.equal(dlt.dropped, 2);
  now = 5_000;
  dlt.write(LINE);
  assert.equal(dlt.dropped, 2);
  dlt.close();
});

test("a file in the FIFO's place is not written to", () => {
  const fifo = join(scratchFolder("dlt"), "dlt");
  writeFileSync(fifo, "");
  const dlt = openDlt({ application: "CDA", description: "", fifo });
  dlt.write(LINE);
  assert.equal(dlt.dropped, 1);
  assert.equal(execFileSync("stat", ["-c", "%s", fifo]).toString().trim(), "0");
});
