/** The flash sequence of a classic ECU over HTTP, on the five online ECUs of the real databases. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Answer, type Harness, startHarness, withoutRealFiles } from "./harness.ts";

const ECUS = ["FLXC1000", "FSNR2000", "TMCC3000", "HOVR4000", "JGWT5000"];
/** The databases with a boot loader's variant; only there is SecurityAccess described. */
const WITH_BOOT_VARIANT = ["FLXC1000", "FSNR2000"];
const FILE = randomBytes(100_003);
/** 392 blocks: the counter goes past 255 once. */
const BLOCK_BYTES = 258;
const DATA_BYTES = BLOCK_BYTES - 2;
const SEED = "0x00 0x01 0x02 0x03 0x04 0x05 0x06 0x07";
const KEY = "0x0D 0x0E 0x0F 0x10 0x11 0x12 0x13 0x14";

describe("flash sequence", { skip: withoutRealFiles }, () => {
  let harness: Harness;
  before(async () => {
    harness = await startHarness({ databases: "real" });
    await writeFile(join(harness.folder, "flash", "image.bin"), FILE);
    await harness.online(...ECUS);
  });
  after(() => harness?.close());

  for (const ecu of ECUS) test(ecu, () => harness.locked(ecu, () => flash(harness, ecu)));
});

async function flash(harness: Harness, ecu: string): Promise<void> {
  const { http, vehicle } = harness;
  const base = `/components/${ecu.toLowerCase()}`;
  const download = `${base}/x-sovd2uds-download`;
  const simulated = vehicle.ecu(ecu).state;

  const files = await http.get("/apps/sovd2uds/bulk-data/flashfiles", { as: null });
  assert.equal(files.json.items[0].size, FILE.length);
  done(await http.put(`${base}/modes/session`, { value: "programming" }), 200, { id: "session", value: "Programming" });
  assert.deepEqual([simulated.sessionState, simulated.variant], ["PROGRAMMING", "BOOT"]);
  done(await http.put(base), 201);
  await unlock(harness, ecu, base);

  const announced = await http.put(`${download}/requestdownload`, {
    requestdownload: {
      DataFormatIdentifier: 0,
      AddressAndLengthFormatIdentifier: 0x44,
      MemoryAddress: "0x00 0x00 0x10 0x00",
      MemorySize: "0x00 0x01 0x86 0xA3",
    },
  });
  assert.equal(announced.status, 200, announced.text);
  assert.deepEqual(Object.keys(announced.json), ["requestdownload"]);

  const part = { blocksequencecounter: 1, blocksize: BLOCK_BYTES, offset: 0, length: FILE.length, id: "image_bin" };
  done(await http.post(`${download}/flashtransfer`, { ...part, length: 0 }), 400);
  done(await http.post(`${download}/flashtransfer`, { ...part, offset: 1 }), 400);
  done(await http.post(`${download}/flashtransfer`, { ...part, id: "nope" }), 404);
  const { json: started } = done(await http.post(`${download}/flashtransfer`, part), 200);
  done(await http.post(`${download}/flashtransfer`, part), 409);
  const transfer = await ended(harness, `${download}/flashtransfer/${started.id}`);
  const blocks = Math.ceil(FILE.length / DATA_BYTES);
  assert.deepEqual(transfer, {
    acknowledgedBytes: FILE.length,
    blocksize: BLOCK_BYTES,
    nextBlockSequenceCounter: (blocks + 1) & 0xff,
    id: started.id,
    fileId: "image_bin",
    status: "finished",
  });
  done(await http.put(`${download}/transferexit`), 204);

  const received = simulated.transfers.at(-1)!;
  assert.equal(received.dataTransferCount, blocks);
  assert.deepEqual(Buffer.from(received.checksum!), createHash("sha1").update(FILE).digest());
  done(await http.delete(`${download}/flashtransfer/00000000-0000-4000-8000-000000000000`), 404);
  done(await http.delete(`${download}/flashtransfer/${started.id}`), 204);
  done(await http.get(`${download}/flashtransfer`), 404);

  done(await http.post(`${base}/operations/reset/executions`, { parameters: { value: "HardReset" } }), 204);
  assert.deepEqual([simulated.sessionState, simulated.variant], ["DEFAULT", "APPLICATION"]);
  done(await http.put(base), 201);
  done(await http.get(`${base}/modes/session`), 200, { name: "Diagnostic session", value: "Default" });
}

/** Where the database describes no SecurityAccess, somebody else has unlocked the ECU. */
async function unlock({ http, vehicle, server }: Harness, ecu: string, base: string): Promise<void> {
  if (!WITH_BOOT_VARIANT.includes(ecu)) {
    done(await http.put(`${base}/modes/security`, { value: "Level_5_RequestSeed" }), 404);
    vehicle.ecu(ecu).state.securityAccess = "LEVEL_05";
    return;
  }
  assert.equal(server.fleet.ecu(ecu)?.variant, `${ecu}_Boot_Variant`);
  const seed = await http.put(`${base}/modes/security`, { value: "Level_5_RequestSeed" });
  done(seed, 200, { id: "security", seed: { Request_Seed: SEED } });
  const unlocked = await http.put(`${base}/modes/security`, { value: "Level_5", Key: { Send_Key: KEY } });
  done(unlocked, 200, { id: "security", value: "Level_5" });
}

function done(answer: Answer, status: number, json?: unknown): Answer {
  assert.equal(answer.status, status, answer.text);
  if (json !== undefined) assert.deepEqual(answer.json, json);
  if (status === 201 || status === 204) assert.equal(answer.text, "");
  return answer;
}

async function ended({ http }: Harness, path: string): Promise<unknown> {
  for (;;) {
    const { json } = await http.get(path, { as: null });
    if (json.status !== "running" && json.status !== "queued") return json;
  }
}
