/** Command targets: a real script; how programs are run. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import type { UpdateJob } from "#update/software/provider.ts";
import { CommandProvider } from "#update/software/providers/command.ts";
import { runCommand } from "#update/software/providers/command-runner.ts";

const IMAGE = Buffer.from("new app");

function jobOf(notes = new Map<string, string>()): UpdateJob {
  return {
    component: "bcm",
    campaign: "fw",
    attempt: 1,
    artifact: {
      name: "bcm.bin",
      sizeBytes: IMAGE.length,
      sha256: createHash("sha256").update(IMAGE).digest("hex"),
      async *read() {
        yield IMAGE;
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
  const job = { ...jobOf(), toVersion: "2.0; rm -rf $HOME" };
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
