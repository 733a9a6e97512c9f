import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { fromHex } from "../../../src/core/bytes.ts";
import { Fault } from "../../../src/core/errors.ts";
import { inflateChunk } from "../../../src/mdd/container/chunk.ts";
import { decodeContainer, diagnosticDescription, isMdd } from "../../../src/mdd/container/decode.ts";
import { ed25519Checker } from "../../../src/mdd/container/ed25519.ts";
import { encodeContainer } from "../../../src/mdd/container/encode.ts";
import { DEFAULT_LIMITS } from "../../../src/mdd/container/limits.ts";
import { readLzmaHeader } from "../../../src/mdd/container/lzma.ts";
import type { Chunk, MddContainer } from "../../../src/mdd/container/messages.ts";
import { MAGIC } from "../../../src/mdd/container/messages.ts";
import { packChunk } from "../../../src/mdd/writer/mdd.ts";
import { deflateLzma, inflateLzma } from "../../../src/store/lzma.ts";
import fc from "../../fixtures/properties.ts";

const bytesOf = (hex: string): Uint8Array => fromHex(hex)!;
const file = (hex: string): Uint8Array => Buffer.concat([MAGIC, bytesOf(hex)]);
const text = (value: string): string => Buffer.from(value).toString("hex");

const invalid = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Fault, String(error));
  assert.equal(error.kind, "invalidContainer");
  assert.match(error.message, pattern);
  return true;
};

const chunk = (fields: Partial<Chunk> = {}): Chunk => ({
  type: 0,
  metadata: new Map(),
  signatures: [],
  unknown: [],
  ...fields,
});

const container = (fields: Partial<MddContainer> = {}): MddContainer => ({
  version: "",
  featureFlags: [],
  ecuName: "",
  metadata: new Map(),
  chunks: [],
  unknown: [],
  ...fields,
});

test("the magic is the 20 bytes of version 0", () => {
  assert.deepEqual(Buffer.from(MAGIC).toString("hex"), "4d44442076657273696f6e203020202020202000");
  assert.ok(isMdd(MAGIC));
  assert.ok(!isMdd(MAGIC.subarray(0, 19)));
});

/** Wire bytes by hand, from the message tables of the format. */
const VECTORS = [
  { name: "nothing", hex: "", value: container() },
  {
    name: "names, revision, metadata",
    hex: `0a0a${text("2025-05-21")}1a03${text("ECU")}2202${text("00")}2a08 0a03${text("key")}1201${text("v")}`,
    value: container({ version: "2025-05-21", ecuName: "ECU", revision: "00", metadata: new Map([["key", "v"]]) }),
  },
  {
    name: "chunk of type 0 with hash, algorithm, size, data, MIME type",
    hex: `321e 1201${text("n")} 2205 0a0168 2200 2a04${text("lzma")} 308843 4202 0102 4a05 ${text("a/b+c")}`,
    value: container({
      chunks: [
        chunk({
          name: "n",
          signatures: [
            { algorithm: "h", metadata: new Map(), signature: new Uint8Array(), certificates: [], unknown: [] },
          ],
          compressionAlgorithm: "lzma",
          uncompressedSize: 8584,
          data: Uint8Array.of(1, 2),
          mimeType: "a/b+c",
        }),
      ],
    }),
    canonical: false,
  },
  {
    name: "vendor chunk, encrypted",
    hex: "320d 088008 3a05 0a0141 1a00 4201ff",
    value: container({
      chunks: [
        chunk({
          type: 1024,
          encryption: { encryptionAlgorithm: "A", certificates: [new Uint8Array()], unknown: [] },
          data: Uint8Array.of(255),
        }),
      ],
    }),
  },
  { name: "feature flags one by one", hex: "1000 1000", value: container({ featureFlags: [0, 0] }) },
  { name: "feature flags packed", hex: "1202 0000", value: container({ featureFlags: [0, 0] }), canonical: false },
  {
    name: "unknown fields of every wire type are kept",
    hex: "7801 790102030405060708 7a03010203 7d01020304",
    value: container({ unknown: ["7801", "790102030405060708", "7a03010203", "7d01020304"].map(bytesOf) }),
  },
] as const;

/** Buffers and plain arrays compare as equal here. */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, v: unknown) => (v instanceof Map ? [...v] : v), 1).replace(
      /^\s*"type": "Buffer",\n/gm,
      "",
    ),
  );

for (const vector of VECTORS) {
  test(`container: ${vector.name}`, () => {
    const bytes = new Uint8Array(file(vector.hex));
    assert.deepEqual(decodeContainer(bytes), vector.value);
    if (!("canonical" in vector)) assert.deepEqual(encodeContainer(vector.value), bytes);
  });
}

