import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import type { EcuData, SDG } from "#mdd/generated/description.ts";
import { comParamJson, comParamPart, comParamsOf, listComParams } from "#mdd/query/com-params.ts";
import { type Database, dropCaches, openDatabase } from "#mdd/query/database.ts";
import { listConfigurations, listData } from "#mdd/query/describe.ts";
import { dtcsOf } from "#mdd/query/dtc.ts";
import { describeJob, listJobs } from "#mdd/query/jobs.ts";
import { requestSchema, responseSchema } from "#mdd/query/json-schema.ts";
import { baseVariant, functionalGroupsOf, layersOf, type Scope, variantsOf } from "#mdd/query/layers.ts";
import { findByPrefix, findGenericService, findService } from "#mdd/query/lookup.ts";
import { chooseProtocol, protocolsOf } from "#mdd/query/protocols.ts";
import { layerSdgs, serviceSdgs } from "#mdd/query/sdg.ts";
import { serviceIndex } from "#mdd/query/service-index.ts";
import { findModeService } from "#mdd/query/service-purposes.ts";
import { stateChartsOf } from "#mdd/query/state-charts.ts";
import { additionalFieldsOf, databaseFacts, functionalGroupFacts, isGroupMember } from "#mdd/query/topology.ts";
import { detectionPlan } from "#mdd/query/variants.ts";
import { writeEcuData } from "#mdd/writer/write.ts";
import fc from "../../fixtures/properties.ts";
import { base, comParam, layer, open, protocol, service, shared, simpleRef, variant } from "./query-build.ts";

const names = (database: Database, scope: Scope) =>
  serviceIndex(database, scope).services.map(({ shortName }) => shortName);

function isFault(kind: string) {
  return (error: unknown) => error instanceof Fault && error.kind === kind;
}

function inheriting() {
  const esd = layer("ESD", [
    service("Shared_Read", "22C001"),
    service("VIN_Read", "22C002"),
    service("Secret_Read", "22C003"),
  ]);
  const baseVariantTable = base(layer("Base", [service("VIN_Read", "22F190"), service("VIN_Write", "2EF190")]), [
    shared(esd, ["Secret_Read"]),
  ]);
  const app = variant(layer("App", [service("VIN_Read", "22F191")]), baseVariantTable, ["VIN_Write", "Shared_Read"]);
  return open({ variants: [baseVariantTable, app] });
}

test("a nearer service replaces an inherited one of its name; names not inherited stay hidden all the way down", () => {
  const database = inheriting();
  const [own, app] = variantsOf(database);
  assert.ok(own !== undefined && app !== undefined);
  assert.deepEqual(names(database, own), ["VIN_Read", "VIN_Write", "Shared_Read"]);
  assert.deepEqual(names(database, app), ["VIN_Read"]);
  const find = (hex: string) => findByPrefix(serviceIndex(database, app), fromHex(hex) ?? assert.fail());
  assert.deepEqual(
    find("22F191").map(({ shortName }) => shortName),
    ["VIN_Read"],
  );
  assert.throws(() => find("22F190"), isFault("notFound"));
});

test("parents come in reverse order, depth first", () => {
  const grandparent = base(layer("Root"), [shared(layer("Deep"))]);
  const database = open({
    variants: [
      base(layer("Base"), [shared(layer("First")), { ref_type: "Variant", ref: grandparent }, shared(layer("Last"))]),
    ],
  });
  const own = variantsOf(database)[0] ?? assert.fail();
  assert.deepEqual(
    layersOf(database, own).map(({ name }) => name),
    ["Base", "Last", "Root", "Deep", "First"],
  );
});

test("a layer reached on two ways counts once, unless the ways hide different names", () => {
  const esd = layer("ESD", [service("A_Read", "22A001"), service("B_Read", "22A002")]);
  const database = open({
    variants: [base(layer("Base"), [shared(esd, ["A_Read"]), shared(esd, ["B_Read"]), shared(esd, ["B_Read"])])],
  });
  const own = variantsOf(database)[0] ?? assert.fail();
  assert.equal(layersOf(database, own).length, 3);
  assert.deepEqual(names(database, own).sort(), ["A_Read", "B_Read"]);
});

