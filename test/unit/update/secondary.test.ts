/** Other nodes as a primary meets them: of ours, of another make, away for a while, and such that lie. */
import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type TestContext, test } from "node:test";
import { Fault } from "#core/errors.ts";
import { systemClock } from "#core/time.ts";
import type { UpdateJob } from "#update/software/provider.ts";
import { SovdSecondaryProvider } from "#update/software/providers/sovd-secondary.ts";
import { cleanup } from "../../fixtures/cleanup.ts";
import { serveHttp } from "../../fixtures/http-server.ts";
import { jobOf, sha256 } from "./job-support.ts";

const IMAGE = Buffer.alloc(5 << 20, "image");
/** More than a machine that stalls is late. */
const TIMEOUT_MS = 60_000;
/** Where it is waited for. */
const SHORT_TIMEOUT_MS = 1_000;
/** Of a slow link: the pauses together are longer than an answer may take, each is a tenth of it. */
const LINK = { timeoutMs: 3_000, pauseMs: 300, pieces: 12 };
// not within such a time
await import("undici");

type Answer = (request: IncomingMessage, body: Buffer, response: ServerResponse) => unknown;

interface Call {
  readonly line: string;
  readonly body: Buffer;
  readonly authorization: string | undefined;
}

/** A node whose every answer is given; undefined: nothing is answered. An object is sent as JSON, with `status` as HTTP's. */
async function node(t: TestContext, answer: Answer, timeoutMs = TIMEOUT_MS) {
  const calls: Call[] = [];
  const host = await serveHttp(t, async (request, response) => {
    const parts: Buffer[] = [];
    try {
      for await (const part of request) parts.push(part as Buffer);
    } catch {
      return;
    }
    const body = Buffer.concat(parts);
    calls.push({ line: `${request.method} ${request.url}`, body, authorization: request.headers.authorization });
    const said = await answer(request, body, response);
    if (said === undefined) return;
    const { http = 200, ...json } = said as { http?: number };
    response.writeHead(http, { "content-type": "application/json" }).end(JSON.stringify(json));
  });
  const provider = new SovdSecondaryProvider({
    targetOf: () => ({ url: `http://${host}/api/v1`, component: "hud" }),
    clock: systemClock,
    token: "token",
    tls: undefined,
    timeoutMs,
    pollMs: 5,
    watchdogMs: 60_000,
  });
  cleanup(t, () => provider.dispose());
  return { provider, calls, lines: () => calls.map(({ line }) => line.replace("/api/v1", "")) };
}

const hudJob = (more: Partial<UpdateJob> = {}, notes = new Map<string, string>()): UpdateJob =>
  jobOf(
    IMAGE,
    {
      component: "hud",
      campaign: "vehicle-fw-v2.1",
      package: { id: "vehicle-fw-v2.1", rollback_policy: "independent" },
      signal: AbortSignal.timeout(2 * TIMEOUT_MS),
      ...more,
    },
    notes,
  );

/** ros2_medkit as its facts say: ids without dots, duplicates refused, no verbs of a verdict, upload by form only. */
function medkit() {
  const packages = new Map<string, { body: { artifact_uri?: string }; phase: string; polls: number }>();
  const uploads: Buffer[] = [];
  const answer: Answer = ({ method, url = "" }, body) => {
    const path = url.replace("/api/v1", "");
    const [, id = "", verb] = /^\/updates\/([^/]+)(?:\/([\w-]+))?$/.exec(path) ?? [];
    if (path.endsWith("/x-medkit-update") || path.includes("/x-upload")) return { http: 404 };
    if (path === "/components/hud") return { id: "hud" };
    if (method === "POST" && path === "/components/hud/bulk-data/firmware-artifacts") {
      uploads.push(body);
      return { http: 201, id: "fw-1" };
    }
    if (method === "POST") {
      const described = JSON.parse(body.toString()) as { id: string; artifact_uri?: string };
      if (!/^[A-Za-z0-9_-]{1,256}$/.test(described.id)) return { http: 400, error_code: "invalid-request" };
      const exists = { http: 400, error_code: "vendor-error", vendor_code: "x-medkit-update-already-exists" };
      if (packages.has(described.id)) return exists;
      packages.set(described.id, { body: described, phase: "none", polls: 0 });
      return { http: 201, id: described.id };
    }
    if (!/^[A-Za-z0-9_-]{1,256}$/.test(id)) return { http: 400, error_code: "invalid-request" };
    const known = packages.get(id);
    if (known === undefined) return { http: 404 };
    if (method === "DELETE") return packages.delete(id) && { http: 204 };
    if (verb === undefined) return known.body;
    if (method === "PUT" && (verb === "prepare" || verb === "execute")) {
      known.phase = verb === "prepare" ? "preparing" : "executing";
      known.polls = 0;
      return { http: 202 };
    }
    if (verb !== "status") return { http: 404 };
    if (++known.polls > 3) known.phase = known.phase.replace(/ing$/, "ed").replace("prepareded", "prepared");
    const words: Record<string, string> = { none: "pending", prepared: "completed", executed: "completed" };
    return { status: words[known.phase] ?? "inProgress", progress: 50, "x-medkit": { phase: known.phase } };
  };
  return { answer, packages, uploads };
}

