/** Firmware by configuration: from the store, from an OCI registry, from hawkBit; what is wrong with it, and what changes on the way. */
import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type TestContext, test } from "node:test";
import { createFlash } from "#sim/ajour-device.ts";
import { httpLink } from "#sim/ajour-links.ts";
import { serveHttp } from "../fixtures/http-server.ts";
import { type AjourNode, image, PASSWORD, sha256, startDevice, startNode } from "./ajour-support.ts";
import { bounded } from "./harness.ts";

const link = (node: AjourNode, device = "bms-1") =>
  httpLink(node.origin, { device, password: PASSWORD, timeoutMs: 2_000 });
const FAST = { refresh_secs: 1, retry_secs: 1 };
const startedAs = (version: string) => (event: { type: string; version?: string }) => event.version === version;
const file = { file: { name: "app", component: "bms" } };

test("from the store; the device's own goes before the application's; another version in the middle starts over", async (t) => {
  const applications = { default: { password: PASSWORD, firmware: { oci: { image: "localhost:1/nothing:1" } } } };
  const devices = { "bms-1": { component: "bms", firmware: file } };
  const node = await startNode(t, { update: { ajour: { ...FAST, applications, devices } } });
  // not at its end before the second one has been noticed, which is asked for each second
  const first = image(4_000_000);
  await describe(node, first, "1.1");
  const slow = { link: link(node), blockBytes: 1_000, backoffMs: 10 };
  const { device, events, seen } = startDevice(t, createFlash("1.0"), slow);
  await seen("block", (event) => event.type === "block" && event.offset >= 50_000);
  const second = image(20_000);
  await describe(node, second, "1.2");
  await seen("good");
  assert.equal(device.version, "1.2");
  assert.deepEqual(device.flash.active.image, Buffer.from(second));
  assert.ok(!events.some(startedAs("1.1")), "the first version was never started");
});

test("what does not match its description is not served", async (t) => {
  const node = await startNode(t, {
    update: { ajour: { ...FAST, devices: { "bms-1": { component: "bms", firmware: file } } } },
  });
  const good = image(5_000);
  await node.upload(image(5_000), "bms", "app.bin");
  await node.upload(Buffer.from(JSON.stringify({ version: "6.6", checksum: sha256(good) })), "bms", "app.json");
  const { device, seen, events } = startDevice(t, createFlash("1.0"), { link: link(node) });
  await seen("started");
  await describe(node, good, "1.1");
  await seen("good");
  assert.equal(device.version, "1.1");
  assert.ok(!events.some(startedAs("6.6")));
});

test("from an OCI registry: token, tag, digest, index; a tag that appears later", async (t) => {
  const registry = await startRegistry(t);
  const first = image(30_000);
  const digest = registry.push("1.1", first);
  const registries = { [registry.host]: { username: "edge", password: "pull", plain_http: true } };
  const by = (reference: string) => ({
    firmware: { container: { image: `${registry.host}/acme/bms${reference}`, pull: "Always" } },
  });
  const devices = {
    tag: by(":stable"),
    digest: by(`:1.1@${digest}`),
    index: by(":index"),
    absent: by(":absent"),
  };
  registry.alias("stable", "1.1");
  registry.index("index", "1.1");
  const node = await startNode(t, { update: { ajour: { ...FAST, registries, devices } } });
  for (const [name, version] of [
    ["tag", "stable"],
    ["digest", "1.1"],
    ["index", "index"],
  ] as const) {
    const { device, seen } = startDevice(t, createFlash("0"), { link: link(node, name) });
    await seen("good");
    assert.equal(device.version, version);
    assert.deepEqual(device.flash.active.image, Buffer.from(first));
  }
  assert.ok(registry.tokens() >= 1);
  assert.ok(registry.refused() >= 1, "it was asked without a token first");
  const { events } = startDevice(t, createFlash("0"), { link: link(node, "absent") });
  registry.push("absent", image(100));
  const { device, seen } = startDevice(t, createFlash("0"), { link: link(node, "absent") });
  await seen("good");
  assert.equal(device.version, "absent");
  assert.ok(events.length > 0);
});

test("a registry that serves other bytes than it names serves no device", async (t) => {
  const registry = await startRegistry(t);
  registry.push("1.1", image(3_000), { spoil: true });
  const registries = { [registry.host]: { plain_http: true, username: "edge", password: "pull" } };
  const devices = { "bms-1": { component: "bms", firmware: { oci: { image: `${registry.host}/acme/bms:1.1` } } } };
  const node = await startNode(t, { update: { ajour: { ...FAST, registries, devices } } });
  const { device, events } = startDevice(t, createFlash("1.0"), { link: link(node) });
  await registry.served("blobs", 2);
  assert.equal(device.version, "1.0");
  assert.ok(!events.some(({ type }) => type === "block"));
});