test("indexes are kept up to their number and share their entries", () => {
  const database = open(
    { variants: [base(layer("V0", [service("A_Read", "22A001")])), base(layer("V1")), base(layer("V2"))] },
    { maxIndexes: 2 },
  );
  const [first, second, third] = variantsOf(database);
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  const before = serviceIndex(database, first);
  serviceIndex(database, second);
  assert.equal(serviceIndex(database, first), before);
  serviceIndex(database, third);
  assert.equal(serviceIndex(database, first), before, "the one used last stays");
  serviceIndex(database, second);
  serviceIndex(database, third);
  const again = serviceIndex(database, first);
  assert.notEqual(again, before);
  assert.equal(again.services[0], before.services[0]);
  dropCaches(database);
  assert.notEqual(serviceIndex(database, first).services[0], before.services[0]);
});

test("an ambiguous beginning is refused, an exact name, id or resource is not", () => {
  const database = open({
    variants: [
      base(
        layer("Base", [
          service("Temp_Read_Left", "22A001"),
          service("Temp_Read_Right", "22A002"),
          service("Odo_Read_Dump", "22A003"),
          service("Odometer_Read", "22A004"),
          service("Memory_Dump", "22A005"),
          service("Oil_Read_Func", "22A006"),
        ]),
      ),
    ],
  });
  const index = serviceIndex(database, baseVariant(database) ?? assert.fail());
  const find = (name: string) => findService(index, database.naming, { type: "Data", name }).shortName;
  assert.throws(() => find("temp"), isFault("invalidParameter"));
  assert.equal(find("Odo"), "Odo_Read_Dump");
  assert.equal(find("memory"), "Memory_Dump");
  assert.equal(find("oil"), "Oil_Read_Func");
  assert.throws(() => find("Mem"), isFault("notFound"));
  // Routing leaves an encoded separator in its segment.
  assert.throws(() => find("memory/x"), { kind: "badRequest", message: "Invalid path" });
});

test("a raw request belongs to the longest prefix it begins with", () => {
  const database = open({
    variants: [
      base(
        layer("Base", [service("Any_Routine", "31"), service("Test_Start", "31011001"), service("VIN_Read", "22F190")]),
      ),
    ],
  });
  const index = serviceIndex(database, baseVariant(database) ?? assert.fail());
  const find = (hex: string) => findGenericService(index, fromHex(hex) ?? assert.fail()).shortName;
  assert.equal(find("3101100105"), "Test_Start");
  assert.equal(find("31011002"), "Any_Routine");
  assert.equal(find("22"), "VIN_Read");
  assert.throws(() => find("22F191"), isFault("notFound"));
  assert.throws(() => find("19020F"), isFault("notFound"));
  assert.throws(() => find(""), isFault("notFound"));
});

test("a mode value is taken whole, then by its beginning if only one can be meant", () => {
  const database = open({
    variants: [
      base(
        layer("Base", [
          service("DTC_Setting_Mode_On", "8501"),
          service("DTC_Setting_Mode_Off", "8502"),
          service("EnableRx_Control", "2800"),
          service("EnableRxFast_Control", "2801"),
        ]),
      ),
    ],
  });
  const index = serviceIndex(database, baseVariant(database) ?? assert.fail());
  assert.equal(findModeService(index, "dtcsetting", "ON").subFunction, 1);
  assert.equal(findModeService(index, "commctrl", "enableRx").subFunction, 0);
  assert.equal(findModeService(index, "commctrl", "enableRxF").subFunction, 1);
  assert.throws(() => findModeService(index, "dtcsetting", "O"), isFault("invalidParameter"));
  assert.throws(() => findModeService(index, "dtcsetting", ""), isFault("invalidParameter"));
});

test("a service tells its preconditions, transitions and audience", () => {
  const comm = {
    semantic: "SESSION",
    pre_condition_state_refs: [{ state: { short_name: "Extended" } }, {}],
    state_transition_refs: [{ state_transition: { source_short_name_ref: "A", target_short_name_ref: "B" } }, {}],
    audience: { enabled_audiences: [{ short_name: "Workshop" }], is_supplier: true },
    is_executable: false,
  };
  const database = open({ variants: [base(layer("Base", [service("Any", "1003", comm)]))] });
  const entry = serviceIndex(database, baseVariant(database) ?? assert.fail()).services[0];
  assert.deepEqual(entry?.preconditions, ["Extended"]);
  assert.deepEqual(entry?.transitions, [{ source: "A", target: "B" }]);
  assert.deepEqual(entry?.audience?.enabled, ["Workshop"]);
  assert.equal(entry?.audience?.isSupplier, true);
  assert.equal(entry?.isExecutable, false);
});

const DOIP = protocol("UDS_Ethernet_DoIP");
const CAN = protocol("ISO_15765_2");

