/** The parts of the software update that stand alone. */
import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { createMemoryPersistence } from "#store/memory-persistence.ts";
import { createMemoryStorage } from "#store/memory-storage.ts";
import { Bulk } from "#update/software/bulk/bulk.ts";
import { SEGMENT_BYTES, StorageBulkWriter } from "#update/software/bulk/writer.ts";
import { matches, valueAt } from "#update/software/campaign/preconditions.ts";
import { canonical } from "#update/software/canonical.ts";
import { GENESIS, hashOf, verifyChain } from "#update/software/journal/audit.ts";
import { Journal } from "#update/software/journal/journal.ts";
import { runCommand } from "#update/software/providers/command-runner.ts";
import { checkedRecipe, requestBytes } from "#update/software/providers/uds-recipe.ts";
import { checkManifest, checkVersion } from "#update/software/trust/trust.ts";
import { compareVersions } from "#update/software/trust/versions.ts";
import fc from "../../fixtures/properties.ts";
import { sha256 } from "./job-support.ts";

test("versions in the order people mean", () => {
  const ordered = ["0.9", "1.0-alpha", "1.0-rc1", "1.0", "v1.0.1", "1.2", "1.10", "2", "10.0.0"];
  for (const [i, a] of ordered.entries()) {
    for (const [j, b] of ordered.entries())
      assert.equal(Math.sign(compareVersions(a, b)), Math.sign(i - j), `${a} ${b}`);
  }
  assert.equal(compareVersions("1.0+build5", "1.0"), 0);
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      assert.equal(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a)), 0);
    }),
  );
});

test("no version below the installed one or the floor", () => {
  assert.throws(() => checkVersion("1.0", "1.1", undefined), Fault);
  assert.throws(() => checkVersion("1.0", undefined, "1.1"), Fault);
  checkVersion("1.1", "1.1", "1.0");
  checkVersion(undefined, "1.1", undefined);
  assert.throws(() => checkVersion(undefined, "1.1", "1.0"), /proves no version/);
});

test("canonical text does not depend on the order of keys", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const turned = Object.fromEntries(Object.entries(value).reverse());
      assert.equal(canonical(turned), canonical(value));
    }),
  );
  assert.equal(canonical({ b: [1, { d: null, c: "x" }], a: true }), '{"a":true,"b":[1,{"c":"x","d":null}]}');
});

async function chainOf(length: number, maxRecords = 10_000) {
  const journal = new Journal({ persistence: createMemoryPersistence(), nowMs: () => 0, maxRecords });
  await journal.open();
  for (let i = 1; i <= length; i++) await journal.note({ actor: "a", campaign: "c", event: `e${i}`, result: "ok" });
  return journal;
}

test("audit: a changed, missing, added or swapped record shows; a cut tail against a noted head", async () => {
  const records = [...(await chainOf(5)).records()];
  assert.ok(verifyChain(records).whole);
  const broken: Record<string, typeof records> = {
    changed: records.map((record) => (record.seq === 3 ? { ...record, result: "other" } : record)),
    missing: records.filter(({ seq }) => seq !== 3),
    added: [...records.slice(0, 3), records[2]!, ...records.slice(3)],
    swapped: [records[1]!, records[0]!, ...records.slice(2)],
  };
  for (const [what, chain] of Object.entries(broken)) assert.equal(verifyChain(chain).whole, false, what);
  const { hash: _, ...third } = { ...records[2]!, result: "other" };
  const forged = records.map((record) => (record.seq === 3 ? { ...third, hash: hashOf(third) } : record));
  assert.deepEqual(verifyChain(forged), { whole: false, seq: 4, problem: "does not follow the record before" });
  const { seq, hash } = records.at(-1)!;
  assert.ok(verifyChain(records.slice(0, 4)).whole, "without a key a cut tail cannot show");
  assert.equal(verifyChain(records.slice(0, 4), { seq: 0, hash: GENESIS }, { seq, hash }).whole, false);
});

test("audit: pruning leaves an anchor the rest still hangs on", async () => {
  const journal = await chainOf(300, 100);
  const kept = [...journal.records()];
  assert.ok(kept.length < 200 && kept.length >= 100);
  assert.ok(journal.verify().whole);
});

