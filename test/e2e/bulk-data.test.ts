/** Bulk data as RFC 9110 has it: ranges, conditions, media types; and what a refused upload leaves. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { startNode } from "./updates-support.ts";

const MIB = 1 << 20;
const FILES = "/components/compute/bulk-data/firmware";
const CONTENT = Buffer.from("0123456789");
const SIZE = CONTENT.length;
const ETAG = `"${createHash("sha256").update(CONTENT).digest("hex")}"`;
const BYTES = "application/octet-stream";

const nodeOf = (t: Parameters<typeof startNode>[0]) =>
  startNode(t, { component: "compute" }, { store: { max_upload_bytes: MIB } });

/** What is asked, status, content, Content-Range. */
const DOWNLOADS: readonly [Record<string, string>, number, string, string | null][] = [
  [{}, 200, "0123456789", null],
  [{ range: "bytes=2-4" }, 206, "234", `bytes 2-4/${SIZE}`],
  [{ range: "bytes=7-" }, 206, "789", `bytes 7-9/${SIZE}`],
  [{ range: "bytes=-2" }, 206, "89", `bytes 8-9/${SIZE}`],
  [{ range: "bytes=-99" }, 206, "0123456789", `bytes 0-9/${SIZE}`],
  [{ range: "bytes=0-99" }, 206, "0123456789", `bytes 0-9/${SIZE}`],
  [{ range: "Bytes=2-4" }, 206, "234", `bytes 2-4/${SIZE}`],
  [{ range: "bytes=10-" }, 416, "", `bytes */${SIZE}`],
  [{ range: "bytes=-0" }, 416, "", `bytes */${SIZE}`],
  [{ range: "lines=2-4" }, 200, "0123456789", null],
  [{ range: "bytes=0-1,4-5" }, 200, "0123456789", null],
  [{ range: "bytes=2-4", "if-range": ETAG }, 206, "234", `bytes 2-4/${SIZE}`],
  [{ range: "bytes=2-4", "if-range": '"other"' }, 200, "0123456789", null],
  [{ range: "bytes=2-4", "if-range": `W/${ETAG}` }, 200, "0123456789", null],
  [{ "if-none-match": ETAG }, 304, "", null],
  [{ "if-none-match": `W/${ETAG}` }, 304, "", null],
  [{ "if-none-match": `"other", ${ETAG}` }, 304, "", null],
  [{ "if-none-match": "*" }, 304, "", null],
  [{ "if-none-match": '"other"' }, 200, "0123456789", null],
];

/** Content-Type sent, status, type that is kept. */
const TYPES: readonly [string, number, string | undefined][] = [
  [BYTES, 201, BYTES],
  ["application/zstd", 201, "application/zstd"],
  ["application/json", 201, "application/json"],
  ["application/x-www-form-urlencoded", 201, BYTES],
  ["multipart/mixed; boundary=x", 415, undefined],
];

test("downloads: ranges and conditions", async (t) => {
  const node = await nodeOf(t);
  await node.send("PUT", `${FILES}/f`, CONTENT);
  for (const [asked, status, content, range] of DOWNLOADS) {
    const answer = await node.send("GET", `${FILES}/f`, undefined, asked);
    const text = status === 416 ? "" : answer.bytes.toString();
    const told = JSON.stringify(asked);
    assert.deepEqual([answer.status, text, answer.headers.get("content-range")], [status, content, range], told);
    if (status !== 416) assert.equal(answer.headers.get("etag"), ETAG, told);
  }
});

test("uploads of any type; the list by date", async (t) => {
  const node = await nodeOf(t);
  for (const [type, status, kept] of TYPES) {
    for (const [method, path] of [
      ["POST", FILES],
      ["PUT", `${FILES}/typed`],
    ] as const) {
      const answer = await node.send(method, path, CONTENT, { "content-type": type });
      assert.deepEqual([answer.status, answer.json.mimetype, answer.json.mime_type], [status, kept, kept], type);
    }
  }
  const form = { "content-type": "multipart/form-data; boundary=x" };
  assert.equal((await node.send("PUT", `${FILES}/typed`, CONTENT, form)).status, 415, "a form is posted");
  const count = async (query: string) => (await node.send("GET", `${FILES}?${query}`)).json.items?.length;
  const all = await count("");
  assert.equal(all, 5);
  assert.equal(await count("created-after=2020-01-01T00:00:00Z"), all);
  assert.equal(await count("created-before=2020-01-01T00:00:00Z"), 0);
  assert.equal((await node.send("GET", `${FILES}?created-after=soon`)).status, 400);
});

test("an upload that is announced too long changes nothing", async (t) => {
  const node = await nodeOf(t);
  await node.send("PUT", `${FILES}/f`, CONTENT);
  for (const [method, path] of [
    ["PUT", `${FILES}/f`],
    ["PUT", `${FILES}/fresh`],
    ["POST", FILES],
  ] as const) {
    assert.equal((await node.send(method, path, Buffer.alloc(MIB + 1))).status, 413, path);
  }
  assert.equal((await node.send("GET", `${FILES}/f`)).bytes.toString(), CONTENT.toString());
  assert.equal((await node.send("GET", FILES)).json.items.length, 1);
});
