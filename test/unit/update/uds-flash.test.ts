/** Flashing that is cut: where the ECU goes on, we go on; a command target is a real script. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { systemClock } from "#core/time.ts";
import type { Fleet } from "#fleet/api.ts";
import { createMemoryStorage } from "#store/memory-storage.ts";
import { Bulk } from "#update/software/bulk.ts";
import type { UpdateJob } from "#update/software/provider.ts";
import { CommandProvider } from "#update/software/providers/command.ts";
import { runCommand } from "#update/software/providers/command-runner.ts";
import { UdsFlashProvider } from "#update/software/providers/uds-flash.ts";
import { checkedRecipe } from "#update/software/providers/uds-recipe.ts";

const IMAGE = Buffer.alloc(1 << 20, "0123456789abcdef");
const MAX_BLOCK = 0x1002;

/** An ECU of one memory that keeps what it took; `dieAt`: bytes after which the worker that speaks with it is lost. */
class Ecu {
  readonly memory = Buffer.alloc(IMAGE.length);
  readonly requests: string[] = [];
  erased = 0;
  dieAt = Number.POSITIVE_INFINITY;
  /** So many requests still find no room. */
  full = 0;
  #address = 0;

  async flash(request: Uint8Array): Promise<Uint8Array> {
    const sid = request[0]!;
    if (this.full-- > 0) throw new Fault("overloaded", "Too many requests are waiting for BCM");
    if (sid !== 0x36) this.requests.push(Buffer.from(request).toString("hex"));
    if (sid === 0x31) this.erased++;
    if (sid === 0x34) {
      this.#address = Buffer.from(request).readUInt32BE(3);
      return Uint8Array.of(0x74, 0x20, MAX_BLOCK >> 8, MAX_BLOCK & 0xff);
    }
    if (sid !== 0x36) return Uint8Array.of(sid + 0x40, ...request.subarray(1, 4));
    if (this.#address >= this.dieAt) throw new Fault("workerLost", "the thread died");
    this.memory.set(request.subarray(2), this.#address);
    this.#address += request.length - 2;
    return Uint8Array.of(0x76, request[1]!);
  }
}

function provider(ecu: Ecu, resumable: boolean): UdsFlashProvider {
  const recipe = checkedRecipe(
    {
      step: [
        { request: "10 02" },
        { name: "erase", request: "31 01 FF 00", skip_on_resume: true },
        { name: "transfer", download: { address: 0, max_block_bytes: MAX_BLOCK, resumable } },
        { request: "11 01" },
      ],
    },
    "test",
  );
  const fleet = {
    ecu: () => ({ name: "BCM", state: "Online" }),
    call: async (_ecu: string, call: string, args: { request: Uint8Array }) =>
      call === "flashService" ? { body: await ecu.flash(args.request) } : {},
  } as unknown as Fleet;
  const storage = createMemoryStorage({ maxMappedBytes: 1 << 20, maxBytes: 8 << 20 });
  const bulk = new Bulk({ storage, maxBytes: 4 << 20, maxFiles: 4 });
  const target = { recipe, keyOfSeed: undefined, hardwareId: undefined, serial: undefined };
  return new UdsFlashProvider({ targets: { bcm: target }, fleet, bulk, clock: systemClock });
}

/** `notes`: what is on the disk, for one process after the other. */
function jobOf(notes: Map<string, string>): UpdateJob {
  return {
    component: "bcm",
    campaign: "fw",
    attempt: 1,
    artifact: {
      name: "bcm.bin",
      sizeBytes: IMAGE.length,
      sha256: createHash("sha256").update(IMAGE).digest("hex"),
      async *read(offset = 0) {
        for (let at = offset; at < IMAGE.length; at += 65_536) yield IMAGE.subarray(at, at + 65_536);
      },
    },
    memory: {
      get: (name: string) => notes.get(name),
      set: async (name: string, value: string) => void notes.set(name, value),
    },
    progress: () => undefined,
    log: () => undefined,
    signal: new AbortController().signal,
  } as unknown as UpdateJob;
}

for (const resumable of [true, false]) {
  test(`cut in the middle of a transfer: ${resumable ? "goes on behind the last note, nothing erased" : "begins anew"}`, async () => {
    const ecu = new Ecu();
    ecu.dieAt = 600_000;
    const notes = new Map<string, string>();
    await assert.rejects(provider(ecu, resumable).execute(jobOf(notes)), /thread died/);
    ecu.dieAt = Number.POSITIVE_INFINITY;
    ecu.requests.length = 0;
    await provider(ecu, resumable).execute(jobOf(notes));
    assert.ok(ecu.memory.equals(IMAGE));
    assert.equal(ecu.erased, resumable ? 1 : 2);
    const [, download] = /^340044(\w{8})/.exec(ecu.requests.find((each) => each.startsWith("34")) ?? "") ?? [];
    const from = Number.parseInt(download ?? "", 16);
    if (resumable) assert.ok(from > 500_000 && from < 600_000, `${from}`);
    else assert.equal(from, 0);
    ecu.requests.length = 0;
    await provider(ecu, resumable).execute(jobOf(notes));
    assert.deepEqual(ecu.requests, [], "what is flashed is not flashed again");
  });
}

test("requests that find no room beside those of clients go again", async () => {
  const ecu = new Ecu();
  ecu.full = 3;
  await provider(ecu, true).execute(jobOf(new Map()));
  assert.ok(ecu.memory.equals(IMAGE));
  assert.equal(ecu.erased, 1);
});

test("a command target: a real script installs, says its version, and takes it back", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "command-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const script = join(folder, "install.mjs");
  await writeFile(
    script,
    `import { copyFileSync, readFileSync, writeFileSync, renameSync } from "node:fs";
     const [, , verb, place, file, version] = process.argv;
     const at = (name) => place + "/" + name;
     if (verb === "install") { copyFileSync(at("app"), at("old")); copyFileSync(at("version"), at("old-version"));
       copyFileSync(file, at("app")); writeFileSync(at("version"), version); }
     if (verb === "back") { renameSync(at("old"), at("app")); renameSync(at("old-version"), at("version")); }
     if (verb === "version") console.log(readFileSync(at("version"), "utf8"));`,
  );
  await writeFile(join(folder, "app"), "old app");
  await writeFile(join(folder, "version"), "1.0");
  const run = (verb: string, ...more: string[]) => [process.execPath, script, verb, folder, ...more];
  const commands = {
    prepare: [],
    execute: run("install", "{file}", "{version}"),
    verify: [],
    commit: [],
    rollback: run("back"),
    version: run("version"),
  };
  const target = { folder, commands, timeoutMs: 20_000, hardwareId: undefined, serial: undefined };
  const command = new CommandProvider({ bcm: target }, runCommand);
  const job = { ...jobOf(new Map()), toVersion: "2.0; rm -rf $HOME" };
  await command.prepare(job);
  await command.execute(job);
  await command.verify(job);
  assert.equal((await readFile(join(folder, "app"))).length, IMAGE.length);
  assert.equal((await command.describe("bcm")).version, "2.0; rm -rf $HOME", "an argument, not a shell's line");
  await command.rollback(job);
  assert.equal(await readFile(join(folder, "app"), "utf8"), "old app");
  assert.equal((await command.describe("bcm")).version, "1.0");
  const over = new AbortController();
  over.abort(new Fault("notReady", "The program ends"));
  await assert.rejects(command.execute({ ...job, signal: over.signal }), /program ends/);
  assert.equal(await readFile(join(folder, "app"), "utf8"), "old app");
});
