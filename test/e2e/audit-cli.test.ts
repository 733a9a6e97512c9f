/** `sovd-edge audit verify` as a process of its own: on a server, on the store it has open, on a backup, and on copies that were tampered with. */
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, verify as signedBy } from "node:crypto";
import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { openStoreEnvironment } from "#store/environments.ts";
import { createLmdbPersistence } from "#store/lmdb-persistence.ts";
import { backupFolder } from "#store/maintenance.ts";
import type { Persistence } from "#store/persistence.ts";
import { canonical } from "#update/software/canonical.ts";
import { BUCKETS, keyOf, readRecord } from "#update/software/journal/chain.ts";
import { scratchFolder } from "../fixtures/cleanup.ts";
import { serveHttp } from "../fixtures/http-server.ts";
import { cli } from "./cli-support.ts";
import { run, startNode, upload } from "./updates-support.ts";

const MIB = 1 << 20;
const LIMITS = { databases: 64 * MIB, state: 64 * MIB, bulk: 512 * MIB };

test("a chain is whole wherever it lies; a change, a hole, a cut tail end with 1", async (t) => {
  const folder = scratchFolder("audit");
  const slot = { provider: "slot", folder: join(folder, "slots") };
  const node = await startNode(t, { component: "compute", targets: { compute: slot } });
  const uri = await upload(node, "compute", "software");
  await run(node, { id: "fw", affected_components: ["compute"], artifact_uri: uri });
  await node.until("fw", "completed");
  const store = join(node.folder, "store");
  const verify = (...argv: string[]) => cli("audit", "verify", ...argv);

  const live = await verify("--to", node.url);
  assert.deepEqual([live.code, live.err], [0, ""]);
  const head = /^whole: \d+ records, head (\d+:[0-9a-f]{64})$/m.exec(live.out)?.[1] ?? "";
  assert.notEqual(head, "");
  const sparing = await pagesOf(t, new URL(node.url).origin, 2);
  assert.deepEqual(
    await verify("--to", sparing + new URL(node.url).pathname),
    live,
    "a server that gives few at a time",
  );
  const backup = join(folder, "backup");
  await backupFolder(store, backup, LIMITS);
  for (const place of [store, backup]) {
    assert.deepEqual(await verify("--store", place, "--expect", head), { code: 0, out: live.out, err: "" });
  }

  const [seq] = head.split(":").map(Number) as [number];
  const copies: Record<string, readonly [change: (disk: Persistence) => Promise<void>, says: RegExp]> = {
    changed: [
      (disk) => {
        const record = { ...readRecord(disk, keyOf(3)), actor: "nobody" };
        return disk.set(BUCKETS.audit, keyOf(3), JSON.stringify(record));
      },
      /broken at record 3: does not match its hash/,
    ],
    "with a hole": [(disk) => disk.delete(BUCKETS.audit, keyOf(4)), /broken at record 4: record 4 is missing/],
    "without its tail": [
      (disk) => disk.delete(BUCKETS.audit, keyOf(seq)),
      new RegExp(`broken at record ${seq}: the chain ends, but update fw stands at record ${seq}`),
    ],
    "without its tail and its update": [
      async (disk) => {
        await disk.delete(BUCKETS.audit, keyOf(seq));
        await disk.delete(BUCKETS.campaigns, "fw");
      },
      /the chain ends before record/,
    ],
  };
  for (const [what, [change, says]] of Object.entries(copies)) {
    const copy = join(folder, what);
    await cp(backup, join(copy, "store"), { recursive: true });
    const env = await openStoreEnvironment(copy, "state", { maxBytes: LIMITS.state });
    const disk = createLmdbPersistence(env);
    await change(disk);
    await disk.flush();
    await env.close();
    const { code, err } = await verify("--store", copy, ...(what.endsWith("update") ? ["--expect", head] : []));
    assert.equal(code, 1, what);
    assert.match(err, says);
  }
});

