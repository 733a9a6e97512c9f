/** One controller of a hawkBit, by its Direct Device Integration API: what the server says, what it is told, what a device gets. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { type TestContext, test } from "node:test";
import type { Report } from "#update/ajour/desk.ts";
import { HawkbitSource } from "#update/ajour/hawkbit.ts";
import { pollMs } from "#update/ajour/hawkbit-client.ts";
import type { Nothing, Offer } from "#update/ajour/sources.ts";
import { serveHttp } from "../../fixtures/http-server.ts";

const SIGNAL = new AbortController().signal;
const BASE = "/DEFAULT/controller/v1/ctl%201";
const firmware = randomBytes(1_000);
const SHA256 = createHash("sha256").update(firmware).digest("hex");

type Json = Record<string, unknown>;

/** A server whose documents the test sets: links of the base, and what each says. */
async function startServer(t: TestContext) {
  /** Documents by path below the controller. */
  const documents = new Map<string, Json>();
  /** `METHOD path` with its body; a body's timestamp is left out. */
  const told: [string, Json][] = [];
  /** Status of the next answers to feedback. */
  const statuses: number[] = [];
  const counts = { unchanged: 0, cuts: 0 };
  const ranges: (string | undefined)[] = [];
  const authorizations = new Set<string | undefined>();
  const host = await serveHttp(t, async (request, response) => {
    const path = (request.url ?? "").replace(BASE, "");
    authorizations.add(request.headers.authorization);
    if (request.method !== "GET") {
      const { timestamp, ...body } = JSON.parse(await textOf(request)) as Json;
      assert.equal(typeof timestamp, "number");
      told.push([`${request.method} ${path}`, body]);
      response.writeHead(statuses.shift() ?? 200).end();
    } else if (path === "/firmware.bin") {
      ranges.push(request.headers.range);
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
      const end = firmware.length - 1;
      const range = { "content-range": `bytes ${from}-${end}/${firmware.length}` };
      response.writeHead(from === 0 ? 200 : 206, { ...range, "content-length": firmware.length - from });
      if (counts.cuts-- > 0)
        response.write(firmware.subarray(from, from + 300), () => setImmediate(() => response.destroy()));
      else response.end(firmware.subarray(from));
    } else {
      const text = JSON.stringify(documents.get(path));
      const etag = `"${createHash("sha256")
        .update(text ?? "")
        .digest("hex")
        .slice(0, 8)}"`;
      if (path === "" && request.headers["if-none-match"] === etag) {
        counts.unchanged++;
        response.writeHead(304).end();
      } else response.writeHead(text === undefined ? 404 : 200, path === "" ? { etag } : {}).end(text);
    }
  });
  const url = `http://${host}`;
  const say = (links: Readonly<Record<string, string>>, sleep = "00:05:00") => {
    const all = Object.entries(links).map(([name, path]) => [name, { href: `${url}${BASE}${path}` }]);
    documents.set("", { config: { polling: { sleep } }, _links: Object.fromEntries(all) });
  };
  const deployment = (id: string, more: Json = {}): Json => {
    const _links = { "download-http": { href: `${url}${BASE}/firmware.bin` } };
    const artifact = { filename: "app.bin", size: firmware.length, hashes: { sha256: SHA256.toUpperCase() }, _links };
    const chunks = [{ part: "os", version: `1.${id}`, name: "app", artifacts: [artifact] }];
    return { id, deployment: { download: "forced", update: "forced", chunks, ...more } };
  };
  /** The server has a deployment for the controller. */
  const deploy = (id: string, more: Json = {}) => {
    say({ deploymentBase: `/deploymentBase/${id}` });
    documents.set(`/deploymentBase/${id}`, deployment(id, more));
  };
  const problems: unknown[] = [];
  const source = (more: Partial<ConstructorParameters<typeof HawkbitSource>[0]> = {}) =>
    new HawkbitSource({
      url: `${url}/`,
      tenant: "DEFAULT",
      controller: "ctl 1",
      authorization: "GatewayToken abc",
      timeoutMs: 60_000,
      pollMs: 60_000,
      confirmation: "leave",
      onProblem: (problem) => problems.push(problem),
      ...more,
    });
  return { source, say, deploy, deployment, documents, told, statuses, counts, ranges, authorizations, problems };
}

type Server = Awaited<ReturnType<typeof startServer>>;

