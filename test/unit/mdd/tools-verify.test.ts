// What `mdd verify` finds: each row damages a good database in one way.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeContainer } from "#mdd/container/decode.ts";
import { encodeContainer } from "#mdd/container/encode.ts";
import type { MddContainer } from "#mdd/container/messages.ts";
import type { DiagService, EcuData, Variant } from "#mdd/generated/description.ts";
import type { Rule, Severity } from "#mdd/tools/findings.ts";
import { verifyMdd } from "#mdd/tools/verify.ts";
import { verifyEcuData } from "#mdd/verify/verify.ts";
import * as d from "#mdd/writer/dsl.ts";
import { writeMdd } from "#mdd/writer/mdd.ts";
import { readDescription } from "#mdd/writer/read.ts";
import { writeEcuData } from "#mdd/writer/write.ts";
import { deflateLzma, inflateLzma } from "#store/lzma.ts";
import { REAL_FILES, sharedFile } from "../../fixtures/mdd.ts";

const byte = d.unsigned("byte", 8);
const ident = d.readService("Ident_Read", 0xf100, [d.value("Id", byte, { byte: 3 })]);
const speed = d.readService("Speed_Read", 0xf101, [d.value("Speed", byte, { byte: 3 })]);

function ecu(
  services: readonly DiagService[],
  variants: readonly Variant[] = [],
  more: Partial<d.Layer> = {},
): EcuData {
  const base = d.baseVariant(d.diagLayer("ECU", { services: [ident, ...services], ...more }));
  return { ecu_name: "ECU", variants: [base, ...variants] };
}

const variant = (name: string, ...expected: readonly string[]): Variant =>
  d.ecuVariant(
    d.diagLayer(name),
    [],
    expected.map((text) => d.variantPattern({ service: ident, param: "Id", expected: text })),
  );

const param = (specific: object) =>
  d.readService("Broken_Read", 0xf102, [{ short_name: "p", byte_position: 3, ...specific } as never]);

interface Row {
  readonly of: string;
  readonly description: EcuData;
  readonly found: readonly (readonly [Severity, Rule, place: RegExp, message: RegExp])[];
}

const ROWS: readonly Row[] = [
  { of: "nothing wrong", description: ecu([speed], [variant("A", "1"), variant("B", "2")]), found: [] },
  {
    of: "a DID twice",
    description: ecu([speed, d.readService("Other_Read", 0xf101, [])]),
    found: [["error", "duplicate-did", /Other_Read/, /22 F101 is 'Speed_Read' too/]],
  },
  {
    of: "a name twice",
    description: ecu([speed, d.readService("SPEED_read", 0xf103, [])]),
    found: [["error", "duplicate-name", /SPEED_read/, /'Speed_Read' has the same name/]],
  },
  {
    of: "a resource of two services",
    description: ecu([speed, d.readService("Speed_Dump", 0xf104, [])]),
    found: [["warning", "ambiguous-name", /Speed_Dump/, /resource 'Speed' means 'Speed_Read' too/]],
  },
  {
    of: "a variant without pattern",
    description: ecu([], [d.ecuVariant(d.diagLayer("A"), [])]),
    found: [["error", "unreachable-variant", /variants\[A\]/, /no pattern/]],
  },
  {
    of: "a variant in the shadow of another",
    description: ecu([], [variant("A", "1", "2"), variant("B", "2")]),
    found: [["error", "unreachable-variant", /variants\[B\]/, /'A' matches before/]],
  },
  {
    of: "a pattern that contradicts itself",
    description: ecu(
      [],
      [
        d.ecuVariant(
          d.diagLayer("A"),
          [],
          [
            d.variantPattern(
              { service: ident, param: "Id", expected: "1" },
              { service: ident, param: "Id", expected: "2" },
            ),
          ],
        ),
      ],
    ),
    found: [
      ["error", "unreachable-variant", /pattern\[0\]/, /both '1' and '2'/],
      ["error", "unreachable-variant", /variants\[A\]/, /no pattern can hold/],
    ],
  },
  {
    of: "no base variant",
    description: { ecu_name: "ECU", variants: [variant("A", "1")] },
    found: [["error", "unreachable-variant", /^variants$/, /no base variant/]],
  },
  {
    of: "a VALUE without DOP",
    description: ecu([param({ specific_data_type: "Value", specific_data: {} })]),
    found: [
      ["error", "dangling-ref", /params\[p\]\.specific_data/, /Value without dop/],
      ["error", "does-not-compile", /Broken_Read\].*\.p/, /./],
    ],
  },
  {
    of: "a table structure without its key",
    description: ecu([
      param({
        specific_data_type: "TableStruct",
        specific_data: { table_key: d.tableKey("gone", d.tableDop("T", byte, [])) },
      }),
    ]),
    found: [["error", "dangling-ref", /params\[p\]/, /no table key 'gone'/]],
  },
  {
    of: "a state that no chart has",
    description: ecu([d.readService("Kept_Read", 0xf105, [], { preconditions: [d.precondition("Nowhere")] })], [], {
      stateCharts: [d.stateChart("Session", "SESSION", ["Default"], [["Default", "Lost"]])],
    }),
    found: [
      ["error", "dangling-ref", /pre_condition/, /'Nowhere'/],
      ["error", "dangling-ref", /state_charts\[Session\]/, /target 'Lost'/],
    ],
  },
  {
    of: "a name that is not inherited and not there",
    description: ecu(
      [],
      [
        d.ecuVariant(
          d.diagLayer("A"),
          [d.parentRef("EcuSharedData", d.ecuSharedData("SHARED"), ["Gone_Read"])],
          [d.variantPattern({ service: ident, param: "Id", expected: "1" })],
        ),
      ],
    ),
    found: [["warning", "dangling-ref", /parent_refs/, /'Gone_Read' is no service/]],
  },
];