test("com params: the base variant's own layer, by protocol, first reference first", () => {
  const own = base(
    layer("Base", [], {
      com_param_refs: [
        simpleRef("CP_A", "1", CAN),
        simpleRef("CP_A", "2", DOIP, 1e-3),
        simpleRef("CP_A", "3", DOIP),
        simpleRef("CP_B", "4"),
      ],
    }),
    [shared(layer("ESD", [], { com_param_refs: [simpleRef("CP_C", "5", DOIP)] }))],
  );
  const database = open({ variants: [own] });
  const shown = (protocolName?: string) =>
    Object.fromEntries([...comParamsOf(database, protocolName)].map(([name, value]) => [name, comParamJson(value)]));
  assert.deepEqual(shown("uds_ethernet_doip"), {
    CP_A: { value: "2", unit: { factor_to_si_unit: 1e-3, offset_to_si_unit: null } },
  });
  assert.deepEqual(shown(), { CP_A: { value: "1", unit: null }, CP_B: { value: "4", unit: null } });
  const listed = listComParams(database, baseVariant(database) ?? assert.fail(), "UDS_Ethernet_DoIP");
  assert.deepEqual([...listed.keys()], ["CP_A", "CP_C"]);
});

test("com params: parts of a table stand in the order of their definition, tables in tables too", () => {
  const inner = {
    short_name: "CP_Inner",
    specific_data_type: "ComplexComParam",
    specific_data: { com_params: [comParam("CP_Deep")] },
  } as const;
  const definition = {
    short_name: "CP_Table",
    specific_data_type: "ComplexComParam",
    specific_data: { com_params: [comParam("CP_First"), inner] },
  } as const;
  const complex_value = {
    entries_type: ["SimpleValue", "ComplexValue"],
    entries: [{ value: "7" }, { entries_type: ["SimpleValue"], entries: [{ value: "8" }] }],
  } as const;
  const database = open({
    variants: [base(layer("Base", [], { com_param_refs: [{ com_param: definition, complex_value }] }))],
  });
  const params = comParamsOf(database, undefined);
  assert.deepEqual(comParamJson(params.get("CP_Table") ?? assert.fail()), {
    CP_First: { value: "7", unit: null },
    CP_Inner: { CP_Deep: { value: "8", unit: null } },
  });
  assert.equal(comParamPart(params, "CP_Table", "CP_First")?.kind, "simple");
  assert.equal(comParamPart(params, "CP_Table", "CP_Other"), undefined);
});

test("com params without a value, or with two, are the database's fault", () => {
  const refs = [
    { com_param: comParam("CP_A") },
    { com_param: comParam("CP_A"), simple_value: { value: "1" }, complex_value: {} },
  ];
  for (const ref of refs) {
    const database = open({ variants: [base(layer("Base", [], { com_param_refs: [ref] }))] });
    assert.throws(() => comParamsOf(database, undefined), isFault("invalidDatabase"));
  }
});

const withProtocols = (...list: readonly string[]) =>
  open({
    variants: [
      base(
        layer("Base"),
        list.map((name) => ({ ref_type: "Protocol", ref: protocol(name) })),
      ),
    ],
  });

const CHOICES: readonly (readonly [
  known: readonly string[],
  name: string,
  ignore: boolean,
  chosen: string | undefined,
])[] = [
  [["UDS_Ethernet_DoIP", "Other"], "uds_ethernet_doip", false, "UDS_Ethernet_DoIP"],
  [["Other", "My_CAN_Link"], "auto-can", false, "My_CAN_Link"],
  [["Iso_11898_X"], "AUTO-CAN", false, "Iso_11898_X"],
  [["ISO_15765_3", "ISO_11898_3_DWFTCAN"], "UDS_CAN", false, "ISO_11898_3_DWFTCAN"],
  [["Only"], "UDS_Ethernet_DoIP", true, undefined],
  [[], "UDS_Ethernet_DoIP", true, undefined],
];

for (const [known, name, ignore, chosen] of CHOICES) {
  test(`protocol '${name}' of [${known}] is ${chosen ?? "any"}`, () => {
    assert.equal(chooseProtocol(withProtocols(...known), { name, ignore }), chosen);
  });
}

test("a protocol that is not there, or one of several that should not matter, is refused", () => {
  assert.throws(() => chooseProtocol(withProtocols("Only"), { name: "Other" }), isFault("misconfigured"));
  assert.throws(
    () => chooseProtocol(withProtocols("A", "B"), { name: "Other", ignore: true }),
    isFault("misconfigured"),
  );
  assert.throws(() => chooseProtocol(withProtocols("A"), { name: "UDS_CAN" }), isFault("misconfigured"));
  assert.deepEqual(protocolsOf(withProtocols("A", "a", "B")), ["B", "a"]);
});

