/** The small parts of the Flockwave service: room for messages, bytes in pieces, signed images, and what clients ask at the beginning. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Fault } from "#core/errors.ts";
import { systemClock } from "#core/time.ts";
import { VERSION } from "#core/version.ts";
import { basicAnswers } from "#update/skybrush/basics.ts";
import { Arrival, Budget } from "#update/skybrush/budget.ts";
import { readText } from "#update/skybrush/envelope.ts";
import { Gather } from "#update/skybrush/gather.ts";
import { decodeSignedImage, encodeHead } from "#update/skybrush/signed-image.ts";
import { UpdatesPort } from "#update/skybrush/updates-port.ts";
import { cleanup } from "../../fixtures/cleanup.ts";
import fc from "../../fixtures/properties.ts";

test("what all hold together stays within the budget, or is one alone", () => {
  const sets = fc.array(fc.tuple(fc.nat(3), fc.nat(120)), { maxLength: 60 });
  fc.assert(
    fc.property(sets, (steps) => {
      const budget = new Budget(100);
      const shares = Array.from({ length: 4 }, () => budget.share());
      const own = [0, 0, 0, 0];
      for (const [who, bytes] of steps) {
        const others = own.reduce((sum, each) => sum + each, 0) - own[who]!;
        const room = bytes <= own[who]! || others === 0 || others + bytes <= 100;
        assert.equal(shares[who]!.set(bytes), room);
        if (room) own[who] = bytes;
      }
    }),
  );
});

test("a message that does not end is given up, one that ends is not; who is given up holds nothing", (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  cleanup(t, () => mock.timers.reset());
  const budget = new Budget(10);
  const problems: string[] = [];
  const options = { budget, clock: systemClock, messageTimeoutMs: 1_000 };
  const [slow, other] = [1, 2].map(() => new Arrival(options, (problem) => problems.push(problem)));
  slow?.hold(1);
  mock.timers.tick(900);
  slow?.hold(0);
  slow?.hold(5);
  mock.timers.tick(900);
  slow?.hold(9);
  assert.deepEqual(problems, []);
  mock.timers.tick(100);
  assert.deepEqual(problems, ["A message did not end in time"]);
  other?.hold(10);
  slow?.hold(1);
  assert.deepEqual(problems.slice(1), ["There is no room for more messages"]);
});

test("bytes are the same in however many pieces, and none are kept beyond the limit", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 30 }), fc.nat(600), (pieces, max) => {
      const gather = new Gather(max);
      for (let round = 0; round < 2; round++) {
        for (const piece of pieces) gather.add(piece);
        const whole = Buffer.concat(pieces);
        assert.equal(gather.size, whole.length);
        assert.equal(gather.tooLong, whole.length > max);
        if (!gather.tooLong) assert.equal(gather.text(), whole.toString("utf8"));
        gather.clear();
      }
    }),
  );
});

test("a signed image is read as it was made; whatever else begins like one is refused, and the rest is an image", () => {
  const signed = fc.record({ manifest: fc.dictionary(fc.string(), fc.string()), signature: fc.base64String() });
  const manifests = fc.dictionary(fc.string(), signed);
  fc.assert(
    fc.property(manifests, fc.uint8Array(), (given, image) => {
      const read = decodeSignedImage(Buffer.concat([encodeHead(given), image]));
      assert.deepEqual(Buffer.from(read!.image), Buffer.from(image));
      assert.deepEqual(JSON.stringify(Object.fromEntries(read!.manifests)), JSON.stringify(given));
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array(), fc.boolean(), (bytes, begins) => {
      const blob = begins ? Buffer.concat([Buffer.from("sovd-edge signed image 1\n"), bytes]) : bytes;
      try {
        assert.equal(decodeSignedImage(blob), undefined);
      } catch (error) {
        assert.ok(begins && error instanceof Fault && error.kind === "badRequest");
      }
    }),
  );
});

test("a short text that would be a great deal of memory is no message", () => {
  for (const part of ["[", "{},", "0,"]) {
    assert.deepEqual(readText(part.repeat(70_000)), {
      kind: "bad",
      id: undefined,
      reason: "The message has too many parts",
    });
  }
});

test("what clients ask before they come to firmware", () => {
  const answers = basicAnswers({ ports: () => ({ http: 5_000 }), nowMs: () => 17, objects: () => ["bms"] });
  for (const [type, more, expected] of [
    ["SYS-PING", {}, { type: "ACK-ACK" }],
    ["SYS-VER", {}, { type: "SYS-VER", software: "sovd-edge", version: VERSION }],
    ["SYS-TIME", {}, { type: "SYS-TIME", timestamp: 17 }],
    ["SYS-TIME", { adjustment: 5 }, { type: "ACK-NAK", reason: "The clock cannot be adjusted" }],
    ["SYS-PORTS", {}, { type: "SYS-PORTS", ports: { http: 5_000 } }],
    ["EXT-LIST", {}, { type: "EXT-LIST", loaded: [], available: [] }],
    ["DEV-LISTSUB", {}, { type: "DEV-LISTSUB", paths: [] }],
    ["OBJ-LIST", {}, { type: "OBJ-LIST", ids: ["bms"] }],
    ["OBJ-LIST", { filter: ["dock"] }, { type: "OBJ-LIST", ids: [] }],
    ["CONN-LIST", {}, { type: "CONN-LIST", ids: [] }],
    ["CONN-INF", { ids: [] }, { type: "CONN-INF", status: {} }],
    ["DOCK-INF", { ids: ["d"] }, { type: "DOCK-INF", status: {}, error: { d: "No such object" } }],
  ] as const) {
    assert.deepEqual(answers[type]!({ type, ...more }), expected);
  }
});

test("a caller that may not update leaves nothing behind, and cancels nothing", async () => {
  const asked: string[] = [];
  const changes: string[] = [];
  const told = (what: string) => async () => void changes.push(what);
  const updates = {
    bulk: { list: () => [], find: () => undefined, write: told("write") },
    list: () => [],
    record: () => ({ members: [{ component: "bms" }] }),
    refused: told("refused"),
    ...{ register: told("register"), automated: told("automated"), rollback: told("rollback") },
  };
  const components = { bms: "ajour" };
  const port = new UpdatesPort({ updates: updates as never, components, targets: {}, onProblem: assert.ifError });
  const caller = {
    user: "guest",
    async mayUpdate(_id: string, components: readonly string[], action: string) {
      asked.push(`${action} ${components}`);
      throw new Fault("forbidden", "no right to update");
    },
  };
  const guest = { actor: "guest", caller };
  const forbidden = { kind: "forbidden" };
  await assert.rejects(port.register({ object: "bms", blob: new Uint8Array(1), ...guest }), forbidden);
  await assert.rejects(port.start("fw", guest), forbidden);
  await assert.rejects(port.cancel("fw", guest, "cancelled by the client"), forbidden);
  assert.deepEqual(asked, ["register bms", "automated bms", "x-rollback bms"]);
  assert.deepEqual(changes, ["refused", "refused"], "which is on record");
});
