/** Firmware from a registry that cuts connections, knows ranges or does not, and has indexes of several images. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import { type TestContext, test } from "node:test";
import { createMemoryStorage } from "#store/memory-storage.ts";
import { Images } from "#update/ajour/images.ts";
import { OciSource } from "#update/ajour/oci.ts";
import { Bulk } from "#update/software/bulk/bulk.ts";
import { SEGMENT_BYTES, StorageBulkWriter } from "#update/software/bulk/writer.ts";
import { serveHttp } from "../../fixtures/http-server.ts";

const SIGNAL = new AbortController().signal;
const digestOf = (bytes: Uint8Array | string) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const firmware = randomBytes(SEGMENT_BYTES + 2_000_000);

/** How a registry answers for its blobs. */
interface Manner {
  /** Body bytes of each answer before the connection is cut; whole ones after the last. */
  readonly cuts: number[];
  readonly ranges: boolean;
  /** What is added to where a range begins. */
  readonly shift?: number;
}

const OCTETS = { mediaType: "application/octet-stream" };

/** An index, one manifest per platform; each one's firmware is the name of its platform, that of the first is `firmware`. */
async function startRegistry(
  t: TestContext,
  platforms: readonly (string | undefined)[],
  manner: Manner,
  layer: object = OCTETS,
) {
  const blobs = new Map<string, Uint8Array>();
  const manifests = new Map<string, string>();
  const asked: (string | undefined)[] = [];
  const entries = platforms.map((name, i) => {
    const blob = i === 0 ? firmware : Buffer.from(name ?? "any");
    blobs.set(digestOf(blob), blob);
    const manifest = JSON.stringify({ layers: [{ ...layer, digest: digestOf(blob) }] });
    manifests.set(digestOf(manifest), manifest);
    const [os, architecture, variant] = name?.split("/") ?? [];
    return { digest: digestOf(manifest), ...(name && { platform: { os, architecture, variant } }) };
  });
  manifests.set("1.0", JSON.stringify({ manifests: entries }));
  const host = await serveHttp(t, (request, response) => {
    const [, kind, name = ""] = /^\/v2\/acme\/bms\/(manifests|blobs)\/(.+)$/.exec(request.url ?? "") ?? [];
    if (kind === "manifests") response.end(manifests.get(name));
    else {
      asked.push(request.headers.range);
      sendBlob(response, blobs.get(name)!, request.headers.range, manner);
    }
  });
  const source = (platform?: string) =>
    new OciSource({
      image: `${host}/acme/bms:1.0`,
      pull: "Always",
      platform,
      defaultRegistry: host,
      registries: { [host]: { plain_http: true } },
      timeoutMs: 60_000,
      refreshMs: 1_000,
    });
  return { source, asked };
}

function sendBlob(response: ServerResponse, blob: Uint8Array, range: string | undefined, manner: Manner): void {
  const { cuts, ranges, shift = 0 } = manner;
  const from = ranges && range !== undefined ? Number(/^bytes=(\d+)-$/.exec(range)?.[1]) + shift : 0;
  const rest = blob.subarray(from);
  const headers = { "content-length": rest.byteLength };
  if (from >= blob.byteLength) response.writeHead(416).end();
  else if (from === 0) response.writeHead(200, headers);
  else
    response.writeHead(206, { ...headers, "content-range": `bytes ${from}-${blob.byteLength - 1}/${blob.byteLength}` });
  if (response.writableEnded) return;
  const cut = cuts.shift();
  if (cut === undefined) response.end(rest);
  else response.write(rest.subarray(0, cut), () => setImmediate(() => response.destroy()));
}

/** A store, and what it does with what a source offers. */
function startStore() {
  const storage = createMemoryStorage({ maxMappedBytes: 1 << 20, maxBytes: 32 << 20 });
  const bulk = new Bulk(storage, new StorageBulkWriter(storage, { maxBytes: 1 << 30, maxFiles: 10 }));
  const images = new Images(bulk, 2);
  const put = async (source: OciSource): Promise<string> => {
    const { name, sha256, fetch } = await source.look(SIGNAL);
    return images.put({ name, sha256, read: (offset) => fetch(SIGNAL, offset) }, () => sha256);
  };
  return { put, sizeOf: (sha256: string) => images.sizeOf(sha256) };
}

const whole = digestOf(firmware).slice("sha256:".length);
/** Where each answer after a cut has to go on; what a cut loses in the sender's buffers is not known before. */
const startsOf = (asked: readonly (string | undefined)[]) =>
  asked.map((range) => (range === undefined ? 0 : Number(range.slice("bytes=".length, -1))));