test("signatures: by a trusted key, over this manifest, for this package, in time", () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const manifest = { id: "fw", expires: "2030-01-01T00:00:00Z", targets: {} };
  const signatures = [sign(null, Buffer.from(canonical(manifest)), privateKey).toString("base64")];
  const now = Date.parse("2029-01-01T00:00:00Z");
  const kindOf = (work: () => void) => {
    try {
      work();
      return "ok";
    } catch (error) {
      return (error as Fault).kind;
    }
  };
  const check = (claim: object, mode: "required" | "optional" | "none", nowMs = now) =>
    kindOf(() => checkManifest({ id: "fw", manifest, signatures, ...claim } as never, mode, [publicKey], nowMs));
  assert.equal(check({}, "required"), "ok");
  assert.equal(check({ signatures: [] }, "required"), "invalidSignature");
  assert.equal(check({ signatures: [] }, "optional"), "ok");
  assert.equal(check({ manifest: undefined }, "required"), "invalidSignature");
  assert.equal(check({ manifest: { ...manifest, version: "9" } }, "optional"), "invalidSignature");
  assert.equal(check({ signatures: ["AAAA"] }, "optional"), "invalidSignature");
  assert.equal(check({ signatures: ["AAAA"] }, "none"), "ok");
  assert.equal(check({ id: "other" }, "required"), "invalidData");
  assert.equal(check({}, "required", Date.parse("2031-01-01T00:00:00Z")), "invalidData");
});

test("recipes: places are filled as bytes; what is no recipe is named", () => {
  const fillings = { version: "2.0", previous: undefined, size: 256, address: 16, crc32: 0 };
  assert.deepEqual([...requestBytes("2E F1 95 {version}", fillings)], [0x2e, 0xf1, 0x95, 0x32, 0x2e, 0x30]);
  assert.deepEqual([...requestBytes("34 {size}", fillings)], [0x34, 0, 0, 1, 0]);
  assert.throws(() => requestBytes("2E {previous}", fillings), /previous, which is not known/);
  for (const bad of [
    {},
    { step: [] },
    { step: [{ request: "2" }] },
    { step: [{ security: 0 }] },
    { step: [{ request: "22", oops: 1 }] },
  ]) {
    assert.throws(() => checkedRecipe(bad, "test"), Fault);
  }
});

const BLIND: readonly [requests: readonly string[], ends: boolean][] = [
  [["85 02"], true],
  [["8582", "31 01 FF 00"], true],
  [["85 01", "85 02"], true],
  [["85 02", "85 01"], false],
  [["85 02", "11 01"], false],
  [["85 02", "10 81"], false],
  [["85 02", "10 02", "1101"], false],
  [["22 85 02"], false],
];
test("recipes: DTC setting is on again before the health check asks for faults", () => {
  for (const [requests, ends] of BLIND) {
    const made = () => checkedRecipe({ step: requests.map((request) => ({ request })) }, "test");
    if (ends) assert.throws(made, /the health check would see no faults/, requests.join());
    else made();
  }
});

test("commands: no shell, a time limit, the exit code counts", async () => {
  assert.equal(await runCommand(["echo", "$HOME; ls"], { timeoutMs: 60_000 }), "$HOME; ls\n");
  await assert.rejects(runCommand(["false"], { timeoutMs: 60_000 }), /ended with 1/);
  await assert.rejects(runCommand(["sleep", "30"], { timeoutMs: 20 }), /did not end within 20 ms/);
  await assert.rejects(runCommand(["/no/such/program"], { timeoutMs: 20 }), /ENOENT/);
});

test("preconditions read a value by pointer", () => {
  const answer = { data: { Speed: 0, "a/b": { c: "12.5 V" } } };
  assert.equal(valueAt(answer, "/data/a~1b/c"), "12.5 V");
  const condition = { component: "x", data: "y" };
  assert.ok(matches(0, { ...condition, max: 0 }));
  assert.ok(matches("12.5 V", { ...condition, min: 11 }));
  assert.ok(!matches("12.5 V", { ...condition, min: 13 }));
  assert.ok(!matches(undefined, { ...condition, min: 0 }));
  assert.ok(!matches(undefined, condition));
  assert.ok(matches("Parked", { ...condition, equals: "Parked" }));
});

