/** `/updates` as clients of each base path know it: headers, refusals, spellings, and the stream of a status. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SignJWT } from "jose";
import { type Node, startNode } from "./updates-support.ts";

const BASES = ["/api/v1", "/sovd/v1", "/vehicle/v15"] as const;
const at = (node: Node, base: string, path: string): string => node.url.replace("/api/v1", base) + path;
/** The node takes updates for `compute`; there is no provider for `ghost`. */
const startAlone = (t: Parameters<typeof startNode>[0], config = {}) =>
  startNode(t, { component: "compute", targets: { compute: { provider: "command", folder: "x" } } } as never, config);

test("Location is a path below the base that was asked", async (t) => {
  const node = await startAlone(t);
  for (const [i, base] of BASES.entries()) {
    const id = `Vehicle-FW.${i}`;
    const body = { id, affected_components: ["compute"] };
    const type = { "content-type": "application/vnd.medkit.update+json" };
    const registered = await node.send("POST", at(node, base, "/updates"), body, type);
    assert.deepEqual([registered.status, registered.json], [201, { id }]);
    assert.equal(registered.headers.get("location"), `${base}/updates/${id}`);
    const prepared = await node.send("PUT", at(node, base, `/updates/${id}/prepare`));
    assert.deepEqual([prepared.status, prepared.bytes.length], [202, 0]);
    assert.equal(prepared.headers.get("location"), `${base}/updates/${id}/status`);
    await node.until(id, "prepared");
  }
});

const REFUSALS: readonly [what: string, method: string, path: string, status: number, body?: string, type?: string][] =
  [
    ["no type", "POST", "/updates", 415, '{"id":"a"}', ""],
    ["another type", "POST", "/updates", 415, '{"id":"a"}', "text/plain"],
    ["the type goes before what is wrong in the body", "POST", "/updates", 415, "{", "text/plain"],
    ["no JSON", "POST", "/updates", 400, "{", "application/json"],
    ["no body", "POST", "/updates", 400, "", "application/json"],
    ["a list", "POST", "/updates", 400, "[]", "application/json"],
    ["a number for an id", "POST", "/updates", 400, '{"id":7}', "application/json"],
    ["an unknown origin", "GET", "/updates?origin=moon", 400],
    ["an empty origin", "GET", "/updates?origin=", 400],
    ["a reserved origin", "GET", "/updates?origin=x-sovd-a", 400],
    ["an origin of an extension", "GET", "/updates?origin=x-acme-usb", 200],
    ["what a server chose itself, which this one does not", "GET", "/updates/autonomous", 404],
    ["an encoded slash", "GET", "/updates/a%2Fb", 400],
    ["encoded line breaks", "GET", "/updates/a%0d%0ab", 400],
    ["an encoded id that is not there", "GET", "/updates/%61", 404],
    ["a method that there is not", "POST", "/updates/a/execute", 405],
  ];

test("refusals in their order, below every base", async (t) => {
  const node = await startAlone(t);
  for (const base of BASES) {
    for (const [what, method, path, status, body, type = ""] of REFUSALS) {
      const headers = { authorization: `Bearer ${node.token}`, ...(type === "" ? {} : { "content-type": type }) };
      const sent = body === undefined ? {} : { body: Buffer.from(body) };
      const response = await fetch(at(node, base, path), { method, headers, ...sent });
      assert.equal(response.status, status, `${what}: ${await response.text()}`);
    }
  }
});

test("what went wrong on a component is spelled as the base does", async (t) => {
  const node = await startAlone(t);
  await node.send("POST", "/updates", { id: "a", affected_components: ["ghost"] });
  await node.send("PUT", "/updates/a/prepare");
  await node.until("a", "failed");
  const codes = { "/api/v1": "precondition", "/sovd/v1": "precondition", "/vehicle/v15": "preconditions" };
  for (const [base, code] of Object.entries(codes)) {
    const { json } = await node.send("GET", at(node, base, "/updates/a/status"));
    assert.equal(json.subprogress[0].error.error_code, `${code}-not-fulfilled`);
    assert.equal(typeof json.error, base === "/api/v1" ? "string" : "object");
    assert.deepEqual(json.sub_progress, [{ name: "ghost", progress: 0 }]);
    assert.deepEqual(json["x-medkit"], { phase: "failed" });
  }
});

interface Followed {
  readonly status: number;
  readonly events: readonly string[];
}

/** Reads a stream until it ends, or `enough` events came; `opened` is called at its head. */
async function follow(
  node: Node,
  path: string,
  headers = {},
  enough = Number.POSITIVE_INFINITY,
  opened: (value?: unknown) => void = () => {},
): Promise<Followed> {
  const stop = new AbortController();
  const response = await fetch(node.url + path, {
    headers: { accept: "text/event-stream", authorization: `Bearer ${node.token}`, ...headers },
    signal: stop.signal,
  });
  opened();
  let text = "";
  let events: string[] = [];
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString();
    events = text.split("\n\n").slice(0, -1);
    if (events.length >= enough) break;
  }
  stop.abort();
  return { status: response.status, events };
}

