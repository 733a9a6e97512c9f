import assert from "node:assert/strict";
import { mkdirSync, readdirSync, renameSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { databaseProperties, readSet } from "#store/databases.ts";
import { readFolderStore } from "#store/folder-store.ts";
import { importFolderStore } from "#store/import-folder-store.ts";
import { scratchFolder } from "../../fixtures/cleanup.ts";
import { contentOf, faultOf, PROVIDERS } from "./support.ts";

/** A store as the CDA lays it out (facts on its default provider): collection → file → text. */
function folderStore(collections: Record<string, Record<string, string>>): string {
  const folder = scratchFolder("store");
  mkdirSync(join(folder, "journal", "staging"), { recursive: true });
  for (const [collection, files] of Object.entries(collections)) {
    mkdirSync(join(folder, "collections", collection), { recursive: true });
    for (const [file, text] of Object.entries(files))
      writeFileSync(join(folder, "collections", collection, file), text);
  }
  return folder;
}

const RECORDING = 0;
const COMMITTING = 1;

function journal(folder: string, status: number, payloads: readonly string[], cut = 0): void {
  const header = Buffer.from([0xca, status, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32LE(crc32(header.subarray(0, 2)), 4);
  const entries = payloads.map((payload) => {
    const entry = Buffer.concat([Buffer.alloc(8), Buffer.from(payload)]);
    entry.writeUInt32LE(crc32(Buffer.from(payload)), 0);
    entry.writeUInt32LE(payload.length, 4);
    return entry;
  });
  const bytes = Buffer.concat([header, ...entries]);
  const path = join(folder, "journal", "transaction.wal");
  writeFileSync(path, bytes.subarray(0, bytes.length - cut));
}

/** Everything that is there now was there before the journal began to be applied. */
function settle(folder: string): void {
  const later = Date.now() / 1000 + 3600;
  utimesSync(join(folder, "journal", "transaction.wal"), later, later);
}

/** All that is there now came after. */
function unsettle(folder: string): void {
  utimesSync(join(folder, "journal", "transaction.wal"), 1, 1);
}

/** Writes a file anew until the clock of the file system has left the birth of its folder; returns its time in seconds. */
function bringAfterBirth(folder: string, file: string): number {
  const path = join(folder, file);
  const born = statSync(folder).birthtimeMs;
  do writeFileSync(path, "new");
  while (statSync(path).ctimeMs <= born + 1);
  return Math.floor(statSync(path).ctimeMs) / 1000;
}

const names = (folder: string) =>
  readFolderStore(folder)?.collections.map(({ name, files }) => [name, files.map(({ key }) => key)]);

test("no store, no view; temporary and backup names are invisible", () => {
  assert.equal(readFolderStore(scratchFolder("store")), undefined);
  const folder = folderStore({ c: { "A.mdd": "1", "b.tmp": "2", "c.bak": "3" }, "d.bak": { x: "4" } });
  assert.deepEqual(names(folder), [["c", ["a.mdd"]]]);
});

test("a journal still recording is discarded", () => {
  const folder = folderStore({ c: { a: "1" } });
  journal(folder, RECORDING, ["write c a"]);
  unsettle(folder);
  assert.deepEqual(names(folder), [["c", ["a"]]]);
});

test("an interrupted commit is rolled back: replaced, deleted and brought files", () => {
  const folder = folderStore({
    c: { kept: "k", replaced: "new", "replaced.bak": "old", "deleted.bak": "old", brought: "n" },
  });
  journal(folder, COMMITTING, ["write c replaced", "delete c deleted", "write c brought"]);
  const begun = bringAfterBirth(join(folder, "collections", "c"), "brought");
  utimesSync(join(folder, "journal", "transaction.wal"), begun, begun);
  const [collection] = readFolderStore(folder)?.collections ?? [];
  assert.deepEqual(
    collection?.files.map(({ key, path }) => [key, path.slice(path.lastIndexOf("/") + 1)]),
    [
      ["deleted", "deleted.bak"],
      ["kept", "kept"],
      ["replaced", "replaced.bak"],
    ],
  );
  settle(folder);
  assert.deepEqual(
    names(folder),
    [["c", ["brought", "deleted", "kept", "replaced"]]],
    "older than the commit: not brought by it",
  );
});

test("an interrupted copy of a collection is rolled back", () => {
  const folder = folderStore({ current: { a: "1" }, backup: { a: "1" }, "backup.bak": { old: "0" } });
  journal(folder, COMMITTING, ["copy current backup"]);
  settle(folder);
  assert.deepEqual(names(folder), [
    ["backup", ["old"]],
    ["current", ["a"]],
  ]);
});

test("a damaged journal: discarded when nothing was applied, else corruption", () => {
  const folder = folderStore({ c: { a: "1" } });
  journal(folder, COMMITTING, ["write c a"], 3);
  settle(folder);
  assert.deepEqual(names(folder), [["c", ["a"]]]);
  renameSync(join(folder, "collections", "c", "a"), join(folder, "collections", "c", "a.bak"));
  assert.throws(() => readFolderStore(folder), faultOf("corruption"));
  writeFileSync(join(folder, "journal", "transaction.wal"), "unreadable");
  assert.deepEqual(names(folder), [["c", []]]);
});

for (const [provider, create] of Object.entries(PROVIDERS))
  test(`a folder store is taken over once, ${provider}`, async (t) => {
    const folder = folderStore({
      diagnostic_database: { "Fcm.mdd": "good fcm", "bad.mdd": "bad" },
      diagnostic_database_backup: {},
      custom: { Blob: "bytes" },
    });
    const before = readdirSync(folder, { recursive: true });
    const parse = (bytes: Uint8Array) => {
      const text = Buffer.from(bytes).toString();
      if (!text.startsWith("good")) throw new Error("not a container");
      return { ecuName: text.slice(5), revision: "1", flatbuffer: bytes, chunks: [], metadata: {} };
    };
    const storage = await create(t);
    assert.deepEqual(await importFolderStore(storage, folder, { parse, now: () => 3 }), {
      collections: { custom: 1, diagnostic_database: 2, diagnostic_database_backup: 0 },
      broken: [{ file: "diagnostic_database/bad.mdd", problem: "not a container" }],
    });
    assert.deepEqual(storage.list("diagnostic_database"), ["bad.mdd", "fcm.mdd"]);
    assert.equal(databaseProperties(storage.metadata("diagnostic_database", "fcm.mdd")).ecuName, "fcm");
    assert.deepEqual(storage.list("diagnostic_database_backup"), []);
    assert.equal(contentOf(storage.read("custom", "blob")).toString(), "bytes");
    assert.equal(readSet(storage)?.origin, "apply");
    assert.equal(await importFolderStore(storage, folder, { parse }), undefined);
    assert.deepEqual(readdirSync(folder, { recursive: true }), before, "the folder stays as it was");
  });
