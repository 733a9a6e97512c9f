// Less common corners of ODX: constraints, defaults, fixed rows, paths, program code in compu methods.

import assert from "node:assert/strict";
import test from "node:test";
import { fromHex, toHex } from "#core/bytes.ts";
import { decodeResponse, encodeRequest } from "#mdd/codec/codec.ts";
import type { CompuMethod, DiagService, DOP, NormalDOP, Param } from "#mdd/generated/description.ts";
import { parsePartialJobs } from "#mdd/odx/code-files.ts";
import { converterMetadata } from "#mdd/odx/metadata.ts";
import {
  compu,
  container,
  convert,
  dop,
  ecu,
  layer,
  limit,
  name,
  param,
  parent,
  parents,
  plansOf,
  ref,
  refusal,
  service,
  snref,
  structure,
  t,
  text,
  uint,
  value,
  x,
} from "./odx-support.ts";

const dops = (...list: readonly string[]) => x("DATA-OBJECT-PROPS", {}, ...list);
const U8 = dop("u8", uint(8));

function serviceOf(document: string, shortName = "S"): DiagService {
  const services = convert(document).databases[0]!.description.variants!.flatMap(
    (one) => one.diag_layer!.diag_services!,
  );
  return services.find((one) => one.diag_comm!.short_name === shortName)!;
}

function dopOf(param: Param | undefined): DOP | undefined {
  return param?.specific_data_type === "Value" ? param.specific_data.dop : undefined;
}

function normalOf(xml: string): NormalDOP {
  const params = serviceOf(ecu({ dictionary: [dops(xml)], services: [service("S", 1, [value("v", "d")])] })).request!
    .params!;
  const found = dopOf(params[2]);
  assert.equal(found?.specific_data_type, "NormalDOP");
  return found?.specific_data as NormalDOP;
}

const compuOf = (xml: string): CompuMethod =>
  normalOf(dop("d", uint(8), { compu: xml, physical: "A_UNICODE2STRING" })).compu_method!;

test("constraints keep limits, scales and validity, and hold when a request is made", () => {
  const constr = (tag: string, ...scales: readonly string[]) =>
    x(tag, {}, limit("LOWER", 1), limit("UPPER", 9, "OPEN"), x("SCALE-CONSTRS", {}, ...scales));
  const hole = x(
    "SCALE-CONSTR",
    { VALIDITY: "NOT-AVAILABLE" },
    t("SHORT-LABEL", "hole", { TI: "ti" }),
    limit("LOWER", 5),
    limit("UPPER", 5),
  );
  const xml = dop("d", uint(8), { more: constr("INTERNAL-CONSTR", hole) + constr("PHYS-CONSTR") });
  const { internal_constr: internal, phys_constr: physical } = normalOf(xml);
  assert.deepEqual(internal, {
    lower_limit: { value: "1", interval_type: "CLOSED" },
    upper_limit: { value: "9", interval_type: "OPEN" },
    scale_constr: [
      {
        short_label: { value: "hole", ti: "ti" },
        lower_limit: { value: "5", interval_type: "CLOSED" },
        upper_limit: { value: "5", interval_type: "CLOSED" },
        validity: "NOT_AVAILABLE",
      },
    ],
  });
  assert.equal(physical!.scale_constr, undefined);
  const plan = plansOf(
    convert(ecu({ dictionary: [dops(xml)], services: [service("S", 1, [value("v", "d", { byte: 3 })])] })),
  ).get("S")!;
  assert.equal(toHex(encodeRequest(plan, { v: 8 })), "2E000108");
  for (const v of [0, 5, 9]) assert.throws(() => encodeRequest(plan, { v }), { kind: "badRequest" }, String(v));
});

test("a default value stands for what no scale holds, both ways", () => {
  const fallback = x(
    "COMPU-DEFAULT-VALUE",
    {},
    t("VT", "unknown", { TI: "ti" }),
    x("COMPU-INVERSE-VALUE", {}, t("V", 255)),
  );
  const method = compu("TEXTTABLE", [text(0, 0, "off")], [], fallback);
  assert.deepEqual(compuOf(method).internal_to_phys!.compu_default_value, {
    values: { vt: "unknown", vt_ti: "ti" },
    inverse_values: { v: 255 },
  });
  const xml = dops(dop("d", uint(8), { compu: method, physical: "A_UNICODE2STRING" }));
  const plan = plansOf(
    convert(ecu({ dictionary: [xml], services: [service("S", 1, [value("v", "d", { byte: 3 })])] })),
  ).get("S")!;
  assert.deepEqual(decodeResponse(plan, fromHex("6E000177")!).data, { v: "unknown" });
  assert.equal(toHex(encodeRequest(plan, { v: "unknown" })), "2E0001FF");
});

test("COMPUCODE keeps its program", () => {
  const code = x(
    "PROG-CODE",
    {},
    t("CODE-FILE", "c.jar"),
    t("SYNTAX", "JAR"),
    t("REVISION", "1"),
    t("ENTRYPOINT", "C"),
  );
  const method = x("COMPU-METHOD", {}, t("CATEGORY", "COMPUCODE"), x("COMPU-INTERNAL-TO-PHYS", {}, code));
  assert.deepEqual(compuOf(method), {
    category: "COMPU_CODE",
    internal_to_phys: { prog_code: { code_file: "c.jar", syntax: "JAR", revision: "1", entrypoint: "C" } },
  });
});