/** Resolves as soon as the stream is there. */
async function following(node: Node, path: string): Promise<{ readonly ended: Promise<Followed> }> {
  let ended: Promise<Followed> | undefined;
  await new Promise((resolve, reject) => {
    ended = follow(node, path, {}, Number.POSITIVE_INFINITY, resolve);
    ended.catch(reject);
  });
  return { ended: ended! };
}

const idOf = (event: string | undefined): string => /^id: (.+)$/m.exec(event ?? "")?.[1] ?? "";

test("a status as events: from the present one to the end, and who has seen the end is told so", async (t) => {
  const node = await startAlone(t);
  await node.send("POST", "/updates", { id: "a", affected_components: ["compute"] });
  const followed = await following(node, "/updates/a/status");
  await node.send("PUT", "/updates/a/execute");
  const { status, events } = await followed.ended;
  assert.equal(status, 200);
  assert.match(events[0] ?? "", /^retry: \d+\nid: \d+\nevent: status\ndata: \{/);
  assert.match(events.at(-1) ?? "", /^id: \d+\nevent: end\ndata: \{.*"x-state":"completed"/);
  const ids = events.map((event) => Number(idOf(event)));
  assert.deepEqual(
    ids,
    ids.toSorted((a, b) => a - b),
  );
  const last = { "last-event-id": idOf(events.at(-1)) };
  assert.equal((await follow(node, "/updates/a/status", last)).status, 204);
  const late = await follow(node, "/updates/a/status", { "last-event-id": idOf(events[0]) });
  assert.deepEqual([late.status, late.events.length], [200, 1], "who comes late gets the end alone");
  await node.send("PUT", "/updates/a/prepare");
  await node.until("a", "prepared");
  assert.equal((await follow(node, "/updates/a/status", last, 1)).status, 200, "it began anew");
});

test("a deleted update ends its streams; a silent one lives by comments", async (t) => {
  const node = await startAlone(t, { http: { event_heartbeat_ms: 100 } });
  await node.send("POST", "/updates", { id: "a", affected_components: ["compute"] });
  const { events } = await follow(node, "/updates/a/status", {}, 3);
  assert.deepEqual(events.slice(1), [":", ":"]);
  const followed = await following(node, "/updates/a/status");
  await node.send("DELETE", "/updates/a");
  assert.match((await followed.ended).events.at(-1) ?? "", /^event: end\ndata: \{\}$/);
});

test("HEAD of a stream takes no follower's place", async (t) => {
  const node = await startNode(t, { component: "compute", max_status_subscribers: 1 } as never);
  await node.send("POST", "/updates", { id: "a" });
  const accept = { accept: "text/event-stream" };
  for (let i = 0; i < 3; i++) {
    assert.equal((await node.send("HEAD", "/updates/a/status", undefined, accept)).status, 200);
  }
  assert.equal((await follow(node, "/updates/a/status", {}, 1)).status, 200);
});

const ACCEPTS: readonly [accept: string, type: string][] = [
  ["TEXT/Event-Stream;q=0.5, application/json", "text/event-stream"],
  ["text/event-stream;q=0, application/json", "application/json"],
  ["application/json", "application/json"],
  ["*/*", "application/json"],
];

test("which form a status has", async (t) => {
  const node = await startAlone(t);
  await node.send("POST", "/updates", { id: "a" });
  for (const [accept, type] of ACCEPTS) {
    const { headers } = await node.send("HEAD", "/updates/a/status", undefined, { accept });
    assert.equal(headers.get("content-type"), type, accept);
  }
});

test("a package that names no component is for the only one that the node installs on", async (t) => {
  const node = await startAlone(t);
  await node.send("POST", "/updates", { id: "a", update_name: "a", automated: true, origins: ["remote"] });
  assert.equal((await node.send("PUT", "/updates/a/automated")).status, 202);
  const { subprogress } = await node.until("a", "completed");
  assert.deepEqual(
    subprogress.map(({ entity }: { entity: string }) => entity),
    ["compute"],
  );
  const two = { compute: { provider: "command", folder: "x" }, camera: { provider: "command", folder: "y" } };
  const other = await startNode(t, { component: "compute", targets: two } as never);
  await other.send("POST", "/updates", { id: "a" });
  const { status, json } = await other.send("PUT", "/updates/a/prepare");
  assert.deepEqual([status, json.error_code], [409, "precondition-not-fulfilled"]);
});

const RIGHTS: readonly [claims: object, status: number][] = [
  [{}, 403],
  [{ scope: "read other" }, 403],
  [{ roles: ["viewer", "operator"] }, 403],
  [{ scope: "read updates:write" }, 201],
  [{ scp: ["updates:write"] }, 201],
  [{ role: "configurator" }, 201],
];

test("who may read updates, and who may change them", async (t) => {
  const secret = "0123456789abcdef0123456789abcdef";
  const security = { mode: "jwt", secret, algorithms: ["HS256"], update_rights: ["updates:write", "configurator"] };
  const node = await startAlone(t, { security });
  for (const [claims, status] of RIGHTS) {
    const token = await new SignJWT({ sub: "me", exp: Math.floor(Date.now() / 1_000) + 60, ...claims })
      .setProtectedHeader({ alg: "HS256" })
      .sign(Buffer.from(secret));
    const as = { authorization: `Bearer ${token}` };
    const registered = await node.send("POST", "/updates", { id: "a" }, as);
    assert.equal(registered.status, status, JSON.stringify(claims));
    const image = "/components/compute/bulk-data/current-image";
    for (const [method, path, body] of [
      ["PUT", `${image}/old`, new Uint8Array(8)],
      ["DELETE", `${image}/old`],
      ["POST", image, new Uint8Array(8)],
      ["DELETE", image],
    ] as const) {
      const { status: changed } = await node.send(method, path, body, as);
      assert.equal(changed === 403, status === 403, `${method} ${path}: ${changed}`);
    }
    assert.equal((await node.send("GET", image, undefined, as)).status, 200);
    assert.equal((await node.send("GET", "/updates", undefined, as)).status, 200);
    assert.equal((await node.send("DELETE", "/updates/a", undefined, as)).status, status === 201 ? 204 : 404);
    if (status === 403) assert.equal(registered.json.error_code, "insufficient-access-rights");
  }
  const bare = { authorization: "" };
  for (const [method, path] of [
    ["GET", "/updates"],
    ["POST", "/updates"],
    ["PUT", "/updates/a/prepare"],
  ] as const) {
    assert.equal(
      (await node.send(method, path, method === "POST" ? {} : undefined, bare)).status,
      401,
      `${method} ${path}`,
    );
  }
  const open = await node.send("GET", "/components/compute/x-medkit-update", undefined, bare);
  assert.equal(open.status, 200, "what a component is, anyone may ask");
});

test("a restart between any two steps changes nothing", async (t) => {
  const node = await startAlone(t);
  const body = { id: "a", automated: true, affected_components: ["compute"], notes: "as it was" };
  const shown = async () => (await node.send("GET", "/updates/a/status")).json;
  const steps: readonly [act: () => Promise<unknown>, state: string][] = [
    [() => node.send("POST", "/updates", body), "registered"],
    [() => node.send("PUT", "/updates/a/prepare"), "prepared"],
    [() => node.send("PUT", "/updates/a/execute"), "completed"],
    [() => node.send("PUT", "/updates/a/automated"), "completed"],
  ];
  for (const [act, state] of steps) {
    await act();
    const before = state === "registered" ? await shown() : await node.until("a", state);
    await node.restart();
    assert.deepEqual(await shown(), before);
    assert.deepEqual((await node.send("GET", "/updates/a")).json, body);
  }
  assert.equal((await node.send("DELETE", "/updates/a")).status, 204);
  await node.restart();
  assert.deepEqual((await node.send("GET", "/updates")).json.items, []);
});

test("the same asked many times at once: one is taken, the others are told what is under way", async (t) => {
  const stuck = { provider: "command", folder: "x", prepare: ["sleep", "60"], rollback: ["true"] };
  const node = await startNode(t, { component: "compute", targets: { compute: stuck } } as never);
  const body = { id: "a", affected_components: ["compute"] };
  await node.send("POST", "/updates", body);
  const ask = async (method: string, path: string, sent?: unknown) => {
    const { status, json } = await node.send(method, `${node.url.replace("/api/v1", "/sovd/v1")}${path}`, sent);
    return json?.error_code ?? status;
  };
  const prepare = () => ask("PUT", "/updates/a/prepare");
  const execute = () => ask("PUT", "/updates/a/execute");
  const replace = () => ask("POST", "/updates", body);
  const remove = () => ask("DELETE", "/updates/a");
  const preparing = "update-preparation-in-progress";
  const busy = "update-process-in-progress";
  // connections of their own: any of them may come first
  const outcomes = async (...answers: Promise<unknown>[]) => (await Promise.all(answers)).map(String).toSorted();
  assert.deepEqual(await outcomes(prepare(), prepare(), prepare()), ["202", preparing, preparing]);
  assert.deepEqual(await Promise.all([execute(), remove(), replace()]), [preparing, busy, busy]);
  await node.send("PUT", "/updates/a/x-rollback");
  await node.until("a", "failed");
  assert.deepEqual(await outcomes(execute(), execute(), prepare()), ["202", preparing, preparing]);
  await node.send("PUT", "/updates/a/x-rollback");
  await node.until("a", "failed");
  assert.deepEqual(await outcomes(remove(), remove()), ["204", "vendor-specific"]);
});
