// Layers, what they inherit, and everything beside the bytes: states, audiences, com params, patterns, jobs, special data.

import assert from "node:assert/strict";
import test from "node:test";
import { ByteBuffer } from "flatbuffers";
import { EcuData } from "#mdd/generated/dataformat.ts";
import type { EcuData as Description, DiagLayer } from "#mdd/generated/description.ts";
import { openDatabase } from "#mdd/query/database.ts";
import { detectionPlan, evaluateVariants } from "#mdd/query/variants.ts";
import { readDescription } from "#mdd/writer/read.ts";
import { writeEcuData } from "#mdd/writer/write.ts";
import {
  constant,
  container,
  convert,
  dop,
  ecu,
  type LayerParts,
  layer,
  name,
  odx,
  param,
  parent,
  parents,
  ref,
  service,
  snref,
  t,
  uint,
  value,
  x,
} from "./odx-support.ts";

const descriptionOf = (document: string | Readonly<Record<string, string>>, options = {}): Description =>
  convert(document, options).databases[0]!.description;
const layerOf = (parts: LayerParts, ...before: readonly string[]): DiagLayer =>
  descriptionOf(ecu(parts, ...before)).variants![0]!.diag_layer!;
const U8 = x("DATA-OBJECT-PROPS", {}, dop("u8", uint(8)));
const NAMES = (list: readonly { diag_comm?: { short_name?: string } }[] | undefined) =>
  list?.map((s) => s.diag_comm?.short_name);

test("a service keeps everything that the schema has a field for", () => {
  const more = [
    t("LONG-NAME", "Read it", { TI: "ti.1" }),
    x(
      "SDGS",
      {},
      x(
        "SDG",
        { SI: "si" },
        x("SDG-CAPTION", { ID: "cap" }, name("Caption")),
        t("SD", "data", { SI: "key", TI: "t" }),
        x("SDG", {}, ref("SDG-CAPTION-REF", "cap")),
      ),
    ),
    x("FUNCT-CLASS-REFS", {}, ref("FUNCT-CLASS-REF", "fc")),
    x("AUDIENCE", { "IS-SUPPLIER": false }, x("ENABLED-AUDIENCE-REFS", {}, ref("ENABLED-AUDIENCE-REF", "aa"))),
    x(
      "PRE-CONDITION-STATE-REFS",
      {},
      ref("PRE-CONDITION-STATE-REF", "s.on", {}, t("VALUE", "5"), snref("IN-PARAM-IF-SNREF", "v")),
    ),
    x("STATE-TRANSITION-REFS", {}, ref("STATE-TRANSITION-REF", "tr")),
  ];
  const chart = x(
    "STATE-CHART",
    { ID: "sc" },
    name("Session"),
    t("SEMANTIC", "SESSION"),
    x(
      "STATE-TRANSITIONS",
      {},
      x("STATE-TRANSITION", { ID: "tr" }, name("go"), snref("SOURCE-SNREF", "Off"), snref("TARGET-SNREF", "On")),
    ),
    snref("START-STATE-SNREF", "Off"),
    x("STATES", {}, x("STATE", { ID: "s.off" }, name("Off")), x("STATE", { ID: "s.on" }, name("On"))),
  );
  const diagLayer = layerOf({
    dictionary: [U8],
    services: [service("Read", 1, [value("v", "u8")], undefined, more.join(""))],
    head: x("FUNCT-CLASSS", {}, x("FUNCT-CLASS", { ID: "fc" }, name("Ident"))),
    more:
      x("STATE-CHARTS", {}, chart) +
      x("ADDITIONAL-AUDIENCES", {}, x("ADDITIONAL-AUDIENCE", { ID: "aa" }, name("Plant"))),
  });
  const { diag_comm: comm, addressing, transmission_mode: mode } = diagLayer.diag_services![0]!;
  assert.deepEqual([addressing, mode], ["PHYSICAL", "SEND_AND_RECEIVE"]);
  assert.deepEqual(comm, {
    short_name: "Read",
    long_name: { value: "Read it", ti: "ti.1" },
    funct_class: [{ short_name: "Ident" }],
    sdgs: {
      sdgs: [
        {
          caption_sn: "Caption",
          sds: [
            { sd_or_sdg_type: "SD", sd_or_sdg: { value: "data", si: "key", ti: "t" } },
            { sd_or_sdg_type: "SDG", sd_or_sdg: { caption_sn: "Caption" } },
          ],
          si: "si",
        },
      ],
    },
    pre_condition_state_refs: [{ value: "5", in_param_if_short_name: "v", state: { short_name: "On" } }],
    state_transition_refs: [
      { state_transition: { short_name: "go", source_short_name_ref: "Off", target_short_name_ref: "On" } },
    ],
    audience: {
      enabled_audiences: [{ short_name: "Plant" }],
      is_supplier: false,
      is_development: true,
      is_manufacturing: true,
      is_after_sales: true,
      is_after_market: true,
    },
  });
  assert.equal(diagLayer.state_charts![0]!.start_state_short_name_ref, "Off");
  // a state is one object wherever it is used
  assert.equal(diagLayer.state_charts![0]!.states![1], comm!.pre_condition_state_refs![0]!.state);
});

