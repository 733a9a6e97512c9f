/** The commands' client against a server that says when to come again: one that has just been started, or has too much to do. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect } from "#cli/update-client.ts";
import { push } from "#cli/update-push.ts";
import { scratchFolder } from "../../fixtures/cleanup.ts";
import { serveHttp } from "../../fixtures/http-server.ts";

const IMAGE = Buffer.from("image");
const SHA256 = createHash("sha256").update(IMAGE).digest("hex");

/** A server of `/updates` without ranges; each call is taken when it comes a second time. */
async function busyServer(t: TestContext) {
  const taken: string[] = [];
  const refused = new Set<string>();
  const answers: Readonly<Record<string, readonly [status: number, json: object]>> = {
    "POST /authorize": [200, { access_token: "token" }],
    "POST /components/hud/bulk-data/firmware-artifacts": [201, { id: "fw", size: IMAGE.length, hash: SHA256 }],
    "POST /updates": [201, { id: "fw.bin" }],
    "PUT /updates/fw.bin/execute": [202, {}],
    "GET /updates/fw.bin/status": [200, { phase: "execute", status: "completed", progress: 100 }],
  };
  const host = await serveHttp(t, async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const line = `${request.method} ${request.url}`;
    if (!refused.delete(line)) {
      refused.add(line);
      response.writeHead(refused.size % 2 === 0 ? 429 : 503, { "retry-after": "0" }).end("{}");
      return;
    }
    taken.push(line);
    if (line.includes("firmware-artifacts") && request.method === "POST") assert.deepEqual(Buffer.concat(parts), IMAGE);
    const [status, json] = answers[line] ?? [404, {}];
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(json));
  });
  return { url: `http://${host}`, taken };
}

test("push --watch comes again when the server wants it", async (t) => {
  const folder = scratchFolder("push");
  const file = join(folder, "fw.bin");
  await writeFile(file, IMAGE);
  const { url, taken } = await busyServer(t);
  const lines: string[] = [];
  const output = { write: (text: string) => lines.push(text) };
  await push(file, { to: url, components: "hud", policy: "coordinated", watch: true }, output);
  assert.deepEqual(
    taken.filter((line) => !line.includes("x-upload")),
    [
      "POST /authorize",
      "POST /components/hud/bulk-data/firmware-artifacts",
      "POST /updates",
      "PUT /updates/fw.bin/execute",
      "GET /updates/fw.bin/status",
    ],
  );
  assert.match(lines.join(""), /execute completed/);
});

/** Refusals of an execute that was not prepared, and how the status names the phases. */
const DIALECTS: readonly [server: string, status: number, refusal: object, view: (phase: string) => object][] = [
  ["ISO 17978-3", 409, { error_code: "precondition-not-fulfilled" }, (phase) => ({ phase })],
  [
    "ros2_medkit",
    400,
    { error_code: "vendor-error", vendor_code: "x-medkit-update-not-prepared" },
    (phase) => ({ "x-medkit": { phase: `${phase}d` } }),
  ],
];
for (const [server, status, refusal, view] of DIALECTS) {
  test(`push to a server that does not prepare by itself: ${server}`, async (t) => {
    const folder = scratchFolder("push");
    const file = join(folder, "fw.bin");
    await writeFile(file, IMAGE);
    let phase = "";
    const puts: string[] = [];
    const host = await serveHttp(t, (request, response) => {
      request.resume();
      const { method, url = "" } = request;
      const answer = (code: number, json: object) => response.writeHead(code).end(JSON.stringify(json));
      if (method === "GET" && url.endsWith("/status")) return answer(200, { status: "completed", ...view(phase) });
      if (method === "POST") return answer(201, { id: "fw", size: IMAGE.length, hash: SHA256 });
      if (method !== "PUT") return answer(404, {});
      puts.push(url);
      if (url.endsWith("/execute") && phase === "") return answer(status, refusal);
      phase = url.split("/").at(-1) ?? "";
      return answer(202, {});
    });
    const output = { write: () => true };
    await push(
      file,
      { to: `http://${host}`, token: "t", components: "hud", policy: "coordinated", watch: true },
      output,
    );
    assert.deepEqual(
      puts,
      ["execute", "prepare", "execute"].map((verb) => `/updates/fw.bin/${verb}`),
    );
  });
}

for (const [what, headers] of [
  ["does not say when", {}],
  ["wants longer than anybody waits", { "retry-after": "3600" }],
] as const) {
  test(`a server that is away and ${what}: told at once`, async (t) => {
    let calls = 0;
    const host = await serveHttp(t, (_request, response) => {
      calls++;
      response.writeHead(503, headers).end();
    });
    const client = await connect({ to: `http://${host}`, token: "token" });
    await assert.rejects(client.json("GET", "/updates"), { kind: "notResponding" });
    assert.equal(calls, 1);
  });
}
