/** Uploads of bulk data and the thread that stores them: many at once, one that dies, senders as fast as memory. Bounds are counted, not timed. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { storePath } from "#config/derived.ts";
import { readConfig } from "#config/load.ts";
import { PAUSE_ABOVE_BYTES } from "#http/upload-stream.ts";
import { writeMdd } from "#mdd/writer/mdd.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { DEMO_ECUS } from "#sim/demo/vehicle.ts";
import { openStore } from "#store/environments.ts";
import { uploadDatabases } from "#update/pending-set.ts";
import { SEGMENT_BYTES } from "#update/software/bulk/writer.ts";
import { uploadTo } from "#update/upload-port.ts";
import { openBulk } from "../../src/bulk.ts";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";
import { startNode } from "./updates-support.ts";

const MIB = 1 << 20;
const UWS_READS_BYTES = 512 * 1024;
const COMPONENT = "compute";
const FILES = `/components/${COMPONENT}/bulk-data/firmware`;

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const startOf = (id: string) => ({ component: COMPONENT, category: "firmware", id, name: id, mimetype: "x/y" });

/** A body that is given by hand. */
class Body {
  readonly #chunks: Uint8Array[] = [];
  #ended = false;
  #wake = (): void => undefined;
  #onAsked = (): void => undefined;