test("audiences choose services of the layer lists", () => {
  const audience = (id: string) => x("AUDIENCE", {}, x("ENABLED-AUDIENCE-REFS", {}, ref("ENABLED-AUDIENCE-REF", id)));
  const document = ecu({
    services: [
      service("Plant", 1, [], [], audience("a.plant")),
      service("Shop", 2, [], [], audience("a.shop")),
      service("All", 3, []),
    ],
    more: x(
      "ADDITIONAL-AUDIENCES",
      {},
      ...["plant", "shop"].map((one) => x("ADDITIONAL-AUDIENCE", { ID: `a.${one}` }, name(one))),
    ),
  });
  const names = (withAudiences: string[]) =>
    NAMES(descriptionOf(document, { withAudiences }).variants![0]!.diag_layer!.diag_services);
  assert.deepEqual(names([]), ["Plant", "Shop", "All"]);
  assert.deepEqual(names(["SHOP"]), ["Shop", "All"]);
});

test("referred services stand before own ones, global negative responses behind those of the service", () => {
  const shared = layer("ECU-SHARED-DATA", "ESD", { services: [service("Shared", 1, [])] });
  const negative = (id: string) =>
    x("GLOBAL-NEG-RESPONSE", { ID: id }, name(id), x("PARAMS", {}, constant("SID", 0x7f, uint(8), { byte: 0 })));
  const protocol = layer("PROTOCOL", "PROT", {
    more:
      x("GLOBAL-NEG-RESPONSES", {}, negative("GNR.A"), negative("GNR.B")) +
      ref("COMPARAM-SPEC-REF", "CPS", { doc: "CPS", type: "COMPARAM-SPEC" }),
  });
  const hidden = x(
    "NOT-INHERITED-GLOBAL-NEG-RESPONSES",
    {},
    x("NOT-INHERITED-GLOBAL-NEG-RESPONSE", {}, snref("GLOBAL-NEG-RESPONSE-SNREF", "GNR.A")),
  );
  const { variants } = descriptionOf({
    "a.odx-d": ecu(
      {
        comms: [ref("DIAG-COMM-REF", "Shared", { doc: "ESD", type: "LAYER" })],
        services: [service("Own", 2, [])],
        more: parents(parent("PROT", "PROTOCOL", hidden), parent("ESD", "ECU-SHARED-DATA")),
      },
      x("PROTOCOLS", {}, protocol),
      x("ECU-SHARED-DATAS", {}, shared),
    ),
    "c.odx-c": odx("COMPARAM-SPEC", "CPS"),
  });
  const [variant] = variants!;
  assert.deepEqual(NAMES(variant!.diag_layer!.diag_services), ["Shared", "Own"]);
  assert.deepEqual(
    variant!.diag_layer!.diag_services![1]!.neg_responses!.map((one) => one.response_type),
    ["GLOBAL_NEG_RESPONSE"],
  );
  assert.deepEqual(
    variant!.parent_refs!.map((one) => [one.ref_type, one.not_inherited_global_neg_responses_short_names]),
    [
      ["Protocol", ["GNR.A"]],
      ["EcuSharedData", undefined],
    ],
  );
});