const REFUSED = [
  { name: "no magic", bytes: new Uint8Array(40), message: /magic mismatch at offset 0/ },
  { name: "too small", bytes: MAGIC.subarray(0, 19), message: /too small/ },
  {
    name: "length beyond the end",
    bytes: file("0a05 41"),
    message: /MDDFile.version of 5 bytes exceeds the 1 that remain at offset 21/,
  },
  { name: "varint cut off", bytes: file("0a80"), message: /varint is cut off at offset 21/ },
  { name: "varint of eleven bytes", bytes: file(`0a${"80".repeat(10)}01`), message: /longer than 64 bits/ },
  { name: "varint above 2^64", bytes: file(`0a${"ff".repeat(9)}02`), message: /longer than 64 bits/ },
  { name: "length above 2^53", bytes: file(`0a${"ff".repeat(8)}7f`), message: /too large/ },
  { name: "string that is not UTF-8", bytes: file("0a01ff"), message: /MDDFile.version is not UTF-8 at offset 22/ },
  { name: "wrong wire type", bytes: file("0801"), message: /MDDFile.version has wire type 0/ },
  { name: "group", bytes: file("7b7c"), message: /wire type 3/ },
  { name: "unknown fixed field cut off", bytes: file("7901"), message: /cut off/ },
  { name: "unknown feature flag", bytes: file("1007"), message: /feature flag 7/ },
  { name: "nested length beyond its chunk", bytes: file("3203 120561"), message: /Chunk.name of 5 bytes/ },
] as const;

for (const { name, bytes, message } of REFUSED) {
  test(`refused: ${name}`, () => assert.throws(() => decodeContainer(bytes), invalid(message)));
}

const LIMITED = [
  { name: "file size", hex: "0a0141", limits: { maxFileBytes: 20 }, message: /exceeds the limit/ },
  { name: "chunks", hex: "3200 3200", limits: { maxChunks: 1 }, message: /too many chunks/ },
  { name: "metadata", hex: "2a030a0141 2a030a0142", limits: { maxMetadataEntries: 1 }, message: /too many entries/ },
  { name: "entries of all kinds", hex: "3200 2a00 7801", limits: { maxEntries: 2 }, message: /too many entries/ },
  { name: "packed flags", hex: "1203000000", limits: { maxEntries: 2 }, message: /too many entries/ },
] as const;

for (const { name, hex, limits, message } of LIMITED) {
  test(`limit: ${name}`, () => {
    assert.ok(decodeContainer(file(hex)));
    assert.throws(() => decodeContainer(file(hex), { limits }), invalid(message));
  });
}

test("a feature flag can be accepted", () => {
  assert.deepEqual(decodeContainer(file("1007"), { acceptFeatureFlags: [7] }).featureFlags, [7]);
});

test("payloads are views into the file", () => {
  const bytes = file("3206 4204 01020304");
  assert.equal(decodeContainer(bytes).chunks[0]?.data?.buffer, bytes.buffer);
});

test("the database is the first chunk of type 0", () => {
  const first = chunk({ name: "first" });
  assert.equal(diagnosticDescription(container({ chunks: [chunk({ type: 1 }), first, chunk()] })), first);
  assert.throws(() => diagnosticDescription(container()), invalid(/DIAGNOSTIC_DESCRIPTION/));
});

const words = fc.string({ unit: "grapheme", maxLength: 12 });
const bytes = fc.uint8Array({ maxLength: 24 });
const metadata = fc.array(fc.tuple(words, words), { maxLength: 3 }).map((entries) => new Map(entries));
const unknown = fc.uniqueArray(fc.constantFrom("f80101", "fa0102ffff", "fd0101020304"), { maxLength: 3 });
const unknownFields = unknown.map((fields) => fields.map(bytesOf));
const number = fc.oneof(fc.nat(), fc.maxSafeNat());
const optional = { requiredKeys: [] as never[] };
const record = <T, O>(
  required: fc.RecordConstraints<never> & { [K in keyof T]: fc.Arbitrary<T[K]> },
  rest: { [K in keyof O]: fc.Arbitrary<O[K]> },
) =>
  fc
    .tuple(fc.record(required as { [K in keyof T]: fc.Arbitrary<T[K]> }), fc.record(rest, optional))
    .map(([a, b]) => ({ ...a, ...b }));