test("a node of another make: upload by form, an id that it takes, no verdict asked of it", async (t) => {
  const other = medkit();
  const { provider, lines } = await node(t, other.answer);
  const notes = new Map<string, string>();
  const facts = await provider.describe("hud", AbortSignal.timeout(TIMEOUT_MS));
  assert.deepEqual(facts, { supportsRollback: false, supportsTrial: false });
  await provider.prepare(hudJob({}, notes));
  const [found] = other.packages;
  const [id, { body }] = found!;
  assert.match(id, /^vehicle-fw-v2_1-[0-9a-f]{8}$/);
  assert.equal(body.artifact_uri, "/components/hud/bulk-data/firmware-artifacts/fw-1");
  assert.ok(other.uploads[0]!.includes('name="file"; filename="new_image.bin"'));
  assert.ok(other.uploads[0]!.includes(IMAGE));
  await provider.execute(hudJob({}, notes));
  await provider.verify(hudJob({}, notes));
  await provider.commit(hudJob({}, notes));
  await provider.close(hudJob({}, notes));
  assert.equal(lines().filter((line) => line.includes("x-commit") || line.includes("x-close")).length, 0);
  await assert.rejects(provider.rollback(hudJob({}, notes)), { kind: "conflict" });
  // the next attempt: the package is there already, the image too
  other.packages.get(id)!.phase = "failed";
  await provider.prepare(hudJob({ attempt: 2 }, notes));
  assert.equal(other.uploads.length, 1);
  assert.equal(lines().filter((line) => line === `DELETE /updates/${id}`).length, 1);
});

/** A node of ours, as far as a primary sees it; `away`: answers that are not given, by their number. */
function own(away: ReadonlySet<number> = new Set()) {
  const remote = { state: "absent", stored: Buffer.alloc(0), relay: "", count: 0, verbs: [] as string[] };
  const states: Record<string, string> = {
    prepare: "prepared",
    execute: "awaitingVerdict",
    "x-commit": "committed",
    "x-close": "completed",
    "x-rollback": "rolledBack",
  };
  const act = (method: string, path: string, body: Buffer, range: string | undefined): object | undefined => {
    if (path.endsWith("/x-upload")) {
      const complete = remote.stored.length === IMAGE.length;
      return { offset: remote.stored.length, complete, ...(complete ? { sha256: sha256(remote.stored) } : {}) };
    }
    if (method === "PUT" && path.includes("/bulk-data/")) {
      const from = Number(/bytes (\d+)-/.exec(range ?? "")?.[1]);
      remote.stored = Buffer.concat([remote.stored.subarray(0, from), body]);
      return { http: 201 };
    }
    if (method === "DELETE" && path.includes("/bulk-data/")) {
      const http = remote.stored.length === 0 ? 404 : 204;
      remote.stored = Buffer.alloc(0);
      return { http };
    }
    if (method === "DELETE") {
      remote.state = "absent";
      return { http: 204 };
    }
    if (method === "POST") {
      remote.relay = (JSON.parse(body.toString()) as Record<string, string>)["x-relay"]!;
      remote.state = "registered";
      return { http: 201 };
    }
    if (path.endsWith("/status")) return remote.state === "absent" ? { http: 404 } : { "x-state": remote.state };
    if (method === "GET") return remote.state === "absent" ? { http: 404 } : { "x-relay": remote.relay };
    const verb = path.split("/").at(-1)!;
    remote.verbs.push(verb);
    remote.state = states[verb]!;
    return { http: 202 };
  };
  const answer: Answer = ({ method = "", url = "", headers }, body, response) => {
    const number = ++remote.count;
    // an odd number is lost before the node acted on it, an even one after
    if (away.has(number) && number % 2 === 1) return void response.destroy();
    const said = act(method, url, body, headers["content-range"]);
    if (away.has(number)) return void response.destroy();
    return said;
  };
  return { answer, remote };
}

