/** Rules an operator may set for the database update: versions, signatures, names, retrieval; and what outlives a restart. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Tree } from "#config/tree.ts";
import { createLogger } from "#telemetry/logger.ts";
import { startServer } from "../../src/main.ts";
import { cleanup } from "../fixtures/cleanup.ts";
import { type Answer, type Harness, startHarness } from "./harness.ts";
import {
  completed,
  execute,
  files,
  mdd,
  NEXT,
  RUN,
  snapshot,
  updaterOf,
  upload,
  vehicleLocked,
} from "./runtime-update-support.ts";

async function serve(t: TestContext, config: Tree): Promise<Harness> {
  const harness = await startHarness({ config });
  cleanup(t, () => harness.close());
  return harness;
}

const is = (answer: Answer, status: number, json?: object) => {
  assert.equal(answer.status, status, answer.text);
  if (json !== undefined) assert.deepEqual(answer.json, json);
};

test("an older version is refused, also after its ECU was deleted, and after a rollback", async (t) => {
  const h = await serve(t, { update: { allow_downgrade: false } });
  const old = await mdd("BODY", "0.9.10");
  const same = await mdd("BODY", "1.0.0");
  const newer = await mdd("BODY", "1.10.0");
  await vehicleLocked(h, async () => {
    const refused = await upload(h, { "body.mdd": old });
    is(refused, 400);
    assert.equal(refused.json.vendor_code, "invalid-data");
    assert.match(refused.json.message, /BODY has revision 0\.9\.10, older than 1\.0\.0/);
    is(await upload(h, { "body.mdd": same }), 201);
    is(await upload(h, { "body.mdd": newer }), 201);
    await completed(h, "apply");
    is(await upload(h, { "body.mdd": await mdd("BODY", "1.9.0") }), 400);
    is(await h.http.delete(`${NEXT}/body.mdd`), 204);
    await completed(h, "apply");
    is(await h.http.get("/components/body"), 404);
    const remembered = await upload(h, { "other-name.mdd": same });
    is(remembered, 400);
    assert.match(remembered.json.message, /older than 1\.10\.0/);
    is(await upload(h, { "body.mdd": await mdd("BODY", "1.10.1") }), 201);
    await completed(h, "apply");
    await completed(h, "rollback");
    is(await upload(h, { "body.mdd": newer }), 400);
  });
});

test("what was staged before a newer version came is judged again at apply", async (t) => {
  const h = await serve(t, { update: { allow_downgrade: false } });
  await vehicleLocked(h, async () => {
    is(await upload(h, { "body.mdd": await mdd("BODY", "2.0.0") }), 201);
    await completed(h, "apply");
    await completed(h, "rollback");
    is(await upload(h, { "engine.mdd": await mdd("ENGINE", "2.0.0") }), 201);
    // body 1.0.0 is older than what was once in use, and yet it is what is in use
    await completed(h, "apply");
  });
});

test("signatures: required, of a trusted key, over the content as it is", async (t) => {
  const trusted = generateKeyPairSync("ed25519");
  const stranger = generateKeyPairSync("ed25519");
  const key = join(tmpdir(), `update-key-${process.pid}.pem`);
  await writeFile(key, trusted.publicKey.export({ type: "spki", format: "pem" }));
  cleanup(t, () => rm(key));
  const h = await serve(t, { update: { verify_databases: "required", trusted_keys: [key] } });
  const rows: readonly [name: string, content: Uint8Array, status: number][] = [
    ["unsigned", await mdd("BODY", "2"), 400],
    ["signed by a stranger", await mdd("BODY", "2", { signingKeys: stranger }), 400],
    ["signed", await mdd("BODY", "2", { signingKeys: trusted }), 201],
  ];
  await vehicleLocked(h, async () => {
    for (const [name, content, status] of rows) {
      const answer = await upload(h, { "body.mdd": content });
      assert.equal(answer.status, status, `${name}: ${answer.text}`);
      if (status === 400) assert.match(answer.json.message, /no trusted signature/);
    }
    await completed(h, "apply");
  });
});

test("signatures that are optional are checked where they are", async (t) => {
  const trusted = generateKeyPairSync("ed25519");
  const key = join(tmpdir(), `update-optional-key-${process.pid}.pem`);
  await writeFile(key, trusted.publicKey.export({ type: "spki", format: "pem" }));
  cleanup(t, () => rm(key));
  const h = await serve(t, { update: { verify_databases: "optional", trusted_keys: [key] } });
  const { privateKey } = generateKeyPairSync("ed25519");
  const signed = await mdd("BODY", "2", { signingKeys: trusted });
  const forged = await mdd("BODY", "2", { signingKeys: { privateKey, publicKey: trusted.publicKey } });
  await vehicleLocked(h, async () => {
    is(await upload(h, { "body.mdd": await mdd("BODY", "2") }), 201);
    is(await upload(h, { "body.mdd": signed }), 201);
    const refused = await upload(h, { "body.mdd": forged });
    is(refused, 400);
    assert.match(refused.json.message, /signature ed25519_chunk is wrong/);
  });
});

test("a key that cannot be read ends the start, and is named", async (t) => {
  const trusted_keys = ["/nowhere/key.pem"];
  await assert.rejects(
    serve(t, { update: { verify_databases: "required", trusted_keys } }),
    /update\.trusted_keys: \/nowhere\/key\.pem/,
  );
});

test("the operator's verifier has a word", async (t) => {
  const module = join(tmpdir(), `update-verifier-${process.pid}.mjs`);
  await writeFile(
    module,
    `export default () => ({ verify: ({ ecuName, revision, container }, known) =>
       revision === "6.6.6" ? ecuName + " of " + container.length + " bytes after " + known.current : undefined })`,
  );
  cleanup(t, () => rm(module));
  const h = await serve(t, { update: { database_verifier: module } });
  const evil = await mdd("BODY", "6.6.6");
  await vehicleLocked(h, async () => {
    const refused = await upload(h, { "body.mdd": evil });
    is(refused, 400);
    assert.equal(refused.json.message, `Validation failed: body.mdd: BODY of ${evil.length} bytes after 1.0.0`);
    is(await upload(h, { "body.mdd": await mdd("BODY", "7") }), 201);
  });
});

test("files are named after their ECU, so that each has one", async (t) => {
  const h = await serve(t, { update: { normalise_names: true } });
  const ids = async () => (await h.http.get(NEXT)).json.items.map(({ id }: { id: string }) => id);
  await vehicleLocked(h, async () => {
    const before = await ids();
    is(await upload(h, { "download (3).mdd": await mdd("BODY", "2") }), 201, { items: [{ id: "body.mdd" }] });
    assert.deepEqual(await ids(), before);
    const staged = await snapshot(h);
    const twice = { "a.mdd": await mdd("BODY", "3"), "b.mdd": await mdd("BODY", "4") };
    is(await upload(h, twice), 400);
    assert.deepEqual(await snapshot(h), staged);
  });
});

test("databases are retrieved when that is allowed, byte for byte", async (t) => {
  const h = await serve(t, { update: { allow_download: true } });
  const large = await mdd("BODY", "2", {
    chunks: [{ type: 3, name: "large.bin", content: new Uint8Array(3_000_000).map((_, i) => i * 7) }],
  });
  await vehicleLocked(h, async () => {
    is(await upload(h, { "body.mdd": large }), 201);
    const pending = await h.http.get(`${NEXT}/BODY.mdd`);
    is(pending, 200);
    assert.equal(pending.headers.get("content-type"), "application/octet-stream");
    assert.equal(pending.headers.get("content-length"), String(large.length));
    assert.deepEqual(Buffer.compare(pending.bytes, large), 0);
    await completed(h, "apply");
    assert.equal(Buffer.compare((await h.http.get(`${files("current")}/body.mdd`)).bytes, large), 0);
    is(await h.http.get(`${files("backup")}/body.mdd`), 200);
    const { json } = await h.http.post("/authorize", { client_id: "tester", client_secret: "x" });
    const headers = { authorization: `Bearer ${json.access_token}` };
    const head = await h.http.send("HEAD", `${files("current")}/body.mdd`, { headers });
    is(head, 200);
    assert.equal(head.headers.get("content-length"), String(large.length));
    assert.equal(head.bytes.length, 0);
    is(await h.http.get(`${files("current")}/nobody.mdd`), 404);
    is(await h.http.get(`${files("current")}/body.mdd`, { as: null }), 401);
  });
});

test("a restart finds sets, pending files and the execution as they were; an emptied set stays empty", async (t) => {
  const h = await serve(t, {});
  const ids = async (url: string, token: string) => {
    const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
    return ((await response.json()) as { items: { id: string }[] }).items.map(({ id }) => id);
  };
  let execution = "";
  await vehicleLocked(h, async () => {
    const all = (await h.http.get(NEXT)).json.items.map(({ id }: { id: string }) => id);
    for (const id of all) is(await h.http.delete(`${NEXT}/${id}`), 204);
    const begun = await h.http.post(RUN, { mode: "apply" });
    execution = begun.json.id;
    await updaterOf(h).idle();
    is(await upload(h, { "body.mdd": await mdd("BODY", "5") }), 201);
  });
  const token = (await h.http.post("/authorize", { client_id: "tester", client_secret: "x" })).json.access_token;
  await h.server.close();
  const again = await startServer(h.config, createLogger(h.config.logging));
  cleanup(t, () => again.close());
  await again.ready;
  const base = `http://127.0.0.1:${again.port}/vehicle/v15`;
  assert.deepEqual(await ids(`${base}${files("current")}`, token), []);
  assert.deepEqual(await ids(`${base}${NEXT}`, token), ["body.mdd"]);
  assert.equal((await ids(`${base}${files("backup")}`, token)).length, 6);
  const seen = await fetch(`${base}${RUN}/${execution}`);
  assert.deepEqual(await seen.json(), { status: "completed", parameters: { mode: "apply" } });
});

test("only one change at a time: an upload that lasts keeps others and executions waiting their turn", async (t) => {
  const h = await serve(t, {});
  const body = await mdd("BODY", "2");
  const token = (await h.http.post("/authorize", { client_id: "tester", client_secret: "x" })).json.access_token;
  await vehicleLocked(h, async () => {
    let finish = (): void => undefined;
    const slow = new ReadableStream<Uint8Array>({
      start: (controller) => {
        controller.enqueue(body.subarray(0, 100));
        finish = () => {
          controller.enqueue(body.subarray(100));
          controller.close();
        };
      },
    });
    const first = h.http.send("POST", NEXT, {
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": "application/octet-stream",
        "content-disposition": 'attachment; filename="body.mdd"',
      },
      body: slow,
      duplex: "half",
    } as RequestInit);
    let second: Answer;
    do second = await h.http.delete(NEXT);
    while (second.status === 200);
    is(second, 409);
    assert.equal(second.json.vendor_code, "storage-transaction-busy");
    assert.equal(second.headers.get("retry-after"), "1");
    is(await upload(h, { "engine.mdd": await mdd("ENGINE", "2") }), 409);
    is(await h.http.post(RUN, { mode: "apply" }), 409);
    finish();
    is(await first, 201);
    is(await execute(h, "apply"), 200, { status: "completed", parameters: { mode: "apply" } });
  });
});
