/** Firmware uploads by Flockwave messages, over each transport, into updates of a real server and onto a device. */
import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { createFlash } from "#sim/ajour-device.ts";
import { canonical } from "#update/software/canonical.ts";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";
import { type AjourNode, HOST, image, sha256, startDevice, startNode } from "./ajour-support.ts";
import { bounded } from "./harness.ts";
import { ask, type Client, CONFIG, link, socketIo, TARGET, tcp, udp, webSocket } from "./skybrush-support.ts";

const WITH_UDP = { ...CONFIG, skybrush: { ...CONFIG.skybrush, udp: true } };

const TRANSPORTS: Readonly<Record<string, (t: TestContext, node: AjourNode) => Promise<Client>>> = {
  "TCP lines": (t, node) => tcp(t, node.server.devicePorts.skybrushTcp),
  WebSocket: (t, node) => webSocket(t, node.server.devicePorts.skybrushWebSocket),
  UDP: (t, node) => udp(t, node.server.devicePorts.skybrushUdp),
  "Socket.IO": (t, node) => socketIo(t, node.server.devicePorts.skybrushWebSocket, ["websocket"]),
  "Socket.IO by polling": (t, node) => socketIo(t, node.server.devicePorts.skybrushWebSocket, ["polling"]),
  "Socket.IO from polling to WebSocket": async (t, node) =>
    socketIo(t, node.server.devicePorts.skybrushWebSocket, ["polling", "websocket"]),
};

for (const [name, open] of Object.entries(TRANSPORTS)) {
  test(`${name}: an upload runs to its end, with receipt, progress and result`, async (t) => {
    const node = await startNode(t, WITH_UDP);
    const { device, seen } = startDevice(t, createFlash("1.0"), { link: link(node, "bms-1") });
    const client = await open(t, node);
    // no more than goes in a datagram
    const blob = image(40_000);
    const answer = await ask(client, {
      type: "FW-UPLOAD",
      ids: ["bms", "app", "nobody"],
      target: TARGET,
      version: "2.0",
      blob: Buffer.from(blob).toString("base64"),
    });
    const { bms: receipt } = answer.receipt as Record<string, string>;
    assert.deepEqual(answer.error, {
      app: "This firmware update target is not supported.",
      nobody: "No such object",
    });
    const end = await client.next(({ body }) => body.type === "ASYNC-RESP");
    assert.deepEqual(end.body, { type: "ASYNC-RESP", id: receipt, result: true });
    await seen("good");
    assert.equal(device.version, "2.0");
    assert.deepEqual(device.flash.active.image, Buffer.from(blob));
    const progress = client.received.filter(({ body }) => body.type === "ASYNC-ST").map(({ body }) => body.progress);
    const percents = progress.map((each) => (each as { percentage: number }).percentage);
    assert.ok(percents.length > 2, "progress was told");
    assert.deepEqual(
      percents,
      percents.toSorted((a, b) => a - b),
    );
    const audit = await node.call("GET", "/x-audit");
    assert.match(JSON.stringify(audit.json), /skybrush:127\.0\.0\.1/);
  });

  test(`${name}: objects and targets`, async (t) => {
    const node = await startNode(t, WITH_UDP);
    const client = await open(t, node);
    const other = "dev.sovd-edge.firmware.command";
    for (const [body, expected] of [
      [{ type: "FW-OBJECT-LIST" }, { type: "FW-OBJECT-LIST", ids: ["app", "bms", "hud"] }],
      [
        { type: "FW-OBJECT-LIST", supports: [TARGET] },
        { type: "FW-OBJECT-LIST", ids: ["bms", "hud"] },
      ],
      [
        { type: "FW-OBJECT-LIST", supports: [TARGET, other] },
        { type: "FW-OBJECT-LIST", ids: [] },
      ],
      [{ type: "FW-TARGET-LIST" }, { type: "FW-TARGET-LIST", ids: [TARGET, other] }],
      [
        { type: "FW-TARGET-LIST", supportedBy: ["bms", "hud"] },
        { type: "FW-TARGET-LIST", ids: [TARGET] },
      ],
      [
        { type: "FW-TARGET-LIST", supportedBy: ["bms", "nobody"] },
        { type: "FW-TARGET-LIST", ids: [] },
      ],
      [
        { type: "FW-TARGET-INF", ids: [TARGET, "no-such-target"] },
        {
          type: "FW-TARGET-INF",
          result: { [TARGET]: { id: TARGET, name: "Firmware by ajour" } },
          error: { "no-such-target": "No such firmware update target" },
        },
      ],
    ] as const) {
      assert.deepEqual(await ask(client, body), expected);
    }
  });
}