test("a node that is cut off at each single call: it is waited for, nothing is sent twice that was taken", async (t) => {
  const whole = own();
  const quiet = await node(t, whole.answer);
  await quiet.provider.prepare(hudJob());
  await quiet.provider.execute(hudJob());
  const calls = whole.remote.count;
  assert.deepEqual(whole.remote.verbs, ["prepare", "execute"]);
  let told = 0;
  for (let at = 1; at <= calls; at++) {
    const { answer, remote } = own(new Set([at]));
    const { provider } = await node(t, answer);
    const notes = new Map<string, string>();
    const run = async (): Promise<void> => {
      await provider.prepare(hudJob({}, notes));
      await provider.execute(hudJob({}, notes));
    };
    // silence at first contact is told; the attempt that comes again goes on
    await run().catch((error: unknown) => {
      assert.ok(error instanceof Fault && error.kind === "notResponding", `${at}: ${error}`);
      told++;
      return run();
    });
    assert.equal(remote.state, "awaitingVerdict", `call ${at}`);
    assert.ok(remote.stored.equals(IMAGE));
    assert.deepEqual([...new Set(remote.verbs)], ["prepare", "execute"]);
  }
  assert.equal(told, 2, "the first of prepare and the first of execute");
});

/** Answers each call only when it has come a second time, as a node that says when to come again. */
function busy(answer: Answer): Answer {
  const refused = new Set<string>();
  return (request, body, response) => {
    const line = `${request.method} ${request.url}`;
    if (refused.delete(line)) return answer(request, body, response);
    refused.add(line);
    return void response.writeHead(503, { "retry-after": "0" }).end();
  };
}

test("an update that was committed and never closed there is closed before the next one is handed on", async (t) => {
  const ours = own();
  let former = "committed";
  const { provider, lines } = await node(t, (request, body, response) => {
    const path = request.url!.replace("/api/v1", "");
    if (path.endsWith("/x-medkit-update")) return { supports_trial: true, state: former, update: "fw 1" };
    if (path === "/updates/fw%201/x-close") {
      former = "completed";
      return { http: 202 };
    }
    if (request.method === "POST" && former === "committed")
      return { http: 409, error_code: "update-process-in-progress" };
    return ours.answer(request, body, response);
  });
  await provider.prepare(hudJob());
  assert.equal(ours.remote.state, "prepared");
  assert.equal(lines().filter((line) => line.endsWith("/x-close")).length, 1);
});

test("a node that has just been started and says when to come again is asked again", async (t) => {
  const { answer, remote } = own();
  const { provider } = await node(t, busy(answer));
  const notes = new Map<string, string>();
  for (const call of ["prepare", "execute", "commit", "close", "cancel"] as const)
    await provider[call](hudJob({}, notes));
  assert.ok(remote.stored.equals(IMAGE));
  assert.equal((await provider.describe("hud", AbortSignal.timeout(TIMEOUT_MS))).supportsTrial, false);
  assert.deepEqual(remote.verbs, ["prepare", "execute", "x-commit", "x-close", "x-rollback"]);
});

test("one that says so for longer than an answer may take is away", async (t) => {
  const { provider, calls } = await node(t, (_request, _body, response) => {
    response.writeHead(503, { "retry-after": "3600" }).end();
  });
  await assert.rejects(provider.describe("hud", AbortSignal.timeout(TIMEOUT_MS)), { kind: "notResponding" });
  assert.equal(calls.length, 2, "what it is, and why it did not say so");
});

const STARTS = {
  commit: [
    ["awaitingVerdict", "committed", ["x-commit"]],
    ["committed", "committed", []],
    ["completed", "completed", []],
    ["rolledBack", "conflict", []],
    ["rollingBack", "conflict", []],
    ["absent", "conflict", []],
  ],
  rollback: [
    ["prepared", "rolledBack", ["x-rollback"]],
    ["executing", "rolledBack", ["x-rollback"]],
    ["awaitingVerdict", "rolledBack", ["x-rollback"]],
    ["committed", "rolledBack", ["x-rollback"]],
    ["needsService", "rolledBack", ["x-rollback"]],
    ["rolledBack", "rolledBack", []],
    ["failed", "failed", []],
    ["absent", "absent", []],
  ],
  execute: [
    ["prepared", "awaitingVerdict", ["execute"]],
    ["awaitingVerdict", "awaitingVerdict", []],
    ["rolledBack", "conflict", []],
    ["absent", "conflict", []],
    ["needsService", "conflict", []],
  ],
} as const;
for (const [call, rows] of Object.entries(STARTS)) {
  for (const [state, end, verbs] of rows) {
    test(`${call} when the node, perhaps started anew, is ${state}: ${end}`, async (t) => {
      const { answer, remote } = own();
      remote.state = state;
      const { provider } = await node(t, answer);
      const done = provider[call as keyof typeof STARTS](hudJob());
      if (end === "conflict") await assert.rejects(done, { kind: "conflict" });
      else await done;
      assert.equal(remote.state, end === "conflict" ? state : end);
      assert.deepEqual(remote.verbs, verbs);
    });
  }
}