async function textOf(request: IncomingMessage): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of request) parts.push(part as Uint8Array);
  return Buffer.concat(parts).toString();
}

const isOffer = (found: Offer | Nothing): found is Offer => "sha256" in found;
const gateOf = (found: Offer | Nothing) => (isOffer(found) ? found.gate : "nothing");

/** A device's report, and what it was answered. `offset` of the image of the deployment. */
function reported(answer: Report["answer"], offset: number, version = "1.0", of = "1.7"): Report {
  const update = { version: Buffer.from(of), offset };
  const image = { version: Buffer.from(of), sizeBytes: firmware.length, sha256: SHA256 };
  return { status: { version: Buffer.from(version), update }, answer, image, atMs: 0 };
}

/** What was told as `execution finished`, of deployments and of cancellations. */
const saidTo = ({ told }: Server): string[] =>
  told.map(([path, body]) => {
    const { execution, result } = body.status as { execution: string; result: { finished: string } };
    return `${path.replace(/^POST \//, "").replace("/feedback", "")} ${execution} ${result.finished}`;
  });

test("the pace", () => {
  for (const [sleep, expected] of [
    ["00:05:00", 300_000],
    ["01:00:30", 3_630_000],
    ["120:00:00", 432_000_000],
    ["00:00:00", 1_000],
    ["5", undefined],
    [undefined, undefined],
  ] as const) {
    assert.equal(pollMs({ config: { polling: { sleep } } }), expected, String(sleep));
  }
  assert.equal(pollMs({}), undefined);
});

test("how far a device may go is the deployment's word, looked up each time", async (t) => {
  const server = await startServer(t);
  const source = server.source();
  server.say({});
  assert.deepEqual(await source.look(SIGNAL), { validMs: 300_000 }, "nothing to do, at the server's pace");
  for (const [more, expected] of [
    [{}, "open"],
    [{ update: "attempt", download: "attempt" }, "open"],
    [{ update: "skip" }, "download"],
    [{ maintenanceWindow: "available" }, "open"],
    [{ maintenanceWindow: "unavailable" }, "download"],
    [{ download: "skip", update: "skip" }, "nothing"],
    [{ update: "forced" }, "open"],
  ] as const) {
    server.deploy("7", more);
    assert.equal(gateOf(await source.look(SIGNAL)), expected, JSON.stringify(more));
  }
  assert.ok(server.counts.unchanged >= 6, "an unchanged base is not sent again");
  assert.deepEqual([...server.authorizations], ["GatewayToken abc"]);
});

test("feedback, from the first block to the end", async (t) => {
  const server = await startServer(t);
  const source = server.source();
  server.deploy("7");
  await source.look(SIGNAL);
  for (const offset of [0, 50, 99, 250, 250, 999]) source.note(reported("write", offset));
  source.note(reported("swap", 1_000));
  source.note(reported("none", 0, "1.7"));
  source.note(reported("sync", 0, "1.7"));
  source.note(reported("sync", 0, "1.7"));
  server.say({});
  await source.look(SIGNAL);
  assert.deepEqual(saidTo(server), [
    "deploymentBase/7 proceeding none",
    "deploymentBase/7 proceeding none",
    "deploymentBase/7 proceeding none",
    "deploymentBase/7 downloaded none",
    "deploymentBase/7 closed success",
  ]);
  const { result } = server.told[1]![1].status as { result: { progress: object } };
  assert.deepEqual(result.progress, { cnt: 250, of: 1_000 });
  assert.equal(gateOf(await source.look(SIGNAL)), "open", "it is what the device shall have");
});

test("a device that drops the image again and again: closed as a failure, and served no more", async (t) => {
  const server = await startServer(t);
  const source = server.source();
  server.deploy("7");
  await source.look(SIGNAL);
  for (let turn = 0; turn < 3; turn++)
    for (const answer of ["swap", "write"] as const) source.note(reported(answer, 1_000));
  assert.equal(gateOf(await source.look(SIGNAL)), "nothing");
  assert.equal(saidTo(server).at(-1), "deploymentBase/7 closed failure");
  server.deploy("8");
  assert.equal(gateOf(await source.look(SIGNAL)), "open");
});