test("NRC-CONST keeps its values; the answer must hold one of them", () => {
  const nrc = param(
    "NRC-CONST",
    "NRC",
    { byte: 3 },
    x("CODED-VALUES", {}, t("CODED-VALUE", 16), t("CODED-VALUE", 17)),
    uint(8),
  );
  const document = ecu({ services: [service("S", 1, [], [nrc])] });
  const answer = serviceOf(document).pos_responses![0]!.params![2]!;
  assert.deepEqual(answer.specific_data_type === "NrcConst" && answer.specific_data.coded_values, ["16", "17"]);
  const plan = plansOf(convert(document)).get("S")!;
  assert.deepEqual(decodeResponse(plan, fromHex("6E000111")!).data, { NRC: 17 });
  assert.notEqual(decodeResponse(plan, fromHex("6E000112")!).failure, undefined);
});

test("a table key may be fixed to one row, by name or by link", () => {
  const row = (rowName: string, key: number) => x("TABLE-ROW", { ID: rowName }, name(rowName), t("KEY", key));
  const table = x(
    "TABLE",
    { ID: "tab" },
    name("tab"),
    ref("KEY-DOP-REF", "u8"),
    row("one", 1),
    ref("TABLE-ROW-REF", "two"),
  );
  const other = x("TABLE", { ID: "tab2" }, name("tab2"), ref("KEY-DOP-REF", "u8"), row("two", 2));
  const keyOf = (...content: readonly string[]) => {
    const params = [param("TABLE-KEY", "key", { byte: 3, id: "k" }, ...content)];
    return ecu({ dictionary: [dops(U8), x("TABLES", {}, table, other)], services: [service("S", 1, params)] });
  };
  const rowOf = (document: string) => {
    const key = serviceOf(document).request!.params![2]!;
    const specific = key.specific_data_type === "TableKey" ? key.specific_data : {};
    return specific.table_key_reference_type === "TableRow" ? specific.table_key_reference.key : undefined;
  };
  assert.equal(rowOf(keyOf(snref("TABLE-SNREF", "tab"), snref("TABLE-ROW-SNREF", "two"))), "2");
  assert.equal(rowOf(keyOf(ref("TABLE-ROW-REF", "one"))), "1");
  assert.match(
    refusal(keyOf(snref("TABLE-SNREF", "tab"), snref("TABLE-ROW-SNREF", "six"))).message,
    /TABLE tab has no row six/,
  );
  assert.match(refusal(keyOf()).message, /TABLE-KEY key refers to 0 tables/);
});

test("a pattern may look into a structure", () => {
  const condition = (path: string) =>
    x(
      "MATCHING-PARAMETER",
      {},
      t("EXPECTED-VALUE", "1"),
      snref("DIAG-COMM-SNREF", "S"),
      x("OUT-PARAM-IF-SNPATHREF", { "SHORT-NAME-PATH": path }),
    );
  const patterned = (path: string) =>
    container(
      "DLC",
      x(
        "BASE-VARIANTS",
        {},
        layer("BASE-VARIANT", "ECU", {
          dictionary: [dops(U8), x("STRUCTURES", {}, structure("st", [value("inner", "u8")]))],
          services: [service("S", 1, [value("outer", "st")])],
        }),
      ),
      x(
        "ECU-VARIANTS",
        {},
        layer("ECU-VARIANT", "V", {
          more:
            x("ECU-VARIANT-PATTERNS", {}, x("ECU-VARIANT-PATTERN", {}, x("MATCHING-PARAMETERS", {}, condition(path)))) +
            parents(parent("ECU", "BASE-VARIANT")),
        }),
      ),
    );
  const { databases, report } = convert(patterned("outer.inner"));
  const [matching] = databases[0]!.description.variants![1]!.variant_pattern![0]!.matching_parameter!;
  assert.equal(matching!.out_param!.short_name, "inner");
  assert.match(report[0]!.message, /outer\.inner lies in a structure/);
  assert.match(refusal(patterned("outer.gone")).message, /no positive response of S has a parameter outer\.gone/);
});

test("a bit mask that is not hexadecimal is refused", () => {
  const document = ecu({
    dictionary: [dops(dop("d", uint(8, { mask: "3" })))],
    services: [service("S", 1, [value("v", "d")])],
  });
  assert.match(refusal(document).message, /BIT-MASK '3' is not hexadecimal/);
});

test("the file tells the options it was made with", () => {
  const options = {
    isLenient: true,
    includeJobs: true,
    partialJobs: [parsePartialJobs("a\\.jar:com/.*")],
    withAudiences: ["Plant"],
  };
  const { options: written, created } = converterMetadata("a.pdx", "2026-01-01T00:00:00Z", options);
  assert.equal(created, "2026-01-01T00:00:00Z");
  assert.deepEqual(JSON.parse(written!), {
    lenient: true,
    includeJobFiles: true,
    partialJobFiles: [{ jobFilePattern: "a\\.jar", includePattern: "com/.*" }],
    withAudiences: ["Plant"],
  });
  assert.equal(converterMetadata("a.pdx", "", {}).options, "{}");
});
