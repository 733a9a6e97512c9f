import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, indexServices } from "#sim/matching.ts";
import { SERVICES } from "#sim/services/index.ts";
import { type EcuState, initialState } from "#sim/state.ts";
import { hex, upper } from "../../e2e/simulator-support.ts";
import fc from "../../fixtures/properties.ts";

const VIN = "SCEDT26T8BD005261";

function ask(state: EcuState, request: string): string {
  const response = answer(SERVICES, state, hex(request));
  return response === undefined ? "-" : upper(response);
}

/** Source: answers recorded from the CDA's test simulator, 2026-11; those of 0x36 are ours (the counter advances). */
const CONVERSATIONS: Readonly<Record<string, readonly (readonly [request: string, response: string])[]>> = {
  identification: [
    ["22F190", "62F1905343454454323654384244303035323631"],
    ["22F100", "62F100000101"],
    ["22F180", "62F18001010203"],
    ["22F183", "7F2231"],
    ["22F190F100", "7F2231"],
    ["22F19B", "7F2272"],
    ["22", "7F2231"],
  ],
  sessions: [
    ["1003", "5003003201F4"],
    ["22F186", "62F18603"],
    ["1044", "5044003201F4"],
    ["22F186", "62F18623"],
    ["1002", "5002003201F4"],
    ["22F100", "62F100FF0000"],
    ["1001", "5001003201F4"],
    ["22F100", "62F100FF0000"],
    ["1183", "7F1131"],
    ["1103", "5103"],
    ["22F100", "62F100000101"],
  ],
  "tester present": [
    ["3E00", "7E00"],
    ["3E80", "-"],
    ["3E0000", "7F3E31"],
  ],
  "security access": [
    ["27040D0E0F1011121314", "7F2724"],
    ["2703", "67030001020304050607"],
    ["27040D", "7F2735"],
    ["27060D0E0F1011121314", "6706"],
    ["27", "7F2772"],
    ["270B", "7F2731"],
  ],
  "communication control": [
    ["280301", "6803"],
    ["284201", "7F2813"],
    ["284201FFFFFFFE", "6842"],
    ["2800", "7F2831"],
  ],
  routines: [
    ["31031002", "7103100201"],
    ["31011002", "71011002"],
    ["31031002", "7103100200"],
    ["3101100301", "71011003"],
    ["31031003", "710310031901"],
    ["31810301FF", "71810301"],
    ["31010301", "7F3131"],
  ],
  authentication: [
    ["2908", "690802"],
    ["2903000C41465445525F4D41524B45540000", "6903120010010102030405060708090A0B0C0D0E0F"],
    ["290300036261640000", "6903010010010102030405060708090A0B0C0D0E0F"],
    ["2901", "7F2913"],
    ["2909", "7F2931"],
  ],
  flash: [
    ["3400440000100000000100", "7F3431"],
    ["1002", "5002003201F4"],
    ["3400440000100000000100", "7F3433"],
    ["2705", "67050001020304050607"],
    ["27060D0E0F1011121314", "6706"],
    ["3101FF00", "7101FF00"],
    ["3601AA", "7F3624"],
    ["3400440000100000000100", "74040000FFFF"],
    ["3400440000100000000100", "7F3424"],
    ["3600AA", "7F3673"],
    ["3601AA", "760101"],
    ["3601AA", "760101"],
    ["3602BB", "760202"],
    ["3604BB", "7F3673"],
    ["37", "77"],
    ["37", "77"],
    ["3603CC", "7F3624"],
    ["340044", "7F3413"],
  ],
};

for (const [name, exchanges] of Object.entries(CONVERSATIONS)) {
  test(`service answers: ${name}`, () => {
    const state = initialState(VIN);
    for (const [request, response] of exchanges) assert.equal(ask(state, request), response, request);
  });
}

test("the user memory is listed and read by its selection, 0 is the standard one", () => {
  const state = initialState(VIN);
  const stored = { emissionsRelated: false, snapshots: [], extendedData: [{ recordNumber: 1, data: hex("07") }] };
  state.dtcs.Standard.set(0x0a1b01, { ...stored, id: 0x0a1b01, status: 0x08 });
  state.dtcs.Development.set(0x0a1b02, { ...stored, id: 0x0a1b02, status: 0x09 });
  // ISO 14229-1, 11.3: the selection stands before the availability mask, and before the code
  for (const [request, response] of [
    ["1917FF00", "591700FF0A1B0108"],
    ["1917FF01", "591701FF0A1B0209"],
    ["19170201", "591701FF"],
    ["1917FF18", "7F1931"],
    ["19180A1B02FF01", "5918010A1B0209"],
    ["19190A1B02FF01", "5919010A1B02090107"],
    ["19190A1B02FF00", "7F1931"],
    ["19190A1B02FF", "7F1931"],
  ] as const) {
    assert.equal(ask(state, request), response, request);
  }
});

test("the block counter wraps from FF to 00 and repeats are not hashed twice", () => {
  const state = initialState(VIN);
  Object.assign(state, { variant: "BOOT", sessionState: "PROGRAMMING", securityAccess: "LEVEL_05" });
  ask(state, "3400440000100000000200");
  for (let block = 1; block <= 600; block++) {
    const counter = upper(Uint8Array.of(block));
    assert.equal(ask(state, `36${counter}61`), `76${counter}${counter}`);
    if (block % 7 === 0) assert.equal(ask(state, `36${counter}61`), `76${counter}${counter}`);
  }
  assert.equal(ask(state, "37"), "77");
  assert.equal(state.transfers[0]?.dataTransferCount, 600);
  // SHA-1 of 600 times "a", by another program.
  assert.equal(upper(state.transfers[0]!.checksum!), "201B1862DED23937082498EACF68480149C18F56");
});

test("given data identifiers are read, written with equal length, and copied per state", () => {
  const data = new Map([
    [0xd001, { value: hex("0102"), writable: true }],
    [0xd002, { value: hex("03"), writable: false }],
  ]);
  const state = initialState(VIN, data);
  assert.equal(ask(state, "22D001"), "62D0010102");
  assert.equal(ask(state, "2ED001AABB"), "6ED001");
  assert.equal(ask(state, "22D001"), "62D001AABB");
  assert.equal(ask(state, "2ED001AA"), "7F2E13");
  assert.equal(ask(state, "2ED00204"), "7F2E31");
  assert.equal(ask(initialState(VIN, data), "22D001"), "62D0010102");
});

test("longer definitions go first, then order of definition", () => {
  const mark = (byte: number) => () => Uint8Array.of(byte);
  const index = indexServices([
    ["22[]", mark(1)],
    ["22F1[]", mark(2)],
    ["22F190", mark(3)],
    ["22F190[]", mark(4)],
  ]);
  const state = initialState(VIN);
  assert.deepEqual(answer(index, state, hex("22F190")), Uint8Array.of(3));
  assert.deepEqual(answer(index, state, hex("22F19000")), Uint8Array.of(4));
  assert.deepEqual(answer(index, state, hex("22F1")), Uint8Array.of(2));
  assert.deepEqual(answer(index, state, hex("22AA")), Uint8Array.of(1));
  assert.throws(() => indexServices([["2", mark(1)]]), /not hex/);
});

test("any request gets its own positive or negative response, or silence", () => {
  const state = initialState(VIN);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (request) => {
      const response = answer(SERVICES, state, request);
      if (response === undefined) return upper(request) === "3E80";
      return response[0] === 0x7f ? response[1] === request[0] : response[0] === ((request[0]! + 0x40) & 0xff);
    }),
    { numRuns: 2000 },
  );
});
