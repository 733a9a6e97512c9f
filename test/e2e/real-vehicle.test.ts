/** The vehicle of the CDA's own tests: its seven databases, its configuration, our simulator in the place of its ECUs. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, suite, test } from "node:test";
import { type Answer, type Harness, startHarness, withoutRealFiles } from "./harness.ts";

const FLXC = "/components/flxc1000";
const GROUP = "/functions/functionalgroups/fgl_uds_ethernet_doip_dobt";
const KEY = "0x0D 0x0E 0x0F 0x10 0x11 0x12 0x13 0x14";
const ONLINE = ["FLXC1000", "FSNR2000", "TMCC3000", "HOVR4000", "JGWT5000"];
const IMAGE_BYTES = 3_000;

suite("the real databases", { skip: withoutRealFiles }, () => {
  let car: Harness;
  before(async () => {
    car = await startHarness({ databases: "real" });
    await car.online(...ONLINE);
    await car.becomes("FLXCNG1000", "Duplicate");
  });
  after(() => car?.close());
  afterEach(async () => {
    car.vehicle.reset();
    await car.http.post(FLXC);
    car.traffic.clear();
  });

  const ok = (answer: Answer, status = 200) => {
    assert.equal(answer.status, status, answer.text);
    return answer.json;
  };
  const word = async (ecu: string) => ok(await car.http.get(`/components/${ecu}`)).variant;

  test("five ECUs are online with their variants, the sixth is a duplicate", async () => {
    const seen = Object.fromEntries(car.server.fleet.ecus.map(({ name, state, variant }) => [name, [state, variant]]));
    assert.deepEqual(seen, {
      FLXC1000: ["Online", "FLXC1000_App_0101"],
      FLXCNG1000: ["Duplicate", undefined],
      FSNR2000: ["Online", "FSNR2000_App_0101"],
      // Their patterns name other numbers than the ECUs answer: the base variant stands in.
      TMCC3000: ["Online", "TMCC3000"],
      HOVR4000: ["Online", "HOVR4000"],
      JGWT5000: ["Online", "JGWT5000"],
    });
    assert.deepEqual(await word("flxcng1000"), {
      name: "Unknown",
      is_base_variant: false,
      state: "Duplicate",
      logical_address: "0x1000",
    });
  });

  test("VIN, byte for byte", async () => {
    const answer = await car.http.get(`${FLXC}/data/VINDataIdentifier`);
    assert.equal(answer.text, '{"id":"vindataidentifier","data":{"VIN":"SCEDT26T8BD005261"}}');
    assert.equal(answer.headers.get("content-type"), "application/json");
    assert.deepEqual(car.traffic.to("FLXC1000"), ["22F190"]);
  });

  test("which of two databases speaks follows the ECU: APPLICATION2, APPLICATION3, APPLICATION", async () => {
    const { state } = car.vehicle.ecu("FLXC1000");
    const steps = [
      ["APPLICATION2", "Duplicate", "Online", "FLXCNG1000_App_1010"],
      ["APPLICATION3", "NoVariantDetected", "NoVariantDetected", "Unknown"],
      ["APPLICATION", "Online", "Duplicate", "Unknown"],
    ] as const;
    for (const [variant, first, second, name] of steps) {
      state.variant = variant;
      ok(await car.http.post(FLXC), 201);
      assert.equal((await word("flxc1000")).state, first, variant);
      assert.equal((await word("flxcng1000")).state, second, variant);
      assert.equal((await word("flxcng1000")).name, name, variant);
    }
    assert.equal((await word("flxc1000")).name, "FLXC1000_App_0101");
  });

  test("a duplicate is not spoken to", async () => {
    const answer = await car.http.get("/components/flxcng1000/data/vindataidentifier");
    assert.equal(ok(answer, 409).error_code, "preconditions-not-fulfilled");
    assert.deepEqual(car.traffic.to("FLXC1000"), []);
  });

  test("security access exists in the boot variant, after the programming session", async () => {
    await car.locked("flxc1000", async () => {
      const seed = { value: "Level_5_RequestSeed" };
      ok(await car.http.put(`${FLXC}/modes/security`, seed), 404);
      const session = ok(await car.http.put(`${FLXC}/modes/session`, { value: "programming" }));
      assert.deepEqual(session, { id: "session", value: "Programming" });
      ok(await car.http.post(FLXC), 201);
      assert.equal((await word("flxc1000")).name, "FLXC1000_Boot_Variant");
      assert.deepEqual(ok(await car.http.put(`${FLXC}/modes/security`, seed)), {
        id: "security",
        seed: { Request_Seed: "0x00 0x01 0x02 0x03 0x04 0x05 0x06 0x07" },
      });
      ok(await car.http.put(`${FLXC}/modes/security`, { value: "Level_5" }), 400);
      ok(await car.http.put(`${FLXC}/modes/security`, { value: "Level_5", Key: { Send_Key: "0xZZ" } }), 400);
      const refused = await car.http.put(`${FLXC}/modes/security`, {
        value: "Level_5",
        Key: { Send_Key: "00 00 00 00 00 00 00 00" },
      });
      assert.deepEqual(ok(refused, 502).parameters, { NRC: 0x35, SID: 0x27 });
      const answer = ok(await car.http.put(`${FLXC}/modes/security`, { value: "Level_5", Key: { Send_Key: KEY } }));
      assert.deepEqual(answer, { id: "security", value: "Level_5" });
      const state = ok(await car.http.get(`${FLXC}/modes/security`));
      assert.deepEqual(state, { name: "Security access", value: "Level_5" });
    });
    // Behind the reset in the ECU's queue.
    ok(await car.http.get(`${FLXC}/data/vindataidentifier`));
    assert.equal(car.vehicle.ecu("FLXC1000").state.sessionState, "DEFAULT", "the lock's end resets the session");
  });

  test("modes: communication control with parameters, DTC setting, authentication, unknown values", async () => {
    await car.locked("flxc1000", async () => {
      const put = (mode: string, body: unknown) => car.http.put(`${FLXC}/modes/${mode}`, body);
      assert.deepEqual(ok(await car.http.get(`${FLXC}/modes/commctrl`)), {
        name: "Communication control",
        value: "enablerxandenabletx",
      });
      ok(await put("commctrl", { value: "TemporalSync", parameters: { temporalEraId: -5 } }));
      assert.equal(car.vehicle.ecu("FLXC1000").state.temporalEraId, -5);
      assert.equal(ok(await car.http.get(`${FLXC}/modes/commctrl`)).value, "temporalsync");
      assert.deepEqual(ok(await put("dtcsetting", { value: "off" })), { id: "dtcsetting", value: "off" });
      assert.equal(car.vehicle.ecu("FLXC1000").state.dtcSettingType, "OFF");
      const unknown = ok(await put("dtcsetting", { value: "sideways" }), 400);
      assert.equal(unknown.vendor_code, "invalid-parameter");
      assert.deepEqual(unknown.parameters.possiblevalues.toSorted(), ["off", "on", "timetraveldtcson"]);
      ok(await put("session", { value: "sideways" }), 404);
      const configured = ok(await put("authentication", { value: "configuration" }));
      assert.deepEqual(configured.parameters, {
        AuthenticationReturnParameter: "AuthenticationConfiguration APCE",
      });
    });
    assert.deepEqual(
      car.traffic.to("FLXC1000").slice(0, 3),
      ["284201FFFFFFFB", "8502", "2908"],
      "nothing is sent for a refused value",
    );
  });

  test("a routine tells its progress until it is stopped", async () => {
    await car.locked("flxc1000", async () => {
      const path = `${FLXC}/operations/timecircuits/executions`;
      const parameters = {
        travelMethod: "PresetDestination",
        travelMethodData: { PresetDestination: { presetId: "1955-11-05_ClockTower" } },
      };
      const { id } = ok(await car.http.post(path, { parameters }), 202);
      const seen: unknown[] = [];
      for (let i = 0; i < 4; i++) {
        const { status, parameters } = ok(await car.http.get(`${path}/${id}`));
        seen.push([status, parameters.percentComplete, parameters.message]);
      }
      assert.deepEqual(seen, [
        ["completed", 25, ""],
        ["completed", 50, ""],
        ["completed", 75, "Great Scott! We made it!"],
        ["completed", 100, "Great Scott! We made it!"],
      ]);
      const { schema } = ok(await car.http.get(`${path}/${id}?include-schema=true`));
      assert.deepEqual(Object.keys(schema.properties.parameters.properties), ["percentComplete", "step", "message"]);
      ok(await car.http.delete(`${path}/${id}`));
      ok(await car.http.get(`${path}/${id}`), 404);
    });
    assert.deepEqual(car.traffic.to("FLXC1000")[0], "310110030201");
    assert.equal(car.traffic.to("FLXC1000").at(-1), "31021003");
  });

  test("faults: filters, snapshots, extended data, one, all, user memory", async () => {
    const { dtcs } = car.vehicle.ecu("FLXC1000").state;
    const fault = (id: number, status: number) => ({
      id,
      status,
      emissionsRelated: false,
      snapshots: [{ recordNumber: 1, records: [{ did: 0xf190, data: Uint8Array.of(1, 2, 3, 4) }] }],
      extendedData: [{ recordNumber: 1, data: Uint8Array.of(5, 6) }],
    });
    dtcs.Standard.set(0x01e240, fault(0x01e240, 0x2f));
    dtcs.Standard.set(0x039447, fault(0x039447, 0x08));
    dtcs.Development.set(0x01e241, fault(0x01e241, 0x01));
    const codes = async (query: string) =>
      ok(await car.http.get(`${FLXC}/faults${query}`)).items.map((item: { code: string }) => item.code);
    assert.deepEqual(await codes("?status[testFailed]=true"), ["01E240"]);
    assert.deepEqual(await codes("?status[testFailed]=1&status[confirmedDtc]=true"), ["01E240", "039447"]);
    assert.deepEqual(await codes("?status[pendingDtc]=true&scope=UserMem"), []);
    const all = ok(await car.http.get(`${FLXC}/faults`)).items;
    const masks = Object.fromEntries(
      all.map((item: { code: string; status: { mask: string } }) => [item.code, item.status.mask]),
    );
    assert.deepEqual([masks["01E240"], masks["039447"], masks["01E242"]], ["2F", "08", "00"]);
    ok(await car.http.get(`${FLXC}/faults?scope=attic`), 400);

    const one = ok(await car.http.get(`${FLXC}/faults/01e240`));
    assert.equal(one.item.fault_name, "Code1");
    assert.equal(one.environment_data.snapshots.data["01"].DTCSnapshotRecordNumberOfIdentifiers, 1);
    assert.equal(one.environment_data.snapshots.data["01"].DTCSnapshotRecord[0].DTCSnapshotRecordDid, 0xf190);
    assert.ok(one.environment_data.extended_data_records.data);
    const plain = ok(
      await car.http.get(`${FLXC}/faults/0x01E240?include-snapshot-data=false&include-extended-data=false`),
    );
    assert.deepEqual(Object.keys(plain), ["item"]);
    for (const id of ["999999", "xyz", "12345"]) ok(await car.http.get(`${FLXC}/faults/${id}`), 400);

    car.traffic.clear();
    ok(await car.http.delete(`${FLXC}/faults/01e240`), 403);
    await car.locked("flxc1000", async () => {
      ok(await car.http.delete(`${FLXC}/faults/01e240`), 204);
      ok(await car.http.delete(`${FLXC}/faults`), 204);
      ok(await car.http.delete(`${FLXC}/faults?scope=Development`), 204);
      ok(await car.http.delete(`${FLXC}/faults?scope=attic`), 400);
      ok(await car.http.delete(`${FLXC}/faults/01e240?scope=Development`), 400);
    });
    assert.deepEqual(car.traffic.to("FLXC1000"), ["1401E240", "14FFFFFF", "31014200"]);
    assert.equal(dtcs.Standard.size + dtcs.Development.size, 0);
  });

  test("flash: request, transfer of more blocks than the counter has numbers, exit, delete", async () => {
    const image = randomBytes(IMAGE_BYTES);
    await writeFile(join(car.folder, "flash", "image.bin"), image);
    const { items } = ok(await car.http.get("/apps/sovd2uds/bulk-data/flashfiles"));
    assert.deepEqual(items[0], {
      id: "image_bin",
      mimetype: "application/octet-stream",
      name: "image.bin",
      size: IMAGE_BYTES,
      "x-sovd2uds-OrigPath": "image.bin",
    });
    const download = `${FLXC}/x-sovd2uds-download`;
    const request = {
      requestdownload: {
        DataFormatIdentifier: 0,
        AddressAndLengthFormatIdentifier: 0x44,
        MemoryAddress: "0x00 0x00 0x10 0x00",
        MemorySize: "0x00 0x00 0x0B 0xB8",
      },
    };
    await car.locked("flxc1000", async () => {
      ok(await car.http.put(`${FLXC}/modes/session`, { value: "Programming" }));
      ok(await car.http.post(FLXC), 201);
      ok(await car.http.put(`${FLXC}/modes/security`, { value: "Level_5_RequestSeed" }));
      ok(await car.http.put(`${FLXC}/modes/security`, { value: "Level_5", Key: { Send_Key: KEY } }));
      const granted = ok(await car.http.put(`${download}/requestdownload`, request));
      assert.equal(granted.requestdownload.MaxNumberOfBlockLength, 0xffff);

      const transfer = { blocksequencecounter: 1, blocksize: 12, offset: 0, length: IMAGE_BYTES, id: "image_bin" };
      ok(await car.http.post(`${download}/flashtransfer`, { ...transfer, length: 0 }), 400);
      ok(await car.http.post(`${download}/flashtransfer`, { ...transfer, length: IMAGE_BYTES + 1 }), 400);
      ok(await car.http.post(`${download}/flashtransfer`, { ...transfer, blocksize: 2 }), 400);
      ok(await car.http.post(`${download}/flashtransfer`, { ...transfer, id: "nope" }), 404);
      const { id } = ok(await car.http.post(`${download}/flashtransfer`, transfer));
      const ended = await transferEnds(car, "flxc1000");
      assert.equal(ended.status, "finished");
      // 300 blocks of ten bytes, counted from 1: the 301st would be 0x2D.
      assert.deepEqual(ok(await car.http.get(`${download}/flashtransfer/${id}`)), {
        acknowledgedBytes: IMAGE_BYTES,
        blocksize: 12,
        nextBlockSequenceCounter: 0x2d,
        id,
        fileId: "image_bin",
        status: "finished",
      });
      ok(await car.http.post(`${download}/flashtransfer`, transfer), 409);
      ok(await car.http.put(`${download}/transferexit`), 204);
      const sent = car.vehicle.ecu("FLXC1000").state.transfers.at(-1)!;
      assert.equal(sent.dataTransferCount, 300);
      assert.deepEqual(Buffer.from(sent.checksum!), createHash("sha1").update(image).digest());
      ok(await car.http.delete(`${download}/flashtransfer/${id}`), 204);
      ok(await car.http.get(`${download}/flashtransfer`), 404);
    });
  });

  test("flash: a refused block aborts, a lost answer is made good with the same counter", async () => {
    await writeFile(join(car.folder, "flash", "small.bin"), randomBytes(30));
    ok(await car.http.get("/apps/sovd2uds/bulk-data/flashfiles"));
    const path = `${FLXC}/x-sovd2uds-download/flashtransfer`;
    const transfer = { blocksequencecounter: 1, blocksize: 12, offset: 0, length: 30, id: "small_bin" };
    const ecu = car.vehicle.ecu("FLXC1000");
    const run = async () => {
      const { id } = ok(await car.http.post(path, transfer));
      const { status, acknowledgedBytes, error } = await transferEnds(car, "flxc1000");
      ok(await car.http.delete(`${path}/${id}`), 204);
      return { status, acknowledgedBytes, error };
    };
    ok(await car.http.post(path, transfer), 403);
    const refused = await car.locked("flxc1000", run);
    assert.equal(refused.status, "aborted");
    assert.match(refused.error[0].text, /NRC 0x31/);
    Object.assign(ecu.state, { variant: "BOOT", sessionState: "PROGRAMMING", securityAccess: "LEVEL_05" });
    ok(await car.http.post(FLXC), 201);
    ecu.intercept("lost", "3602[]", "", 1);
    car.vehicle.ecu("FLXC1000").receive(Uint8Array.of(0x34, 0, 0x44, 0, 0, 0x10, 0, 0, 0, 0, 30));
    car.traffic.clear();
    assert.deepEqual(await car.locked("flxc1000", run), {
      status: "finished",
      acknowledgedBytes: 30,
      error: undefined,
    });
    assert.deepEqual(
      car.traffic.to("FLXC1000").map((uds) => uds.slice(0, 4)),
      ["3601", "3602", "3602", "3603"],
    );
  });

  test("functional group: members, modes, operation, and nothing for an unknown service", async () => {
    const { items } = ok(await car.http.get("/functions/functionalgroups"));
    assert.deepEqual(items.map((item: { id: string }) => item.id).toSorted(), [
      "fgl_uds_ethernet_doip",
      "fgl_uds_ethernet_doip_dobt",
    ]);
    ok(await car.http.get(`${GROUP}/data/nope`), 404);
    ok(await car.http.put(`${GROUP}/modes/session`, { value: "extended" }), 403);
    const lock = ok(await car.http.post(`${GROUP}/locks`, { lock_expiration: 30 }), 201);
    const modes = ok(await car.http.get(`${GROUP}/modes/session`));
    assert.deepEqual(Object.keys(modes.modes).toSorted(), ["flxc1000", "fsnr2000", "jgwt5000", "tmcc3000"]);
    // The description's services suppress positive responses; these ECUs refuse that form, within the 500 ms for refusals
    // unless this thread, which is theirs, stands still.
    let refused: { readonly modes: object; readonly errors?: readonly { path: string }[] };
    let tries = 0;
    do {
      car.traffic.clear();
      refused = ok(await car.http.put(`${GROUP}/modes/session`, { value: "extended" }));
    } while ((refused.errors ?? []).length < 4 && ++tries < 10);
    assert.deepEqual(refused.modes, {});
    assert.deepEqual((refused.errors ?? []).map(({ path }) => path).toSorted(), [
      "/modes/flxc1000",
      "/modes/fsnr2000",
      "/modes/jgwt5000",
      "/modes/tmcc3000",
    ]);
    ok(await car.http.delete(`${GROUP}/locks/${lock.id}`), 204);
    for (const ecu of ["FLXC1000", "FSNR2000", "TMCC3000", "JGWT5000"]) {
      assert.deepEqual(car.traffic.to(ecu), ["1083"], `${ecu}: one request for each gateway`);
    }
    // Each entity hears what is sent to the functional address, those beyond the group as well; none twice.
    assert.ok(car.traffic.to("HOVR4000").length <= 1);
  });

  test("network structure: groups with their members, gateways with theirs", async () => {
    const [structure] = ok(await car.http.get("/apps/sovd2uds/data/networkstructure")).data;
    const gateway = structure.Gateways.find((one: { LogicalAddress: string }) => one.LogicalAddress === "0x1000");
    assert.equal(gateway.Name, "FLXC1000");
    assert.equal(gateway.NetworkAddress, "127.0.1.1");
    assert.deepEqual(
      gateway.Ecus.find((ecu: { Qualifier: string }) => ecu.Qualifier === "FLXC1000").Variant,
      "FLXC1000_App_0101",
    );
    assert.equal(structure.Gateways.length, 5);
    assert.equal(structure.FunctionalGroups.length, 2);
  });

  test("special data of a component and of a service", async () => {
    const { sdgs } = ok(await car.http.get(`${FLXC}?x-sovd2uds-includesdgs=true`));
    assert.equal(sdgs[0].caption, "default_sdg");
    assert.deepEqual(ok(await car.http.get(`${FLXC}?x-include-sdgs=true`)).sdgs, sdgs);
    ok(await car.http.get(`${FLXC}/data/fluxcapacitorpowerconsumption?x-sovd2uds-includesdgs=true`));
    assert.deepEqual(car.traffic.to("FLXC1000"), [], "special data come from the database");
  });
});

/** Asks for the ECU's transfer as a client does, until it has ended. */
async function transferEnds(car: Harness, ecu: string) {
  const deadlineMs = performance.now() + 120_000;
  while (performance.now() < deadlineMs) {
    const { json } = await car.http.get(`/components/${ecu}/x-sovd2uds-download/flashtransfer`);
    const [transfer] = json.items;
    if (transfer.status === "finished" || transfer.status === "aborted") return transfer;
  }
  throw new Error("the transfer did not end");
}
