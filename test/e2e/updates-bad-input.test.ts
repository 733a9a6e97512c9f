/** What a client may do wrong, in one table: the codes of the reference, and nothing changed on any component. */
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { canonical } from "#update/software/canonical.ts";
import { scratchFolder } from "../fixtures/cleanup.ts";
import { type Node, run, startNode, tokenOf, upload } from "./updates-support.ts";

const MIB = 1 << 20;
const LIMIT_BYTES = 24 * MIB;
const COMPONENTS = ["compute", "camera"] as const;
const CONTENT = "software of a known maker";
const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const stranger = generateKeyPairSync("ed25519").privateKey;
const sha256 = (content: string): string => createHash("sha256").update(content).digest("hex");

interface Vehicle extends Node {
  /** URI of the good image. */
  readonly uri: string;
  /** Path of a base as ISO words it. */
  iso(path: string): string;
  /** What runs on each component. */
  running(): Promise<readonly string[]>;
}

async function vehicle(t: TestContext): Promise<Vehicle> {
  const folder = scratchFolder("bad-input");
  const key = join(folder, "key.pem");
  await writeFile(key, publicKey.export({ type: "spki", format: "pem" }));
  const places = COMPONENTS.map((name) => join(folder, name));
  const targets = COMPONENTS.map((name, i) => [name, { provider: "slot", folder: places[i] }] as const);
  const stuck = { provider: "command", folder, prepare: ["sleep", "60"], rollback: ["true"], commit: ["true"] };
  const node = await startNode(
    t,
    {
      component: "compute",
      verify: "required",
      trusted_keys: [key],
      implicit_prepare: false,
      targets: { ...Object.fromEntries(targets), stuck },
    } as never,
    { store: { max_bytes: { bulk: 32 * MIB }, max_upload_bytes: LIMIT_BYTES } },
  );
  const uri = await upload(node, "compute", CONTENT);
  return Object.assign(node, {
    uri,
    iso: (path: string) => node.url.replace("/api/v1", "/sovd/v1") + path,
    running: () =>
      Promise.all(places.map((place) => readFile(join(place, "current", "image"), "utf8").catch(() => "nothing"))),
  });
}

interface Claim {
  readonly id?: string;
  readonly sha256?: string;
  readonly length?: number;
  readonly key?: KeyObject;
  readonly components?: readonly string[];
}

function packageOf(node: Vehicle, id: string, claim: Claim = {}): Record<string, unknown> {
  const { components = COMPONENTS } = claim;
  const target = { uri: node.uri, sha256: claim.sha256 ?? sha256(CONTENT), length: claim.length ?? CONTENT.length };
  const manifest = { id: claim.id ?? id, targets: Object.fromEntries(components.map((name) => [name, target])) };
  return {
    id,
    origins: ["proximity"],
    rollback_policy: "coordinated",
    affected_components: components,
    artifact_uri: node.uri,
    "x-manifest": manifest,
    "x-signature": sign(null, Buffer.from(canonical(manifest)), claim.key ?? privateKey).toString("base64"),
  };
}

type Code = readonly [status: number | "failed", code: string | undefined];

/** Registers and prepares; the code of the status it ends with. */
async function prepared(node: Vehicle, body: Record<string, unknown>): Promise<Code> {
  assert.equal((await node.send("POST", "/updates", body)).status, 201);
  assert.equal((await node.send("PUT", `/updates/${body.id}/prepare`)).status, 202);
  await node.until(String(body.id), "failed");
  const { status, phase, error } = (await node.send("GET", node.iso(`/updates/${body.id}/status`))).json;
  assert.equal(phase, "prepare");
  return [status, error.error_code];
}

async function answered(node: Vehicle, method: string, path: string, body?: unknown): Promise<Code> {
  const { status, json } = await node.send(method, node.iso(path), body);
  return [status, json?.error_code];
}

const FILES = "/components/compute/bulk-data/firmware-artifacts";