test("what the server has not heard is said again; what has ended there is served no more", async (t) => {
  const server = await startServer(t);
  const source = server.source();
  server.deploy("7");
  await source.look(SIGNAL);
  server.statuses.push(503);
  source.note(reported("sync", 0, "1.7"));
  await source.look(SIGNAL);
  assert.equal(server.problems.length, 1);
  await source.look(SIGNAL);
  assert.deepEqual(saidTo(server).slice(0, 2), ["deploymentBase/7 closed success", "deploymentBase/7 closed success"]);
  server.deploy("8");
  await source.look(SIGNAL);
  server.statuses.push(410);
  source.note(reported("write", 0));
  server.say({});
  assert.equal(gateOf(await source.look(SIGNAL)), "nothing", "410: the action is no longer active");
});

test("a deployment is withdrawn: accepted until the device was told to swap, refused from then on", async (t) => {
  for (const [what, reports, expected, gate] of [
    ["not begun", [], "closed success", "nothing"],
    ["in the middle", [reported("write", 500)], "closed success", "nothing"],
    ["downloaded", [reported("wait", 1_000)], "closed success", "nothing"],
    ["told to swap", [reported("swap", 1_000)], "rejected none", "open"],
    ["runs it", [reported("swap", 1_000), reported("sync", 0, "1.7")], "rejected none", "open"],
    [
      "swapped, dropped, in the middle again",
      [reported("swap", 1_000), reported("write", 0)],
      "closed success",
      "nothing",
    ],
  ] as const) {
    const server = await startServer(t);
    const source = server.source();
    server.deploy("7");
    await source.look(SIGNAL);
    for (const report of reports) source.note(report);
    server.say({ cancelAction: "/cancelAction/11" });
    server.documents.set("/cancelAction/11", { id: "11", cancelAction: { stopId: "7" } });
    assert.equal(gateOf(await source.look(SIGNAL)), gate, what);
    assert.equal(saidTo(server).at(-1), `cancelAction/11 ${expected}`, what);
  }
});

test("confirmations, attributes, what was installed before", async (t) => {
  for (const confirmation of ["leave", "confirmed", "denied"] as const) {
    const server = await startServer(t);
    const source = server.source({ confirmation });
    source.note(reported("wait", 0, "1.0"));
    server.say({ confirmationBase: "/confirmationBase/7?c=1", configData: "/configData" });
    server.documents.set("/confirmationBase/7?c=1", { id: "7", confirmation: {} });
    assert.equal(gateOf(await source.look(SIGNAL)), "nothing");
    const put: [string, Json] = ["PUT /configData", { mode: "merge", data: { agent: "sovd-edge", version: "1.0" } }];
    const said: [string, Json] = ["POST /confirmationBase/7/feedback", { confirmation, details: ["by configuration"] }];
    assert.deepEqual(server.told, confirmation === "leave" ? [put] : [said, put]);
    server.say({ installedBase: "/installedBase/6" });
    server.documents.set("/installedBase/6", server.deployment("6", { update: "skip" }));
    const offer = (await source.look(SIGNAL)) as Offer;
    assert.equal(Buffer.from(offer.version).toString(), "1.6");
    assert.equal(offer.gate, "open");
    source.note(reported("sync", 0, "1.6"));
    await source.look(SIGNAL);
    assert.ok(
      !server.told.some(([path]) => path.includes("deploymentBase")),
      "an action that is over gets no feedback",
    );
  }
});

test("a download that is cut goes on by range; its token stays with the server", async (t) => {
  const server = await startServer(t);
  const source = server.source({ authorization: "TargetToken of the controller" });
  server.deploy("7");
  server.counts.cuts = 2;
  const { fetch } = (await source.look(SIGNAL)) as Offer;
  const parts: Uint8Array[] = [];
  for await (const part of fetch(SIGNAL, 0)) parts.push(part);
  assert.deepEqual(Buffer.concat(parts), firmware);
  assert.deepEqual(server.ranges, [undefined, "bytes=300-", "bytes=600-"]);
  assert.deepEqual([...server.authorizations], ["TargetToken of the controller"]);
  server.documents.set("", { _links: { deploymentBase: { href: "http://127.0.0.2:1/elsewhere" } } });
  await assert.rejects(source.look(SIGNAL), /another server/);
});

test("a deployment that cannot be checked is refused", async (t) => {
  const server = await startServer(t);
  const source = server.source();
  for (const chunks of [
    [],
    [{ version: "1", artifacts: [] }],
    [{ version: "1", artifacts: [{ hashes: { sha1: "00" } }] }],
    7,
  ]) {
    server.deploy("7", { chunks });
    await assert.rejects(source.look(SIGNAL), { kind: "invalidData" });
  }
});
