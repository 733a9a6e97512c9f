/** The user-defined fault memory (ISO 14229-1, sub-functions 0x17 to 0x19): listed, read, told apart from the default one, cleared. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import type { EcuData } from "#mdd/generated/description.ts";
import { endOfPduField, structure, subFunctionService, unsigned, value } from "#mdd/writer/dsl.ts";
import type { Dtc, FaultMemory } from "#sim/dtc.ts";
import { richDatabase } from "./appendix-a-databases.ts";
import { type Answer, type Harness, startHarness, writeDatabase } from "./harness.ts";

const ECU = "CENTRAL";
const FAULTS = "/components/central/faults";
/** Selection of the user memory in the simulator. */
const USER = 1;
const IN_BOTH = 0x0a1b01;
const ONLY_USER = 0x0a1b02;

const byte = (name: string, at: number) => value(name, unsigned(name, 8), { byte: at });
const code = (name: string, at: number) => value(name, unsigned(name, 24), { byte: at });

/** The list and the snapshots are described; extended data are not, and are read as those of the default memory. */
const userMemory = [
  subFunctionService("UserMem_ReportDTCByStatusMask", 0x19, 0x17, {
    request: [byte("StatusMask", 2), byte("MemorySelection", 3)],
    response: [byte("MemorySelection", 2), byte("AvailabilityMask", 3)],
  }),
  subFunctionService("UserMem_ReportDTCSnapshotRecordByDtcNumber", 0x19, 0x18, {
    request: [code("DTC", 2), byte("RecordNumber", 5), byte("MemorySelection", 6)],
    response: [
      byte("MemorySelection", 2),
      code("DTC", 3),
      byte("StatusOfDTC", 6),
      value(
        "Records",
        endOfPduField(
          "Records",
          structure("Record", [
            byte("DTCSnapshotRecordNumber", 0),
            byte("DTCSnapshotRecordNumberOfIdentifiers", 1),
            value("Identifier", unsigned("Identifier", 16), { byte: 2 }),
            byte("Voltage", 4),
          ]),
        ),
        { byte: 7 },
      ),
    ],
  }),
];

function databaseWithUserMemory(): EcuData {
  const database = richDatabase(ECU);
  const layer = database.variants![0]!.diag_layer!;
  Object.assign(layer, { diag_services: [...layer.diag_services!, ...userMemory] });
  return database;
}

function fault(id: number, status: number, occurrences: number): Dtc {
  return {
    id,
    status,
    emissionsRelated: false,
    snapshots: [{ recordNumber: 1, records: [{ did: 0xd001, data: Uint8Array.of(0x55) }] }],
    extendedData: [{ recordNumber: 1, data: Uint8Array.of(occurrences) }],
  };
}

describe("user memory", () => {
  let car: Harness;
  const ok = ({ status, json, text }: Answer, expected = 200) => {
    assert.equal(status, expected, text);
    return json;
  };
  const masks = (answer: Answer): [string, string, string][] =>
    ok(answer).items.map((item: { code: string; scope: string; status: { mask: string } }) => [
      item.code,
      item.scope,
      item.status.mask,
    ]);
  before(async () => {
    car = await startHarness({
      prepare: (databases) => writeDatabase(databases, databaseWithUserMemory()),
      config: { faults: { user_defined_dtc_clear_service: [0x14, 0xff, 0xff, 0xff, USER] } },
    });
    await car.online(ECU);
    const { dtcs } = car.vehicle.ecu(ECU).state;
    const store = (memory: FaultMemory, one: Dtc) => dtcs[memory].set(one.id, one);
    store("Standard", fault(IN_BOTH, 0x08, 1));
    store("Development", fault(IN_BOTH, 0x01, 2));
    store("Development", fault(ONLY_USER, 0x09, 3));
    car.traffic.clear();
  });
  after(() => car?.close());
  afterEach(() => car.traffic.clear());

  const LISTS: readonly [query: string, sent: readonly string[], seen: readonly [string, string, string][]][] = [
    [
      `?scope=UserMem&memorySelection=${USER}`,
      ["1917FF01"],
      [
        ["0A1B01", "UserMem", "01"],
        ["0A1B02", "UserMem", "09"],
      ],
    ],
    [
      `?scope=DEVELOPMENTFAULTMEMORY&memory-selection=${USER}&status[confirmedDtc]=true`,
      ["19170801"],
      [["0A1B02", "UserMem", "09"]],
    ],
    [
      `?memorySelection=${USER}&status[testFailed]=true&status[confirmedDtc]=true`,
      ["190209", "19170901"],
      [
        ["0A1B01", "FaultMem", "08"],
        ["0A1B01", "UserMem", "01"],
        ["0A1B02", "UserMem", "09"],
      ],
    ],
    [
      "?scope=FaultMem",
      ["1902FF"],
      [
        ["0A1B01", "FaultMem", "08"],
        ["0A1B02", "FaultMem", "00"],
      ],
    ],
    ["?scope=usermem", ["1917FF00"], [["0A1B01", "UserMem", "08"]]],
  ];
  for (const [query, sent, seen] of LISTS) {
    test(`GET faults${query}`, async () => {
      assert.deepEqual(masks(await car.http.get(`${FAULTS}${query}`)), seen);
      assert.deepEqual(car.traffic.to(ECU), sent);
    });
  }

  test("a memory that the ECU does not have is its refusal", async () => {
    const { parameters } = ok(await car.http.get(`${FAULTS}?scope=UserMem&memorySelection=24`), 502);
    assert.deepEqual(parameters, { NRC: 0x31, SID: 0x19 });
  });

  test("a fault of the user memory: its own status, snapshots, extended data", async () => {
    const { item, environment_data: found } = ok(await car.http.get(`${FAULTS}/0a1b02?memory-selection=${USER}`));
    assert.deepEqual([item.scope, item.status.mask], ["UserMem", "09"]);
    assert.deepEqual(found.extended_data_records.data, { OccurrenceCounter: 3 });
    assert.deepEqual(Object.keys(found.snapshots.data), ["1"]);
    assert.deepEqual(car.traffic.to(ECU), ["1917FF01", "19190A1B02FF01", "19180A1B02FF01"]);
    const standard = ok(await car.http.get(`${FAULTS}/0a1b01`));
    assert.equal(standard.environment_data.extended_data_records.data.OccurrenceCounter, 1);
    assert.equal(standard.item.status.mask, "08");
  });

  test("clearing it leaves the default memory alone", async () => {
    await car.locked("central", async () => ok(await car.http.delete(`${FAULTS}?scope=UserMem`), 204));
    const { dtcs } = car.vehicle.ecu(ECU).state;
    assert.deepEqual([dtcs.Standard.size, dtcs.Development.size], [1, 0]);
  });
});