test("short names mean the own object, then an imported, then an inherited one that is not excluded", () => {
  const dictionary = (bits: number) => [
    x("DATA-OBJECT-PROPS", {}, dop("num", uint(bits)).replace('ID="num"', `ID="num.${bits}"`)),
  ];
  const byName = param("VALUE", "v", { byte: 3 }, snref("DOP-SNREF", "num"));
  const bitsOf = (own: readonly string[], more: string) => {
    const { variants } = descriptionOf(
      ecu(
        { dictionary: own, services: [service("S", 1, [byName])], more },
        x("FUNCTIONAL-GROUPS", {}, layer("FUNCTIONAL-GROUP", "FG", { dictionary: dictionary(24) })),
        x(
          "ECU-SHARED-DATAS",
          {},
          layer("ECU-SHARED-DATA", "LIB", { dictionary: dictionary(16) }),
          layer("ECU-SHARED-DATA", "ESD", { dictionary: dictionary(32) }),
        ),
      ),
    );
    const param = variants![0]!.diag_layer!.diag_services![0]!.request!.params![2]!;
    const found = param.specific_data_type === "Value" ? param.specific_data.dop : undefined;
    const type = found?.specific_data_type === "NormalDOP" ? found.specific_data.diag_coded_type : undefined;
    return type?.specific_data_type === "StandardLengthType" ? type.specific_data.bit_length : undefined;
  };
  const imports = x("IMPORT-REFS", {}, ref("IMPORT-REF", "LIB", { doc: "LIB", type: "LAYER" }));
  const both = parents(parent("ESD", "ECU-SHARED-DATA"), parent("FG", "FUNCTIONAL-GROUP"));
  const excluded = x("NOT-INHERITED-DOPS", {}, x("NOT-INHERITED-DOP", {}, snref("DOP-BASE-SNREF", "num")));
  assert.equal(bitsOf(dictionary(8), imports + both), 8);
  assert.equal(bitsOf([], imports + both), 16);
  assert.equal(bitsOf([], both), 24);
  assert.equal(bitsOf([], parents(parent("ESD", "ECU-SHARED-DATA"), parent("FG", "FUNCTIONAL-GROUP", excluded))), 32);
});

test("a link without DOCREF reaches what the layer imports; one with DOCREF another file", () => {
  const lib = container("LIBS", x("ECU-SHARED-DATAS", {}, layer("ECU-SHARED-DATA", "LIB", { dictionary: [U8] })));
  const imports = x("IMPORT-REFS", {}, ref("IMPORT-REF", "LIB", { doc: "LIBS", type: "CONTAINER" }));
  const linked = param("VALUE", "w", {}, ref("DOP-REF", "u8", { doc: "LIB", type: "LAYER" }));
  const files = {
    "a.odx-d": ecu({ services: [service("S", 1, [value("v", "u8"), linked])], head: imports }),
    "lib.odx-d": lib,
  };
  const params = descriptionOf(files).variants![0]!.diag_layer!.diag_services![0]!.request!.params!;
  const dops = params.slice(2).map((one) => (one.specific_data_type === "Value" ? one.specific_data.dop : undefined));
  assert.equal(dops[0]?.short_name, "u8");
  assert.equal(dops[0], dops[1]);
});

const IDENT = service("Ident", 0xf1, [value("version", "u8", { byte: 3 })]);
const condition = (tag: string, expected: string, more = "") =>
  x(
    tag,
    {},
    t("EXPECTED-VALUE", expected),
    snref("DIAG-COMM-SNREF", "Ident"),
    snref("OUT-PARAM-IF-SNREF", "version"),
    more,
  );
const variant = (shortName: string, expected: string, owner: string) =>
  layer("ECU-VARIANT", shortName, {
    more:
      x(
        "ECU-VARIANT-PATTERNS",
        {},
        x("ECU-VARIANT-PATTERN", {}, x("MATCHING-PARAMETERS", {}, condition("MATCHING-PARAMETER", expected))),
      ) + parents(parent(owner, "BASE-VARIANT")),
  });