test("special data: nested groups, absent members left out, component fields by semantic and value", () => {
  const nested: SDG = {
    caption_sn: "Inner",
    sds: [{ sd_or_sdg_type: "SD", sd_or_sdg: { value: "yes", si: "CAN", ti: "T1" } }],
  };
  const sdgs = {
    sdgs: [
      {
        caption_sn: "Outer",
        si: "S",
        sds: [
          { sd_or_sdg_type: "SDG", sd_or_sdg: nested },
          { sd_or_sdg_type: "SD", sd_or_sdg: {} },
        ],
      },
      {},
    ],
  } as const;
  const database = open({ variants: [base(layer("Base", [service("A_Read", "22A001", { sdgs })], { sdgs }))] });
  const own = baseVariant(database) ?? assert.fail();
  const expected = [
    { caption: "Outer", si: "S", sdgs: [{ caption: "Inner", sdgs: [{ value: "yes", si: "CAN", ti: "T1" }] }, {}] },
    {},
  ];
  assert.deepEqual(layerSdgs(database, own), expected);
  assert.deepEqual(serviceSdgs(database, serviceIndex(database, own).services[0] ?? assert.fail()), expected);
  const fields = {
    can: { CAN: { values: ["YES"], ignore_case: true } },
    exact: { CAN: { values: ["YES"] } },
    lin: { LIN: { values: ["yes"] } },
  };
  assert.deepEqual(additionalFieldsOf(database, fields), ["can"]);
});

test("jobs: those with a semantic are listed, all can be described", () => {
  const job = {
    diag_comm: { short_name: "Flash_ECU", semantic: "PROG", long_name: { value: "Flash" } },
    input_params: [
      { short_name: "file", semantic: "DATA", physical_default_value: "a.bin", long_name: { ti: "T" } },
      { short_name: "x", long_name: {} },
    ],
    prog_codes: [{ code_file: "flash.jar", syntax: "JAR", revision: "1", entrypoint: "Main" }],
  };
  const hidden = { diag_comm: { short_name: "Quiet" } };
  const database = open({ variants: [base(layer("Base", [], { single_ecu_jobs: [job, hidden] }))] });
  const own = baseVariant(database) ?? assert.fail();
  assert.deepEqual(listJobs(database, own), [{ category: "prog", id: "flash_ecu", name: "Flash" }]);
  assert.deepEqual(describeJob(database, own, "FLASH_ecu"), {
    "x-input-params": [
      { short_name: "file", physical_default_value: "a.bin", semantic: "DATA", long_name: { ti: "T" } },
      { short_name: "x" },
    ],
    "x-output-params": [],
    "x-neg-output-params": [],
    "x-prog-code": [{ code_file: "flash.jar", syntax: "JAR", revision: "1", entrypoint: "Main" }],
  });
  assert.equal(describeJob(database, own, "quiet")["x-prog-code"].length, 0);
  assert.throws(() => describeJob(database, own, "nope"), isFault("notFound"));
});

test("configurations are the services of the class for variant coding, grouped, by id", () => {
  const coding = { funct_class: [{ short_name: "VarCoding" }] };
  const services = [
    service("Zeta_Write", "2EB002", coding),
    service("Alpha_Read", "22B001", coding),
    service("Alpha_Write", "2EB001", coding),
    service("Other_Read", "22B009"),
  ];
  const database = open({
    variants: [base(layer("Base", services, { funct_classes: [{ short_name: "varcoding" }] }))],
  });
  const index = serviceIndex(database, baseVariant(database) ?? assert.fail());
  assert.deepEqual(
    listConfigurations(database, index).map(({ id, serviceAbstracts }) => [id, serviceAbstracts]),
    [
      ["Alpha", ["22B001", "2EB001"]],
      ["Zeta", ["2EB002"]],
    ],
  );
  assert.deepEqual(
    listData(index).map(({ id, read, write }) => [id, read !== undefined, write !== undefined]),
    [
      ["Zeta", false, true],
      ["Alpha", true, true],
      ["Other", true, false],
    ],
  );
});

test("trouble codes: the first of a code, a name for the nameless", () => {
  const database = open({
    dtcs: [
      { trouble_code: 0x1234, level: 0, text: { value: "text" } },
      { trouble_code: 0x1234, short_name: "Second" },
      { trouble_code: 7, short_name: "Seven", display_trouble_code: "P000007" },
    ],
  });
  assert.deepEqual(
    [...dtcsOf(database).values()].map(({ faultName, severity, displayCode }) => [faultName, severity, displayCode]),
    [
      ["DTC_001234", 0, undefined],
      ["Seven", undefined, "P000007"],
    ],
  );
});

