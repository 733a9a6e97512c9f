/** Cyclic subscriptions and triggers on the status of updates, as clients use them. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { bounded } from "./harness.ts";
import { type Loose, type Node, startNode } from "./updates-support.ts";

const HOST = "/components/compute";
const CYCLIC = `${HOST}/cyclic-subscriptions`;
const TRIGGERS = `${HOST}/triggers`;
const UPDATE = { id: "fw", affected_components: ["compute"] };

const start = (t: TestContext, more = {}): Promise<Node> => {
  const targets = { compute: { provider: "command", folder: "x" }, camera: { provider: "command", folder: "y" } };
  return startNode(t, { component: "compute", targets, ...more } as never);
};

interface Stream {
  readonly status: number;
  /** The next event's data, undefined at the end. */
  next(): Promise<Loose>;
  stop(): void;
}

async function follow(node: Node, path: string, headers = {}): Promise<Stream> {
  const stop = new AbortController();
  const answered = fetch(node.url.replace("/api/v1", "") + path, {
    headers: { accept: "text/event-stream", authorization: `Bearer ${node.token}`, ...headers },
    signal: stop.signal,
  });
  // long before a sign of life is due
  const response = await bounded<Response>("the head of a stream", (resolve) => void answered.then(resolve));
  const chunks = (response.body ?? new ReadableStream())[Symbol.asyncIterator]();
  let text = "";
  return {
    status: response.status,
    async next() {
      for (;;) {
        const end = text.indexOf("\n\n");
        if (end !== -1) {
          const event = text.slice(0, end);
          text = text.slice(end + 2);
          const data = /^data: (.*)$/m.exec(event)?.[1];
          if (data !== undefined) return { ...JSON.parse(data), seq: /^id: (.*)$/m.exec(event)?.[1] };
          continue;
        }
        const { value, done } = await chunks.next();
        if (done) return undefined;
        text += Buffer.from(value).toString();
      }
    },
    stop: () => stop.abort(),
  };
}

test("a cyclic subscription: create, follow, change, delete", async (t) => {
  const node = await start(t);
  const body = { resource: "/api/v1/updates/fw/status", interval: "fast", protocol: "sse", duration: 60 };
  const created = await node.send("POST", CYCLIC, body);
  const { id } = created.json;
  const path = `/api/v1${CYCLIC}/${id}`;
  assert.deepEqual(
    [created.status, created.headers.get("location"), created.json],
    [
      201,
      path,
      {
        id,
        observed_resource: "/api/v1/updates/fw/status",
        event_source: `${path}/events`,
        protocol: "sse",
        interval: "fast",
        duration: 60,
      },
    ],
  );
  const stream = await follow(node, created.json.event_source);
  const unknown = await stream.next();
  assert.deepEqual([unknown.payload, unknown.error.vendor_code], [undefined, "not-found"]);
  assert.ok(!Number.isNaN(Date.parse(unknown.timestamp)));
  await node.send("POST", "/updates", UPDATE);
  let event = unknown;
  while (event.payload === undefined) event = await stream.next();
  assert.deepEqual([event.payload.status, event.payload["x-medkit"]], ["pending", { phase: "none" }]);
  const changed = await node.send("PUT", `${CYCLIC}/${id}`, { interval: "slow" });
  assert.deepEqual([changed.status, changed.json.interval, changed.json.duration], [200, "slow", 60]);
  assert.deepEqual((await node.send("GET", `${CYCLIC}/${id}`)).json, changed.json);
  assert.deepEqual((await node.send("GET", CYCLIC)).json.items, [changed.json]);
  assert.equal((await node.send("DELETE", `${CYCLIC}/${id}`)).status, 204);
  while ((await stream.next()) !== undefined);
  assert.equal((await node.send("GET", `${CYCLIC}/${id}`)).status, 404);
  assert.equal((await follow(node, created.json.event_source)).status, 404, "which ends an EventSource");
});

