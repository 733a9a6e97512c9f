/** Updates of one node: the interface of the standard and of the seed, and everything a client may do wrong. */
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { readFile, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { canonical } from "#update/software/canonical.ts";
import { verifyChain } from "#update/software/journal/audit.ts";
import { scratchFolder } from "../fixtures/cleanup.ts";
import { serveHttp } from "../fixtures/http-server.ts";
import { type Node, run, startNode, upload } from "./updates-support.ts";

const COMPONENT = "compute_primary";
const { privateKey, publicKey } = generateKeyPairSync("ed25519");

async function slotNode(t: TestContext, update: Record<string, unknown> = {}): Promise<Node & { slots: string }> {
  const slots = scratchFolder("slots");
  const target = { provider: "slot", folder: slots };
  const node = await startNode(t, {
    component: COMPONENT,
    hardware_id: "orin-primary",
    serial: "ECU-P-1",
    targets: { [COMPONENT]: target, other: { provider: "slot", folder: join(slots, "other") } },
    ...(update as object),
  });
  return Object.assign(node, { slots });
}

const sha256 = (content: string): string => createHash("sha256").update(content).digest("hex");

function manifestOf(id: string, content: string, more: object = {}, key = privateKey) {
  const target = { sha256: sha256(content), length: content.length, ...more };
  const manifest = { id, targets: { [COMPONENT]: target } };
  return {
    "x-manifest": manifest,
    "x-signature": sign(null, Buffer.from(canonical(manifest)), key).toString("base64"),
  };
}

async function unchanged(node: { slots: string }): Promise<void> {
  await assert.rejects(readlink(join(node.slots, "current")), "nothing may run that did not run before");
}

test("the seed's calls word for word: upload, register, execute, status, audit", async (t) => {
  const node = await slotNode(t);
  const facts = await node.send("GET", `/components/${COMPONENT}/x-medkit-update`);
  assert.deepEqual(
    [facts.json.role, facts.json.ecu_hardware_id, facts.json.ecu_serial, facts.json.supports_rollback],
    ["secondary", "orin-primary", "ECU-P-1", true],
  );
  const uri = await upload(node, COMPONENT, "new software", "vehicle-fw-v2.1.tar.zst");
  const registered = await node.send(
    "POST",
    "/updates",
    {
      id: "vehicle-fw-v2.1",
      update_name: "Vehicle Firmware v2.1",
      origins: ["proximity"],
      automated: false,
      rollback_policy: "coordinated",
      artifact_uri: uri,
      affected_components: [COMPONENT],
    },
    { "content-type": "application/vnd.medkit.update+json" },
  );
  assert.equal(registered.status, 201);
  assert.match(registered.headers.get("location") ?? "", /\/api\/v1\/updates\/vehicle-fw-v2\.1$/);
  const fresh = (await node.send("GET", "/updates/vehicle-fw-v2.1/status")).json;
  assert.deepEqual(
    [fresh.phase, fresh.status, fresh.progress, fresh["x-medkit"]],
    ["prepare", "pending", undefined, { phase: "none" }],
  );
  const executed = await node.send("PUT", "/updates/vehicle-fw-v2.1/execute");
  assert.equal(executed.status, 202);
  assert.match(executed.headers.get("location") ?? "", /\/updates\/vehicle-fw-v2\.1\/status$/);
  assert.equal((await node.until("vehicle-fw-v2.1", "completed")).progress, 100);
  assert.equal(await readFile(join(node.slots, "current", "image"), "utf8"), "new software");
  const { json } = await node.send("GET", "/x-audit");
  assert.ok(verifyChain(json.items).whole);
  assert.deepEqual(
    json.items.map(({ event }: { event: string }) => event),
    [
      "registered",
      "prepare",
      "memberPrepared",
      "execute",
      "memberStarted",
      "memberExecuted",
      "gateSample",
      "memberHealthy",
      "memberCommitted",
      "memberClosed",
    ],
  );
  assert.equal((await node.send("DELETE", "/updates/vehicle-fw-v2.1")).status, 204);
  assert.equal((await node.send("GET", "/updates/vehicle-fw-v2.1")).status, 404);
});

test("a node of its own without a vehicle is ready, and updates itself", async (t) => {
  const node = await slotNode(t, { role: "standalone" });
  assert.equal((await fetch(`http://127.0.0.1:${node.server.port}/health/ready`)).status, 204);
  const uri = await upload(node, COMPONENT, "new software", "fw");
  const update = { id: "alone", update_name: "u", automated: true, origins: ["proximity"], artifact_uri: uri };
  assert.equal((await node.send("POST", "/updates", { ...update, affected_components: [COMPONENT] })).status, 201);
  assert.equal((await node.send("PUT", "/updates/alone/automated")).status, 202);
  await node.until("alone", "completed");
  assert.equal(await readFile(join(node.slots, "current", "image"), "utf8"), "new software");
});

test("filters, and every base path shows the same", async (t) => {
  const node = await slotNode(t);
  await node.send("POST", "/updates", { id: "a", origins: ["remote"], target_version: "1" });
  await node.send("POST", "/updates", { id: "b", origins: ["proximity"] });
  for (const base of ["/api/v1", "/sovd/v1", "/vehicle/v15"]) {
    const root = node.url.replace("/api/v1", base);
    const list = async (query: string) => (await node.send("GET", `${root}/updates${query}`)).json.items;
    assert.deepEqual(await list(""), ["a", "b"]);
    assert.deepEqual(await list("?origin=proximity"), ["b"]);
    assert.deepEqual(await list("?target-version=1"), ["a"]);
    assert.deepEqual(await list("?target-version=2"), []);
  }
});

const REFUSED: readonly [what: string, body: Record<string, unknown>, status: number][] = [
  ["no id", { update_name: "x" }, 400],
  ["an id with a slash", { id: "a/b" }, 400],
  ["an id with line breaks", { id: "a\r\nb" }, 400],
  ["dots alone", { id: ".." }, 400],
  ["the reserved id", { id: "autonomous" }, 400],
  ["an id too long", { id: "x".repeat(257) }, 400],
  ["an unknown origin", { id: "a", origins: ["moon"] }, 400],
  ["a reserved origin", { id: "a", origins: ["x-sovd-own"] }, 400],
  ["an unknown policy", { id: "a", rollback_policy: "hope" }, 400],
  ["a verdict from outside on a node that leads", { id: "a", "x-orchestrator": { watchdog_ms: 1 } }, 400],
];

test("what is no package is refused and leaves nothing", async (t) => {
  const node = await slotNode(t);
  for (const [what, body, status] of REFUSED) {
    assert.equal((await node.send("POST", "/updates", body)).status, status, what);
  }
  assert.deepEqual((await node.send("GET", "/updates")).json.items, []);
  for (const verb of ["prepare", "execute", "automated", "x-commit", "x-rollback"]) {
    assert.equal((await node.send("PUT", `/updates/ghost/${verb}`)).status, 404, verb);
  }
});

interface Bad {
  readonly what: string;
  readonly body: (uri: string) => Record<string, unknown>;
  readonly code: string;
}

const CONTENT = "signed software";
const BAD: readonly Bad[] = [
  { what: "no signature", body: (uri) => ({ artifact_uri: uri }), code: "invalid-signature" },
  {
    what: "signed by a stranger",
    body: (uri) => ({
      artifact_uri: uri,
      ...manifestOf("bad", CONTENT, {}, generateKeyPairSync("ed25519").privateKey),
    }),
    code: "invalid-signature",
  },
  {
    what: "signed for another package",
    body: (uri) => ({ artifact_uri: uri, ...manifestOf("good", CONTENT) }),
    code: "update-preparation-failed",
  },
  {
    what: "wrong hash",
    body: (uri) => ({ artifact_uri: uri, ...manifestOf("bad", "signed softwarf") }),
    code: "update-preparation-failed",
  },
  {
    what: "wrong length",
    body: (uri) => ({ artifact_uri: uri, ...manifestOf("bad", CONTENT, { length: 3 }) }),
    code: "update-preparation-failed",
  },
  {
    what: "other hardware",
    body: (uri) => ({ artifact_uri: uri, ...manifestOf("bad", CONTENT, { hardware_id: "toaster" }) }),
    code: "update-preparation-failed",
  },
  {
    what: "no such image",
    body: () => ({ artifact_uri: `/components/${COMPONENT}/bulk-data/x/none`, ...manifestOf("bad", CONTENT) }),
    code: "update-preparation-failed",
  },
  {
    what: "a component that vanished",
    body: (uri) => ({ artifact_uri: uri, affected_components: [COMPONENT, "ghost"] }),
    code: "update-preparation-failed",
  },
];

test("signature, hash, length, hardware, image, component: refused before anything is changed", async (t) => {
  const keys = scratchFolder("keys");
  const pem = join(keys, "key.pem");
  await writeFile(pem, publicKey.export({ type: "spki", format: "pem" }));
  const node = await slotNode(t, { verify: "required", trusted_keys: [pem] });
  const uri = await upload(node, COMPONENT, CONTENT);
  for (const { what, body, code } of BAD) {
    const package_ = { id: "bad", affected_components: [COMPONENT], rollback_policy: "coordinated", ...body(uri) };
    await run(node, package_);
    const status = await node.until("bad", "failed");
    const iso = (await node.send("GET", `${node.url.replace("/api/v1", "/sovd/v1")}/updates/bad/status`)).json;
    assert.equal(status.phase, "prepare", what);
    assert.ok(what.includes("vanished") || iso.error.error_code === code, `${what}: ${JSON.stringify(iso.error)}`);
    await unchanged(node);
  }
  await run(node, {
    id: "good",
    affected_components: [COMPONENT],
    artifact_uri: uri,
    ...manifestOf("good", CONTENT, { version: "2.0" }),
  });
  await node.until("good", "completed");
  await run(node, {
    id: "older",
    affected_components: [COMPONENT],
    artifact_uri: uri,
    ...manifestOf("older", CONTENT, { version: "1.9" }),
  });
  assert.match((await node.until("older", "failed")).error, /older than/);
});

test("trusted keys and thresholds are taken over without a restart; a key file that is none changes nothing", async (t) => {
  const keys = scratchFolder("keys");
  const pem = join(keys, "key.pem");
  const other = generateKeyPairSync("ed25519");
  const put = (key: typeof publicKey) => writeFile(pem, key.export({ type: "spki", format: "pem" }));
  await put(publicKey);
  const node = await slotNode(t, { verify: "required", trusted_keys: [pem] });
  const artifact_uri = await upload(node, COMPONENT, CONTENT);
  const signed = (id: string) => ({
    id,
    affected_components: [COMPONENT],
    artifact_uri,
    ...manifestOf(id, CONTENT, {}, other.privateKey),
  });
  const { config } = node.server;
  await writeFile(pem, "no key");
  const broken = await node.server.reload(() => config);
  assert.match(broken.problem ?? "", /update\.trusted_keys: .*key\.pem/);
  await run(node, signed("foreign"));
  await node.until("foreign", "failed");
  await put(other.publicKey);
  const update = { ...config.update, soak_ms: 20, component: "else" };
  assert.deepEqual(await node.server.reload(() => ({ ...config, update })), {
    applied: ["update.soak_ms"],
    restart: ["update.component"],
  });
  await run(node, signed("ours"));
  await node.until("ours", "completed");
});

test("in the wrong order or twice: the codes of the standard", async (t) => {
  const gate = join(scratchFolder("command"), "open");
  const wait = ["sh", "-c", "exec sleep 30"];
  const node = await slotNode(t, {
    implicit_prepare: false,
    targets: {
      [COMPONENT]: { provider: "command", folder: gate, prepare: wait, rollback: ["true"], commit: ["true"] },
    },
  });
  await node.send("POST", "/updates", { id: "one", affected_components: [COMPONENT] });
  await node.send("POST", "/updates", { id: "two", affected_components: [COMPONENT] });
  const code = async (method: string, path: string) => {
    const { status, json } = await node.send(method, path);
    return [status, json?.error_code];
  };
  assert.deepEqual(await code("PUT", "/updates/one/execute"), [409, "precondition-not-fulfilled"]);
  assert.deepEqual(await code("PUT", "/updates/one/automated"), [409, "update-automated-not-supported"]);
  assert.equal((await node.send("PUT", "/updates/one/prepare")).status, 202);
  assert.deepEqual(await code("PUT", "/updates/one/prepare"), [409, "update-preparation-in-progress"]);
  assert.deepEqual(await code("PUT", "/updates/one/execute"), [409, "update-preparation-in-progress"]);
  assert.deepEqual(await code("DELETE", "/updates/one"), [409, "update-process-in-progress"]);
  assert.deepEqual(await code("PUT", "/updates/two/prepare"), [409, "update-process-in-progress"]);
  assert.equal((await node.send("POST", "/updates", { id: "one" })).status, 409);
  assert.equal((await node.send("PUT", "/updates/one/x-rollback")).status, 202);
  await node.until("one", "failed");
});

test("bulk data: parts, ranges, tags, list, delete", async (t) => {
  const node = await slotNode(t);
  const path = `/components/${COMPONENT}/bulk-data/firmware-artifacts`;
  const content = Buffer.alloc(9 * 1024 * 1024, "abcdefghij");
  const half = 5 * 1024 * 1024;
  const part = (from: number, to: number) => ({ "content-range": `bytes ${from}-${to - 1}/${content.length}` });
  assert.equal((await node.send("PUT", `${path}/big`, content.subarray(0, half), part(0, half))).status, 200);
  assert.deepEqual((await node.send("GET", `${path}/big/x-upload`)).json, { offset: half, complete: false });
  assert.equal((await node.send("GET", `${path}/big`)).status, 404);
  const wrong = await node.send("PUT", `${path}/big`, content.subarray(0, 5), part(3, 8));
  assert.deepEqual([wrong.status, wrong.json.parameters.offset], [416, half]);
  assert.equal(
    (await node.send("PUT", `${path}/big`, content.subarray(half, half + 10), part(half, half + 20))).status,
    400,
  );
  await node.restart();
  const { offset } = (await node.send("GET", `${path}/big/x-upload`)).json;
  const rest = content.subarray(offset);
  const done = await node.send("PUT", `${path}/big`, rest, part(offset, content.length));
  assert.equal(done.status, 201);
  assert.deepEqual(
    [done.json.hash, done.json.mime_type, done.json.mimetype],
    [createHash("sha256").update(content).digest("hex"), "application/octet-stream", "application/octet-stream"],
  );
  const whole = await node.send("GET", `${path}/big`);
  assert.ok(whole.bytes.equals(content));
  const range = await node.send("GET", `${path}/big`, undefined, { range: "bytes=5242879-5242884" });
  assert.deepEqual([range.status, range.bytes.toString()], [206, content.subarray(5242879, 5242885).toString()]);
  assert.equal(range.headers.get("content-range"), `bytes 5242879-5242884/${content.length}`);
  assert.equal((await node.send("GET", `${path}/big`, undefined, { range: "bytes=99999999-" })).status, 416);
  const tag = whole.headers.get("etag") ?? "";
  assert.equal((await node.send("GET", `${path}/big`, undefined, { "if-none-match": tag })).status, 304);
  assert.equal((await node.send("GET", path)).json.items.length, 1);
  assert.equal((await node.send("DELETE", `${path}/big`)).status, 204);
  await upload(node, COMPONENT, "x");
  // as `curl -T` sends it
  for (const [method, place] of [
    ["POST", path],
    ["PUT", `${path}/untyped`],
  ] as const) {
    const headers = { authorization: `Bearer ${node.token}` };
    const untyped = await fetch(node.url + place, { method, headers, body: new Uint8Array(3) });
    assert.deepEqual(
      [untyped.status, ((await untyped.json()) as { mimetype: string }).mimetype],
      [201, "application/octet-stream"],
    );
  }
  assert.equal((await node.send("DELETE", path)).json.deleted_ids.length, 3);
  assert.equal((await node.send("GET", `/components/ghost/bulk-data/x`)).status, 404);
});

test("a remote package: manifest and image come from the update server; an endless image is cut off", async (t) => {
  const content = "from the server";
  const host = await serveHttp(t, (request, response) => {
    if (request.url === "/fw-1/manifest.json") {
      const target = { uri: "fw-1/image.bin", sha256: sha256(content), length: content.length, version: "1.0" };
      response.end(JSON.stringify({ signed: { id: "fw-1", targets: { [COMPONENT]: target } }, signatures: [] }));
    } else if (request.url === "/fw-1/image.bin") response.end(content);
    else if (request.url === "/fw-2/manifest.json") {
      const target = { uri: "fw-2/endless", sha256: sha256(content), length: content.length };
      response.end(JSON.stringify({ signed: { id: "fw-2", targets: { [COMPONENT]: target } }, signatures: [] }));
    } else {
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536))) {}
      };
      response.on("drain", more);
      more();
    }
  });
  const node = await slotNode(t, { repository: `http://${host}` });
  await run(node, {
    id: "fw-2",
    origins: ["remote"],
    affected_components: [COMPONENT],
    rollback_policy: "coordinated",
  });
  assert.match((await node.until("fw-2", "failed")).error, /more than 15 bytes/);
  await unchanged(node);
  await run(node, {
    id: "fw-1",
    origins: ["remote"],
    affected_components: [COMPONENT],
    rollback_policy: "coordinated",
  });
  await node.until("fw-1", "completed");
  assert.equal(await readFile(join(node.slots, "current", "image"), "utf8"), content);
  const facts = (await node.send("GET", `/components/${COMPONENT}/x-medkit-update`)).json;
  assert.deepEqual([facts.current_version, facts.rollback_floor], ["1.0", "1.0"]);
});