test("from hawkBit: poll, download, progress, success; a deployment that is withdrawn is served no more", async (t) => {
  const hawkbit = await startHawkbit(t);
  const firmware = image(40_000);
  hawkbit.deploy("7", "1.1", firmware);
  const config = {
    hawkbit: { url: hawkbit.url, tenant: "ACME", authorization: "GatewayToken abc" },
    devices: { "bms-1": { component: "bms", firmware: { hawkbit: { controller: "ctl 1" } } } },
  };
  const node = await startNode(t, { update: { ajour: { ...FAST, ...config } } });
  const { device, seen } = startDevice(t, createFlash("1.0"), { link: link(node), blockBytes: 1_000 });
  await seen("good");
  assert.deepEqual(device.flash.active.image, Buffer.from(firmware));
  const closed = await hawkbit.feedback(({ execution }) => execution === "closed");
  assert.deepEqual(closed, { action: "7", execution: "closed", result: { finished: "success" } });
  const { result } = await hawkbit.feedback(({ execution }) => execution === "proceeding");
  assert.equal((result as { progress: { of: number } }).progress.of, 40_000);
  assert.equal(hawkbit.authorization(), "GatewayToken abc");
  hawkbit.deploy("8", "1.2", image(4_000_000));
  await seen("block", () => device.flash.incoming?.version === "1.2");
  hawkbit.withdraw("8");
  const cancelled = await hawkbit.feedback(({ action }) => action === "cancel 8");
  assert.equal(cancelled.execution, "closed");
  assert.equal(device.version, "1.1");
});

test("from hawkBit: outside its window a device fills its memory and waits there", async (t) => {
  const hawkbit = await startHawkbit(t);
  const firmware = image(20_000);
  hawkbit.deploy("7", "1.1", firmware, { update: "skip", maintenanceWindow: "unavailable" });
  const config = {
    hawkbit: { url: hawkbit.url, tenant: "ACME" },
    devices: { "bms-1": { component: "bms", firmware: { hawkbit: { controller: "ctl 1" } } } },
  };
  const node = await startNode(t, { update: { ajour: { ...FAST, ...config } } });
  const { device, events, seen } = startDevice(t, createFlash("1.0"), { link: link(node), blockBytes: 1_000 });
  await hawkbit.feedback(({ execution }) => execution === "downloaded");
  assert.equal(device.flash.incoming?.offset, 20_000);
  assert.ok(!events.some(({ type }) => type === "swapped"));
  const { json } = await node.call("GET", "/x-ajour/bms-1");
  assert.equal(json.answer, "wait");
  hawkbit.deploy("7", "1.1", firmware, { update: "forced", maintenanceWindow: "available" });
  await seen("good");
  assert.deepEqual(device.flash.active.image, Buffer.from(firmware));
  assert.equal(events.filter(({ type }) => type === "block").length, 20, "nothing was sent twice");
});

async function describe(node: AjourNode, firmware: Uint8Array, version: string): Promise<void> {
  await node.upload(firmware, "bms", "app.bin");
  const description = { version, checksum: `sha256:${sha256(firmware)}`, size: firmware.length };
  await node.upload(Buffer.from(JSON.stringify(description)), "bms", "app.json");
}

