/** Images brought into the store: what lies there already is believed no more than what comes. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { createMemoryStorage } from "#store/memory-storage.ts";
import { Bulk, type BulkInfo } from "#update/software/bulk/bulk.ts";
import { StorageBulkWriter } from "#update/software/bulk/writer.ts";
import { bulkKeyOf, Staging } from "#update/software/campaign/staging.ts";
import type { UpdatePackage } from "#update/software/package.ts";
import { cleanup } from "../../fixtures/cleanup.ts";

const IMAGE = Buffer.from("the image that was signed");
const TARGET = { sha256: createHash("sha256").update(IMAGE).digest("hex"), length: IMAGE.byteLength };
const { signal } = new AbortController();

/** A staging over an update server that has the image; `requests` counts who asked it. */
async function stage(t: TestContext) {
  const asked = { requests: 0 };
  const server = createServer((_request, response) => {
    asked.requests++;
    response.end(IMAGE);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanup(t, () => server.close());
  const storage = createMemoryStorage({ maxMappedBytes: 1 << 20, maxBytes: 1 << 20 });
  const bulk = new Bulk(storage, new StorageBulkWriter(storage, { maxBytes: 1 << 20, maxFiles: 10 }));
  const staging = new Staging({ bulk, repository: undefined, timeoutMs: 60_000 });
  const artifactUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/fw.bin`;
  const update = { id: "bcm", artifactUri } as UpdatePackage;
  return { asked, bulk, image: () => staging.image(update, TARGET, signal) as Promise<BulkInfo> };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

test("what was staged is not fetched twice", async (t) => {
  const { asked, image } = await stage(t);
  assert.equal((await image()).sha256, TARGET.sha256);
  assert.equal((await image()).sha256, TARGET.sha256);
  assert.equal(asked.requests, 1);
});

for (const [what, planted] of [
  ["of the same length", Buffer.alloc(IMAGE.byteLength, 0x41)],
  ["longer", Buffer.alloc(100)],
  ["empty", Buffer.alloc(0)],
] as const) {
  test(`another file in the place of a staged image is fetched anew, not installed: ${what}`, async (t) => {
    const { bulk, image } = await stage(t);
    const { component, category, id, name, mimetype } = await image();
    // power went before the check, or somebody uploaded it: an update may be called as a component
    await bulk.write({ component, category, id, name, mimetype }, 0, once(planted), true);
    assert.equal((await image()).sha256, TARGET.sha256);
  });
}

for (const [uri, key] of [
  ["/components/ECU/bulk-data/fw/a%2Db", { component: "ecu", category: "fw", id: "a-b" }],
  ["/api/v1/components/ecu/bulk-data/fw/x", { component: "ecu", category: "fw", id: "x" }],
  ["/components/ecu/bulk-data/fw/%", undefined],
  ["/components/%ff/bulk-data/fw/x", undefined],
  ["/components/ecu/bulk-data/fw", undefined],
  ["http://host/components/ecu/bulk-data/fw/x", undefined],
] as const) {
  test(`a place in bulk data: ${uri}`, () => assert.deepEqual(bulkKeyOf(uri), key));
}