const signature = record(
  {
    algorithm: words,
    metadata,
    signature: bytes,
    certificates: fc.array(bytes, { maxLength: 2 }),
    unknown: unknownFields,
  },
  { keyIdentifier: bytes },
);
const encryption = record(
  { encryptionAlgorithm: words, certificates: fc.array(bytes, { maxLength: 2 }), unknown: unknownFields },
  { keyIdentifier: bytes },
);
const anyChunk = record(
  { type: number, metadata, signatures: fc.array(signature, { maxLength: 2 }), unknown: unknownFields },
  { name: words, compressionAlgorithm: words, uncompressedSize: number, encryption, data: bytes, mimeType: words },
);
const anyContainer = record(
  {
    version: words,
    featureFlags: fc.array(number, { maxLength: 3 }),
    ecuName: words,
    metadata,
    chunks: fc.array(anyChunk, { maxLength: 3 }),
    unknown: unknownFields,
  },
  { revision: words, chunksSignature: signature },
) as fc.Arbitrary<MddContainer>;

test("encode and decode are inverse", () => {
  fc.assert(
    fc.property(anyContainer, (value) => {
      const decoded = decodeContainer(encodeContainer(value), { acceptFeatureFlags: value.featureFlags });
      assert.deepEqual(plain(decoded), plain(value));
    }),
    { numRuns: 300 },
  );
});

function onlyFaults(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof Fault && error.kind === "invalidContainer", String(error));
  }
}

