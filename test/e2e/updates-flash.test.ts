/**
 * Flashing real databases' ECUs by a recipe: `facts/updates.md` §6 row by row on the wire, and each row disturbed. What is at stake each
 * time: the ECU is all new or all old, and the other ECUs record DTCs and talk again.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { stringify } from "smol-toml";
import type { Tree } from "#config/tree.ts";
import { scratchFolder } from "../fixtures/cleanup.ts";
import { type Harness, startHarness, withoutRealFiles } from "./harness.ts";
import { type Loose, QUICK, type SceneClient, sceneClient, tokenOf, writeText } from "./updates-support.ts";

/** ECU → security level of its flash. The last one has no kept image. */
const LEVELS = { FLXC1000: 0x05, FSNR2000: 0x07, TMCC3000: 0x09, JGWT5000: 0x05 } as const;
type Flashed = keyof typeof LEVELS;
const OTHER = "HOVR4000";
const VERSION_DID = 0xf195;
const BLOCK_BYTES = 258;
const KEY = "0D0E0F1011121314";
/** Short, so that silence is told soon; for the ECU whose answers are lost longer than its client waits before it repeats. */
const TIMEOUT_MS = 1_200;
const LOST_TIMEOUT_MS = 15_000;

const image = (text: string) => Buffer.from(text.padEnd(2_000, "."));
const OLD = image("old");

function recipeOf(level: number, ms: number): Tree {
  return {
    version: { request: "22 F1 95" },
    step: [
      { name: "others: extended session", request: "10 03", ecu: OTHER },
      { name: "others: DTCs off", request: "85 02", ecu: OTHER },
      { name: "others: silent", request: "28 01 01", ecu: OTHER },
      { request: "10 02", timeout_ms: ms },
      { detect: true, timeout_ms: ms },
      { security: level, timeout_ms: ms },
      { name: "erase", request: "31 01 FF 00", timeout_ms: ms },
      { download: { address: 0x1000, max_block_bytes: BLOCK_BYTES }, timeout_ms: ms },
      { name: "check dependencies", request: "31 01 FF 01", timeout_ms: ms },
      { request: "2E F1 95 {version}", timeout_ms: ms },
      { request: "11 01", timeout_ms: ms },
      { detect: true },
      { request: "28 00 01", ecu: OTHER, always: true },
      { request: "85 01", ecu: OTHER, always: true },
      { request: "14 FF FF FF", ignore_refusal: true, timeout_ms: ms },
    ],
  } as Tree;
}