for (const { of, description, found } of ROWS)
  test(`verify: ${of}`, async () => {
    const { findings, ok } = await verifyMdd(await writeMdd({ description }), { inflate: inflateLzma });
    assert.equal(findings.length, found.length, JSON.stringify(findings));
    found.forEach(([severity, rule, place, message], i) => {
      assert.deepEqual([findings[i]?.severity, findings[i]?.rule], [severity, rule]);
      assert.match(findings[i]!.place, place);
      assert.match(findings[i]!.message, message);
    });
    assert.equal(ok, !found.some(([severity]) => severity === "error"));
  });

const good = await writeMdd({ description: ecu([speed]), deflate: deflateLzma });

function container(change: (container: MddContainer) => Partial<MddContainer>): Uint8Array {
  const decoded = decodeContainer(good);
  return encodeContainer({ ...decoded, ...change(decoded) });
}

const CONTAINERS: readonly (readonly [of: string, Uint8Array, Severity, Rule, RegExp])[] = [
  ["bytes that are no container", Uint8Array.of(1, 2, 3), "error", "container", /too small/],
  ["a container cut off", good.slice(0, good.length - 9), "error", "container", /exceeds/],
  ["no database", container(() => ({ chunks: [] })), "error", "container", /no DIAGNOSTIC_DESCRIPTION/],
  [
    "a checksum of other content",
    container(({ chunks: [c] }) => ({
      chunks: [{ ...c!, signatures: [{ ...c!.signatures[0]!, signature: new Uint8Array(64) }] }],
    })),
    "error",
    "checksum",
    /SHA-512 differs/,
  ],
  [
    "no checksum",
    container(({ chunks: [c] }) => ({ chunks: [{ ...c!, signatures: [] }] })),
    "warning",
    "checksum",
    /no checksum/,
  ],
  [
    "a chunk of unknown type",
    container(({ chunks }) => ({ chunks: [...chunks, { ...chunks[0]!, type: 77 }] })),
    "warning",
    "chunk",
    /type 77/,
  ],
  [
    "unknown compression",
    container(({ chunks: [c] }) => ({ chunks: [{ ...c!, compressionAlgorithm: "zip" }] })),
    "error",
    "checksum",
    /unsupported compression algorithm zip/,
  ],
  [
    "a size that lies",
    container(({ chunks: [c] }) => ({ chunks: [{ ...c!, uncompressedSize: c!.uncompressedSize! + 1 }] })),
    "error",
    "checksum",
    /instead of|decompress/,
  ],
  [
    "a bomb",
    container(({ chunks: [c] }) => ({ chunks: [{ ...c!, uncompressedSize: 400 * 2 ** 20 }] })),
    "error",
    "checksum",
    /claim to hold/,
  ],
  [
    "a FlatBuffer of zeros",
    container(({ chunks: [c] }) => ({
      chunks: [{ type: 0, data: new Uint8Array(64), metadata: c!.metadata, signatures: [], unknown: [] }],
    })),
    "error",
    "flatbuffer",
    /leads outside/,
  ],
  [
    "another name outside",
    container(() => ({ ecuName: "OTHER" })),
    "warning",
    "container",
    /'OTHER', but the database says 'ECU'/,
  ],
];

for (const [of, bytes, severity, rule, message] of CONTAINERS)
  test(`verify: ${of}`, async () => {
    const { findings } = await verifyMdd(bytes, { inflate: inflateLzma });
    const found = findings.find((one) => message.test(one.message));
    assert.deepEqual([found?.severity, found?.rule], [severity, rule], JSON.stringify(findings));
  });

test("verify: an enum member that the schema does not have", async () => {
  const whole = { type: 0, metadata: new Map(), signatures: [], unknown: [] };
  const image = writeEcuData(ecu([speed]));
  const at = image.findIndex((_, i) => {
    const damaged = image.with(i, 0x55);
    return verifyEcuData(damaged).ok && /has no member 85/.test(problemOf(() => readDescription(damaged)));
  });
  const bytes = container(() => ({ chunks: [{ ...whole, data: image.with(at, 0x55) }] }));
  const { findings, ok } = await verifyMdd(bytes, { inflate: inflateLzma });
  const found = findings.find(({ rule }) => rule === "schema");
  assert.match(found?.message ?? "", /has no member 85/);
  assert.equal(ok, false);
});

function problemOf(work: () => unknown): string {
  try {
    work();
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}

test("findings are counted beyond their limit", async () => {
  const services = Array.from({ length: 9 }, (_, i) => d.readService(`S${i}_Read`, 0xf200, []));
  const bytes = await writeMdd({ description: ecu(services) });
  const { findings, dropped, ok } = await verifyMdd(bytes, { inflate: inflateLzma, maxFindings: 3 });
  assert.deepEqual([findings.length, dropped, ok], [3, 5, false]);
});

for (const { path } of REAL_FILES) {
  const file = sharedFile(path);
  test(`verify: ${path} is clean`, {
    skip: file === undefined ? "no ../shared beside the project" : false,
  }, async () => {
    assert.deepEqual((await verifyMdd(file!, { inflate: inflateLzma })).findings, []);
  });
}