test("a trigger that fires once, and one that fires each time", async (t) => {
  const node = await start(t);
  await node.send("POST", "/updates", UPDATE);
  const once = await node.send("POST", TRIGGERS, {
    resource: "/api/v1/updates/fw/status",
    trigger_condition: { condition_type: "OnChangeTo", target_value: "executed" },
    path: "/x-medkit/phase",
  });
  assert.deepEqual([once.status, once.json.status, once.json.multishot], [201, "active", false]);
  const each = await node.send("POST", "/apps/sovd2uds/triggers", {
    resource: "/components/compute/updates",
    trigger_condition: { condition_type: "OnChange" },
    path: "/x-medkit/phase",
    multishot: true,
    lifetime: 60,
    log_settings: { severity: "warning", marker: "ota" },
  });
  const [first, all] = [await follow(node, once.json.event_source), await follow(node, each.json.event_source)];
  await node.send("POST", "/updates", { id: "other", affected_components: ["camera"] });
  await node.send("PUT", "/updates/fw/execute");
  const event = await first.next();
  assert.deepEqual([event.payload.status, event["x-update"], event.seq], ["completed", "fw", "1"]);
  assert.equal(await first.next(), undefined);
  const seen: string[] = [];
  while (seen.at(-1) !== "executed") seen.push((await all.next()).payload["x-medkit"].phase);
  assert.deepEqual(new Set(seen), new Set(["preparing", "executing", "executed"]), "of its own component alone");
  all.stop();
  assert.equal((await node.send("GET", `${TRIGGERS}/${once.json.id}`)).json.status, "terminated");
  assert.equal((await follow(node, once.json.event_source, { "last-event-id": "1" })).status, 204);
  const late = await follow(node, each.json.event_source, { "last-event-id": String(seen.length - 1) });
  assert.equal((await late.next()).payload["x-medkit"].phase, "executed", "what fired meanwhile is not lost");
  late.stop();
  assert.equal((await node.send("PUT", `/apps/sovd2uds/triggers/${each.json.id}`, { lifetime: 90 })).json.lifetime, 90);
  assert.equal((await node.send("DELETE", `${TRIGGERS}/${once.json.id}`)).status, 204);
});

const CONDITION = { condition_type: "OnChange" };
const REFUSED: readonly [what: string, path: string, body: object, status: number][] = [
  ["an entity that there is not", "/components/ghost/triggers", { resource: "/updates/a/status" }, 404],
  ["an application that there is not", "/apps/ghost/cyclic-subscriptions", {}, 404],
  ["a resource that cannot be observed", TRIGGERS, { resource: "/components/a/data/b" }, 400],
  ["all updates in a cycle", CYCLIC, { resource: "/components/compute/updates" }, 400],
  ["an unknown interval", CYCLIC, { interval: "now" }, 400],
  ["a duration of nothing", CYCLIC, { duration: 0 }, 400],
  ["another protocol", CYCLIC, { protocol: "mqtt" }, 400],
  ["a condition without what it needs", TRIGGERS, { trigger_condition: { condition_type: "OnChangeTo" } }, 400],
  ["a trigger that outlives the server", TRIGGERS, { persistent: true }, 400],
];

test("what is refused, and how many there may be", async (t) => {
  const node = await start(t, { max_subscriptions: 2 });
  for (const [what, path, body, status] of REFUSED) {
    const whole = { resource: "/updates/a/status", interval: "normal", trigger_condition: CONDITION, ...body };
    const answer = await node.send("POST", path, whole);
    assert.equal(answer.status, status, `${what}: ${answer.bytes}`);
  }
  const create = () => node.send("POST", CYCLIC, { resource: "/updates/a/status", interval: "normal" });
  assert.deepEqual([(await create()).status, (await create()).status], [201, 201]);
  const third = await create();
  assert.deepEqual([third.status, third.headers.has("retry-after")], [503, true]);
});
