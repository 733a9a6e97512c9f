/** Command targets: a real script; how programs are run. */
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { CommandProvider } from "#update/software/providers/command.ts";
import { fill, runCommand } from "#update/software/providers/command-runner.ts";
import { cleanup, scratchFolder } from "../../fixtures/cleanup.ts";
import { jobOf } from "./job-support.ts";

const IMAGE = Buffer.from("new app");

test("a command target: a real script installs, says its version, and takes it back", async () => {
  const folder = scratchFolder("command");
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
  const job = jobOf(IMAGE, { toVersion: "2.0; rm -rf $HOME" });
  await command.prepare(job);
  await command.execute(job);
  await command.verify(job);
  assert.equal((await readFile(join(folder, "app"))).length, IMAGE.length);
  assert.equal(
    (await command.describe("bcm", job.signal)).version,
    "2.0; rm -rf $HOME",
    "an argument, not a shell's line",
  );
  await command.rollback(job);
  assert.equal(await readFile(join(folder, "app"), "utf8"), "old app");
  assert.equal((await command.describe("bcm", job.signal)).version, "1.0");
  const over = new AbortController();
  over.abort(new Fault("notReady", "The program ends"));
  await assert.rejects(command.execute({ ...job, signal: over.signal }), /program ends/);
  assert.equal(await readFile(join(folder, "app"), "utf8"), "old app");
});

test("images of campaigns that came to nothing do not pile up", async () => {
  const folder = scratchFolder("command");
  const commands = { prepare: [], execute: [], verify: [], commit: [], rollback: ["true"], version: [] };
  const target = { folder, commands, timeoutMs: 20_000, hardwareId: undefined, serial: undefined };
  const command = new CommandProvider({ bcm: target }, runCommand);
  for (const campaign of ["1", "2", "3"]) {
    const job = jobOf(Buffer.from(`image ${campaign}`), { campaign });
    await command.prepare(job);
    await command.rollback(job);
  }
  assert.equal((await readdir(folder)).length, 1);
  await command.prepare(jobOf(IMAGE, { campaign: "4" }));
  const old = jobOf(Buffer.from("image 3"), { campaign: "3" });
  await assert.rejects(command.execute(old), /no longer what was verified/, "another was prepared in its place");
});

const NODE = process.execPath;

test("how a program ends: its output, its exit code, what it complained of", async () => {
  const run = (script: string) => runCommand([NODE, "-e", script], { timeoutMs: 20_000 });
  assert.equal(await run("process.stdout.write('ä'.repeat(20000))"), "ä".repeat(16 * 1024));
  await assert.rejects(run("console.error('no space'); process.exit(3)"), {
    kind: "severe",
    message: /ended with 3: no space$/,
    details: { exitCode: 3 },
  });
  await assert.rejects(run("process.kill(process.pid, 'SIGKILL')"), /ended with SIGKILL/);
  await assert.rejects(runCommand(["/no/such/program"], { timeoutMs: 1_000 }), { kind: "severe", message: /ENOENT/ });
  await assert.rejects(runCommand([NODE, "a\0b"], { timeoutMs: 1_000 }), { kind: "severe" });
  await assert.rejects(runCommand([], { timeoutMs: 1_000 }), { kind: "misconfigured" });
});

test("a program sees only what it needs of the environment, and no shell sees its arguments", async (t) => {
  process.env.SOVD_TEST_SECRET = "secret";
  cleanup(t, () => delete process.env.SOVD_TEST_SECRET);
  const script = "console.log(JSON.stringify([Object.keys(process.env).sort(), process.argv.slice(1)]))";
  const [names, args] = JSON.parse(
    await runCommand([NODE, "-e", script, "$HOME; `id` && *"], { timeoutMs: 20_000 }),
  ) as string[][];
  assert.deepEqual(args, ["$HOME; `id` && *"]);
  assert.ok(names!.every((name) => ["PATH", "HOME", "LANG", "TZ"].includes(name)));
});

/** Starts a child that ignores to be asked, says its number, and waits. */
const PARENT = `const { spawn } = require("node:child_process");
  const script = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('up')";
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"], detached: DETACHED });
  child.stdout.once("data", () => { require("node:fs").writeFileSync(process.argv[1], String(child.pid)); });
  setInterval(() => {}, 1000);`;

for (const how of ["time limit", "cancel"] as const) {
  test(`${how}: the whole group of processes ends`, async () => {
    const folder = scratchFolder("command");
    const file = join(folder, "pid");
    const stop = new AbortController();
    const argv = [NODE, "-e", PARENT.replace("DETACHED", "false"), file];
    const options = { timeoutMs: how === "cancel" ? 60_000 : 2_500, signal: stop.signal };
    const running = runCommand(argv, options);
    running.catch(() => undefined);
    const pid = await written(file);
    if (how === "cancel") stop.abort();
    await assert.rejects(running, how === "cancel" ? /was stopped/ : /did not end within 2500 ms/);
    assert.equal(await isGone(pid), true);
  });
}

test("a descendant that left the group and holds the pipes is not waited for", async () => {
  const script = `require("node:child_process").spawn(process.execPath, ["-e", "setTimeout(() => {}, 30000)"],
    { stdio: ["ignore", "inherit", "inherit"], detached: true }).unref(); console.log("done"); process.exit(0)`;
  const begunMs = performance.now();
  assert.equal(await runCommand([NODE, "-e", script], { timeoutMs: 20_000 }), "done\n");
  assert.ok(performance.now() - begunMs < 15_000);
});

/** The number in a file, once it is there. */
async function written(file: string): Promise<number> {
  for (;;) {
    const text = await readFile(file, "utf8").catch(() => "");
    if (text !== "") return Number(text);
  }
}

async function isGone(pid: number): Promise<boolean> {
  for (const untilMs = performance.now() + 5_000; performance.now() < untilMs; ) {
    const state = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "gone");
    if (state === "gone" || / Z /.test(state)) return true;
  }
  return false;
}

test("places are filled as text and never become options", () => {
  const job = { component: "bcm", campaign: "fw", toVersion: "--root=/", fromVersion: "1" };
  assert.deepEqual(fill(["--to={version}", "{component}@{version}", "{none}{toString}"], job), [
    "--to=--root=/",
    "bcm@--root=/",
    "{none}{toString}",
  ]);
  assert.throws(() => fill(["{version}"], job), { kind: "invalidData" });
  assert.throws(() => fill(["{previous}{version}"], { ...job, fromVersion: "-" }), { kind: "invalidData" });
  assert.deepEqual(fill(["-o", "{file}"], job, "/f"), ["-o", "/f"]);
});

test("what a later program could not be given is refused before anything is written", async () => {
  const folder = scratchFolder("command");
  const none = { prepare: [], execute: [], verify: [], commit: [], rollback: [], version: [] };
  const commands = { ...none, commit: ["keep", "{version}"] };
  const target = { folder, commands, timeoutMs: 1_000, hardwareId: undefined, serial: undefined };
  const command = new CommandProvider({ bcm: target }, runCommand);
  await assert.rejects(command.prepare(jobOf(IMAGE, { toVersion: "-rf" })), { kind: "invalidData" });
  assert.deepEqual(await readdir(folder), []);
});
