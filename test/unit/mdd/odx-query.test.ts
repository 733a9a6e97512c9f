// A converted ECU through the queries: what the server asks of a database.

import assert from "node:assert/strict";
import test from "node:test";
import { fromHex } from "#core/bytes.ts";
import { decodeResponse, encodeRequest } from "#mdd/codec/codec.ts";
import { comParamPart, comParamsOf, listComParams } from "#mdd/query/com-params.ts";
import { openDatabase } from "#mdd/query/database.ts";
import { listData, listOperations } from "#mdd/query/describe.ts";
import { dtcsOf } from "#mdd/query/dtc.ts";
import { describeJob, listJobs } from "#mdd/query/jobs.ts";
import { variantsOf } from "#mdd/query/layers.ts";
import { chooseProtocol } from "#mdd/query/protocols.ts";
import { layerSdgs } from "#mdd/query/sdg.ts";
import { serviceIndex } from "#mdd/query/service-index.ts";
import { databaseFacts } from "#mdd/query/topology.ts";
import { writeEcuData } from "#mdd/writer/write.ts";
import {
  compu,
  constant,
  container,
  convert,
  dop,
  layer,
  name,
  odx,
  param,
  parent,
  parents,
  plansOf,
  ref,
  type ServiceParts,
  snref,
  t,
  text,
  uint,
  value,
  x,
} from "./odx-support.ts";

const byte = (shortName: string, coded: number, at: number, semantic: string) =>
  constant(shortName, coded, uint(8), { byte: at, semantic });

/** A service of two constant bytes, with a response that repeats the second. */
function routine(
  shortName: string,
  sid: number,
  sub: number,
  answer: readonly string[],
  semantic: string,
): ServiceParts {
  return {
    comm: x(
      "DIAG-SERVICE",
      { ID: shortName, SEMANTIC: semantic },
      name(shortName),
      t("LONG-NAME", `${shortName} (long)`),
      ref("REQUEST-REF", `${shortName}.RQ`),
      x("POS-RESPONSE-REFS", {}, ref("POS-RESPONSE-REF", `${shortName}.PR`)),
      x("NEG-RESPONSE-REFS", {}, ref("NEG-RESPONSE-REF", "NR")),
    ),
    request: x(
      "REQUEST",
      { ID: `${shortName}.RQ` },
      name("RQ"),
      x("PARAMS", {}, byte("SID", sid, 0, "SERVICE-ID"), byte("SUB", sub, 1, "SUBFUNCTION")),
    ),
    response: x(
      "POS-RESPONSE",
      { ID: `${shortName}.PR` },
      name("PR"),
      x(
        "PARAMS",
        {},
        byte("SID", sid + 0x40, 0, "SERVICE-ID"),
        param(
          "MATCHING-REQUEST-PARAM",
          "SUB",
          { byte: 1, semantic: "SUBFUNCTION" },
          t("REQUEST-BYTE-POS", 1),
          t("BYTE-LENGTH", 1),
        ),
        ...answer,
      ),
    ),
  };
}

const NEGATIVE = x(
  "NEG-RESPONSES",
  {},
  x(
    "NEG-RESPONSE",
    { ID: "NR" },
    name("NR"),
    x(
      "PARAMS",
      {},
      byte("SID_NR", 0x7f, 0, "SERVICE-ID"),
      param(
        "MATCHING-REQUEST-PARAM",
        "SIDRQ_NR",
        { byte: 1, semantic: "SERVICEIDRQ" },
        t("REQUEST-BYTE-POS", 0),
        t("BYTE-LENGTH", 1),
      ),
      value("NRC", "nrc", { byte: 2, semantic: "DATA" }),
    ),
  ),
);

const JOB = x(
  "SINGLE-ECU-JOB",
  { ID: "job", SEMANTIC: "CALIBRATE" },
  name("Calibrate"),
  x(
    "PROG-CODES",
    {},
    x("PROG-CODE", {}, t("CODE-FILE", "a.jar"), t("SYNTAX", "JAR"), t("REVISION", "1"), t("ENTRYPOINT", "A")),
  ),
);

const SUBSET = odx(
  "COMPARAM-SUBSET",
  "DOIP",
  x("COMPARAMS", {}, ...["CP_DoIPLogicalGatewayAddress", "CP_P6Max"].map(comParam)),
  x(
    "COMPLEX-COMPARAMS",
    {},
    x(
      "COMPLEX-COMPARAM",
      { ID: "table", "PARAM-CLASS": "UNIQUE_ID", CPTYPE: "STANDARD" },
      name("CP_UniqueRespIdTable"),
      ...["CP_DoIPLogicalEcuAddress", "CP_Other"].map(comParam),
    ),
  ),
  x("DATA-OBJECT-PROPS", {}, dop("u32", uint(32))),
);

function comParam(shortName: string): string {
  const words = { ID: shortName, "PARAM-CLASS": "TIMING", CPTYPE: "STANDARD" };
  return x("COMPARAM", words, name(shortName), t("PHYSICAL-DEFAULT-VALUE", "0"), ref("DATA-OBJECT-PROP-REF", "u32"));
}

const setParam = (id: string, ...content: readonly string[]) =>
  ref(
    "COMPARAM-REF",
    id,
    { doc: "DOIP", type: "COMPARAM-SUBSET" },
    ...content,
    snref("PROTOCOL-SNREF", "UDS_Ethernet_DoIP"),
  );

