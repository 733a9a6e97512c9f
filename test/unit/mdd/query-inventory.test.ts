// The inventory of the real databases (mdd-format.md, 14), asked through the queries.
import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import { resolveComParams } from "#mdd/query/com-param-resolution.ts";
import { listConfigurations, listData, listOperations } from "#mdd/query/describe.ts";
import { dtcsOf, formatDtc } from "#mdd/query/dtc.ts";
import { listJobs } from "#mdd/query/jobs.ts";
import { requestSchema, responseSchema } from "#mdd/query/json-schema.ts";
import { baseVariant, functionalGroup, variantsOf } from "#mdd/query/layers.ts";
import { findService } from "#mdd/query/lookup.ts";
import { chooseProtocol } from "#mdd/query/protocols.ts";
import { layerSdgs } from "#mdd/query/sdg.ts";
import { serviceIndex } from "#mdd/query/service-index.ts";
import {
  authenticationServices,
  faultServices,
  findFlashService,
  findModeService,
  findRequestSeedService,
  findResetService,
  keyParameter,
  modeValues,
  resetServices,
} from "#mdd/query/service-purposes.ts";
import { stateChartsOf } from "#mdd/query/state-charts.ts";
import { databaseFacts, functionalGroupFacts, isGroupMember } from "#mdd/query/topology.ts";
import { detectionPlan } from "#mdd/query/variants.ts";
import { parseComParam, readComParamConfig } from "#uds/com-param-values.ts";
import { COM_PARAM_ROWS } from "#uds/com-params.ts";
import { openShared, REAL_FILES, SKIP_WITHOUT_SHARED } from "./query-support.ts";

const options = { skip: SKIP_WITHOUT_SHARED };

interface Expected {
  readonly file: string;
  /** Name, services of its own and inherited, expected identification. */
  readonly variants: readonly (readonly [name: string, services: number, identification: string | undefined])[];
  readonly protocol: { readonly name: string; readonly ignore?: boolean };
  readonly ecu: number;
  readonly gateway: number;
  readonly sdgs: number;
}

const DOBT = { name: "uds_ethernet_doip_dobt" };

const ECUS: readonly Expected[] = [
  {
    file: "FLXC1000",
    variants: [
      ["FLXC1000", 38, undefined],
      ["FLXC1000_Boot_Variant", 46, "16711680"],
      ["FLXC1000_App_0101", 38, "257"],
    ],
    ...{ protocol: DOBT, ecu: 4096, gateway: 4096, sdgs: 1 },
  },
  {
    file: "FLXCNG1000",
    variants: [
      ["FLXCNG1000", 37, undefined],
      ["FLXCNG1000_App_1010", 37, "4112"],
    ],
    ...{ protocol: DOBT, ecu: 4096, gateway: 4096, sdgs: 0 },
  },
  {
    file: "FSNR2000",
    variants: [
      ["FSNR2000", 37, undefined],
      ["FSNR2000_Boot_Variant", 45, "16711680"],
      ["FSNR2000_App_0101", 37, "257"],
    ],
    ...{ protocol: DOBT, ecu: 8192, gateway: 8192, sdgs: 0 },
  },
  {
    file: "HOVR4000",
    variants: [
      ["HOVR4000", 37, undefined],
      ["HOVR4000_App_0101", 37, "1025"],
    ],
    ...{ protocol: { name: "DMC_DoIP" }, ecu: 16384, gateway: 57005, sdgs: 0 },
  },
  {
    file: "JGWT5000",
    variants: [
      ["JGWT5000", 37, undefined],
      ["JGWT5000_App_0101", 37, "1281"],
    ],
    ...{ protocol: { ...DOBT, ignore: true }, ecu: 20480, gateway: 57005, sdgs: 0 },
  },
  {
    file: "TMCC3000",
    variants: [
      ["TMCC3000", 37, undefined],
      ["TMCC3000_App_0101", 37, "769"],
    ],
    ...{ protocol: { ...DOBT, ignore: true }, ecu: 12288, gateway: 57005, sdgs: 0 },
  },
];