test("garbage and mutations give a container or a fault", () => {
  const edits = fc.array(fc.tuple(fc.nat({ max: 400 }), fc.nat({ max: 255 })), { maxLength: 8 });
  fc.assert(
    fc.property(anyContainer, edits, fc.nat({ max: 30 }), (value, changes, cut) => {
      const mutated = encodeContainer(value);
      for (const [at, byte] of changes) if (MAGIC.length + at < mutated.length) mutated[MAGIC.length + at] = byte;
      onlyFaults(() => decodeContainer(mutated.subarray(0, mutated.length - cut)));
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (garbage) => {
      onlyFaults(() => decodeContainer(Buffer.concat([MAGIC, garbage])));
    }),
    { numRuns: 1000 },
  );
});

const CONTENT = new TextEncoder().encode("diagnostic description ".repeat(40));
const inflate = inflateLzma;

test("a compressed chunk gives its content back and leaves the file as it is", async () => {
  const packed = await packChunk({ type: 0, name: "db", content: CONTENT }, { deflate: deflateLzma });
  const stored = Buffer.from(encodeContainer(container({ chunks: [packed] })));
  const before = createHash("sha256").update(stored).digest("hex");
  const content = await inflateChunk(diagnosticDescription(decodeContainer(stored)), { inflate });
  assert.deepEqual(new Uint8Array(content), CONTENT);
  assert.equal(createHash("sha256").update(stored).digest("hex"), before);
});

test("a stored chunk without size is returned as a view, its hash checked", async () => {
  const packed = await packChunk({ type: 0, content: CONTENT });
  assert.equal((await inflateChunk(packed, { inflate })).buffer, CONTENT.buffer);
  const other = { ...packed, data: CONTENT.map((byte) => byte ^ 1) };
  await assert.rejects(inflateChunk(other, { inflate }), invalid(/SHA-512 differs/));
  assert.ok(await inflateChunk(other, { inflate, checkHash: false }));
});

test("a stream that declares its size is decoded without a container size", async () => {
  const { uncompressedSize: _, ...packed } = await packChunk({ type: 0, content: CONTENT }, { deflate: deflateLzma });
  await assert.rejects(inflateChunk(packed, { inflate }), invalid(/without a declared size/));
  const data = new Uint8Array(packed.data ?? []);
  new DataView(data.buffer).setBigUint64(5, BigInt(CONTENT.length), true);
  assert.deepEqual(new Uint8Array(await inflateChunk({ ...packed, data }, { inflate })), CONTENT);
});

const packed = await packChunk({ type: 0, name: "db", content: CONTENT }, { deflate: deflateLzma });
const withData = (at: number, ...values: number[]): Chunk => {
  const data = new Uint8Array(packed.data ?? []);
  data.set(values, at);
  return { ...packed, data };
};

const BAD_CHUNKS = [
  {
    name: "unknown compression",
    chunk: { ...packed, compressionAlgorithm: "zstd" },
    message: /unsupported compression algorithm zstd/,
  },
  {
    name: "encrypted",
    chunk: { ...packed, encryption: { encryptionAlgorithm: "AES", certificates: [], unknown: [] } },
    message: /encrypted \(AES\)/,
  },
  { name: "properties out of range", chunk: withData(0, 225), message: /properties 225/ },
  { name: "lc + lp above 4", chunk: withData(0, 8 + 9), message: /properties 17/ },
  { name: "dictionary above the limit", chunk: withData(1, 1, 0, 0, 4), message: /dictionary/ },
  { name: "size above the limit", chunk: { ...packed, uncompressedSize: 2 ** 40 }, message: /exceed the limit/ },
  { name: "ratio above the limit", chunk: { ...packed, uncompressedSize: 17 * 2 ** 20 }, message: /claim to hold/ },
  { name: "size too large", chunk: { ...packed, uncompressedSize: CONTENT.length + 1 }, message: /chunk db of type 0/ },
  { name: "size too small", chunk: { ...packed, uncompressedSize: CONTENT.length - 1 }, message: /chunk db of type 0/ },
  { name: "header and container disagree", chunk: withData(5, 1, 0, 0, 0, 0, 0, 0, 0), message: /declares 1 bytes/ },
  {
    name: "cut off",
    chunk: { ...packed, data: packed.data!.subarray(0, 20) },
    message: /does not decompress|decompresses to|SHA-512/,
  },
  {
    name: "only a header",
    chunk: { ...packed, data: packed.data!.subarray(0, 13) },
    message: /shorter than its header/,
  },
  {
    name: "no data",
    chunk: chunk({ compressionAlgorithm: "lzma", uncompressedSize: 4 }),
    message: /shorter than its header/,
  },
  { name: "range coder", chunk: withData(13, 1), message: /range coder/ },
] as const;

for (const { name, chunk: bad, message } of BAD_CHUNKS) {
  test(`chunk refused: ${name}`, () => assert.rejects(inflateChunk(bad, { inflate }), invalid(message)));
}

test("limits are asked before the decoder", async () => {
  const never = () => assert.fail("decoder was called");
  await assert.rejects(inflateChunk(packed, { inflate: never, limits: { maxChunkBytes: 10 } }), invalid(/limit of 10/));
});

test("the algorithm's name has no case; a key provider opens an encrypted chunk", async () => {
  assert.ok(await inflateChunk({ ...packed, compressionAlgorithm: "LZMA" }, { inflate }));
  const encrypted = {
    ...packed,
    data: packed.data!.map((byte) => byte ^ 0x5a),
    encryption: { encryptionAlgorithm: "XOR", certificates: [], unknown: [] },
  };
  const decrypt = (data: Uint8Array) => data.map((byte) => byte ^ 0x5a);
  assert.deepEqual(new Uint8Array(await inflateChunk(encrypted, { inflate, decrypt })), CONTENT);
});

test("damaged streams give a fault or the true content", async () => {
  const edits = fc.array(fc.tuple(fc.nat({ max: packed.data!.length - 1 }), fc.nat({ max: 255 })), {
    minLength: 1,
    maxLength: 3,
  });
  await fc.assert(
    fc.asyncProperty(edits, async (changes) => {
      const data = new Uint8Array(packed.data!);
      for (const [at, byte] of changes) data[at] = byte;
      try {
        assert.deepEqual(new Uint8Array(await inflateChunk({ ...packed, data }, { inflate })), CONTENT);
      } catch (error) {
        assert.ok(error instanceof Fault && error.kind === "invalidContainer", String(error));
      }
    }),
    { numRuns: 60 },
  );
});

test("LZMA header: dictionary and size", () => {
  const header = bytesOf("5d00008000ffffffffffffffff00");
  assert.deepEqual(readLzmaHeader(header, DEFAULT_LIMITS), {
    dictionaryBytes: 0x80_0000,
    uncompressedBytes: undefined,
  });
  const known = bytesOf("5d0000800088210000000000000000");
  assert.equal(readLzmaHeader(known, DEFAULT_LIMITS).uncompressedBytes, 8584);
});

test("an Ed25519 signature binds content, type and name to a key", async () => {
  const keys = generateKeyPairSync("ed25519");
  const stranger = generateKeyPairSync("ed25519");
  const signed = await packChunk(
    { type: 0, name: "db", content: CONTENT },
    { deflate: deflateLzma, signingKeys: keys },
  );
  const checkSignature = ed25519Checker([keys.publicKey]);
  const strict = { inflate, checkSignature, requireSignature: true };
  assert.deepEqual(new Uint8Array(await inflateChunk(signed, strict)), CONTENT);
  await assert.rejects(inflateChunk({ ...signed, name: "other" }, strict), invalid(/signature ed25519_chunk is wrong/));
  await assert.rejects(inflateChunk(packed, strict), invalid(/no trusted signature/));
  const foreign = { ...strict, checkSignature: ed25519Checker([stranger.publicKey]) };
  await assert.rejects(inflateChunk(signed, foreign), invalid(/no trusted signature/));
  assert.ok(await inflateChunk(signed, { inflate, checkSignature: foreign.checkSignature }));
  await assert.rejects(inflateChunk(signed, { inflate, requireSignature: true }), invalid(/none can be checked/));
});