/** Sends so much and hangs up. */
async function cutUpload(node: Vehicle, name: string, sent: number, promised: number): Promise<void> {
  const { port } = node.server;
  const token = await tokenOf(port);
  const socket = connect(port, "127.0.0.1");
  const head = [
    `PUT /sovd/v1${FILES}/${name} HTTP/1.1`,
    "Host: x",
    `Authorization: Bearer ${token}`,
    "Content-Type: application/octet-stream",
    `Content-Length: ${promised}`,
  ];
  await new Promise<void>((resolve) => socket.write(`${head.join("\r\n")}\r\n\r\n`, () => resolve()));
  await new Promise<void>((resolve) => socket.write(Buffer.alloc(sent), () => resolve()));
  socket.destroy();
}

const endless = (bytes: number): ReadableStream<Uint8Array> => {
  let left = bytes;
  return new ReadableStream({
    pull(controller) {
      if (left <= 0) return controller.close();
      // each piece another: the store keeps what is equal once
      controller.enqueue(new Uint8Array(randomBytes(MIB)));
      left -= MIB;
    },
  });
};

async function streamed(node: Vehicle, name: string, bytes: number): Promise<Code> {
  const response = await fetch(node.iso(`${FILES}/${name}`), {
    method: "PUT",
    headers: {
      authorization: `Bearer ${await tokenOf(node.server.port)}`,
      "content-type": "application/octet-stream",
    },
    body: endless(bytes),
    duplex: "half",
  } as RequestInit);
  const { error_code: code } = (await response.json()) as { error_code?: string };
  return [response.status, code];
}

/** A package whose preparation does not end, so that something is under way. */
async function underWay(node: Vehicle): Promise<void> {
  await node.send("POST", "/updates", packageOf(node, "busy", { components: ["stuck"] }));
  assert.equal((await node.send("PUT", "/updates/busy/prepare")).status, 202);
}

interface Row {
  readonly what: string;
  readonly attempt: (node: Vehicle) => Promise<Code>;
  readonly code: Code;
}

const FAILED: Code = ["failed", "update-preparation-failed"];
const FORGED: Code = ["failed", "invalid-signature"];