test("bulk: a cut upload goes on where its last segment ended, and the hash is that of the whole", async () => {
  const storage = createMemoryStorage({ maxMappedBytes: 1 << 20, maxBytes: 64 << 20 });
  const bulk = new Bulk(storage, new StorageBulkWriter(storage, { maxBytes: 32 << 20, maxFiles: 2 }));
  const start = { component: "c", category: "k", id: "f", name: "f", mimetype: "x/y" };
  const content = Buffer.alloc(2 * SEGMENT_BYTES + 100, "0123456789");
  async function* cut() {
    yield content.subarray(0, SEGMENT_BYTES + 50);
    throw new Fault("badRequest", "gone");
  }
  async function* rest(from: number) {
    yield content.subarray(from);
  }
  await assert.rejects(bulk.write(start, 0, cut(), true), /gone/);
  const { size } = bulk.get(start);
  assert.equal(size, SEGMENT_BYTES);
  await assert.rejects(
    bulk.write(start, size + 1, rest(size), true),
    (error) => (error as Fault).kind === "rangeNotSatisfiable",
  );
  const info = await bulk.write(start, size, rest(size), true);
  const { createHash } = await import("node:crypto");
  assert.equal(info.sha256, createHash("sha256").update(content).digest("hex"));
  assert.ok(
    Buffer.concat([...bulk.chunks(info, SEGMENT_BYTES - 3, SEGMENT_BYTES + 3)]).equals(
      content.subarray(SEGMENT_BYTES - 3, SEGMENT_BYTES + 3),
    ),
  );
  await bulk.write({ ...start, id: "g" }, 0, rest(0), true);
  await assert.rejects(
    bulk.write({ ...start, id: "h" }, 0, rest(0), true),
    (error) => (error as Fault).kind === "noSpaceLeft",
  );
});

test("bulk: a whole file stays until what is to replace it is whole, which may take several tries", async () => {
  const storage = createMemoryStorage({ maxMappedBytes: 1 << 20, maxBytes: 64 << 20 });
  const bulk = new Bulk(storage, new StorageBulkWriter(storage, { maxBytes: 32 << 20, maxFiles: 1 }));
  const start = { component: "c", category: "k", id: "f", name: "f", mimetype: "x/y" };
  const [old, next] = [Buffer.from("old"), Buffer.alloc(SEGMENT_BYTES + 100, "next")];
  async function* of(bytes: Buffer, isCut = false) {
    yield bytes;
    if (isCut) throw new Fault("badRequest", "gone");
  }
  const content = () => Buffer.concat([...bulk.chunks(bulk.get(start))]);
  const before = await bulk.write(start, 0, of(old), true);
  await assert.rejects(bulk.write(start, 0, of(old, true), true), /gone/);
  assert.deepEqual(bulk.upload(start), before, "nothing came that an upload could go on with");
  for (let tries = 2; tries > 0; tries--) await assert.rejects(bulk.write(start, 0, of(next, true), true), /gone/);
  assert.ok(content().equals(old));
  assert.deepEqual([bulk.find(start), bulk.list("c", "k")], [before, [before]]);
  const { size, complete } = bulk.upload(start)!;
  assert.deepEqual([size, complete], [SEGMENT_BYTES, false]);
  const after = await bulk.write(start, size, of(next.subarray(size)), true);
  assert.ok(content().equals(next));
  assert.deepEqual([after.sha256, bulk.upload(start)], [sha256(next), after]);
  assert.equal(storage.collections().length, 1, "nothing stays of the old one, nor of the first tries");
  await assert.rejects(bulk.write(start, 0, of(next, true), true), /gone/);
  await bulk.remove(start);
  assert.equal(bulk.upload(start), undefined, "what was coming goes with the file");
  assert.deepEqual(storage.collections(), []);
});
