/** CoAP's messages and exchanges: RFC 7252 and RFC 7959, clause by clause; garbage of any kind. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import {
  CODE,
  type CoapMessage,
  decodeBlock,
  decodeMessage,
  encodeBlock,
  encodeMessage,
  MAX_SZX,
  OPTION,
  TYPE,
} from "#update/ajour/coap-codec.ts";
import { type CoapAnswer, CoapExchanges, type CoapRequest } from "#update/ajour/coap-exchanges.ts";
import fc from "../../fixtures/properties.ts";

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));
const shown = (bytes: Uint8Array | undefined): string =>
  bytes === undefined ? "" : Buffer.from(bytes).toString("hex");
const NONE = new Uint8Array(0);
const from = (address: string) => ({ address, port: 5_683 });

test("messages of the standard's examples", () => {
  // RFC 7252, Figure 16: GET /temperature, and its piggybacked answer
  const request = hex("40 01 7d34 bb 74656d7065726174757265");
  assert.deepEqual(plain(decodeMessage(request)), {
    type: TYPE.confirmable,
    code: 0x01,
    messageId: 0x7d34,
    token: "",
    options: [[OPTION.uriPath, "74656d7065726174757265"]],
    payload: "",
  });
  assert.equal(shown(encodeMessage(decodeMessage(request))), shown(request));
  assert.deepEqual(plain(decodeMessage(hex("60 45 7d34 ff 3232332043"))), {
    ...{ type: TYPE.acknowledgement, code: CODE.content, messageId: 0x7d34, token: "" },
    ...{ options: [], payload: "3232332043" },
  });
});

const option = fc.record({ number: fc.nat(0xffff), value: fc.uint8Array({ maxLength: 300 }) });
const message: fc.Arbitrary<CoapMessage> = fc.record({
  type: fc.nat(3),
  code: fc.integer({ min: 1, max: 255 }),
  messageId: fc.nat(0xffff),
  token: fc.uint8Array({ maxLength: 8 }),
  options: fc.array(option, { maxLength: 6 }).map((all) => all.toSorted((a, b) => a.number - b.number)),
  payload: fc.uint8Array({ maxLength: 50 }),
});

test("what is encoded is decoded again", () => {
  fc.assert(
    fc.property(message, (value) => assert.deepEqual(plain(decodeMessage(encodeMessage(value))), plain(value))),
  );
  const block = fc.record({ num: fc.nat(0xf_ffff), more: fc.boolean(), szx: fc.nat(MAX_SZX) });
  fc.assert(fc.property(block, (value) => assert.deepEqual(decodeBlock(encodeBlock(value)), { ...value })));
});

test("what is no message is refused", () => {
  for (const text of [
    "",
    "40",
    "00 02 0001", // another version
    "49 02 0001 010203040506070809", // a token of 9 bytes
    "42 02 0001 01", // a token that is cut
    "40 00 0001 ff 00", // an empty message that is not empty
    "40 02 0001 ff", // a marker and nothing behind it
    "40 02 0001 f0", // a reserved nibble
    "40 02 0001 d0", // a byte that is missing
    "40 02 0001 b5 0102", // a value that is cut
    "40 02 0001 e0 ffff", // an option above 65535
  ]) {
    assert.throws(() => decodeMessage(hex(text)), isInvalid, text);
  }
  for (const text of ["00000000", "07", "0f"]) assert.throws(() => decodeBlock(hex(text)), isInvalid, text);
});

test("garbage never throws, and what is kept is bounded", () => {
  const { exchanges, clock } = server();
  const mutated = fc.tuple(message, fc.nat(60), fc.uint8Array({ maxLength: 3 })).map(([value, at, more]) => {
    const bytes = encodeMessage(value);
    return new Uint8Array([...bytes.subarray(0, at), ...more, ...bytes.subarray(at + more.length)]);
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), mutated), fc.nat(2), (input, peer) => {
      clock.ms += 1;
      const reply = exchanges.take(input, from(`peer ${peer}`));
      if (reply !== undefined) decodeMessage(reply);
    }),
    { numRuns: 3_000 },
  );
});

/** Answers with the body it was sent, or with as many bytes as `answerBytes`. */
function server({ answerBytes = -1, maxReplies = 16, maxAmplification = 0 } = {}) {
  const served: CoapRequest[] = [];
  const clock = { ms: 1_000_000, now: () => clock.ms } as unknown as Clock & { ms: number };
  const serve = (request: CoapRequest): CoapAnswer => {
    served.push(request);
    const payload = answerBytes < 0 ? request.payload : new Uint8Array(answerBytes).map((_, at) => at);
    return { code: CODE.content, payload, options: [{ number: OPTION.drogueCommand, value: Buffer.from("dfu") }] };
  };
  const exchanges = new CoapExchanges({
    serve,
    understood: new Set([OPTION.uriPath]),
    maxBodyBytes: 64,
    clock,
    maxAmplification,
    maxReplies,
    maxTransfers: 2,
  });
  return { exchanges, clock, served };
}