test("a functional group counts its members by name where their databases list groups, else by protocol", () => {
  const group = {
    diag_layer: layer("Body_UDS_CAN"),
    parent_refs: [{ ref_type: "Protocol", ref: protocol("UDS_CAN") }],
  } as const;
  const description = open({ functional_groups: [group] });
  const facts = functionalGroupFacts(description)[0] ?? assert.fail();
  assert.deepEqual([facts.name, facts.shortId], ["body_uds_can", "body"]);
  const member = databaseFacts(
    open({ variants: [base(layer("Base"), [{ ref_type: "FunctionalGroup", ref: group }])] }),
  );
  const other = databaseFacts(
    open({ variants: [base(layer("Base"))], functional_groups: [{ diag_layer: layer("Chassis") }] }),
  );
  const silent = databaseFacts(open({ variants: [base(layer("Base"))] }));
  assert.deepEqual(
    [
      isGroupMember(member, "x", facts),
      isGroupMember(other, "UDS_CAN", facts),
      isGroupMember(silent, "uds_can", facts),
      isGroupMember(silent, "DoIP", facts),
    ],
    [true, false, true, false],
  );
});

test("a base variant's pattern is never followed: what lies there are tables of another kind", () => {
  const matching = {
    expected_value: "1",
    diag_service: service("Ident_Read", "22A001"),
    out_param: { short_name: "Id" },
  };
  const app = { ...variant(layer("App"), base(layer("Base"))), variant_pattern: [{ matching_parameter: [matching] }] };
  const broken = { ...base(layer("Base")), variant_pattern: [{ matching_parameter: [matching] }] };
  const plan = detectionPlan(open({ variants: [broken, app] }));
  assert.deepEqual(
    plan.variants.map(({ variant: { name }, patterns }) => [name, patterns.length]),
    [["App", 1]],
  );
  assert.deepEqual(
    plan.services.map(({ shortName }) => shortName),
    ["Ident_Read"],
  );
});

const BROKEN: readonly (readonly [what: string, data: Partial<EcuData>, query: (database: Database) => unknown])[] = [
  ["a variant without a layer", { variants: [{}] }, variantsOf],
  ["a group without a name", { functional_groups: [{ diag_layer: {} }] }, functionalGroupsOf],
  [
    "a service without DIAG-COMM",
    { variants: [base(layer("B", [{}]))] },
    (db) => serviceIndex(db, variantsOf(db)[0] ?? assert.fail()),
  ],
  [
    "a pattern without a service",
    { variants: [{ diag_layer: layer("V"), variant_pattern: [{ matching_parameter: [{}] }] }] },
    detectionPlan,
  ],
];

for (const [what, data, query] of BROKEN) {
  test(`${what} is named as the database's fault`, () => {
    assert.throws(
      () => query(open(data)),
      (error) => error instanceof Fault && error.kind === "invalidDatabase" && error.details?.element !== undefined,
    );
  });
}

test("empty bytes and a nameless database are refused", () => {
  assert.throws(() => openDatabase(new Uint8Array(4)), isFault("invalidDatabase"));
  assert.throws(() => openDatabase(new Uint8Array(64)), isFault("invalidDatabase"));
  assert.throws(() => openDatabase(writeEcuData({})), isFault("invalidDatabase"));
});

/** Asks everything there is. */
function askAll(database: Database): void {
  databaseFacts(database);
  functionalGroupFacts(database);
  detectionPlan(database);
  dtcsOf(database);
  comParamsOf(database, undefined);
  for (const scope of [...variantsOf(database), ...functionalGroupsOf(database)]) {
    stateChartsOf(database, scope);
    layerSdgs(database, scope);
    listJobs(database, scope);
    const index = serviceIndex(database, scope);
    listData(index);
    for (const entry of index.services)
      [requestSchema(database, entry), responseSchema(database, entry), serviceSdgs(database, entry)];
  }
}

test("a damaged database gives answers or a fault, never another error", () => {
  const image = writeEcuData({
    ecu_name: "TEST",
    variants: [
      base(layer("Base", [service("A_Read", "22A001"), service("B_Start", "310110")]), [shared(layer("ESD"))]),
    ],
  });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(image.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), (damage) => {
      const bytes = image.slice();
      for (const [position, value] of damage) bytes[position] = value;
      try {
        askAll(openDatabase(bytes));
      } catch (error) {
        assert.ok(error instanceof Fault, String(error));
      }
    }),
    { numRuns: 300 },
  );
});