test("a download that is cut goes on where it was", async (t) => {
  const { source, asked } = await startRegistry(t, [undefined], {
    cuts: [1_000_000, 200_000, 3_000_000],
    ranges: true,
  });
  const store = startStore();
  assert.equal(await store.put(source()), whole);
  assert.equal(store.sizeOf(whole), firmware.byteLength);
  const starts = startsOf(asked);
  assert.equal(starts.length, 4);
  assert.ok(
    starts.every((start, i) => i === 0 || start > starts[i - 1]!),
    "each goes on behind the one before",
  );
});

test("a server without ranges sends the beginning again, which is left out", async (t) => {
  const { source, asked } = await startRegistry(t, [undefined], { cuts: [1_000_000], ranges: false });
  const store = startStore();
  assert.equal(await store.put(source()), whole);
  assert.equal(asked.length, 2);
  assert.match(asked[1] ?? "", /^bytes=\d+-$/);
});

test("a later try goes on behind the segments that an earlier one stored", async (t) => {
  // the second connection brings nothing at all: the first try gives up
  const { source, asked } = await startRegistry(t, [undefined], { cuts: [SEGMENT_BYTES + 1_000_000, 0], ranges: true });
  const store = startStore();
  await assert.rejects(store.put(source()), /stopped at byte \d+/);
  assert.equal(store.sizeOf(whole), undefined, "what is not whole is not there");
  assert.equal(await store.put(source()), whole);
  assert.equal(asked.at(-1), `bytes=${SEGMENT_BYTES}-`);
});

test("an answer that leaves bytes out is refused", async (t) => {
  const { source } = await startRegistry(t, [undefined], { cuts: [1_000_000], ranges: true, shift: 1 });
  await assert.rejects(startStore().put(source()), /begins behind byte/);
});

const ARM = ["linux/arm/v7", "linux/arm64", undefined] as const;
const INDEXES: readonly [
  what: string,
  platforms: (string | undefined)[],
  platform: string | undefined,
  RegExp | true,
][] = [
  ["one image needs no platform", ["linux/arm/v7"], undefined, true],
  ["an attestation is no image", ["linux/arm/v7", "unknown/unknown"], undefined, true],
  ["of several, the platform's", ["linux/arm/v7", "linux/arm64"], "linux/arm/v7", true],
  ["a platform without variant", ["linux/arm/v7", "linux/arm64"], "linux/arm", true],
  ["an image for all", [undefined], "linux/arm", true],
  [
    "several and no platform",
    ["linux/arm/v7", "linux/arm64"],
    undefined,
    /of linux\/arm\/v7, linux\/arm64: no platform/,
  ],
  ["several of one platform", ["linux/arm/v7", "linux/arm/v6"], "linux/arm", /linux\/arm is not exactly one/],
  ["two that both fit", [...ARM], "linux/arm64", /linux\/arm64, any: platform linux\/arm64 is not exactly one/],
  ["none of the platform", ["linux/arm/v7"], "linux/amd64", /linux\/amd64 is not exactly one/],
  ["an empty index", [], undefined, /index of nothing/],
];
for (const [what, platforms, platform, expected] of INDEXES) {
  test(`index: ${what}`, async (t) => {
    const { source } = await startRegistry(t, platforms, { cuts: [], ranges: true });
    const looked = source(platform).look(SIGNAL);
    if (expected === true) assert.equal((await looked).sha256, whole);
    else await assert.rejects(looked, expected);
  });
}

const TAR = "application/vnd.oci.image.layer.v1.tar";
const titled = (unpack?: string) => ({
  "org.opencontainers.image.title": "app.bin",
  ...(unpack && { "io.deis.oras.content.unpack": unpack }),
});
const LAYERS: readonly [what: string, layer: object, taken: boolean][] = [
  ["octets", OCTETS, true],
  ["a type of the maker's own", { mediaType: "application/vnd.acme.firmware" }, true],
  ["a file that ORAS pushed", { mediaType: TAR, annotations: titled() }, true],
  ["a folder that ORAS pushed", { mediaType: `${TAR}+gzip`, annotations: titled("true") }, false],
  ["a file system of OCI", { mediaType: `${TAR}+zstd` }, false],
  ["a file system of Docker", { mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip" }, false],
];
for (const [what, layer, taken] of LAYERS) {
  test(`layer: ${what}`, async (t) => {
    const { source } = await startRegistry(t, [undefined], { cuts: [], ranges: true }, layer);
    const looked = source().look(SIGNAL);
    if (taken) assert.equal((await looked).sha256, whole);
    else await assert.rejects(looked, /not exactly one layer of firmware/);
  });
}