test("wrong messages get ACK-NAK or nothing, and hurt nobody", async (t) => {
  const node = await startNode(t, CONFIG);
  const client = await tcp(t, node.server.devicePorts.skybrushTcp);
  for (const line of ["garbage", "[]", "null", "", '{"id":1}', '{"$fw.version":"1.0"}']) client.send(line);
  const nak = "No handler managed to parse this message in the server";
  for (const body of [{ type: "X-UNKNOWN" }, { type: "constructor" }, {}, "text"]) {
    assert.deepEqual(await ask(client, body), { type: "ACK-NAK", reason: nak });
  }
  for (const body of [
    { type: "FW-OBJECT-LIST", supports: "no list" },
    { type: "FW-TARGET-INF" },
    { type: "FW-UPLOAD", ids: [1], target: TARGET, blob: "" },
    { type: "FW-UPLOAD", ids: ["bms"], target: "", blob: "" },
  ]) {
    assert.equal((await ask(client, body)).type, "ACK-NAK");
  }
});

test("blobs that are none are refused for each object", async (t) => {
  const node = await startNode(t, CONFIG);
  const client = await webSocket(t, node.server.devicePorts.skybrushWebSocket);
  const large = Buffer.alloc((1 << 20) + 1).toString("base64");
  for (const [blob, problem] of [
    ["not base64!", "The blob is no base64"],
    ["abc", "The blob is no base64"],
    [7, "The blob is no base64"],
    ["a-b_", "The blob is no base64"],
    ["ab=c", "The blob is no base64"],
    ["====", "The blob is no base64"],
    ["abc\n", "The blob is no base64"],
    ["", "The blob is empty"],
    [large, "A blob has at most 1048576 bytes"],
  ] as const) {
    const answer = await ask(client, { type: "FW-UPLOAD", ids: ["bms", "hud"], target: TARGET, blob });
    assert.deepEqual(answer, { type: "FW-UPLOAD", error: { bms: problem, hud: problem } });
  }
  const unknown = await ask(client, { type: "FW-UPLOAD", ids: ["bms"], target: "no-such-target", blob: "AAAA" });
  assert.deepEqual(unknown.error, { bms: "No such firmware update target" });
});

