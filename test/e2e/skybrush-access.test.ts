/** Who may speak Flockwave and how much: posted messages, tokens, TLS, web pages, signed images, and what is taken at a time. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { WebSocket } from "ws";
import { pack } from "#cli/update-pack.ts";
import { createFlash } from "#sim/ajour-device.ts";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";
import fc from "../fixtures/properties.ts";
import { type AjourNode, HOST, image, startDevice, startNode } from "./ajour-support.ts";
import { bounded } from "./harness.ts";
import { ask, CONFIG, lines, link, post, socketIo, TARGET, tcp, udp, webSocket } from "./skybrush-support.ts";

const BLOB = Buffer.from(image(2_000)).toString("base64");

test("a posted message is answered with a body, once all of it is done", async (t) => {
  const node = await startNode(t, CONFIG);
  startDevice(t, createFlash("1.0"), { link: link(node, "bms-1") });
  const body = { type: "FW-UPLOAD", ids: ["bms", "app"], target: TARGET, blob: BLOB };
  const unsupported = { app: "This firmware update target is not supported." };
  const done = await post(node, body);
  assert.deepEqual(done.json, { type: "FW-UPLOAD", error: unsupported, result: { bms: true } });
  const enveloped = await post(node, { "$fw.version": "1.0", id: "q1", body: { type: "FW-OBJECT-LIST" } });
  assert.deepEqual(enveloped, { status: 200, json: { type: "FW-OBJECT-LIST", ids: ["app", "bms", "hud"] } });
  for (const [wrong, status, reason] of [
    ["{", 400, /no JSON/],
    [[], 400, /no object/],
    [{ "$fw.version": "1.0", body: { type: "FW-OBJECT-LIST" } }, 400, /no id/],
    [{ type: "X-UNKNOWN" }, 200, /No handler/],
  ] as const) {
    const answer = await post(node, wrong);
    assert.deepEqual([answer.status, answer.json.type], [status, "ACK-NAK"]);
    assert.match(String(answer.json.reason), reason);
  }
  const base = `http://${HOST}:${node.server.devicePorts.skybrushWebSocket}`;
  assert.equal((await fetch(`${base}/api/v1`)).status, 405);
  assert.equal((await fetch(`${base}/api/v1/components`)).status, 426, "nothing of SOVD is here");
});

test("a posted upload that fails, and one whose client goes away", async (t) => {
  const node = await startNode(t, { ...CONFIG, skybrush: { ...CONFIG.skybrush, timeout_secs: 1 } });
  const upload = (id: string) => ({ type: "FW-UPLOAD", ids: [id], target: TARGET, blob: BLOB });
  const timedOut = await post(node, upload("bms"));
  assert.deepEqual(timedOut.json.error, { bms: "The operation timed out" });
  const socket = connect(node.server.devicePorts.skybrushWebSocket, HOST);
  const text = JSON.stringify(upload("hud"));
  socket.write(`POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
  const updates = node.server.context.softwareUpdates!;
  while (updates.list({}).length < 2) await new Promise((resolve) => setImmediate(resolve));
  socket.destroy();
  const id = updates.list({}).at(-1)!;
  assert.equal((await node.status(id, ({ status }) => status === "failed")).status, "failed");
});

test("web pages of others: neither messages, nor polling, nor sockets", async (t) => {
  const node = await startNode(t, {
    ...CONFIG,
    skybrush: { ...CONFIG.skybrush, origins: ["https://ground.example"] },
  });
  const port = node.server.devicePorts.skybrushWebSocket;
  for (const [origin, status] of [
    ["https://elsewhere.example", 403],
    // what some programs say: where they connect to
    [`http://${HOST}:${port}`, 200],
    [`http://${HOST}:${port + 1}`, 403],
    ["null", 403],
    ["https://ground.example", 200],
  ] as const) {
    const headers = { origin, "content-type": "text/plain" };
    assert.equal((await post(node, { type: "FW-OBJECT-LIST" }, headers)).status, status, origin);
    const polled = await fetch(`http://${HOST}:${port}/socket.io/?EIO=4&transport=polling`, { headers: { origin } });
    assert.equal(polled.status, status, origin);
    const page = new WebSocket(`ws://${HOST}:${port}/`, { origin });
    const opened = await new Promise((resolve, reject) => {
      page.on("open", () => resolve(200));
      page.on("unexpected-response", (_, { statusCode }) => resolve(statusCode));
      page.on("error", reject);
    });
    page.terminate();
    assert.equal(opened, status, origin);
  }
  // a name is whoever's it is that made it lead here
  const host = `elsewhere.example:${port}`;
  const rebound = new WebSocket(`ws://${HOST}:${port}/`, { origin: `http://${host}`, headers: { host } });
  const refused = await new Promise((resolve) => {
    rebound.on("error", () => undefined).on("unexpected-response", (_, { statusCode }) => resolve(statusCode));
    rebound.on("open", () => resolve(200));
  });
  rebound.terminate();
  assert.equal(refused, 403);
});

test("a page that posts messages to the port for lines is cut off before they are read", async (t) => {
  const node = await startNode(t, CONFIG);
  const port = node.server.devicePorts.skybrushTcp;
  const upload = { type: "FW-UPLOAD", ids: ["bms"], target: TARGET, blob: BLOB };
  const body = `\n${JSON.stringify({ "$fw.version": "1.0", id: "1", body: upload })}\n`;
  await assert.rejects(fetch(`http://${HOST}:${port}/`, { method: "POST", body }));
  // a client of the same server that came later has its answer: what was read before it would show
  const client = await tcp(t, port);
  assert.equal((await ask(client, { type: "SYS-PING" })).type, "ACK-ACK");
  assert.deepEqual(node.server.context.softwareUpdates!.list({}), []);
});

test("where tokens are demanded, nothing about firmware is said or done without", async (t) => {
  const node = await startNode(t, { ...CONFIG, skybrush: { ...CONFIG.skybrush, authentication: "token" } });
  const { device } = startDevice(t, createFlash("1.0"), { link: link(node, "bms-1") });
  const { json } = await node.call("POST", "/authorize", { client_id: "pilot", client_secret: "x" });
  const token = String(json.access_token);
  const client = await tcp(t, node.server.devicePorts.skybrushTcp);
  const upload = { type: "FW-UPLOAD", ids: ["bms"], target: TARGET, version: "2.0", blob: BLOB };
  const refused = { type: "ACK-NAK", reason: "Authentication is required" };
  for (const body of [upload, { type: "FW-OBJECT-LIST" }, { type: "ASYNC-CANCEL", ids: ["x"] }, { type: "OBJ-LIST" }]) {
    assert.deepEqual(await ask(client, body), refused);
  }
  assert.equal((await ask(client, { type: "SYS-PING" })).type, "ACK-ACK");
  assert.deepEqual(await ask(client, { type: "AUTH-INF" }), { type: "AUTH-INF", methods: ["jwt"], required: true });
  assert.deepEqual(await ask(client, { type: "AUTH-WHOAMI" }), { type: "AUTH-WHOAMI", user: "" });
  const log = (data: unknown) => ask(client, { type: "AUTH-REQ", method: "jwt", data });
  assert.deepEqual(await log("no token"), { type: "AUTH-RESP", result: false });
  assert.equal((await ask(client, { type: "AUTH-REQ", method: "basic", data: "eDp5" })).type, "ACK-NAK");
  assert.deepEqual(await log(token), { type: "AUTH-RESP", result: true, user: "pilot" });
  assert.deepEqual(await ask(client, { type: "AUTH-WHOAMI" }), { type: "AUTH-WHOAMI", user: "pilot" });
  await ask(client, upload);
  assert.equal((await client.next(({ body }) => body.type === "ASYNC-RESP")).body.result, true);
  assert.equal(device.version, "2.0");
  assert.match(JSON.stringify((await node.call("GET", "/x-audit")).json), /skybrush:127\.0\.0\.1 pilot/);
  const list = { type: "FW-OBJECT-LIST" };
  assert.deepEqual((await post(node, list)).json, refused);
  assert.equal((await post(node, list, { authorization: "Bearer nothing" })).status, 401);
  assert.equal((await post(node, list, { authorization: `Bearer ${token}` })).json.type, "FW-OBJECT-LIST");
});

test("over TLS, with a client's certificate where one is demanded", async (t) => {
  const folder = scratchFolder("fw");
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
  try {
    const args = ["req", "-x509", ...curve, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
    execFileSync("openssl", [...args, "-keyout", key, "-out", cert], { stdio: "ignore" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return t.skip("openssl is not installed");
  }
  const tls = { tls_certificate: cert, tls_key: key, tls_ca: cert };
  // the node's own port stays as the test's client wants it
  const node = await startNode(t, { ...CONFIG, skybrush: { ...CONFIG.skybrush, enabled: false } });
  const { startSkybrush } = await import("#update/skybrush/create.ts");
  const { systemClock } = await import("#core/time.ts");
  const { config } = node.server;
  const skybrush = await startSkybrush({
    config: { ...config, http: { ...config.http, ...tls }, skybrush: { ...config.skybrush, tls: true } },
    clock: systemClock,
    updates: node.server.context.softwareUpdates!,
    authenticate: () => Promise.reject(new Error("nobody is asked")),
    onProblem: () => undefined,
  });
  cleanup(t, () => skybrush.close());
  const ca = await readFile(cert);
  const own = { ca, cert: ca, key: await readFile(key) };
  const socket = connectTls({ port: skybrush.tcpPort, host: HOST, ...own });
  await once(socket, "secureConnect");
  assert.equal((await ask(lines(t, socket), { type: "FW-OBJECT-LIST" })).type, "FW-OBJECT-LIST");
  const secure = new WebSocket(`wss://${HOST}:${skybrush.webSocketPort}/`, own);
  await once(secure, "open");
  secure.terminate();
  const stranger = new WebSocket(`wss://${HOST}:${skybrush.webSocketPort}/`, { ca });
  const [problem] = await once(stranger, "error");
  assert.match(String(problem), /certificate required|ECONNRESET|socket hang up|closed/i);
});

test("an image that was packed with its signature goes through a client that knows of none", async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const folder = scratchFolder("fw");
  const [trusted, key, file] = [join(folder, "trusted.pem"), join(folder, "key.pem"), join(folder, "app.bin")];
  await writeFile(trusted, publicKey.export({ type: "spki", format: "pem" }));
  await writeFile(key, privateKey.export({ type: "pkcs8", format: "pem" }));
  const bytes = Buffer.from(image(5_000));
  await writeFile(file, bytes);
  const written: string[] = [];
  const output = { write: (text: string) => written.push(text) };
  await assert.rejects(pack(file, { components: "bms", key, output: file }, output), { kind: "badRequest" });
  await pack(file, { components: "bms,HUD", key, version: "2.0" }, output);
  assert.match(written.join(""), /app\.bin\.signed: 5000 bytes for bms, hud, SHA-256 [0-9a-f]{64}\n$/);
  const packed = await readFile(`${file}.signed`);

  const update = { ...CONFIG.update, verify: "required", trusted_keys: [trusted] };
  const node = await startNode(t, { ...CONFIG, update });
  const devices = ["bms", "hud"].map((name) => startDevice(t, createFlash("1.0"), { link: link(node, `${name}-1`) }));
  const send = (blob: Uint8Array, ids: readonly string[] = ["bms", "hud"]) =>
    post(node, { type: "FW-UPLOAD", ids, target: TARGET, blob: Buffer.from(blob).toString("base64") });
  const refused = async (blob: Uint8Array, reason: RegExp) => {
    const { error = {}, result } = (await send(blob)).json as { error?: Record<string, string>; result?: unknown };
    assert.equal(result, undefined);
    for (const name of ["bms", "hud"]) assert.match(String(error[name]), reason);
  };
  await refused(bytes, /no manifest/);
  const flipped = Buffer.from(packed);
  flipped[flipped.length - 1]! ^= 1;
  await refused(flipped, /SHA-256/);
  await refused(
    Buffer.from(
      packed
        .toString("latin1")
        .replace('"version":"2.0"', '"version":"9.0"')
        .replace('"version":"2.0"', '"version":"9.0"'),
      "latin1",
    ),
    /No trusted key/,
  );
  await refused(packed.subarray(0, 60), /head of the signed image/);
  for (const { device } of devices) assert.equal(device.version, "1.0");

  assert.deepEqual((await send(packed)).json, { type: "FW-UPLOAD", result: { bms: true, hud: true } });
  for (const { device } of devices) {
    assert.equal(device.version, "2.0");
    assert.deepEqual(device.flash.active.image, bytes);
  }
  assert.deepEqual((await send(packed, ["bms"])).json, { type: "FW-UPLOAD", result: { bms: true } }, "and again");
});

test("an update that came by SOVD is not put aside by an upload of its id", async (t) => {
  const node = await startNode(t, CONFIG);
  const updated = { id: "by-sovd", updated_components: ["bms"], origins: ["remote"] };
  assert.equal((await node.call("POST", "/updates", updated)).status, 201);
  const manifest = { id: "By-SOVD", targets: {} };
  const answer = await post(node, { type: "FW-UPLOAD", ids: ["bms"], target: TARGET, blob: BLOB, manifest });
  assert.deepEqual(answer.json.error, { bms: "There is an update by-sovd already" });
});

test("an upload that is under way goes on after a restart; what is over is swept away", async (t) => {
  const first = await startNode(t, CONFIG);
  const slow = startDevice(t, createFlash("1.0"), { link: link(first, "bms-1"), blockBytes: 64, backoffMs: 20 });
  const client = await tcp(t, first.server.devicePorts.skybrushTcp);
  const bytes = Buffer.from(BLOB, "base64");
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const manifest = { id: "twice", targets: { bms: { sha256, length: bytes.length, version: "2.0" } } };
  const upload = { type: "FW-UPLOAD", ids: ["bms"], target: TARGET, version: "2.0", blob: BLOB, manifest };
  await ask(client, upload);
  await slow.seen("block");
  await slow.device.stop();
  await first.close();
  const node = await startNode(t, CONFIG, first.folder);
  const updates = node.server.context.softwareUpdates!;
  const [id] = updates.list({});
  const blobs = () => updates.bulk.list("x-skybrush", "firmware").length;
  assert.deepEqual(Object.keys((await post(node, upload)).json), ["type", "error"]);
  assert.equal(blobs(), 1, "the one that is under way keeps its blob");
  const { device } = startDevice(t, createFlash("1.0"), { link: link(node, "bms-1") });
  assert.equal((await node.status(String(id), ({ status }) => status !== "inProgress")).status, "completed");
  assert.equal(device.version, "2.0");
  assert.equal(blobs(), 1);
  await node.close();
  const last = await startNode(t, CONFIG, first.folder);
  const swept = last.server.context.softwareUpdates!;
  assert.deepEqual(swept.list({}), []);
  assert.deepEqual(swept.bulk.list("x-skybrush", "firmware"), []);
});

test("the same blob for two objects, by two clients at once", async (t) => {
  const node = await startNode(t, CONFIG);
  const clients = await Promise.all([tcp, tcp].map((open) => open(t, node.server.devicePorts.skybrushTcp)));
  const answers = await Promise.all(
    ["bms", "hud"].map((id, at) => ask(clients[at]!, { type: "FW-UPLOAD", ids: [id], target: TARGET, blob: BLOB })),
  );
  assert.deepEqual(
    answers.map((answer) => Object.keys(answer)),
    [
      ["type", "receipt"],
      ["type", "receipt"],
    ],
  );
});

test("messages that are begun and not ended: all connections together have one room", async (t) => {
  const small = { ...CONFIG.skybrush, max_pending_bytes: 300_000 };
  const node = await startNode(t, { ...CONFIG, skybrush: small });
  const { skybrushTcp, skybrushWebSocket } = node.server.devicePorts;
  const good = await tcp(t, skybrushTcp);
  const first = connect(skybrushTcp, HOST);
  cleanup(t, () => first.destroy());
  first.write("x".repeat(250_000));
  await held(node, good);
  const second = connect(skybrushTcp, HOST);
  second.on("error", () => undefined);
  second.write("x".repeat(100_000));
  await bounded("the end of the second", (resolve) => second.on("close", () => resolve(undefined)));
  const page = await open(`ws://${HOST}:${skybrushWebSocket}/`);
  page.on("error", () => undefined);
  page.send("x".repeat(100_000), { fin: false });
  await bounded("the end of the socket", (resolve) => page.on("close", () => resolve(undefined)));
  const posted = await post(node, { type: "FW-OBJECT-LIST", more: "x".repeat(100_000) });
  assert.equal(posted.status, 503);
  assert.equal((await ask(good, { type: "FW-OBJECT-LIST" })).type, "FW-OBJECT-LIST", "short ones have room");
  first.destroy();
  await bounded("room again", async (resolve) => {
    while ((await post(node, { type: "FW-OBJECT-LIST", more: "x".repeat(100_000) })).status !== 200);
    resolve(undefined);
  });
});

test("garbage over each transport hurts nobody", async (t) => {
  const node = await startNode(t, { ...CONFIG, skybrush: { ...CONFIG.skybrush, udp: true } });
  const { skybrushTcp, skybrushUdp, skybrushWebSocket } = node.server.devicePorts;
  const senders = [
    await tcp(t, skybrushTcp),
    await udp(t, skybrushUdp),
    await webSocket(t, skybrushWebSocket),
    await socketIo(t, skybrushWebSocket),
  ];
  const type = fc.constantFrom("FW-UPLOAD", "FW-TARGET-INF", "FW-OBJECT-LIST", "ASYNC-RESUME", "CONN-INF", "AUTH-REQ");
  const names = fc.oneof(fc.jsonValue(), fc.constant(["bms", "__proto__", "hud"]));
  const body = fc.record({
    type,
    ids: names,
    supports: names,
    target: fc.constantFrom(TARGET, 7),
    blob: fc.jsonValue(),
  });
  const message = fc.record({ "$fw.version": fc.constantFrom("1.0", 1, "x"), id: fc.jsonValue(), body });
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.json(), message), async (garbage) => {
      for (const sender of senders) sender.send(garbage);
      assert.ok((await post(node, garbage)).status <= 400);
    }),
    { numRuns: 100 },
  );
  for (const sender of senders) assert.equal((await ask(sender, { type: "SYS-PING" })).type, "ACK-ACK");
  const raw = connect(skybrushWebSocket, HOST);
  raw.on("error", () => undefined);
  raw.resume();
  raw.end(Buffer.from(image(5_000)));
  await bounded("the end", (resolve) => raw.on("close", () => resolve(undefined)));
  assert.equal((await node.call("GET", "/updates")).status, 200);
});

test("a thousand messages at once are answered over each transport", async (t) => {
  // all of them are of one address
  const skybrush = { ...CONFIG.skybrush, max_messages_per_second: 10_000 };
  const node = await startNode(t, { ...CONFIG, skybrush });
  const { skybrushTcp, skybrushWebSocket } = node.server.devicePorts;
  for (const client of [
    await tcp(t, skybrushTcp),
    await webSocket(t, skybrushWebSocket),
    await socketIo(t, skybrushWebSocket),
  ]) {
    const answered = new Set<string>();
    for (let i = 0; i < 1_000; i++) {
      client.send({ "$fw.version": "1.0", id: `m${i}`, body: { type: "FW-OBJECT-LIST" } });
    }
    await client.next(({ refs = "", body }) => {
      if (body.type === "FW-OBJECT-LIST") answered.add(refs);
      return answered.size === 1_000;
    });
  }
});

test("who does not read what is answered is let go", async (t) => {
  const node = await startNode(t, CONFIG);
  const socket = connect(node.server.devicePorts.skybrushTcp, HOST);
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.pause();
  const line = `${JSON.stringify({ "$fw.version": "1.0", id: "q", body: { type: "FW-TARGET-INF", ids: ["x".repeat(9_000)] } })}\n`;
  const closed = new Promise((resolve) => socket.on("close", resolve));
  const write = () => {
    while (!socket.destroyed && socket.write(line));
    if (!socket.destroyed) socket.once("drain", write);
  };
  write();
  await bounded("the end of the connection", (resolve) => void closed.then(() => resolve(undefined)));
});

/** Once what was sent before on other connections has been read. */
async function held(node: AjourNode, client: Awaited<ReturnType<typeof tcp>>): Promise<void> {
  for (let i = 0; i < 20; i++) await ask(client, { type: "SYS-PING" });
  assert.equal((await node.call("GET", "/updates")).status, 200);
}

async function open(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url);
  await once(socket, "open");
  return socket;
}