/** After a delete: the state of the node's update, whether a primary registered it there, what is gone then. */
const FORGOTTEN = [
  ["prepared", true, "both"],
  ["registered", true, "both"],
  ["failed", true, "both"],
  ["rolledBack", true, "both"],
  ["completed", true, "both"],
  ["partial", true, "both"],
  ["needsService", true, "both"],
  // nobody has said what was handed on: the relay was cut
  ["absent", true, "image"],
  ["prepared", false, "image"],
  ["awaitingVerdict", true, "nothing"],
  ["committed", true, "nothing"],
] as const;
for (const [state, isOurs, gone] of FORGOTTEN) {
  test(`forget when ${isOurs ? "what we registered there" : "what somebody registered there"} is ${state}: ${gone} gone`, async (t) => {
    const { answer, remote } = own();
    Object.assign(remote, { state, stored: IMAGE, relay: isOurs ? "1:" : undefined });
    const { provider } = await node(t, answer);
    const forgotten = provider.forget(hudJob());
    if (gone === "nothing") await assert.rejects(forgotten, { kind: "conflict" });
    else await forgotten;
    assert.equal(remote.state, gone === "both" ? "absent" : state);
    assert.equal(remote.stored.length, gone === "nothing" ? IMAGE.length : 0);
    assert.deepEqual(remote.verbs, [], "nothing is stopped or taken back");
  });
}

test("forget waits until the node has ended what it does, and for a connection of ours that it still has", async (t) => {
  const { answer, remote } = own();
  Object.assign(remote, { state: "closing", stored: IMAGE, relay: "1:" });
  const { provider, lines } = await node(t, (request, body, response) => {
    const deletes = lines().filter((line) => line.startsWith("DELETE")).length;
    const polls = lines().filter((line) => line.endsWith("/status")).length;
    if (polls === 4 && remote.state === "closing") remote.state = "completed";
    if (request.method !== "DELETE") return answer(request, body, response);
    assert.notEqual(remote.state, "closing");
    if (deletes === 2) return { http: 409, vendor_code: "storage-transaction-busy" };
    return answer(request, body, response);
  });
  await provider.forget(hudJob());
  assert.deepEqual([remote.state, remote.stored.length], ["absent", 0]);
  const deletes = lines().filter((line) => line.startsWith("DELETE"));
  const image = `DELETE /components/hud/bulk-data/x-relayed/${sha256(IMAGE).slice(0, 32)}`;
  assert.deepEqual(deletes, ["DELETE /updates/vehicle-fw-v2.1", image, image]);
});

test("forget gives up at once on a node that does not answer, and in time on one that goes on", async (t) => {
  const away = await node(t, (_request, _body, response) => void response.destroy());
  await assert.rejects(away.provider.forget(hudJob()), { kind: "notResponding" });
  assert.equal(away.calls.length, 1);
  const { answer, remote } = own();
  Object.assign(remote, { state: "executing", relay: "1:" });
  const stop = new AbortController();
  const busy = await node(t, (request, body, response) => {
    if (busy.calls.length > 5) stop.abort(new Fault("requestTimeout", "It took too long"));
    return answer(request, body, response);
  });
  await assert.rejects(busy.provider.forget(hudJob({ signal: stop.signal })), Fault);
  assert.equal(remote.state, "executing");
});

test("forget at a node of another make: the id that it took, the file of the form", async (t) => {
  const other = medkit();
  const removed: string[] = [];
  const { provider } = await node(t, (request, body, response) => {
    if (request.method === "DELETE" && request.url!.includes("/bulk-data/"))
      return removed.push(request.url!) && { http: 204 };
    return other.answer(request, body, response);
  });
  const notes = new Map<string, string>();
  await provider.prepare(hudJob({}, notes));
  assert.equal(other.packages.size, 1);
  await provider.forget(hudJob({}, notes));
  assert.equal(other.packages.size, 0);
  assert.deepEqual(removed, ["/api/v1/components/hud/bulk-data/firmware-artifacts/fw-1"]);
});