test("a line that does not end closes its connection only", async (t) => {
  const node = await startNode(t, CONFIG);
  const port = node.server.devicePorts.skybrushTcp;
  const other = await tcp(t, port);
  const socket = connect(port, HOST);
  cleanup(t, () => socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write("x".repeat(2 << 20));
  await bounded("the end of the connection", (resolve) => socket.on("close", () => resolve(undefined)));
  assert.equal((await ask(other, { type: "FW-OBJECT-LIST" })).type, "FW-OBJECT-LIST");
});

test("cancel, one upload at a time, and receipts that are none", async (t) => {
  const node = await startNode(t, CONFIG);
  const slow = { link: link(node, "bms-1"), blockBytes: 64, backoffMs: 20 };
  const { device, seen } = startDevice(t, createFlash("1.0"), slow);
  const client = await tcp(t, node.server.devicePorts.skybrushTcp);
  const upload = {
    type: "FW-UPLOAD",
    ids: ["bms"],
    target: TARGET,
    blob: Buffer.from(image(65_536)).toString("base64"),
  };
  const { bms: receipt } = (await ask(client, upload)).receipt as Record<string, string>;
  await seen("block");
  const second = await ask(client, upload);
  assert.deepEqual(second.error, { bms: "An update of this object is active" });
  const cancelled = await ask(client, { type: "ASYNC-CANCEL", ids: [receipt, "nothing"] });
  assert.deepEqual(cancelled, { type: "ASYNC-CANCEL", success: [receipt], error: { nothing: "No such receipt" } });
  const end = await client.next(({ body }) => body.type === "ASYNC-RESP");
  assert.equal(end.body.id, receipt);
  assert.match(String(end.body.error), /cancelled/);
  assert.ok(client.received.findIndex(({ body }) => body.type === "ASYNC-CANCEL") < client.received.indexOf(end));
  assert.equal(device.version, "1.0");
  const late = await ask(client, { type: "ASYNC-CANCEL", ids: [receipt] });
  assert.deepEqual(late.error, { [String(receipt)]: "The operation is over" });
});

test("without progress the client is told of a time-out, and the upload does not go on", async (t) => {
  const node = await startNode(t, { ...CONFIG, skybrush: { ...CONFIG.skybrush, timeout_secs: 1 } });
  const { device } = startDevice(t, createFlash("1.0"), { link: mute(node, "bms-1") });
  const client = await webSocket(t, node.server.devicePorts.skybrushWebSocket);
  const answer = await ask(client, { type: "FW-UPLOAD", ids: ["bms"], target: TARGET, blob: "AAAA" });
  const { bms: receipt } = answer.receipt as Record<string, string>;
  const timeout = await client.next(({ body }) => body.type === "ASYNC-TIMEOUT");
  assert.deepEqual(timeout.body, { type: "ASYNC-TIMEOUT", ids: [receipt] });
  const { items } = (await node.call("GET", "/updates?origin=proximity")).json as { items: string[] };
  assert.equal(items.length, 1);
  const status = await node.status(items[0]!, (body) => body.status === "failed");
  assert.match(JSON.stringify(status.error), /no progress/);
  assert.equal(device.version, "1.0");
});

test("who loses the connection takes the receipt up again", async (t) => {
  const node = await startNode(t, CONFIG);
  const { seen } = startDevice(t, createFlash("1.0"), { link: link(node, "bms-1") });
  const first = await tcp(t, node.server.devicePorts.skybrushTcp);
  const answer = await ask(first, { type: "FW-UPLOAD", ids: ["bms"], target: TARGET, version: "2", blob: "AAAA" });
  const { bms: receipt } = answer.receipt as Record<string, string>;
  await seen("good");
  const second = await socketIo(t, node.server.devicePorts.skybrushWebSocket);
  assert.deepEqual(await ask(second, { type: "ASYNC-RESUME", ids: [receipt] }), {
    type: "ASYNC-RESUME",
    success: [receipt],
  });
  const end = await second.next(({ body }) => body.type === "ASYNC-RESP");
  assert.deepEqual(end.body, { type: "ASYNC-RESP", id: receipt, result: true });
});

test("where signatures are demanded, a blob needs a signed manifest", async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const folder = scratchFolder("key");
  const file = join(folder, "key.pem");
  await writeFile(file, publicKey.export({ type: "spki", format: "pem" }));
  const update = { ...CONFIG.update, verify: "required", trusted_keys: [file] };
  const node = await startNode(t, { ...CONFIG, update });
  const { device } = startDevice(t, createFlash("1.0"), { link: link(node, "bms-1") });
  const client = await tcp(t, node.server.devicePorts.skybrushTcp);
  const bytes = image(64);
  const blob = Buffer.from(bytes).toString("base64");
  const upload = { type: "FW-UPLOAD", ids: ["bms"], target: TARGET, blob };
  await ask(client, upload);
  const refused = await client.next(({ body }) => body.type === "ASYNC-RESP");
  assert.match(String(refused.body.error), /manifest/);
  assert.equal(device.version, "1.0");
  const image64 = { sha256: sha256(bytes), length: bytes.length, version: "3.0" };
  const manifest = { id: "signed-3.0", targets: { bms: image64 } };
  const signature = sign(null, Buffer.from(canonical(manifest)), privateKey).toString("base64");
  const answer = await ask(client, { ...upload, manifest, signature });
  const { bms: receipt } = answer.receipt as Record<string, string>;
  const end = await client.next(({ body }) => body.type === "ASYNC-RESP" && body.id === receipt);
  assert.deepEqual(end.body, { type: "ASYNC-RESP", id: receipt, result: true });
  assert.equal(device.version, "3.0");
  const two = await ask(client, { ...upload, ids: ["bms", "hud"], manifest, signature });
  assert.deepEqual(two, { type: "ACK-NAK", reason: "A signed upload is for one object" });
});

test("pages of anyone's, old Engine.IO and other name spaces are refused", async (t) => {
  const node = await startNode(t, CONFIG);
  const port = node.server.devicePorts.skybrushWebSocket;
  const page = new WebSocket(`ws://${HOST}:${port}/`, { origin: "https://elsewhere.example" });
  const [refused] = await once(page, "error");
  assert.match((refused as Error).message, /403/);
  const old = new WebSocket(`ws://${HOST}:${port}/socket.io/?EIO=3&transport=websocket`);
  const [code] = await once(old, "close");
  assert.equal(code, 1003);
  const socket = io(`http://${HOST}:${port}/admin`, { transports: ["websocket"], reconnection: false });
  cleanup(t, () => socket.close());
  const [problem] = await bounded<unknown[]>("a refusal", (resolve) =>
    socket.on("connect_error", (...all) => resolve(all)),
  );
  assert.equal((problem as Error).message, "Invalid namespace");
});

/** A device that says it is there, and from then on nothing. */
function mute(node: AjourNode, device: string) {
  const real = link(node, device);
  let said = false;
  return {
    ask: async (report: Uint8Array) => {
      if (said) throw new Error("silence");
      said = true;
      return real.ask(report);
    },
    close: () => real.close(),
  };
}