for (const expected of ECUS) {
  test(`${expected.file}: variants, services, patterns, addresses`, options, async () => {
    const database = await openShared(`${expected.file}.mdd`);
    const plan = detectionPlan(database);
    const found = variantsOf(database).map((variant) => {
      const patterns = plan.variants.find((candidate) => candidate.variant === variant)?.patterns;
      return [variant.name, serviceIndex(database, variant).services.length, patterns?.[0]?.[0]?.expected];
    });
    assert.deepEqual(found, expected.variants);
    assert.deepEqual(
      plan.services.map(({ shortName }) => shortName),
      ["Identification_Read"],
    );
    assert.equal(database.formatVersion, "2025-05-10");
    const readers = { parse: parseComParam, readConfig: readComParamConfig };
    const protocol = chooseProtocol(database, expected.protocol);
    const params = resolveComParams(database, protocol, { rows: COM_PARAM_ROWS, readers });
    const { ecu, gateway } = expected;
    assert.deepEqual(params.get("doip.logicalEcuAddress"), { value: ecu, isResolved: true });
    assert.deepEqual(params.get("doip.logicalGatewayAddress"), { value: gateway, isResolved: true });
    const base = baseVariant(database);
    assert.ok(base !== undefined);
    assert.equal(layerSdgs(database, base).length, expected.sdgs);
    assert.deepEqual(listJobs(database, base), []);
  });

  test(`${expected.file}: charts, trouble codes, services of a purpose`, options, async () => {
    const database = await openShared(`${expected.file}.mdd`);
    const base = baseVariant(database);
    assert.ok(base !== undefined);
    const { session, security } = stateChartsOf(database, base);
    assert.deepEqual(session?.states, ["Default", "Programming", "Extended", "Custom"]);
    assert.equal(session?.transitions.length, 12);
    assert.equal(security?.start, "Locked");
    assert.equal(security?.transitions.length, 9);
    const codes = [...dtcsOf(database).values()];
    assert.deepEqual(codes.map(({ code }) => formatDtc(code)).sort(), [
      "01E240",
      "01E241",
      "01E242",
      "01E243",
      "01E244",
      "039447",
    ]);
    assert.ok(codes.every(({ displayCode, severity }) => displayCode === undefined && severity === undefined));
    const index = serviceIndex(database, base);
    assert.deepEqual(
      resetServices(index).map(({ shortName }) => shortName),
      ["HardReset", "SoftReset"],
    );
    assert.equal(findResetService(index, "hardreset").sid, 0x11);
    assert.deepEqual(modeValues(index, "dtcsetting"), ["on", "off", "timetraveldtcson"]);
    assert.equal(findModeService(index, "dtcsetting", "OFF").shortName, "DTC_Setting_Mode_Off");
    assert.equal(findModeService(index, "commctrl", "enablerxanddisabletx").shortName, "EnableRxAndDisableTx_Control");
    assert.equal(authenticationServices(index).length, 2);
    const faults = faultServices(index);
    const user = [faults.userMemoryByStatusMask, faults.userMemorySnapshot, faults.userMemoryExtendedData];
    assert.deepEqual(user, [undefined, undefined, undefined]);
    const named = [faults.byStatusMask, faults.snapshot, faults.extendedData, faults.clear];
    assert.deepEqual(
      named.map((service) => service && toHex(service.prefix)),
      ["1902", "1904", "1906", "14"],
    );
    for (const step of ["requestDownload", "transferData", "transferExit"] as const)
      assert.deepEqual(findFlashService(database, index, step).functionalClasses, ["flash_download_upload"]);
  });

  test(`${expected.file}: resource lists`, options, async () => {
    const database = await openShared(`${expected.file}.mdd`);
    const base = baseVariant(database);
    assert.ok(base !== undefined);
    const index = serviceIndex(database, base);
    const vin = listData(index).find(({ id }) => id === "VINDataIdentifier");
    assert.deepEqual(
      [vin?.name, vin?.category, vin?.read?.shortName, vin?.write?.shortName],
      ["Vehicle Identification Number", "STOREDDATA", "VINDataIdentifier_Read", "VINDataIdentifier_Write"],
    );
    assert.deepEqual(
      listData(index, { ident: "identData" }).map(({ category }) => category),
      listData(index).map(() => "identData"),
    );
    assert.deepEqual(listData(index, {}), []);
    assert.deepEqual(
      listOperations(index).map(({ id, asynchronous }) => [id, asynchronous]),
      [
        ["Clear_Diagnostic_User_Memory", false],
        ["SelfTest", false],
        ["CalibrateSensors", true],
        ["TimeCircuits", true],
      ],
    );
    assert.throws(() => listConfigurations(database, index), isNotFound);
  });
}

test("a database without protocols is refused unless the protocol does not matter", options, async () => {
  const database = await openShared("TMCC3000.mdd");
  assert.throws(
    () => chooseProtocol(database, DOBT),
    (error) => error instanceof Fault && error.kind === "misconfigured",
  );
  assert.equal(chooseProtocol(database, { ...DOBT, ignore: true }), undefined);
});

