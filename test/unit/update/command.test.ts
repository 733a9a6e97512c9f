/** Command targets: a real script; how programs are run. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { mock, test } from "node:test";
import { Fault } from "#core/errors.ts";
import { CommandProvider } from "#update/software/providers/command.ts";
import { fill, runCommand } from "#update/software/providers/command-runner.ts";
import { cleanup, scratchFolder } from "../../fixtures/cleanup.ts";
import { jobOf } from "./job-support.ts";

const IMAGE = Buffer.from("new app");
/** Longer than any machine needs to start a program. */
const LIMIT_MS = 60_000;

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
  const target = { folder, commands, timeoutMs: LIMIT_MS, hardwareId: undefined, serial: undefined };
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
  const target = { folder, commands, timeoutMs: LIMIT_MS, hardwareId: undefined, serial: undefined };
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
  const run = (script: string) => runCommand([NODE, "-e", script], { timeoutMs: LIMIT_MS });
  assert.equal(await run("process.stdout.write('ä'.repeat(20000))"), "ä".repeat(16 * 1024));
  await assert.rejects(run("console.error('no space'); process.exit(3)"), {
    kind: "severe",
    message: /ended with 3: no space$/,
    details: { exitCode: 3 },
  });
  await assert.rejects(run("process.kill(process.pid, 'SIGKILL')"), /ended with SIGKILL/);
  await assert.rejects(runCommand(["/no/such/program"], { timeoutMs: LIMIT_MS }), {
    kind: "severe",
    message: /ENOENT/,
  });
  await assert.rejects(runCommand([NODE, "a\0b"], { timeoutMs: LIMIT_MS }), { kind: "severe" });
  await assert.rejects(runCommand([], { timeoutMs: LIMIT_MS }), { kind: "misconfigured" });
});

test("a program sees only what it needs of the environment, and no shell sees its arguments", async (t) => {
  process.env.SOVD_TEST_SECRET = "secret";
  cleanup(t, () => delete process.env.SOVD_TEST_SECRET);
  const script = "console.log(JSON.stringify([Object.keys(process.env).sort(), process.argv.slice(1)]))";
  const [names, args] = JSON.parse(
    await runCommand([NODE, "-e", script, "$HOME; `id` && *"], { timeoutMs: LIMIT_MS }),
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
  test(`${how}: the whole group of processes ends`, async (t) => {
    mock.timers.enable({ apis: ["setTimeout"] });
    cleanup(t, () => mock.timers.reset());
    const folder = scratchFolder("command");
    const file = join(folder, "pid");
    const stop = new AbortController();
    const argv = [NODE, "-e", PARENT.replace("DETACHED", "false"), file];
    const running = runCommand(argv, { timeoutMs: LIMIT_MS, signal: stop.signal });
    const pid = await written(file);
    if (how === "cancel") stop.abort();
    else mock.timers.tick(LIMIT_MS);
    let hasEnded = false;
    void running
      .catch(() => {})
      .finally(() => {
        hasEnded = true;
      });
    // the grace of those that were asked to end
    for (; !hasEnded; await new Promise(setImmediate)) mock.timers.tick(1_000);
    await assert.rejects(running, how === "cancel" ? /was stopped/ : /did not end within 60000 ms/);
    await gone(pid);
  });
}

test("a descendant that left the group and holds the pipes is not waited for", async (t) => {
  const script = `const child = require("node:child_process").spawn("sleep", ["600"],
    { stdio: ["ignore", "inherit", "inherit"], detached: true }); child.unref(); console.log(child.pid); process.exit(0)`;
  const pid = Number(await runCommand([NODE, "-e", script], { timeoutMs: LIMIT_MS }));
  cleanup(t, () => process.kill(pid, "SIGKILL"));
  assert.equal(await stateOf(pid), "S", "it still holds them");
});

test("a program that ended while this one stood still has ended in time, and its output is whole", async () => {
  const file = join(scratchFolder("command"), "pid");
  const timeoutMs = 200;
  const begunMs = performance.now();
  const running = runCommand(["sh", "-c", 'printf done; echo $$ > "$0"', file], { timeoutMs });
  // nothing else runs here meanwhile
  while (!hasEndedNow(file) || performance.now() < begunMs + 2 * timeoutMs);
  assert.equal(await running, "done");
});

/** Whether the process whose number a file holds has ended; asked without a turn of the event loop. */
function hasEndedNow(file: string): boolean {
  const pid = existsSync(file) ? readFileSync(file, "utf8").trim() : "";
  return pid !== "" && / Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

/** The number in a file, once it is there. */
async function written(file: string): Promise<number> {
  for (;;) {
    const text = await readFile(file, "utf8").catch(() => "");
    if (text !== "") return Number(text);
  }
}

/** As the kernel has it: `S` for a process that sleeps, `Z` for one that ended and was not asked for; undefined when it is gone. */
async function stateOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return /\) (\w) /.exec(stat)?.[1];
}

/** Resolves when a process has ended. */
async function gone(pid: number): Promise<void> {
  for (let state = await stateOf(pid); state !== undefined && state !== "Z"; ) state = await stateOf(pid);
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
