import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { ByteBuffer } from "flatbuffers";
import { decodeContainer, diagnosticDescription } from "../../../src/mdd/container/decode.ts";
import { encodeContainer } from "../../../src/mdd/container/encode.ts";
import { SHA512_UNCOMPRESSED } from "../../../src/mdd/container/messages.ts";
import { EcuData } from "../../../src/mdd/generated/dataformat.ts";
import { databaseOf, NO_SHARED, REAL_FILES, sharedFile } from "../../fixtures/mdd.ts";

for (const { path, bytes, flatBuffer, variants, services } of REAL_FILES) {
  test(`${path}: container, hash, inventory`, async (t) => {
    const file = sharedFile(path);
    if (file === undefined) return t.skip(NO_SHARED);
    assert.equal(file.length, bytes);
    const container = decodeContainer(file);
    assert.equal(container.version, "2025-05-21");
    assert.deepEqual([...container.metadata.keys()], ["created", "source", "options", "converter", "plugins"]);
    assert.equal(container.metadata.get("options"), "{}");
    assert.equal(container.chunks.length, 1);
    const chunk = diagnosticDescription(container);
    assert.equal(chunk.name, container.ecuName);
    assert.equal(chunk.uncompressedSize, flatBuffer);

    const database = await databaseOf(file);
    assert.equal(database.length, flatBuffer);
    const [hash] = chunk.signatures;
    assert.equal(hash?.algorithm, SHA512_UNCOMPRESSED);
    assert.deepEqual(Buffer.from(hash.signature), createHash("sha512").update(database).digest());

    const ecu = EcuData.getRootAsEcuData(new ByteBuffer(database));
    assert.equal(ecu.version(), "2025-05-10");
    assert.equal(ecu.ecuName(), container.ecuName);
    assert.equal(ecu.revision(), container.revision ?? null);
    const layers = Array.from({ length: ecu.variantsLength() }, (_, i) => ecu.variants(i)!.diagLayer()!);
    assert.deepEqual(
      layers.map((layer) => layer.shortName()),
      variants,
    );
    assert.deepEqual(
      layers.map((layer) => layer.diagServicesLength()),
      services,
    );
  });

  test(`${path}: encoding gives the same bytes`, (t) => {
    const file = sharedFile(path);
    if (file === undefined) return t.skip(NO_SHARED);
    assert.ok(Buffer.from(file).equals(encodeContainer(decodeContainer(file))));
  });
}

test("functional_groups.mdd, byte by byte (facts on the format, §1.7)", async (t) => {
  const file = sharedFile("mdd/functional_groups.mdd");
  if (file === undefined) return t.skip(NO_SHARED);
  const container = decodeContainer(file);
  assert.equal(container.ecuName, "functional_groups");
  assert.equal(container.revision, undefined);
  assert.deepEqual(container.featureFlags, []);
  assert.deepEqual(Object.fromEntries(container.metadata), {
    created: "2026-07-13T09:14:53Z",
    source: "functional_groups.pdx",
    options: "{}",
    converter: "odx-converter 0.1.0-SNAPSHOT (ae6e814)",
    plugins: "compression@0.1.0",
  });
  const chunk = diagnosticDescription(container);
  assert.equal(chunk.type, 0);
  assert.equal(chunk.compressionAlgorithm, "lzma");
  assert.equal(chunk.mimeType, undefined);
  assert.equal(chunk.data?.length, 3144);
  assert.equal(chunk.data.byteOffset - file.byteOffset, 0x152);
  assert.equal(Buffer.from(chunk.data.subarray(0, 13)).toString("hex"), "5d00008000ffffffffffffffff");

  const database = new DataView((await databaseOf(file)).slice().buffer);
  assert.equal(database.getUint32(0, true), 0x1c);
  const vtable = Array.from({ length: 10 }, (_, i) => database.getUint16(8 + 2 * i, true));
  assert.deepEqual(vtable, [20, 24, 20, 16, 0, 0, 0, 8, 4, 12]);
});

test("functional_groups.mdd: groups, parents, functional services", async (t) => {
  const file = sharedFile("mdd/functional_groups.mdd");
  if (file === undefined) return t.skip(NO_SHARED);
  const ecu = EcuData.getRootAsEcuData(new ByteBuffer(await databaseOf(file)));
  const groups = Array.from({ length: ecu.functionalGroupsLength() }, (_, i) => ecu.functionalGroups(i)!);
  assert.deepEqual(
    groups.map((group) => [group.diagLayer()?.shortName(), group.parentRefsLength()]),
    [
      ["FGL_UDS_Ethernet_DoIP", 2],
      ["FGL_UDS_Ethernet_DoIP_DOBT", 2],
    ],
  );
});