/** Answers to everything; what a primary makes of them. One that would go on for ever is left after so long. */
const LIARS: Readonly<Record<string, [answer: Answer, kind: string, leftAfterMs?: number]>> = {
  "an endless body": [
    (_request, _body, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, " ")));
      };
      response.writeHead(200).on("drain", more);
      more();
    },
    "notResponding",
  ],
  "a slow drip": [
    (_request, _body, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write(" "), 50);
      response.on("close", () => clearInterval(timer));
    },
    "notResponding",
    3_000,
  ],
  "no JSON": [(_request, _body, response) => void response.end("<html>"), "conflict"],
  "JSON that is no object": [(_request, _body, response) => void response.end("null"), "conflict"],
  "wrong types": [
    () => ({ status: 7, "x-state": {}, progress: "x", "x-medkit": null, error: 5, offset: "x", items: 3 }),
    "conflict",
  ],
  "an offset behind the end": [() => ({ offset: 1 << 40, complete: false }), "conflict"],
  "always the same offset": [() => ({ offset: 4096, complete: false }), "conflict"],
  "another image": [() => ({ offset: 1, complete: true, sha256: "00".repeat(32) }), "corruption"],
  "a token that is not taken": [() => ({ http: 401, message: "no" }), "notResponding"],
  "a failure": [() => ({ http: 500 }), "notResponding"],
};
for (const [what, [answer, kind, leftAfterMs]] of Object.entries(LIARS)) {
  test(`a node that answers ${what}: prepare ends with ${kind}`, async (t) => {
    const { provider } = await node(t, answer, leftAfterMs === undefined ? TIMEOUT_MS : SHORT_TIMEOUT_MS);
    const stop = new AbortController();
    const timer = setTimeout(
      () => stop.abort(new Fault("notResponding", "The update was preparing for too long")),
      leftAfterMs ?? TIMEOUT_MS,
    );
    cleanup(t, () => clearTimeout(timer));
    await assert.rejects(provider.prepare(hudJob({ signal: stop.signal })), { kind });
    await assert.rejects(provider.execute(hudJob({ signal: AbortSignal.timeout(300) })), Fault);
    await provider
      .faults("hud", AbortSignal.timeout(TIMEOUT_MS))
      .catch((error: unknown) => assert.ok(error instanceof Fault));
  });
}

for (const [what, refusal] of [
  ["still writes what a dead connection of ours has sent", { http: 409, vendor_code: "storage-transaction-busy" }],
  ["has got more than it said over such a connection", { http: 416, message: "The upload goes on elsewhere" }],
] as const) {
  test(`a node that ${what} is handed the image once it can take it`, async (t) => {
    const { answer, remote } = own();
    let refused = 0;
    const { provider } = await node(t, (request, body, response) => {
      if (request.method !== "PUT" || !request.url?.includes("bulk-data") || refused++ > 0)
        return answer(request, body, response);
      return refusal;
    });
    await provider.prepare(hudJob());
    assert.equal(remote.state, "prepared");
    assert.ok(refused > 1);
  });
}

test("a redirect is not followed: the token is for this server", async (t) => {
  const other = await node(t, () => ({}));
  const { provider } = await node(t, (_request, _body, response) => {
    response.writeHead(307, { location: "http://127.0.0.1:1/" }).end();
  });
  await assert.rejects(provider.describe("hud", AbortSignal.timeout(TIMEOUT_MS)), /answer 307, which is not followed/);
  assert.deepEqual(other.calls, []);
});

test("a slow link: an upload may take longer than an answer may, as long as it moves", async (t) => {
  const { answer, remote } = own();
  const { provider, calls } = await node(
    t,
    async (request, body, response) => {
      return answer(request, body, response);
    },
    LINK.timeoutMs,
  );
  const slow = hudJob();
  const read = async function* (offset = 0) {
    const pieceBytes = Math.ceil(IMAGE.length / LINK.pieces);
    for (let at = offset; at < IMAGE.length; at += pieceBytes) {
      await new Promise((resolve) => systemClock.setTimeout(() => resolve(undefined), LINK.pauseMs));
      yield IMAGE.subarray(at, at + pieceBytes);
    }
  };
  await provider.prepare({ ...slow, artifact: { ...slow.artifact!, read } });
  assert.ok(remote.stored.equals(IMAGE));
  assert.ok(calls.every(({ authorization }) => authorization === "Bearer token"));
});