test("a boot variant asks for seeds by level name and by number", options, async () => {
  const database = await openShared("FLXC1000.mdd");
  const index = serviceIndex(database, variantsOf(database)[1] ?? assert.fail());
  const seeds = {
    Level_3: "RequestSeed_Level_3",
    level_7: "Request_Seed_Level_7",
    Supplier: "RequestSeed_Supplier",
    Stage_9: "RequestSeed_Supplier",
  };
  for (const [level, name] of Object.entries(seeds))
    assert.equal(findRequestSeedService(database, index, level).shortName, name);
  assert.throws(() => findRequestSeedService(database, index, "Level_4"), isNotFound);
  const sendKey = index.byName.get("sendkey_level_3") ?? assert.fail();
  assert.equal(keyParameter(database, sendKey), "SecurityKey");
});

test("names are found exactly, by id, then by an unambiguous beginning", options, async () => {
  const database = await openShared("FLXC1000.mdd");
  const index = serviceIndex(database, baseVariant(database) ?? assert.fail());
  const find = (name: string, type: "Data" | "Operations" | "Modes", more = {}) =>
    findService(index, database.naming, { name, type, ...more }).shortName;
  assert.equal(find("vindataidentifier", "Data"), "VINDataIdentifier_Read");
  assert.equal(find("TimeCircuits", "Operations"), "TimeCircuits_Start");
  assert.equal(find("TimeCircuits", "Operations", { subFunction: 0x83 }), "TimeCircuits_RequestResults");
  assert.equal(find("TimeCircuits", "Operations", { action: "stop" }), "TimeCircuits_Stop");
  assert.equal(find("", "Data", { lookupName: "Flux" }), "FluxCapacitorPowerConsumption_Read");
  assert.throws(
    () => find("", "Modes", { lookupName: "DTC_Setting" }),
    (error) => error instanceof Fault && error.kind === "invalidParameter",
  );
  assert.throws(() => find("VIN", "Data"), isNotFound);
});

test("the functional description: groups, services, members", options, async () => {
  const database = await openShared("functional_groups.mdd");
  const facts = databaseFacts(database);
  assert.deepEqual([facts.isFunctionalDescription, facts.revision, facts.baseVariant], [true, "0.0.0", undefined]);
  const groups = functionalGroupFacts(database);
  assert.deepEqual(
    groups.map(({ name, protocols }) => [name, protocols]),
    [
      ["fgl_uds_ethernet_doip", ["UDS_Ethernet_DoIP"]],
      ["fgl_uds_ethernet_doip_dobt", ["UDS_Ethernet_DoIP_DOBT"]],
    ],
  );
  const index = serviceIndex(database, functionalGroup(database, "FGL_UDS_Ethernet_DoIP_DOBT"));
  assert.equal(index.services.length, 12);
  assert.deepEqual(
    listOperations(index).map(({ id, start, stop, requestResults }) => [
      id,
      start?.shortName,
      stop?.shortName,
      requestResults,
    ]),
    [["Engage_Safety_Squints", "Engage_Safety_Squints_Start_Func", "Engage_Safety_Squints_Stop_Func", undefined]],
  );
  assert.equal(findModeService(index, "dtcsetting", "off").shortName, "DTC_Setting_Mode_Off_Func");
  assert.throws(
    () => findService(index, database.naming, { type: "Modes", name: "", lookupName: "HardReset" }),
    isNotFound,
  );
  assert.throws(() => functionalGroup(database, "nope"), isNotFound);
  const dobt = groups[1] ?? assert.fail();
  const flxc = databaseFacts(await openShared("FLXC1000.mdd"));
  const hovr = databaseFacts(await openShared("HOVR4000.mdd"));
  assert.equal(isGroupMember(flxc, "UDS_Ethernet_DoIP_DOBT", dobt), true);
  assert.equal(isGroupMember(hovr, "DMC_DoIP", dobt), false);
});

test("every service of every real database has schemas", options, async () => {
  for (const file of REAL_FILES) {
    const database = await openShared(`${file}.mdd`);
    for (const scope of variantsOf(database)) {
      for (const service of serviceIndex(database, scope).services) {
        assert.ok(
          JSON.stringify([requestSchema(database, service), responseSchema(database, service)]).length < 100_000,
        );
      }
    }
  }
});

function isNotFound(error: unknown): boolean {
  return error instanceof Fault && error.kind === "notFound";
}