const base = (shortName: string) =>
  layer("BASE-VARIANT", shortName, {
    dictionary: [U8.replaceAll("u8", `${shortName}.u8`)],
    services: [
      JSON.parse(
        JSON.stringify(IDENT)
          .replaceAll("u8", `${shortName}.u8`)
          .replaceAll(/(ID|ID-REF)=\\"Ident/g, `$1=\\"${shortName}.Ident`),
      ),
    ],
    more: x(
      "BASE-VARIANT-PATTERN",
      {},
      x(
        "MATCHING-BASE-VARIANT-PARAMETERS",
        {},
        condition("MATCHING-BASE-VARIANT-PARAMETER", "1", t("USE-PHYSICAL-ADDRESSING", "false")),
      ),
    ),
  });

test("one database per base variant, with the ECU variants that refer to it, patterns and all", () => {
  const document = container(
    "DLC",
    x(
      "ADMIN-DATA",
      {},
      x(
        "DOC-REVISIONS",
        {},
        x("DOC-REVISION", {}, t("REVISION-LABEL", "1.0")),
        x("DOC-REVISION", {}, t("REVISION-LABEL", "1.1")),
      ),
    ),
    x("BASE-VARIANTS", {}, base("One"), base("Two")),
    x("ECU-VARIANTS", {}, variant("One_A", "7", "One"), variant("Two_A", "8", "Two"), variant("One_B", "9", "One")),
  );
  const { databases } = convert(document);
  assert.deepEqual(
    databases.map(({ ecuName, description }) => [
      ecuName,
      description.revision,
      description.variants!.map((one) => one.diag_layer!.short_name),
    ]),
    [
      ["One", "1.1", ["One", "One_A", "One_B"]],
      ["Two", "1.1", ["Two", "Two_A"]],
    ],
  );
  assert.deepEqual(
    convert(document, { ecuName: "Two" }).databases.map((one) => one.ecuName),
    ["Two"],
  );
  assert.throws(() => convert(document, { ecuName: "Three" }), { kind: "notFound" });
  const bytes = writeEcuData(databases[0]!.description);
  const plan = detectionPlan(openDatabase(bytes));
  const detected = evaluateVariants(plan, new Map([["Ident", { version: 9 }]]), false);
  assert.equal(detected.state === "Detected" && detected.variant.name, "One_B");
  // a reader that follows the schema finds the base variant's pattern too
  const pattern = EcuData.getRootAsEcuData(new ByteBuffer(bytes)).variants(0)!.variantPattern(0)!.matchingParameter(0)!;
  assert.deepEqual(
    [pattern.expectedValue(), pattern.outParam()!.shortName(), pattern.usePhysicalAddressing()],
    ["1", "version", false],
  );
});

test("functional groups alone make the database that the CDA looks for", () => {
  const group = layer("FUNCTIONAL-GROUP", "FG", {
    services: [service("All_Func", 1, [])],
    more: parents(parent("ESD", "ECU-SHARED-DATA")),
  });
  const shared = layer("ECU-SHARED-DATA", "ESD", { services: [service("Shared_Func", 2, [])] });
  const { databases } = convert(container("DLC", x("FUNCTIONAL-GROUPS", {}, group), x("ECU-SHARED-DATAS", {}, shared)));
  assert.equal(databases[0]!.ecuName, "functional_groups");
  assert.deepEqual(databases[0]!.description.variants, []);
  const [functional] = databases[0]!.description.functional_groups!;
  assert.equal(functional!.diag_layer!.short_name, "FG");
  assert.equal(functional!.parent_refs![0]!.ref_type, "EcuSharedData");
});

test("com params: subsets, stacks, values of layers, and a protocol's own values without a circle", () => {
  const subset = odx(
    "COMPARAM-SUBSET",
    "SUB",
    x(
      "COMPARAMS",
      {},
      x(
        "COMPARAM",
        { ID: "cp", "PARAM-CLASS": "TIMING", CPTYPE: "OEM-SPECIFIC", CPUSAGE: "TESTER", DISPLAY_LEVEL: 2 },
        name("CP_P2"),
        t("PHYSICAL-DEFAULT-VALUE", "50"),
        ref("DATA-OBJECT-PROP-REF", "u32"),
      ),
    ),
    x(
      "COMPLEX-COMPARAMS",
      {},
      x(
        "COMPLEX-COMPARAM",
        { ID: "cpx", "PARAM-CLASS": "UNIQUE_ID", CPTYPE: "STANDARD", "ALLOW-MULTIPLE-VALUES": true },
        name("CP_Table"),
        x(
          "COMPARAM",
          { ID: "cpx.1", "PARAM-CLASS": "X", CPTYPE: "STANDARD" },
          name("CP_Address"),
          t("PHYSICAL-DEFAULT-VALUE", "1"),
          ref("DATA-OBJECT-PROP-REF", "u32"),
        ),
        x("COMPLEX-PHYSICAL-DEFAULT-VALUE", {}, x("COMPLEX-VALUES", {}, x("COMPLEX-VALUE", {}, t("SIMPLE-VALUE", 5)))),
      ),
    ),
    x("DATA-OBJECT-PROPS", {}, dop("u32", uint(32), { more: ref("UNIT-REF", "us") })),
    x(
      "UNIT-SPEC",
      {},
      x(
        "UNIT-GROUPS",
        {},
        x("UNIT-GROUP", {}, name("Times"), t("CATEGORY", "COUNTRY"), x("UNIT-REFS", {}, ref("UNIT-REF", "us"))),
      ),
      x(
        "UNITS",
        {},
        x(
          "UNIT",
          { ID: "us" },
          name("us"),
          t("DISPLAY-NAME", "µs"),
          t("FACTOR-SI-TO-UNIT", "1e-6"),
          ref("PHYSICAL-DIMENSION-REF", "time"),
        ),
      ),
      x("PHYSICAL-DIMENSIONS", {}, x("PHYSICAL-DIMENSION", { ID: "time" }, name("Time"), t("TIME-EXP", 1))),
    ),
  );
  const spec = odx(
    "COMPARAM-SPEC",
    "CPS",
    x(
      "PROT-STACKS",
      {},
      x(
        "PROT-STACK",
        { ID: "ps" },
        name("UDS"),
        t("PDU-PROTOCOL-TYPE", "ISO_14229"),
        t("PHYSICAL-LINK-TYPE", "ETH"),
        x("COMPARAM-SUBSET-REFS", {}, ref("COMPARAM-SUBSET-REF", "SUB", { doc: "SUB", type: "COMPARAM-SUBSET" })),
      ),
    ),
  );
  const to = { doc: "SUB", type: "COMPARAM-SUBSET" };
  const refs = (...more: readonly string[]) =>
    x(
      "COMPARAM-REFS",
      {},
      ref(
        "COMPARAM-REF",
        "cp",
        to,
        t("SIMPLE-VALUE", 60),
        snref("PROTOCOL-SNREF", "PROT"),
        snref("PROT-STACK-SNREF", "UDS"),
      ),
      ...more,
    );
  const protocol = layer("PROTOCOL", "PROT", {
    more:
      refs() +
      ref("COMPARAM-SPEC-REF", "CPS", { doc: "CPS", type: "COMPARAM-SPEC" }) +
      snref("PROT-STACK-SNREF", "UDS"),
  });
  const files = {
    "a.odx-d": ecu(
      {
        more: refs(
          ref(
            "COMPARAM-REF",
            "cpx",
            to,
            x("COMPLEX-VALUE", {}, t("SIMPLE-VALUE", 9), x("COMPLEX-VALUE", {}, t("SIMPLE-VALUE", 8))),
          ),
        ),
      },
      x("PROTOCOLS", {}, protocol),
    ),
    "s.odx-cs": subset,
    "c.odx-c": spec,
  };
  const [simple, complex] = descriptionOf(files).variants![0]!.diag_layer!.com_param_refs!;
  assert.deepEqual(simple!.simple_value, { value: "60" });
  assert.equal(simple!.prot_stack!.short_name, "UDS");
  const { com_param: definition, protocol: used } = simple!;
  assert.deepEqual(
    [definition!.cp_type, definition!.cp_usage, definition!.display_level],
    ["OEM_SPECIFIC", "TESTER", 2],
  );
  const regular = definition!.specific_data_type === "RegularComParam" ? definition!.specific_data : undefined;
  assert.equal(regular!.physical_default_value, "50");
  const normal = regular!.dop!.specific_data_type === "NormalDOP" ? regular!.dop!.specific_data : undefined;
  assert.deepEqual(normal!.unit_ref, {
    short_name: "us",
    display_name: "µs",
    factorsitounit: 1e-6,
    physical_dimension: { short_name: "Time", time_exp: 1 },
  });
  const stack = used!.com_param_spec!.prot_stacks![0]!;
  assert.equal(stack, used!.prot_stack);
  assert.equal(stack.comparam_subset_refs![0]!.com_params![0], definition);
  assert.equal(stack.comparam_subset_refs![0]!.unit_spec!.unit_groups![0]!.unitrefs![0], normal!.unit_ref);
  assert.equal(used!.diag_layer!.com_param_refs![0]!.protocol, undefined);
  assert.deepEqual(complex!.complex_value, {
    entries_type: ["SimpleValue", "ComplexValue"],
    entries: [{ value: "9" }, { entries_type: ["SimpleValue"], entries: [{ value: "8" }] }],
  });
  const table =
    complex!.com_param!.specific_data_type === "ComplexComParam" ? complex!.com_param!.specific_data : undefined;
  assert.equal(table!.allow_multiple_values, true);
  assert.deepEqual(table!.complex_physical_default_values, [
    { entries_type: ["SimpleValue"], entries: [{ value: "5" }] },
  ]);
});

test("trouble codes: own, referred, and linked ones that are not excluded; all of them listed once more", () => {
  const code = (id: string, number: number) =>
    x("DTC", { ID: id, "IS-TEMPORARY": true }, name(id), t("TROUBLE-CODE", number), t("TEXT", id, { TI: "ti" }));
  const dtcDop = (id: string, ...content: readonly string[]) =>
    x(
      "DTC-DOP",
      { ID: id },
      name(id),
      uint(24),
      x("PHYSICAL-TYPE", { "BASE-DATA-TYPE": "A_UINT32" }),
      x("COMPU-METHOD", {}, t("CATEGORY", "IDENTICAL")),
      ...content,
    );
  const linked = x(
    "LINKED-DTC-DOPS",
    {},
    x(
      "LINKED-DTC-DOP",
      {},
      x("NOT-INHERITED-DTC-SNREFS", {}, snref("NOT-INHERITED-DTC-SNREF", "C")),
      ref("DTC-DOP-REF", "other"),
    ),
  );
  const description = descriptionOf(
    ecu({
      dictionary: [
        x(
          "DTC-DOPS",
          {},
          dtcDop("main", x("DTCS", {}, code("A", 1), ref("DTC-REF", "B")), linked),
          dtcDop("other", x("DTCS", {}, code("B", 2), code("C", 3), code("D", 4))),
        ),
      ],
      services: [service("Faults", 1, [value("v", "main")])],
    }),
  );
  const param = description.variants![0]!.diag_layer!.diag_services![0]!.request!.params![2]!;
  const found = param.specific_data_type === "Value" ? param.specific_data.dop : undefined;
  const dtcs = found?.specific_data_type === "DTCDOP" ? found.specific_data.dtcs : [];
  assert.deepEqual(
    dtcs!.map((one) => one.short_name),
    ["A", "B", "D"],
  );
  assert.deepEqual(
    description.dtcs!.map((one) => one.trouble_code),
    [1, 2, 3, 4],
  );
  assert.deepEqual(dtcs![0], { short_name: "A", trouble_code: 1, text: { value: "A", ti: "ti" }, is_temporary: true });
});

test("tables keep connectors, but not back to the service that uses them", () => {
  const connector = (target: string) =>
    x("TABLE-DIAG-COMM-CONNECTOR", {}, t("SEMANTIC", "READ"), snref("DIAG-COMM-SNREF", target));
  const table = x(
    "TABLE",
    { ID: "tab" },
    name("tab"),
    ref("KEY-DOP-REF", "u8"),
    x("TABLE-ROW", { ID: "row" }, name("row"), t("KEY", 1)),
    x("TABLE-DIAG-COMM-CONNECTORS", {}, connector("User"), connector("Other")),
  );
  const { databases, report } = convert(
    ecu({
      dictionary: [U8, x("TABLES", {}, table)],
      services: [
        service("User", 1, [
          param("TABLE-KEY", "key", { byte: 3, id: "k" }, ref("TABLE-REF", "tab")),
          param("TABLE-ENTRY", "entry", {}, t("TARGET", "KEY"), ref("TABLE-ROW-REF", "row")),
          param("DYNAMIC", "dyn"),
        ]),
        service("Other", 2, []),
      ],
    }),
  );
  const params = databases[0]!.description.variants![0]!.diag_layer!.diag_services![0]!.request!.params!;
  const key = params[2]!.specific_data_type === "TableKey" ? params[2]!.specific_data : undefined;
  const used = key!.table_key_reference_type === "TableDop" ? key!.table_key_reference : undefined;
  assert.deepEqual(
    used!.diag_comm_connector!.map((one) => one.diag_comm!.diag_comm!.short_name),
    ["Other"],
  );
  assert.deepEqual(
    params.slice(3).map((one) => one.param_type),
    ["TABLE_ENTRY", "DYNAMIC"],
  );
  assert.match(report[0]!.message, /connector of TABLE tab to User/);
});

test("what is written reads back the same", () => {
  const description = descriptionOf(
    ecu({ dictionary: [U8], services: [service("S", 1, [value("v", "u8", { byte: 3 })])] }),
  );
  const again = readDescription(writeEcuData(description));
  const params = again.variants![0]!.diag_layer!.diag_services![0]!.request!.params!;
  assert.deepEqual(
    params.map((one) => one.byte_position),
    [0, 1, 3],
  );
  assert.equal(again.version, "2025-05-10");
});
