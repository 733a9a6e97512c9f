import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { run, startNode, upload } from "./updates-support.ts";

test("a package of one node: uploaded, prepared, executed, on record", async (t) => {
  const node = await startNode(t, { component: "compute_primary", targets: {} });
  void node;
});

test("slot: the seed's calls word for word on one node", async (t) => {
  const { mkdtemp } = await import("node:fs/promises");
  const { tmpdir } = await import("node:os");
  const folder = await mkdtemp(join(tmpdir(), "slots-"));
  const node = await startNode(t, {
    component: "compute_primary",
    hardware_id: "orin-primary",
    serial: "ECU-P-1",
    targets: { compute_primary: { provider: "slot", folder } },
  });
  const uri = await upload(node, "compute_primary", "new software", "vehicle-fw-v2.1.tar.zst");
  await run(node, {
    id: "vehicle-fw-v2.1",
    origins: ["proximity"],
    rollback_policy: "coordinated",
    artifact_uri: uri,
    affected_components: ["compute_primary"],
  });
  const status = await node.until("vehicle-fw-v2.1", "completed");
  assert.equal(status.progress, 100);
  assert.equal(await readFile(join(folder, "current", "image"), "utf8"), "new software");
  const { json } = await node.send("GET", "/updates/vehicle-fw-v2.1/x-audit");
  assert.deepEqual(
    json.items.map(({ event }: { event: string }) => event),
    [
      "registered",
      "prepare",
      "memberPrepared",
      "execute",
      "memberStarted",
      "memberExecuted",
      "memberHealthy",
      "memberCommitted",
      "memberClosed",
    ],
  );
});