function startHttp(
  t: TestContext,
  handle: (url: URL, request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  return serveHttp(t, (request, response) => handle(new URL(request.url ?? "/", "http://x"), request, response));
}

/** A registry that gives tokens for a name and a password, and answers nothing without. */
async function startRegistry(t: TestContext) {
  const manifests = new Map<string, Uint8Array>();
  const blobs = new Map<string, Uint8Array>();
  const counts = { tokens: 0, refused: 0, blobs: 0, manifests: 0 };
  const waiting = new Set<() => void>();
  const host = await startHttp(t, (url, request, response) => {
    if (url.pathname === "/token") {
      counts.tokens++;
      const named = Buffer.from(request.headers.authorization?.slice("Basic ".length) ?? "", "base64").toString();
      const good = named === "edge:pull" && url.searchParams.get("scope") === "repository:acme/bms:pull";
      response.writeHead(good ? 200 : 401).end(JSON.stringify({ token: "let me in" }));
      return;
    }
    if (request.headers.authorization !== "Bearer let me in") {
      counts.refused++;
      const challenge = `Bearer realm="http://${host}/token",service="test",scope="repository:acme/bms:pull"`;
      response.writeHead(401, { "www-authenticate": challenge }).end();
      return;
    }
    const [, kind, name = ""] = /^\/v2\/acme\/bms\/(manifests|blobs)\/(.+)$/.exec(url.pathname) ?? [];
    const content = (kind === "blobs" ? blobs : manifests).get(name);
    if (kind === "blobs") counts.blobs++;
    for (const wake of waiting) wake();
    response.writeHead(content === undefined ? 404 : 200).end(content);
  });
  const put = (name: string, value: object): string => {
    const bytes = Buffer.from(JSON.stringify(value));
    const digest = `sha256:${sha256(bytes)}`;
    manifests.set(name, bytes);
    manifests.set(digest, bytes);
    return digest;
  };
  return {
    host,
    push(tag: string, firmware: Uint8Array, { spoil = false } = {}): string {
      const digest = `sha256:${sha256(firmware)}`;
      blobs.set(digest, spoil ? firmware.map((byte) => byte ^ 1) : firmware);
      const config = { mediaType: "application/vnd.oci.empty.v1+json", digest: `sha256:${sha256(new Uint8Array())}` };
      return put(tag, { schemaVersion: 2, config, layers: [{ mediaType: "application/octet-stream", digest }] });
    },
    alias(tag: string, of: string) {
      manifests.set(tag, manifests.get(of)!);
    },
    index(tag: string, of: string) {
      put(tag, { schemaVersion: 2, manifests: [{ digest: `sha256:${sha256(manifests.get(of)!)}` }] });
    },
    tokens: () => counts.tokens,
    refused: () => counts.refused,
    served: (kind: "blobs", times: number) =>
      bounded(`${times} ${kind}`, (resolve) => {
        const wake = () => counts[kind] >= times && resolve(undefined);
        waiting.add(wake);
        wake();
      }),
  };
}

type Feedback = { action: string; execution: string; result: object };

/** One controller of a hawkBit, by its Direct Device Integration API. */
async function startHawkbit(t: TestContext) {
  const seen: Feedback[] = [];
  const waiting = new Set<() => void>();
  let authorization = "";
  let action: { id: string; version: string; firmware: Uint8Array; withdrawn: boolean; more: object } | undefined;
  const base = "/ACME/controller/v1/ctl%201";
  const host = await startHttp(t, (url, request, response) => {
    const json = (value: object) => response.writeHead(200).end(JSON.stringify(value));
    const link = (path: string) => ({ href: `http://${host}${base}/${path}` });
    authorization = request.headers.authorization ?? "";
    if (request.method === "POST") {
      collect(request, (text) => {
        const [, kind = "", id = ""] = /\/(deploymentBase|cancelAction)\/([^/]+)\/feedback$/.exec(url.pathname) ?? [];
        const { status } = JSON.parse(text) as { status: { execution: string; result: object } };
        const { execution, result } = status;
        seen.push({ action: kind === "cancelAction" ? `cancel ${id}` : id, execution, result });
        if (execution === "closed" && id === action?.id) action = undefined;
        response.writeHead(200).end();
        for (const wake of waiting) wake();
      });
    } else if (url.pathname === base) {
      const links =
        action &&
        (action.withdrawn
          ? { cancelAction: link(`cancelAction/${action.id}`) }
          : { deploymentBase: link(`deploymentBase/${action.id}`) });
      json({ config: { polling: { sleep: "00:00:01" } }, _links: links ?? {} });
    } else if (url.pathname.startsWith(`${base}/cancelAction/`)) {
      json({ id: action?.id, cancelAction: { stopId: action?.id } });
    } else if (url.pathname === `${base}/firmware`) {
      response.writeHead(200).end(action?.firmware);
    } else if (action !== undefined) {
      const { id, version, firmware, more } = action;
      const artifact = {
        filename: "app.bin",
        size: firmware.length,
        hashes: { sha256: sha256(firmware) },
        _links: { "download-http": link("firmware") },
      };
      json({
        id,
        deployment: {
          download: "forced",
          update: "forced",
          ...more,
          chunks: [{ part: "os", version, name: "app", artifacts: [artifact] }],
        },
      });
    } else response.writeHead(404).end();
  });
  return {
    url: `http://${host}`,
    deploy(id: string, version: string, firmware: Uint8Array, more: object = {}) {
      action = { id, version, firmware, withdrawn: false, more };
    },
    withdraw(id: string) {
      if (action?.id === id) action.withdrawn = true;
    },
    authorization: () => authorization,
    feedback: (accepts: (feedback: Feedback) => boolean): Promise<Feedback> =>
      bounded("feedback", (resolve) => {
        const wake = () => {
          const found = seen.find(accepts);
          if (found !== undefined) resolve(found);
        };
        waiting.add(wake);
        wake();
      }),
  };
}

function collect(request: IncomingMessage, done: (text: string) => void): void {
  const parts: Uint8Array[] = [];
  request.on("data", (part: Uint8Array) => parts.push(part));
  request.on("end", () => done(Buffer.concat(parts).toString()));
}