const ROWS: readonly Row[] = [
  {
    what: "no signature",
    attempt: (node) => prepared(node, { ...packageOf(node, "a"), "x-signature": undefined }),
    code: FORGED,
  },
  {
    what: "no manifest",
    attempt: (node) => prepared(node, { ...packageOf(node, "a"), "x-manifest": undefined, "x-signature": undefined }),
    code: FORGED,
  },
  {
    what: "a stranger's signature",
    attempt: (node) => prepared(node, packageOf(node, "a", { key: stranger })),
    code: FORGED,
  },
  {
    what: "a signature that is none",
    attempt: (node) => prepared(node, { ...packageOf(node, "a"), "x-signature": "?" }),
    code: FORGED,
  },
  {
    what: "the signature of another package",
    attempt: (node) => prepared(node, packageOf(node, "a", { id: "b" })),
    code: FAILED,
  },
  {
    what: "a wrong hash",
    attempt: (node) => prepared(node, packageOf(node, "a", { sha256: sha256("x") })),
    code: FAILED,
  },
  { what: "a wrong length", attempt: (node) => prepared(node, packageOf(node, "a", { length: 1 })), code: FAILED },
  {
    what: "an unknown component",
    attempt: (node) => prepared(node, packageOf(node, "a", { components: ["compute", "ghost"] })),
    code: FAILED,
  },
  {
    what: "an unknown update",
    attempt: (node) => answered(node, "PUT", "/updates/none/prepare"),
    code: [404, "vendor-specific"],
  },
  {
    what: "execute before prepare",
    async attempt(node) {
      await node.send("POST", "/updates", packageOf(node, "a"));
      return answered(node, "PUT", "/updates/a/execute");
    },
    code: [409, "precondition-not-fulfilled"],
  },
  {
    what: "automated, not allowed",
    async attempt(node) {
      await node.send("POST", "/updates", packageOf(node, "a"));
      return answered(node, "PUT", "/updates/a/automated");
    },
    code: [409, "update-automated-not-supported"],
  },
  {
    what: "prepare twice",
    async attempt(node) {
      await underWay(node);
      return answered(node, "PUT", "/updates/busy/prepare");
    },
    code: [409, "update-preparation-in-progress"],
  },
  {
    what: "execute while it prepares",
    async attempt(node) {
      await underWay(node);
      return answered(node, "PUT", "/updates/busy/execute");
    },
    code: [409, "update-preparation-in-progress"],
  },
  {
    what: "two updates at once on one component",
    async attempt(node) {
      await underWay(node);
      await node.send("POST", "/updates", packageOf(node, "a", { components: ["stuck", "compute"] }));
      return answered(node, "PUT", "/updates/a/prepare");
    },
    code: [409, "update-process-in-progress"],
  },
  {
    what: "delete while running",
    async attempt(node) {
      await underWay(node);
      return answered(node, "DELETE", "/updates/busy");
    },
    code: [409, "update-process-in-progress"],
  },
  {
    what: "another package in the place of a running one",
    async attempt(node) {
      await underWay(node);
      return answered(node, "POST", "/updates", packageOf(node, "busy"));
    },
    code: [409, "update-process-in-progress"],
  },
  {
    what: "a range shorter than it says",
    async attempt(node) {
      const range = { "content-range": "bytes 0-9/10" };
      const { status, json } = await node.send("PUT", node.iso(`${FILES}/short`), Buffer.alloc(4), range);
      return [status, json.error_code];
    },
    code: [400, "vendor-specific"],
  },
  {
    what: "a truncated upload: it stays incomplete, and nothing can be made of it",
    async attempt(node) {
      await cutUpload(node, "cut", 5 * MIB, 9 * MIB);
      await untilIncomplete(node, "cut");
      return prepared(node, { ...packageOf(node, "a"), ...relocated(node, `${FILES}/cut`) });
    },
    code: FAILED,
  },
  {
    what: "an endless upload",
    async attempt(node) {
      // who goes on beyond twice the limit finds the connection closed, perhaps before the answer
      await streamed(node, "endless", 4 * LIMIT_BYTES).catch(() => {});
      const code = await streamed(node, "endless", 1.5 * LIMIT_BYTES);
      await node.send("DELETE", `${FILES}/endless`);
      return code;
    },
    code: [413, "vendor-specific"],
  },
  {
    what: "a full disk",
    async attempt(node) {
      assert.equal((await node.send("PUT", `${FILES}/first`, randomBytes(20 * MIB))).status, 201);
      const code = await streamed(node, "second", 20 * MIB);
      for (const name of ["first", "second"]) await node.send("DELETE", `${FILES}/${name}`);
      return code;
    },
    code: [500, "sovd-server-failure"],
  },
];

/** The same package with its image elsewhere, signed. */
function relocated(node: Vehicle, uri: string): Record<string, unknown> {
  const { "x-manifest": made } = packageOf({ ...node, uri } as Vehicle, "a");
  return {
    artifact_uri: uri,
    "x-manifest": made,
    "x-signature": sign(null, Buffer.from(canonical(made)), privateKey).toString("base64"),
  };
}

const PATIENCE_MS = 120_000;

/** The server has noticed that the sender is gone. */
async function untilIncomplete(node: Vehicle, name: string): Promise<void> {
  // asked as often as it takes: on a busy machine the thread for uploads takes its time
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; ) {
    const { json } = await node.send("GET", `${FILES}/${name}/x-upload`);
    if (json.offset > 0) {
      assert.equal(json.complete, false);
      return;
    }
  }
  assert.fail("nothing of the upload arrived");
}