interface Ask {
  readonly id?: number;
  readonly type?: number;
  readonly payload?: string;
  readonly block1?: string;
  readonly block2?: string;
  readonly option?: number;
  readonly peer?: string;
}

const datagram = ({ id = 1, type = TYPE.confirmable, payload = "", block1, block2, option: number }: Ask) =>
  encodeMessage({
    type,
    code: CODE.post,
    messageId: id,
    token: hex("aa"),
    options: [
      ...(block1 === undefined ? [] : [{ number: OPTION.block1, value: hex(block1) }]),
      ...(block2 === undefined ? [] : [{ number: OPTION.block2, value: hex(block2) }]),
      ...(number === undefined ? [] : [{ number, value: hex("01") }]),
    ],
    payload: Buffer.from(payload),
  });

/** The answer as `code / block1 / block2 / payload length`. */
function ask({ exchanges }: ReturnType<typeof server>, about: Ask): string {
  const reply = exchanges.take(datagram(about), from(about.peer ?? "p"));
  if (reply === undefined) return "nothing";
  const { code, options, payload } = decodeMessage(reply);
  const block = (number: number) => {
    const found = options.find((each) => each.number === number);
    return found === undefined ? "-" : JSON.stringify(Object.values(decodeBlock(found.value)));
  };
  return `${code >> 5}.${code & 31} ${block(OPTION.block1)} ${block(OPTION.block2)} ${payload.length}`;
}

test("a confirmable request is answered on its acknowledgement, and only once served", () => {
  const node = server();
  const first = node.exchanges.take(datagram({ payload: "hello" }), from("p"))!;
  const { type, messageId, token, payload } = decodeMessage(first);
  assert.deepEqual([type, messageId, shown(token)], [TYPE.acknowledgement, 1, "aa"]);
  assert.equal(Buffer.from(payload).toString(), "hello");
  assert.equal(shown(node.exchanges.take(datagram({ payload: "hello" }), from("p"))), shown(first), "it came twice");
  assert.equal(node.served.length, 1);
  assert.equal(ask(node, { payload: "hello", peer: "another" }), "2.5 - - 5");
  assert.equal(node.served.length, 2);
  node.clock.ms += 250_000;
  ask(node, { payload: "hello" });
  assert.equal(node.served.length, 3, "the number is free again");
});

test("one that wants no acknowledgement gets none, and no second answer", () => {
  const node = server();
  const reply = decodeMessage(node.exchanges.take(datagram({ type: TYPE.nonConfirmable }), from("p"))!);
  assert.equal(reply.type, TYPE.nonConfirmable);
  assert.equal(ask(node, { type: TYPE.nonConfirmable }), "nothing");
  assert.equal(node.served.length, 1);
});

test("pings, stray answers and broken messages", () => {
  const { exchanges, served } = server();
  for (const [text, expected] of [
    ["40 00 1234", "70001234"], // a ping
    ["50 00 1234", ""], // one that wants no answer
    ["40 45 1234", "70001234"], // an answer to nothing
    ["40 02 1234 ff", "70001234"], // broken
    ["50 02 1234 ff", ""],
    ["60 00 1234", ""], // an acknowledgement
    ["70 00 1234", ""], // a reset
    ["80 02 1234", ""], // another version
    ["40 02", ""],
  ] as const) {
    assert.equal(shown(exchanges.take(hex(text), from("p"))), expected.replaceAll(" ", ""), text);
  }
  assert.equal(served.length, 0);
});

test("critical options that are not known are refused, others passed over", () => {
  const node = server();
  assert.equal(ask(node, { option: 4_213 }).slice(0, 3), "4.2");
  assert.equal(ask(node, { option: 4_212, id: 2 }), "2.5 - - 0");
  assert.equal(node.served.length, 1);
});