test("signed heads: the chain of a server and of its store hold them; a cut tail, another key end with 1", async (t) => {
  const folder = scratchFolder("audit");
  const pem = async (name: string) => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    await writeFile(join(folder, name), privateKey.export({ type: "pkcs8", format: "pem" }));
    const file = join(folder, `${name}.pub`);
    await writeFile(file, publicKey.export({ type: "spki", format: "pem" }));
    return { file, publicKey };
  };
  const [own, other] = [await pem("own"), await pem("other")];
  const slot = { provider: "slot", folder: join(folder, "slots") };
  const audit_key = join(folder, "own");
  const node = await startNode(t, { component: "compute", targets: { compute: slot }, audit_key });
  const uri = await upload(node, "compute", "software");
  await run(node, { id: "fw", affected_components: ["compute"], artifact_uri: uri });
  await node.until("fw", "completed");

  const { items, signed_head: head } = (await node.send("GET", "/updates/fw/x-audit")).json;
  assert.deepEqual([head.seq, head.hash], [items.at(-1).seq, items.at(-1).hash], "the end of the update is signed");
  const { key, signature, ...rest } = head;
  const text = canonical({ type: "sovd-edge audit head", ...rest });
  assert.ok(signedBy(null, Buffer.from(text), own.publicKey, Buffer.from(signature, "base64")));
  const spki = own.publicKey.export({ type: "spki", format: "der" });
  assert.equal(key, createHash("sha256").update(spki).digest("hex"));

  const verify = (...argv: string[]) => cli("audit", "verify", ...argv);
  const live = await verify("--to", node.url, "--key", own.file);
  assert.match(live.out, new RegExp(`^whole: .*\nsigned up to record ${head.seq}, `));
  const store = join(node.folder, "store");
  assert.deepEqual(await verify("--store", store, "--key", other.file, own.file), live);
  const stranger = await verify("--to", node.url, "--key", other.file);
  assert.equal(stranger.code, 1);
  assert.match(stranger.err, /its head is signed by no key that was given/);

  const copy = join(folder, "copy");
  await backupFolder(store, join(copy, "store"), LIMITS);
  const env = await openStoreEnvironment(copy, "state", { maxBytes: LIMITS.state });
  const disk = createLmdbPersistence(env);
  await disk.delete(BUCKETS.audit, keyOf(head.seq));
  await disk.delete(BUCKETS.campaigns, "fw");
  await disk.flush();
  await env.close();
  const cut = await verify("--store", copy, "--key", own.file);
  assert.equal(cut.code, 1);
  assert.match(cut.err, new RegExp(`the chain ends before record ${head.seq}, whose head was signed`));
  assert.equal((await verify("--store", copy)).code, 0, "without the key it cannot show");
});

/** A server before `origin` whose lists are no longer than `items`. */
async function pagesOf(t: TestContext, origin: string, items: number): Promise<string> {
  const host = await serveHttp(t, async (request, response) => {
    const { method = "GET", url = "", headers } = request;
    const { authorization = "", "content-type": type = "" } = headers;
    const body = method === "GET" ? null : await text(request);
    const answer = await fetch(origin + url, { method, headers: { authorization, "content-type": type }, body });
    const json = (await answer.json()) as { items?: unknown[] };
    response.writeHead(answer.status).end(JSON.stringify(json.items ? { items: json.items.slice(0, items) } : json));
  });
  return `http://${host}`;
}

const WRONG: readonly [argv: readonly string[], says: RegExp, code?: number][] = [
  [["--store", "/nowhere"], /There is no store/],
  [["--to", "http://127.0.0.1:1/api/v1"], /ECONNREFUSED/],
  [["--to", "http://127.0.0.1:1/api/v1", "--store", "/nowhere"], /one of --to and --store/, 2],
  [[], /one of --to and --store/, 2],
  [["--store", "/nowhere", "--expect", "12"], /is not seq:hash/, 2],
  [["--store", "/nowhere", "--key", "/nowhere.pem"], /--key: \/nowhere\.pem: ENOENT/],
];
test("what cannot be read says so and ends with 1; what was written wrongly with 2", async () => {
  for (const [argv, says, wanted = 1] of WRONG) {
    const { code, err, out } = await cli("audit", "verify", ...argv);
    assert.deepEqual([code, out], [wanted, ""], argv.join(" "));
    assert.match(err, says);
    assert.ok(!err.includes("    at "), `a stack: ${err}`);
  }
});
