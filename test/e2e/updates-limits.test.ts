/** Bounds of `/updates`: bodies of any shape, followers of a status, readers that are slow. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { statusEvents } from "#sovd/update-status.ts";
import type { Updates } from "#update/software/updates.ts";
import type { StatusBody } from "#update/software/views/status.ts";
import type { Watcher } from "#update/software/watchers.ts";
import { cleanup } from "../fixtures/cleanup.ts";
import fc from "../fixtures/properties.ts";
import { startNode } from "./updates-support.ts";

const KEYS = [
  ...["id", "origins", "origin", "rollback_policy", "artifact_uri", "target_version", "affected_components"],
  ...["updated_components", "x-manifest", "x-signature", "x-tuf", "x-preconditions", "x-orchestrator", "automated"],
];
const likely = fc.constantFrom<unknown>(
  ...[
    "a",
    "compute",
    "/components/compute",
    "remote",
    "coordinated",
    "/components/compute/bulk-data/x/y",
    "http://[",
    "",
  ],
  ...[["compute"], [], {}, null, 0, -1, true, { id: "a", targets: {} }, { watchdog_ms: 1 }],
  { id: "a", targets: { compute: { sha256: "0".repeat(64), length: 1, uri: "x" } } },
  { timestamp: "{}", snapshot: "{}", targets: "{}" },
);
const bodies = fc.oneof(
  fc.jsonValue(),
  fc.dictionary(fc.constantFrom(...KEYS), fc.oneof(likely, fc.jsonValue())),
  fc.dictionary(fc.constantFrom(...KEYS), likely).map((body) => ({ ...body, id: "a" })),
  // a package, but for one member at most
  fc.tuple(fc.constantFrom(...KEYS), likely).map(([key, value]) => ({
    affected_components: ["compute"],
    [key]: value,
    id: "a",
  })),
);

test("no package makes the server fail: 201 or a 4xx, and whatever is prepared ends", async (t) => {
  const node = await startNode(t, {
    component: "compute",
    targets: { compute: { provider: "command", folder: "x" } },
  } as never);
  let registered = 0;
  await fc.assert(
    fc.asyncProperty(bodies, async (body) => {
      const { status, json } = await node.send("POST", "/updates", body);
      assert.ok(status === 201 || (status >= 400 && status < 500), `${status} ${JSON.stringify(json)}`);
      if (status !== 201) return;
      registered++;
      const path = `/updates/${encodeURIComponent(json.id)}`;
      const prepared = await node.send("PUT", `${path}/prepare`);
      assert.ok(prepared.status === 202 || (prepared.status >= 400 && prepared.status < 500), `${prepared.status}`);
      await node.send("PUT", `${path}/x-rollback`);
      await node.send("DELETE", path);
    }),
    { numRuns: 200 },
  );
  assert.ok(registered > 0, "none was a package");
  assert.equal((await node.send("GET", "/updates")).status, 200);
});

test("a follower too many is refused, and lets in the next when it goes", async (t) => {
  const node = await startNode(t, { component: "compute", max_status_subscribers: 2 } as never);
  await node.send("POST", "/updates", { id: "a", affected_components: ["compute"] });
  const follow = async () => {
    const stop = new AbortController();
    cleanup(t, () => stop.abort());
    const response = await fetch(`${node.url}/updates/a/status`, {
      headers: { accept: "text/event-stream", authorization: `Bearer ${node.token}` },
      signal: stop.signal,
    });
    return { status: response.status, stop, read: () => response.body!.getReader().read() };
  };
  const [first, second] = [await follow(), await follow()];
  assert.deepEqual([first.status, second.status], [200, 200]);
  assert.match(Buffer.from((await first.read()).value!).toString(), /^event: status\ndata: \{/m);
  const third = await follow();
  assert.equal(third.status, 503);
  first.stop.abort();
  for (const end = performance.now() + 120_000; performance.now() < end; ) {
    const next = await follow();
    next.stop.abort();
    if (next.status === 200) return;
  }
  assert.fail("the place of one that went is not given away");
});

test("a slow reader misses what lies between and gets the latest; nothing piles up", () => {
  let progress = 0;
  let watcher: Watcher | undefined;
  const updates = {
    status: (): StatusBody => ({ phase: "execute", status: "inProgress", progress }),
    record: () => ({ auditSeq: 1 }),
    isOver: () => false,
    watch: (_id: string, each: Watcher) => {
      watcher = each;
      return () => undefined;
    },
  } as unknown as Updates;
  const written: number[] = [];
  let taken = true;
  const events = statusEvents(updates, "a", "/sovd/v1");
  const write = (text: string): boolean => {
    written.push(JSON.parse(/^data: (.*)$/m.exec(text)![1]!).progress);
    return taken;
  };
  events.open(write, () => assert.fail("it is not over"));
  taken = false;
  for (progress = 1; progress <= 50; progress++) watcher?.changed();
  progress = 50;
  assert.deepEqual(written, [0, 1]);
  taken = true;
  events.onDrain?.();
  assert.deepEqual(written, [0, 1, 50]);
  events.close();
});
