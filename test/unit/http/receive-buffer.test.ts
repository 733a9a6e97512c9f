/** What the kernel receives ahead is bounded on every connection, whenever it came. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join as joined } from "node:path";
import { type TestContext, test } from "node:test";
import { request } from "undici";
import { systemClock } from "#core/time.ts";
import { limitReceiveBuffers } from "#http/receive-buffer.ts";
import { startHttpServer } from "#http/server.ts";
import { route } from "#sovd/route.ts";
import { NO_CONTENT } from "#sovd/schemas.ts";
import { cleanup, scratchFolder } from "../../fixtures/cleanup.ts";
import { V, vehicle } from "../sovd/harness.ts";

/** What uWebSockets.js reads at a time; while that is filled it reads on. */
const BOUND_BYTES = 512 * 1024;

/** Sizes of the receive buffers of sockets that it inherits, from descriptor 3 on. */
const READER = `
const { UDP } = process.binding("udp_wrap");
const sizes = Array.from({ length: Number(process.argv[1]) }, (_, at) => {
  const socket = new UDP();
  socket.open(3 + at);
  return socket.bufferSize(0, true, {});
});
console.log(JSON.stringify(sizes));`;

function sizesOf(sockets: readonly Socket[]): number[] {
  const descriptors = sockets.map((socket) => (socket as unknown as { _handle: { fd: number } })._handle.fd);
  const { stdout } = spawnSync(process.execPath, ["-e", READER, String(sockets.length)], {
    stdio: ["ignore", "pipe", "ignore", ...descriptors],
    encoding: "utf8",
  });
  return JSON.parse(stdout) as number[];
}

/** An upload that is worth a process. */
const LARGE_BYTES = 5 << 20;
const LINUX = { skip: process.platform === "linux" ? false : "Linux only" };

test("connections before, while and after the bound is set all have it", LINUX, async (t) => {
  const accepted: Socket[] = [];
  const clients: Socket[] = [];
  const server = createServer((socket) => accepted.push(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanup(t, () => {
    for (const socket of [...clients, ...accepted]) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const join = async () => {
    const client = connect(port, "127.0.0.1");
    clients.push(client);
    await Promise.all([once(server, "connection"), once(client, "connect")]);
  };
  await join();
  const [unbounded] = sizesOf(accepted);
  let isSet = false;
  const limited = limitReceiveBuffers(port).finally(() => {
    isSet = true;
  });
  while (!isSet && clients.length < 100) await join();
  await limited;
  await join();
  const sizes = sizesOf(accepted);
  assert.equal(sizes.length, clients.length);
  assert.ok(
    sizes.every((bytes) => bytes < BOUND_BYTES && bytes !== unbounded),
    sizes.join(),
  );
});

/** Runs a script of the shell in place of Node. */
function helper(t: TestContext, script: string): string {
  const folder = scratchFolder("helper");
  const { execPath } = process;
  cleanup(t, () => {
    process.execPath = execPath;
  });
  process.execPath = joined(folder, "node");
  writeFileSync(process.execPath, `#!/bin/sh\n${script.replaceAll("FOLDER", folder)}\n`);
  chmodSync(process.execPath, 0o700);
  return folder;
}

async function listening(t: TestContext): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanup(t, () => server.close());
  return (server.address() as AddressInfo).port;
}

test(
  "the process inherits the sockets of the port, and nothing else: no environment, no other descriptor",
  LINUX,
  async (t) => {
    const port = await listening(t);
    const other = await listening(t);
    const folder = helper(
      t,
      "readlink /proc/$$/fd/* > FOLDER/fds; cat /proc/$$/environ > FOLDER/env; pwd > FOLDER/cwd",
    );
    await limitReceiveBuffers(port);
    const read = (name: string) => readFileSync(joined(folder, name), "utf8");
    assert.deepEqual([read("env"), read("cwd")], ["", "/\n"]);
    const found = read("fds").trim().split("\n");
    assert.equal(found.filter((target) => target.startsWith("socket:")).length, 1, read("fds"));
    // the shell's own are its script, its output and what it forks with
    const strange = found.filter((target) => !/^(socket:.*|\/dev\/null|\/.*\/(node|fds)|pipe:.*)$/.test(target));
    assert.deepEqual(strange, []);
    await assert.doesNotReject(limitReceiveBuffers(other));
  },
);

const FAILURES: readonly [what: string, script: string, message: RegExp][] = [
  ["Node without process.binding", "exit 1", /exit code 1/],
  ["a process that is killed", "kill -9 $$", /SIGKILL/],
];

for (const [what, script, message] of FAILURES) {
  test(`${what}: the failure says why`, LINUX, async (t) => {
    helper(t, script);
    await assert.rejects(limitReceiveBuffers(await listening(t)), message);
  });
}

test("no further process is allowed, or nobody listens: a failure, no more", LINUX, async (t) => {
  const port = await listening(t);
  const folder = helper(t, "exit 0");
  rmSync(folder, { recursive: true });
  await assert.rejects(limitReceiveBuffers(port), { code: "ENOENT" });
  await assert.rejects(limitReceiveBuffers(1), /no socket of port 1/);
});

test("a failure is told once, not with each upload, and keeps none of them from its end", LINUX, async (t) => {
  const folder = helper(t, "echo run >> FOLDER/runs; exit 1");
  const problems: string[] = [];
  const taken: number[] = [];
  const server = await startHttpServer({
    address: "127.0.0.1",
    port: 0,
    context: { ...vehicle().context, onProblem: (_, where) => problems.push(where) },
    clock: systemClock,
    maxUploadBytes: LARGE_BYTES,
    routes: [
      route({
        method: "post",
        path: "/x-taken",
        summary: "Takes an upload",
        tag: "test",
        open: true,
        body: { kind: "upload", types: ["application/octet-stream"] },
        responses: { 204: NO_CONTENT },
        handle: async ({ body }) => {
          let size = 0;
          for await (const chunk of body.chunks) size += chunk.byteLength;
          taken.push(size);
          return { status: 204 };
        },
      }),
    ],
  });
  cleanup(t, () => server.close());
  const send = async (): Promise<number> => {
    const headers = { "content-type": "application/octet-stream" };
    const options = { method: "POST", headers, body: Buffer.alloc(LARGE_BYTES) } as const;
    const { statusCode, body } = await request(`http://127.0.0.1:${server.port}${V}/x-taken`, options);
    await body.dump();
    return statusCode;
  };
  assert.deepEqual(await Promise.all([send(), send()]), [204, 204]);
  assert.equal(await send(), 204);
  assert.deepEqual(taken, [LARGE_BYTES, LARGE_BYTES, LARGE_BYTES]);
  assert.deepEqual(problems, ["receive buffer"]);
  assert.equal(readFileSync(joined(folder, "runs"), "utf8"), "run\n");
});