  give(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** All that was given has been taken. */
  asked(): Promise<void> {
    return new Promise((resolve) => {
      this.#onAsked = resolve;
    });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) yield chunk;
      else if (this.#ended) return;
      else {
        this.#onAsked();
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

async function store(t: TestContext, parallel = 16) {
  const folder = scratchFolder("uploads");
  const tree = {
    store: { path: folder },
    update: { parallel_uploads: parallel, parallel_uploads_per_client: parallel },
  };
  const { config, problems } = readConfig({ flags: { tree, names: new Map() }, cwd: folder });
  assert.deepEqual(problems, []);
  const opened = await openStore({ folder: storePath(config), maxBytes: config.store.max_bytes });
  cleanup(t, () => opened.close());
  const open = () => {
    const uploads = openBulk(config, opened);
    cleanup(t, () => uploads.stop());
    return { bulk: uploads.bulk, stop: uploads.stop, config };
  };
  return open;
}

test("a thread that dies: the fault may be tried again, nothing half is seen, and the upload goes on behind what is durable", async (t) => {
  const open = await store(t);
  const uploads = open();
  const content = randomBytes(2 * SEGMENT_BYTES + 10);
  const body = new Body();
  body.give(content.subarray(0, SEGMENT_BYTES + 5));
  const written = uploads.bulk.write(startOf("f"), 0, body, true);
  const failed = assert.rejects(written, { kind: "workerLost" });
  await body.asked();
  while ((uploads.bulk.find(startOf("f"))?.size ?? 0) < SEGMENT_BYTES) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  await uploads.stop(0);
  await failed;
  const { size, complete, sha256: hash } = uploads.bulk.get(startOf("f"));
  assert.deepEqual([size, complete, hash], [SEGMENT_BYTES, false, ""]);
  const next = open();
  const rest = new Body();
  rest.give(content.subarray(SEGMENT_BYTES));
  rest.end();
  const info = await next.bulk.write(startOf("f"), SEGMENT_BYTES, rest, true);
  assert.deepEqual([info.sha256, info.size], [sha256(content), content.byteLength]);
  assert.ok(Buffer.concat([...next.bulk.chunks(info)]).equals(content));
});

test("what is being written when uploads are stopped is written to its end; later ones are refused at once, however long they are", async (t) => {
  const uploads = (await store(t))();
  const content = randomBytes(SEGMENT_BYTES + 5);
  const body = new Body();
  body.give(content.subarray(0, SEGMENT_BYTES));
  const written = uploads.bulk.write(startOf("f"), 0, body, true);
  await body.asked();
  body.give(content.subarray(SEGMENT_BYTES));
  body.end();
  await uploads.stop();
  assert.equal((await written).sha256, sha256(content));
  const late = new Body();
  for (let at = 0; at < 4; at++) late.give(randomBytes(MIB));
  await assert.rejects(uploads.bulk.write(startOf("late"), 0, late, true), { kind: "workerLost" });
  assert.equal(uploads.bulk.find(startOf("late")), undefined);
});

test("a job that ends before it has got the body ends the upload: nobody would take what is sent", async () => {
  const body = new Body();
  body.give(randomBytes(2 * MIB));
  body.give(randomBytes(2 * MIB));
  const refused = uploadTo({ chunks: body }, () => Promise.reject(new Error("no thread")));
  await assert.rejects(refused, /no thread/);
});

test("clients that send nothing keep no other from its end; when their places are gone the next is refused, and the node's own work goes on", async (t) => {
  const { bulk } = (await store(t, 3))();
  const stalled = async (id: string) => {
    const body = new Body();
    body.give(Buffer.from(id));
    const written = bulk.take("client", startOf(id), 0, body, true);
    await body.asked();
    return { body, written };
  };
  const whole = (id: string) => {
    const body = new Body();
    body.give(Buffer.from(id));
    body.end();
    return body;
  };
  const quick = (id: string) => bulk.take("client", startOf(id), 0, whole(id), true);
  const slow = [await stalled("a"), await stalled("b")];
  assert.equal((await quick("c")).complete, true);
  await assert.rejects(bulk.remove(startOf("a")), { kind: "storageBusy" });
  slow.push(await stalled("d"));
  await assert.rejects(quick("e"), { kind: "overloaded" });
  const form = { component: COMPONENT, category: "firmware", name: "e", contentType: "application/octet-stream" };
  await assert.rejects(bulk.create("client", form, whole("e")), { kind: "overloaded" });
  assert.equal(bulk.refused, 2);
  assert.equal((await bulk.write(startOf("own"), 0, whole("own"), true)).complete, true);
  await bulk.remove(startOf("c"));
  for (const { body, written } of slow) {
    body.end();
    assert.equal((await written).size, 1);
  }
  assert.equal((await quick("e")).complete, true);
  await bulk.remove(startOf("a"));
  assert.equal(bulk.find(startOf("a")), undefined);
});

test("an upload of databases and one of bulk data do not come between each other", async (t) => {
  const { bulk, config } = (await store(t))();
  const mdd = await writeMdd({ description: demoDatabase(DEMO_ECUS[0]!), chunks: [] });
  const image = new Body();
  image.give(randomBytes(SEGMENT_BYTES));
  const stored = bulk.write(startOf("image"), 0, image, true);
  async function* databases() {
    yield mdd;
    image.give(randomBytes(SEGMENT_BYTES));
    image.end();
    // the store of images has changed between the first byte of the databases and their last
    await stored;
  }
  const headers = { contentType: "application/octet-stream", contentDisposition: 'attachment; filename="ecu.mdd"' };
  const upload = uploadTo({ chunks: databases() }, (port) => uploadDatabases(config, port, headers));
  assert.deepEqual(await upload, ["ecu.mdd"]);
  assert.equal((await stored).size, 2 * SEGMENT_BYTES);
});

test("a body that breaks is the fault of who sent it, and its bytes stay the caller's", async (t) => {
  const { bulk } = (await store(t))();
  const mine = Buffer.from("mine");
  async function* broken() {
    yield mine;
    throw new TypeError("the other server went away");
  }
  await assert.rejects(bulk.write(startOf("f"), 0, broken(), true), /the other server went away/);
  assert.equal(mine.toString(), "mine");
});

const SENDER = `
const { connect } = require("node:net");
const [port, token, path, bytes, form] = process.argv.slice(1);
const edge = form === "" ? ["", ""] : ["--b\\r\\nContent-Disposition: form-data; name=f; filename=f\\r\\n\\r\\n", "\\r\\n--b--\\r\\n"];
const type = form === "" ? "application/octet-stream" : "multipart/form-data; boundary=b";
const length = Number(bytes) + edge[0].length + edge[1].length;
const socket = connect(Number(port), "127.0.0.1");
socket.write("POST " + path + " HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nAuthorization: Bearer " + token + "\\r\\nContent-Type: " + type + "\\r\\nContent-Length: " + length + "\\r\\n\\r\\n" + edge[0]);
const block = Buffer.alloc(4 << 20, "block");
let left = Number(bytes);
const more = () => {
  while (left > 0) {
    const part = block.subarray(0, left);
    left -= part.length;
    if (!socket.write(part)) return socket.once("drain", more);
  }
  socket.write(edge[1]);
};
more();
socket.once("data", (answer) => { console.log(String(answer).slice(9, 12)); socket.destroy(); });
`;

async function metric(port: number, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1]);
}

test("senders as fast as memory, raw and by form: what is received ahead stays small, and nobody is cut off", {
  skip: process.platform === "linux" ? false : "the receive buffer is bounded on Linux",
}, async (t) => {
  const node = await startNode(t, { component: COMPONENT } as never, {
    store: { max_bytes: { bulk: 512 * MIB }, max_upload_bytes: 64 * MIB },
  });
  const send = async (form: string): Promise<string> => {
    const path = new URL(`${node.url}${FILES}`).pathname;
    const args = [String(node.server.port), node.token, path, String(64 * MIB), form];
    const sender = spawn(process.execPath, ["-e", SENDER, ...args], { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    sender.stdout.on("data", (text) => {
      said += text;
    });
    await once(sender, "close");
    return said.trim();
  };
  assert.deepEqual(await Promise.all([send(""), send("form")]), ["201", "201"]);
  const peak = await metric(node.server.port, "sovd_http_upload_peak_bytes");
  assert.ok(peak > 0 && peak <= 2 * (PAUSE_ABOVE_BYTES + UWS_READS_BYTES), `${peak} bytes were received ahead`);
  assert.equal(await metric(node.server.port, "sovd_http_uploads_cut_total"), 0);
  assert.equal(await metric(node.server.port, "sovd_http_upload_bytes"), 0);
  const { items } = (await node.send("GET", FILES)).json;
  const wanted = sha256(Buffer.alloc(64 * MIB, Buffer.alloc(4 * MIB, "block")));
  assert.deepEqual(
    items.map((item: { hash: string }) => item.hash),
    [wanted, wanted],
  );
});