test("a report comes in blocks", () => {
  const node = server();
  const sixteen = "0123456789abcdef";
  const steps: readonly [Ask, string][] = [
    [{ payload: sixteen, block1: "08" }, "2.31 [0,true,0] - 0"],
    [{ payload: sixteen, block1: "18" }, "2.31 [1,true,0] - 0"],
    [{ payload: sixteen, block1: "18", peer: "another" }, "4.8 [1,true,0] - 18"],
    [{ payload: "end", block1: "20" }, "2.5 [2,false,0] - 35"],
    // a block is missing; the rest of that body is lost with it
    [{ payload: sixteen, block1: "08" }, "2.31 [0,true,0] - 0"],
    [{ payload: "end", block1: "20" }, "4.8 [2,false,0] - 18"],
    [{ payload: "end", block1: "10" }, "4.8 [1,false,0] - 18"],
    // a block that is no whole block and says that more follow
    [{ payload: "short", block1: "08" }, "4.8 [0,true,0] - 18"],
    // more than a report may have
    [{ payload: "x".repeat(64), block1: "0a" }, "2.31 [0,true,2] - 0"],
    [{ payload: "x", block1: "12" }, "4.13 [1,false,2] - 20"],
    [{ payload: "x", block1: "07" }, "4.2 - - 27"],
  ];
  for (const [at, [about, expected]] of steps.entries()) {
    assert.equal(ask(node, { ...about, id: at }), expected, `step ${at}`);
  }
  assert.equal(Buffer.from(node.served[0]!.payload).toString(), `${sixteen}${sixteen}end`);
  assert.equal(node.served.length, 1);
});

test("an answer goes out in blocks where it is long, or where the peer wants them", () => {
  const node = server({ answerBytes: 2_100 });
  const steps: readonly [Ask, string][] = [
    [{}, "2.5 - [0,true,6] 1024"],
    [{ block2: "16" }, "2.5 - [1,true,6] 1024"],
    [{ block2: "26" }, "2.5 - [2,false,6] 52"],
    [{ block2: "36" }, "4.8 - - 22"],
    [{ block2: "16", peer: "another" }, "4.8 - - 22"],
    [{ block2: "02" }, "2.5 - [0,true,2] 64"],
    [{ block2: "12" }, "2.5 - [1,true,2] 64"],
  ];
  for (const [at, [about, expected]] of steps.entries()) {
    assert.equal(ask(node, { ...about, id: at }), expected, `step ${at}`);
  }
  assert.equal(node.served.length, 2);
  assert.equal(ask(server({ answerBytes: 10 }), { block2: "02" }), "2.5 - [0,false,2] 10");
});

test("peers that begin and never end push out the oldest, not each other's answers", () => {
  const node = server();
  const begin = (peer: string) => ask(node, { payload: "0123456789abcdef", block1: "08", peer });
  for (const peer of ["a", "b", "c"]) assert.equal(begin(peer), "2.31 [0,true,0] - 0");
  assert.equal(ask(node, { payload: "end", block1: "10", peer: "a", id: 2 }).slice(0, 3), "4.8");
  assert.equal(ask(node, { payload: "end", block1: "10", peer: "c", id: 2 }), "2.5 [1,false,0] - 19");
  for (let id = 0; id < 20; id++) ask(node, { id, peer: "d" });
  const before = node.served.length;
  ask(node, { id: 0, peer: "d" });
  assert.equal(node.served.length, before + 1, "only the last replies are kept");
});

test("bodies that are begun and never end are forgotten", () => {
  const node = server({ answerBytes: 2_100 });
  const sixteen = "0123456789abcdef";
  for (const [afterMs, expected] of [
    [240_000, "2.31 [1,true,0] - 0"],
    [250_000, "4.8 [1,true,0] - 18"],
  ] as const) {
    ask(node, { payload: sixteen, block1: "08", id: afterMs });
    node.clock.ms += afterMs;
    assert.equal(ask(node, { payload: sixteen, block1: "18", id: afterMs + 1 }), expected);
  }
  ask(node, { id: 1 });
  node.clock.ms += 250_000;
  assert.equal(ask(node, { block2: "16", id: 2 }), "4.8 - - 22");
});

function isInvalid(error: unknown): boolean {
  return error instanceof Fault && error.kind === "invalidData";
}

function plain({ token, options, payload, ...rest }: CoapMessage): object {
  const list = options.map(({ number, value }) => [number, shown(value)]);
  return { ...rest, token: shown(token), options: list, payload: shown(payload ?? NONE) };
}