describe("flashing by a recipe", { skip: withoutRealFiles }, () => {
  let harness: Harness;
  let client: SceneClient;
  let folder: string;
  let run = 0;

  before(async () => {
    folder = scratchFolder("flash");
    const key_module = await writeText(
      join(folder, "key.mjs"),
      "export default (seed) => seed.map((b) => b + 0x0d);\n",
    );
    const targets: Record<string, Tree> = {};
    for (const [ecu, level] of Object.entries(LEVELS)) {
      const recipe = await writeText(
        join(folder, `${ecu}.toml`),
        stringify(recipeOf(level, ecu === "FSNR2000" ? LOST_TIMEOUT_MS : TIMEOUT_MS)),
      );
      targets[ecu] = { provider: "uds-flash", recipe, key_module };
    }
    harness = await startHarness({
      databases: "real",
      config: { update: { ...QUICK, role: "primary", targets } },
      entities: (entities) =>
        entities.map((entity) => ({
          ...entity,
          data: new Map([[VERSION_DID, { value: Buffer.from("1.0.0"), writable: true }]]),
        })),
    });
    await harness.online(...Object.keys(LEVELS), OTHER);
    const token = await tokenOf(harness.server.port);
    client = sceneClient({ url: `${harness.origin}/api/v1`, token });
    for (const ecu of Object.keys(LEVELS).slice(0, -1)) await client.upload(ecu, "current-image", OLD);
  });
  after(() => harness?.close());

  /** Registers and executes; resolves with the id and what is flashed. */
  async function begin(
    ecu: Flashed,
    policy = "coordinated",
  ): Promise<{ id: string; content: Buffer; version: string }> {
    // an identifier keeps its length
    const version = `2.${100 + ++run}`;
    const content = image(`new ${run}`);
    const id = `fw-${run}`;
    const uri = await client.upload(ecu, "firmware-artifacts", content, `image-${run}`);
    harness.traffic.clear();
    await client.run({
      id,
      origins: ["proximity"],
      rollback_policy: policy,
      target_version: version,
      artifact_uri: uri,
      affected_components: [ecu.toLowerCase()],
    });
    return { id, content, version };
  }

  function assertRuns(ecu: Flashed, content: Buffer): void {
    const { state } = harness.vehicle.ecu(ecu);
    assert.deepEqual(Buffer.from(state.transfers.at(-1)!.checksum!), createHash("sha1").update(content).digest());
    assert.equal(state.sessionState, "DEFAULT");
    assertOthersWell();
  }

  function assertOthersWell(): void {
    const { dtcSettingType, communicationControlType } = harness.vehicle.ecu(OTHER).state;
    assert.deepEqual([dtcSettingType, communicationControlType], ["ON", "ENABLE_RX_AND_TX"]);
  }

  const versionOf = (ecu: Flashed) => harness.vehicle.ecu(ecu).state.data.get(VERSION_DID)!.value;

  for (const [ecu, level] of Object.entries(LEVELS).slice(0, -1) as [Flashed, number][]) {
    test(`${ecu}, level ${level}: the rows of the sequence on the wire`, async () => {
      const { id, content, version } = await begin(ecu);
      await client.until(id, "completed");
      assertRuns(ecu, content);
      assert.equal(Buffer.from(versionOf(ecu)).toString(), version);
      const hex = (value: number) => value.toString(16).padStart(2, "0").toUpperCase();
      const blocks = Math.ceil(content.length / (BLOCK_BYTES - 2));
      const wire = harness.traffic.to(ecu).filter((uds) => !uds.startsWith("22") && !uds.startsWith("19"));
      assert.deepEqual(
        wire.map((uds) => (uds.startsWith("36") ? uds.slice(0, 4) : uds)),
        [
          "1002",
          `27${hex(level)}`,
          `27${hex(level + 1)}${KEY}`,
          "3101FF00",
          "34004400001000000007D0",
          ...Array.from({ length: blocks }, (_, i) => `36${hex(i + 1)}`),
          "37",
          "3101FF01",
          `2EF195${Buffer.from(version).toString("hex").toUpperCase()}`,
          "1101",
          "14FFFFFF",
        ],
      );
      assert.deepEqual(
        harness.traffic.to(OTHER).filter((uds) => !uds.startsWith("22")),
        ["1003", "8502", "280101", "280001", "8501"],
      );
      const keptAlive = harness.traffic.of(OTHER).some(({ uds }) => uds === "3E80");
      assert.ok(keptAlive, "the session of the other ECU is kept, or it would talk again by itself");
    });
  }

  /** Rows of §6 and how a request of each begins. */
  const ROWS = {
    "10 02": "1002",
    "27 seed": "2705",
    "27 key": "2706",
    "31 erase": "3101FF00",
    "34": "34",
    "36": "3603",
    "37": "37",
    "31 check": "3101FF01",
    "2E": "2EF195",
    "11": "1101",
  } as const;
  const TROUBLES: Readonly<Record<string, Loose>> = {
    "refused (NRC 22)": { nrc: { code: 0x22, times: 1 } },
    "refused (NRC 72)": { nrc: { code: 0x72, times: 1 } },
    "no longer heard": { silent: {} },
    "no longer answered": { frame: { kind: "lost" } },
  };
  for (const [row, only] of Object.entries(ROWS)) {
    for (const [what, trouble] of Object.entries(TROUBLES)) {
      test(`row ${row}, ${what}: the old image again, the others well`, async () => {
        const ecu = harness.vehicle.ecu("FLXC1000");
        const before = Buffer.from(versionOf("FLXC1000")).toString();
        const current = (await client.send("GET", "/components/flxc1000/bulk-data/current-image")).json.items[0].id;
        const kept = (await client.send("GET", `/components/flxc1000/bulk-data/current-image/${current}`)).bytes;
        ecu.misbehaviour = { only, ...structuredClone(trouble) };
        const { id } = await begin("FLXC1000");
        // the way is free again for the rollback
        if (trouble.nrc === undefined) {
          await client.until(id, "rollingBack");
          ecu.misbehaviour = undefined;
        }
        const { subprogress } = await client.until(id, "rolledBack");
        if (trouble.nrc !== undefined) assert.match(subprogress[0].error.message, /^.+: refused with NRC 0x/);
        ecu.misbehaviour = undefined;
        assertRuns("FLXC1000", kept);
        // this ECU is not brought out of its boot loader by 10 01; a start is only for one that said to be there
        if (row !== "10 02") assert.equal(ecu.state.variant, "APPLICATION");
        ecu.state.variant = "APPLICATION";
        assert.equal(Buffer.from(versionOf("FLXC1000")).toString(), before);
      });
    }
    test(`row ${row}, cancelled in it: the old image again, the others well`, async () => {
      const ecu = harness.vehicle.ecu("FLXC1000");
      ecu.misbehaviour = { only, pending: { count: 4, intervalMs: 20, times: 1 } };
      const first = harness.traffic.next((received) => received.ecu === "FLXC1000" && received.uds.startsWith(only));
      const { id } = await begin("FLXC1000");
      await first;
      assert.equal((await client.send("PUT", `/updates/${id}/x-rollback`)).status, 202);
      await client.until(id, "rolledBack");
      ecu.misbehaviour = undefined;
      assertOthersWell();
      assert.equal(ecu.state.sessionState, "DEFAULT");
    });
  }

  test("an answer to a block that is lost: the same counter again", async () => {
    harness.vehicle.ecu("FSNR2000").misbehaviour = { only: "3603", frame: { kind: "lost", times: 1 } };
    const { id, content } = await begin("FSNR2000");
    await client.until(id, "completed");
    assertRuns("FSNR2000", content);
    const counters = harness.traffic.to("FSNR2000").flatMap((uds) => (uds.startsWith("36") ? [uds.slice(2, 4)] : []));
    assert.deepEqual(counters, ["01", "02", "03", "03", "04", "05", "06", "07", "08"]);
  });

  test("without a kept image nothing is sent but what reads, and no other ECU is disturbed", async () => {
    const { id } = await begin("JGWT5000");
    await assert.rejects(client.until(id, "completed"), /could not go back/);
    const reads = ["22", "19"];
    assert.deepEqual(
      harness.traffic.to("JGWT5000").filter((uds) => !reads.some((sid) => uds.startsWith(sid))),
      [],
    );
    assert.deepEqual(harness.traffic.to(OTHER), []);
  });

  for (const [what, only] of Object.entries({ "its version": "22F195", "of no faults": "19" })) {
    test(`an ECU that was left in its boot loader, and knows not ${what} there, is flashed`, async () => {
      const ecu = harness.vehicle.ecu("FSNR2000");
      ecu.state.variant = "BOOT";
      ecu.misbehaviour = { only, nrc: { code: 0x31, times: 1 } };
      const { id, content } = await begin("FSNR2000");
      await client.until(id, "completed");
      ecu.misbehaviour = undefined;
      assertRuns("FSNR2000", content);
    });
  }
});