const ECU = container(
  "DLC",
  x(
    "PROTOCOLS",
    {},
    layer("PROTOCOL", "UDS_Ethernet_DoIP", {
      more: ref("COMPARAM-SPEC-REF", "CPS", { doc: "CPS", type: "COMPARAM-SPEC" }),
    }),
  ),
  x(
    "FUNCTIONAL-GROUPS",
    {},
    layer("FUNCTIONAL-GROUP", "FGL", { more: parents(parent("UDS_Ethernet_DoIP", "PROTOCOL")) }),
  ),
  x(
    "BASE-VARIANTS",
    {},
    layer("BASE-VARIANT", "BASE", {
      dictionary: [
        x(
          "DTC-DOPS",
          {},
          x(
            "DTC-DOP",
            { ID: "dtcs" },
            name("dtcs"),
            uint(24),
            x("PHYSICAL-TYPE", { "BASE-DATA-TYPE": "A_UINT32" }),
            compu("IDENTICAL"),
            x("DTCS", {}, x("DTC", { ID: "d" }, name("Hot"), t("TROUBLE-CODE", 66), t("TEXT", "hot"))),
          ),
        ),
        x(
          "DATA-OBJECT-PROPS",
          {},
          dop("u8", uint(8)),
          dop("nrc", uint(8), {
            compu: compu("TEXTTABLE", [text(0x22, 0x22, "not now")]),
            physical: "A_UNICODE2STRING",
          }),
        ),
      ],
      comms: [JOB],
      services: [
        routine("Speed_Read", 0x22, 5, [value("Speed", "u8", { byte: 2, semantic: "DATA" })], "CURRENTDATA"),
        routine("Wash_Start", 0x31, 1, [], "ROUTINE"),
        routine("Wash_Stop", 0x31, 2, [], "ROUTINE"),
      ],
      more:
        NEGATIVE +
        x("SDGS", {}, x("SDG", {}, x("SDG-CAPTION", { ID: "c" }, name("Series")), t("SD", "2026", { SI: "year" }))) +
        x(
          "COMPARAM-REFS",
          {},
          setParam("CP_DoIPLogicalGatewayAddress", t("SIMPLE-VALUE", 4096)),
          setParam("table", x("COMPLEX-VALUE", {}, t("SIMPLE-VALUE", 4097), t("SIMPLE-VALUE", 0))),
        ) +
        parents(parent("FGL", "FUNCTIONAL-GROUP")),
    }),
  ),
);

const result = convert({ "a.odx-d": ECU, "s.odx-cs": SUBSET, "c.odx-c": odx("COMPARAM-SPEC", "CPS") });
const database = openDatabase(writeEcuData(result.databases[0]!.description));
const base = variantsOf(database)[0]!;
const index = serviceIndex(database, base);

test("placement finds protocol, groups and addresses", () => {
  const facts = databaseFacts(database);
  assert.deepEqual(
    [facts.ecuName, facts.baseVariant, facts.protocols, facts.functionalGroups],
    ["BASE", "BASE", ["UDS_Ethernet_DoIP"], ["FGL"]],
  );
  const protocol = chooseProtocol(database, { name: "uds_ethernet_doip" });
  const params = comParamsOf(database, protocol);
  const gateway = params.get("CP_DoIPLogicalGatewayAddress");
  assert.equal(gateway?.kind === "simple" && gateway.text, "4096");
  const ecu = comParamPart(params, "CP_UniqueRespIdTable", "CP_DoIPLogicalEcuAddress");
  assert.equal(ecu?.kind === "simple" && ecu.text, "4097");
  assert.deepEqual(
    [...listComParams(database, base, protocol).keys()],
    ["CP_DoIPLogicalGatewayAddress", "CP_UniqueRespIdTable"],
  );
});

test("data, operations, jobs, faults and special data are listed", () => {
  assert.deepEqual(
    listData(index).map(({ id, name: shown, category }) => [id, shown, category]),
    [["Speed", "Speed_Read (long)", "CURRENTDATA"]],
  );
  const [wash] = listOperations(index);
  assert.deepEqual(
    [wash!.id.toLowerCase(), wash!.start?.shortName, wash!.stop?.shortName],
    ["wash", "Wash_Start", "Wash_Stop"],
  );
  assert.deepEqual(listJobs(database, base), [{ category: "calibrate", id: "calibrate", name: "Calibrate" }]);
  assert.equal(describeJob(database, base, "calibrate")["x-prog-code"][0]!.code_file, "a.jar");
  assert.equal(dtcsOf(database).get(66)!.faultName, "Hot");
  assert.match(JSON.stringify(layerSdgs(database, base)), /"Series".*"2026"/);
});

test("an answer is read, a refusal with the text of the database", () => {
  const plan = plansOf(result, { shape: "cda" }).get("Speed_Read")!;
  const request = encodeRequest(plan);
  assert.deepEqual([...request], [0x22, 5]);
  assert.deepEqual(decodeResponse(plan, fromHex("620550")!, request).data, { Speed: 0x50 });
  const refusal = decodeResponse(plan, fromHex("7F2222")!, request);
  assert.deepEqual([refusal.type, refusal.nrc], ["negative", { code: 0x22, description: "not now", sid: 0x22 }]);
});
