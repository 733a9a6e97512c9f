/** The commands `update` and `audit` as processes of their own, against a server; the terminal's bars by their text. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";
import { cli, type Ended, PROGRAM } from "./cli-support.ts";
import { type Node, run, startNode, upload } from "./updates-support.ts";

const CONTENT = "software of the command line";
/** Processes that start at once: all of them would take each other's time. */
const AT_ONCE = 3;

/** A node with two components in slots, and a file to push. */
async function twoSlots(t: TestContext, update: object = {}): Promise<Node & { file: string; slots: string[] }> {
  const folder = scratchFolder("cli");
  const slots = ["one", "two"].map((name) => join(folder, name));
  const [compute, other] = slots.map((place) => ({ provider: "slot", folder: place }));
  const node = await startNode(t, { component: "compute", targets: { compute, other }, ...update } as never);
  const file = join(folder, "vehicle fw.bin");
  await writeFile(file, CONTENT);
  return Object.assign(node, { file, slots });
}

test("push, list, status, audit verify; a head that was noted; a failure is a failed command", async (t) => {
  const keys = generateKeyPairSync("ed25519");
  const folder = scratchFolder("cli");
  const [pem, key] = [join(folder, "trusted.pem"), join(folder, "signing.pem")];
  await writeFile(pem, keys.publicKey.export({ type: "spki", format: "pem" }));
  await writeFile(key, keys.privateKey.export({ type: "pkcs8", format: "pem" }));
  const node = await twoSlots(t, { verify: "required", trusted_keys: [pem] });
  const to = ["--to", node.url];
  const components = ["--components", "compute,other", "--policy", "coordinated", "--version", "2.0", "--watch"];

  const unsigned = await cli("update", "push", node.file, ...to, ...components);
  assert.equal(unsigned.code, 1);
  assert.match(unsigned.err, /Update vehicle-fw\.bin failed: .*not signed/);

  const pushed = await cli("update", "push", node.file, ...to, ...components, "--key", key);
  assert.equal(pushed.code, 0, pushed.err);
  assert.match(pushed.out, /^uploaded vehicle fw\.bin: 28 bytes, SHA-256 [0-9a-f]{64}$/m);
  assert.match(pushed.out, /^update +\[#{28}\] 100 % {2}execute completed$/m);
  assert.match(pushed.out, /^other +\[#{28}\] 100 % {2}closed$/m);
  assert.ok(!pushed.out.includes("\u001b"), "a pipe gets lines, no cursor movements");
  for (const place of node.slots) assert.equal(await readFile(join(place, "current", "image"), "utf8"), CONTENT);

  assert.deepEqual((await cli("update", "list", ...to)).out, "vehicle-fw.bin\n");
  assert.match((await cli("update", "status", "vehicle-fw.bin", ...to)).out, /execute completed/);
  const whole = await cli("audit", "verify", ...to);
  const head = /head (\d+:[0-9a-f]{64})$/m.exec(whole.out)?.[1] ?? "";
  assert.equal((await cli("audit", "verify", ...to, "--expect", head)).code, 0);
  const beyond = head.replace(/^\d+/, "4711");
  assert.match((await cli("audit", "verify", ...to, "--expect", beyond)).err, /ends before record 4711/);
  assert.match((await cli("audit", "verify", ...to, "--expect", "x")).err, /not seq:hash/);

  const late = await cli("update", "rollback", "vehicle-fw.bin", ...to);
  assert.deepEqual([late.code, /409/.test(late.err)], [1, true], late.err);
});

test("rollback of what was prepared succeeds, and an upload goes on where it was cut", async (t) => {
  const node = await twoSlots(t);
  const big = join(node.folder, "big.bin");
  const content = Buffer.alloc(20 << 20, "0123456789");
  await writeFile(big, content);
  const to = ["--to", node.url];
  const sha256 = createHash("sha256").update(content).digest("hex");
  const path = `/components/compute/bulk-data/firmware-artifacts/big-bin-${sha256.slice(0, 12)}`;
  const half = 12 << 20;
  const part = { "content-range": `bytes 0-${half - 1}/${content.length}` };
  assert.equal((await node.send("PUT", path, content.subarray(0, half), part)).status, 200);
  const pushed = await cli(
    ...["update", "push", big, ...to, "--components", "compute", "--prepare-only", "--watch", "--id", "big"],
  );
  assert.equal(pushed.code, 0, pushed.err);
  assert.match(pushed.out, /prepare prepared$/m);
  assert.equal((await node.send("GET", `${path}/x-upload`)).json.sha256, sha256);
  const back = await cli("update", "rollback", "big", ...to, "--watch");
  assert.equal(back.code, 0, back.err);
  assert.equal((await cli("update", "status", "big", ...to, "--watch")).code, 1);
});

test("delete forgets an update, and none that is under way", async (t) => {
  const node = await twoSlots(t, { soak_ms: 60_000, health_timeout_ms: 120_000 });
  const to = ["--to", node.url];
  const pushed = await cli("update", "push", node.file, ...to, "--components", "compute", "--id", "fw");
  assert.equal(pushed.code, 0, pushed.err);
  const early = await cli("update", "delete", "fw", ...to);
  assert.equal(early.code, 1);
  assert.match(early.err, /409 update-process-in-progress/);
  assert.equal((await cli("update", "rollback", "fw", ...to, "--watch")).code, 0);
  assert.deepEqual(await cli("update", "delete", "fw", ...to), { code: 0, out: "update fw is deleted\n", err: "" });
  assert.equal((await cli("update", "list", ...to)).out, "");
  assert.match((await cli("update", "delete", "fw", ...to)).err, /404/);
});

test("rxswin: one line for the vehicle, one for each component, with blanks to split at", async (t) => {
  const node = await twoSlots(t, { vin: "WDB9634031L123456" });
  const sha256 = createHash("sha256").update(CONTENT).digest("hex");
  const target = { sha256, length: CONTENT.length, version: "2.0", rxswin: "R155 4711", rxswin_authority: "KBA" };
  const artifact_uri = await upload(node, "compute", CONTENT);
  const manifest = { id: "fw", targets: { compute: target } };
  await run(node, { id: "fw", updated_components: ["compute"], artifact_uri, "x-manifest": manifest });
  await node.until("fw", "completed");
  const { code, out, err } = await cli("update", "rxswin", "--to", node.url);
  assert.equal(code, 0, err);
  const [vin, entry, ...rest] = out.trimEnd().split("\n");
  assert.deepEqual([vin, rest], ["VIN WDB9634031L123456", []]);
  assert.match(entry ?? "", /^compute\tR155 4711\t2\.0\t\d{4}-[\d:T.-]+Z\tKBA\t-$/);
});

test("what cannot work says so in one line and fails", async (t) => {
  const node = await twoSlots(t);
  const to = ["--to", node.url];
  const WRONG_USAGE = 2;
  const rsa = join(node.folder, "rsa.pem");
  await writeFile(
    rsa,
    generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ type: "pkcs8", format: "pem" }),
  );
  const ROWS: readonly [argv: string[], says: RegExp, code?: number][] = [
    [["update", "push", join(node.folder, "none"), ...to, "--components", "compute"], /ENOENT/],
    [["update", "push", node.file, ...to, "--components", "compute,"], /a name is missing/, WRONG_USAGE],
    [
      ["update", "push", node.file, ...to, "--components", "compute", "--policy", "hope"],
      /coordinated, independent/,
      WRONG_USAGE,
    ],
    [["update", "push", node.file, ...to, "--components", "ghost"], /404/],
    [["update", "status", "ghost", ...to], /404/],
    [["update", "list", "--to", "http://127.0.0.1:1/api/v1"], /ECONNREFUSED/],
    [["update", "list", "--to", "nowhere"], /is no URL/, WRONG_USAGE],
    [["update", "list", "--to", "localhost:1/api/v1"], /is no URL with http/, WRONG_USAGE],
    [["update", "list", "--to", new URL(node.url).origin], /404.*--to has to be a base path/],
    [["update", "list", ...to, "--tls-ca", join(node.folder, "none")], /--tls-ca .*ENOENT/],
    [["update", "pack", node.file, "--components", "compute", "--key", node.file], /is no Ed25519 private key/],
    [["update", "pack", node.file, "--components", "compute", "--key", rsa], /is no Ed25519 private key/],
    [
      ["update", "pack", node.file, "--components", "compute", "--key", "/nowhere.pem"],
      /--key: \/nowhere\.pem: ENOENT/,
    ],
    [
      ["update", "pack", node.file, "--components", "compute", "--key", node.file, "--expires", "soon"],
      /--expires soon is no time/,
      WRONG_USAGE,
    ],
    // before anything goes to the server
    [
      ["update", "push", node.file, "--to", "http://127.0.0.1:1/api/v1", "--components", "compute", "--key", node.file],
      /is no Ed25519 private key/,
    ],
  ];
  const ended: Ended[] = [];
  for (let at = 0; at < ROWS.length; at += AT_ONCE) {
    ended.push(...(await Promise.all(ROWS.slice(at, at + AT_ONCE).map(([argv]) => cli(...argv)))));
  }
  for (const [i, [argv, says, code = 1]] of ROWS.entries()) {
    assert.equal(ended[i]?.code, code, argv.join(" "));
    assert.match(ended[i]?.err ?? "", says);
    assert.ok(!ended[i]?.err.includes("    at "), `a stack: ${ended[i]?.err}`);
  }
});

test("Ctrl-C while watching lets the update go on, and says so", async (t) => {
  const node = await twoSlots(t, { soak_ms: 60_000, health_timeout_ms: 120_000 });
  const argv = ["update", "push", node.file, "--to", node.url, "--components", "compute", "--id", "slow", "--watch"];
  const child = spawn(process.execPath, [...PROGRAM, ...argv], { stdio: ["ignore", "pipe", "inherit"] });
  cleanup(t, () => child.kill("SIGKILL"));
  const written: string[] = [];
  let interrupted = false;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    written.push(text);
    // a second signal would end it as such
    if (/trial/.test(text) && !interrupted) interrupted = child.kill("SIGINT");
  });
  const [code] = (await once(child, "close")) as [number];
  assert.equal(code, 130);
  assert.match(written.join(""), /Update slow goes on without being watched: .*update rollback slow/);
  assert.equal((await node.send("GET", "/updates/slow/status")).json.status, "inProgress");
  assert.equal((await cli("update", "rollback", "slow", "--to", node.url, "--watch")).code, 0);
});

test("who stops reading the output ends the command without a word", async (t) => {
  const node = await twoSlots(t, { soak_ms: 60_000, health_timeout_ms: 120_000 });
  const argv = ["update", "push", node.file, "--to", node.url, "--components", "compute", "--watch"];
  const child = spawn(process.execPath, [...PROGRAM, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
  cleanup(t, () => child.kill("SIGKILL"));
  const errors: string[] = [];
  child.stderr.setEncoding("utf8").on("data", (text: string) => errors.push(text));
  child.stdout.once("data", () => child.stdout.destroy());
  const [code] = (await once(child, "close")) as [number];
  assert.deepEqual([code, errors.join("")], [141, ""]);
  const { out } = await cli("update", "list", "--to", node.url);
  for (const id of out.split("\n").filter(Boolean)) await cli("update", "rollback", id, "--to", node.url, "--watch");
});