test("refused by its code, and nothing changed", async (t) => {
  const node = await vehicle(t);
  for (const { what, attempt, code } of ROWS) {
    await t.test(what, async () => {
      assert.deepEqual(await attempt(node), code);
      assert.deepEqual(await node.running(), ["nothing", "nothing"]);
      if ((await node.send("PUT", "/updates/busy/x-rollback")).status === 202) await node.until("busy", "failed");
      await node.send("POST", "/updates", packageOf(node, "good"));
      assert.equal((await node.send("PUT", "/updates/good/prepare")).status, 202, "the node works as before");
      await node.until("good", "prepared");
    });
  }
});

test("what an update needs is neither removed nor replaced before it has ended", async (t) => {
  const node = await vehicle(t);
  const IN_PROGRESS: Code = [409, "update-process-in-progress"];
  const spare = await upload(node, "compute", "of nobody", "spare.bin");
  await node.send("POST", "/updates", packageOf(node, "needed"));
  await node.send("PUT", "/updates/needed/prepare");
  await node.until("needed", "prepared");

  assert.deepEqual(await answered(node, "DELETE", node.uri), IN_PROGRESS);
  assert.deepEqual(await answered(node, "PUT", node.uri, Buffer.from("something else")), IN_PROGRESS);
  const { status, json } = await node.send("DELETE", node.iso(FILES));
  assert.deepEqual([status, json.deleted_ids], [200, [spare.slice(`${FILES}/`.length)]]);
  const [{ path, error }, ...more] = json.errors;
  assert.deepEqual([path, error.error_code, more.length], [node.uri.replace(FILES, ""), IN_PROGRESS[1], 0]);
  assert.match(error.message, /Update needed, which is prepared, needs firmware-artifacts\//);

  await node.send("PUT", "/updates/needed/execute");
  await node.until("needed", "completed");
  assert.deepEqual(await node.running(), [CONTENT, CONTENT]);
  assert.deepEqual(await answered(node, "DELETE", node.uri), [204, undefined]);
});

test("a component that vanishes between prepare and execute: nobody keeps new software", async (t) => {
  const folder = scratchFolder("vanish");
  const secondary = await startNode(t, {
    component: "camera",
    targets: { camera: { provider: "slot", folder: join(folder, "camera") } },
  } as never);
  const primary = await startNode(t, {
    role: "primary",
    component: "compute",
    execute_timeout_ms: 4_000,
    rollback_timeout_ms: 4_000,
    targets: {
      compute: { provider: "slot", folder: join(folder, "compute") },
      camera: { provider: "sovd-secondary", url: secondary.url, token: await tokenOf(secondary.server.port) },
    },
  } as never);
  const uri = await upload(primary, "compute", CONTENT);
  const about = { affected_components: [...COMPONENTS], artifact_uri: uri, rollback_policy: "coordinated" };
  await primary.send("POST", "/updates", { id: "fw", ...about });
  await primary.send("PUT", "/updates/fw/prepare");
  await primary.until("fw", "prepared");
  await secondary.server.close();
  await primary.send("PUT", "/updates/fw/execute");
  const ended = await primary.until("fw", "needsService");
  assert.deepEqual(
    ended.subprogress.map((member: { entity: string; "x-state": string }) => [member.entity, member["x-state"]]),
    [
      ["compute", "rolledBack"],
      ["camera", "stuck"],
    ],
  );
  const faults = (await primary.send("GET", "/components/compute/faults")).json.items;
  assert.deepEqual(
    faults.map(({ code }: { code: string }) => code),
    ["UPDATE-fw-camera"],
    "the exception is named",
  );
  await assert.rejects(readFile(join(folder, "compute", "current", "image")));
  await assert.rejects(readFile(join(folder, "camera", "current", "image")));
  await run(primary, { id: "alone", ...about, affected_components: ["compute"] });
  await primary.until("alone", "completed");
});
