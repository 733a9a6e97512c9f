import { fromHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import type { CompuValues, DiagService, DOP, EcuData, Param, TableDop, Variant } from "../generated/description.ts";
import { defined } from "./dsl/defined.ts";
import * as dsl from "./dsl.ts";
import type {
  Source,
  SourceCoded,
  SourceCompu,
  SourceConst,
  SourceConstraint,
  SourceDop,
  SourceKey,
  SourceLimit,
  SourceParam,
  SourceScale,
  SourceService,
  SourceVariant,
} from "./source-types.ts";

/** Date of the schema that databases of the converter carry. */
const SCHEMA_VERSION = "2025-05-10";

interface Compiler {
  readonly source: Source;
  readonly dops: Map<string, DOP>;
  readonly tables: Map<string, TableDop>;
  readonly layers: Map<string, readonly DiagService[]>;
  readonly variants: Map<string, Variant>;
}

/** The description of a compact source. Throws `Fault("invalidData")` on a name that nothing defines or that needs itself. */
export function describeSource(source: Source): EcuData {
  const compiler: Compiler = { source, dops: new Map(), tables: new Map(), layers: new Map(), variants: new Map() };
  const dtcs = Object.keys(source.dtcs ?? {}).map((name) => dtcOf(compiler, name));
  return defined<EcuData>({
    version: SCHEMA_VERSION,
    ecu_name: source.ecu_name,
    revision: source.revision,
    variants: source.variants.map(({ name }) => variantOf(compiler, name)),
    dtcs: dtcs.length === 0 ? undefined : dtcs,
  });
}

function unknownName(kind: string, name: string | undefined): Fault {
  return new Fault("invalidData", `source: no ${kind} named ${name}`);
}

function rowOf<T>(kind: string, rows: Readonly<Record<string, T>> | undefined, name: string | undefined): T {
  const row = name !== undefined && rows !== undefined && Object.hasOwn(rows, name) ? rows[name] : undefined;
  if (row === undefined) throw unknownName(kind, name);
  return row;
}

/** Builds a named thing once; while it is built its name leads nowhere, so that a circle is found. */
function named<T>(built: Map<string, T>, kind: string, name: string | undefined, build: (name: string) => T): T {
  if (name === undefined) throw unknownName(kind, name);
  if (built.has(name)) {
    const known = built.get(name);
    if (known === undefined) throw new Fault("invalidData", `source: ${kind} ${name} needs itself`);
    return known;
  }
  (built as Map<string, T | undefined>).set(name, undefined);
  const value = build(name);
  built.set(name, value);
  return value;
}

function dtcOf({ source }: Compiler, name: string) {
  const { code, display, text, level, temporary } = rowOf("DTC", source.dtcs, name);
  return dsl.dtc(name, { code: Number.parseInt(code, 16), displayCode: display, text, level, isTemporary: temporary });
}

const limitOf = (limit: SourceLimit | undefined) => limit && dsl.limit(...limit);
const valuesOf = (value: SourceConst | undefined) =>
  value && defined<CompuValues>({ v: value.v, vt: value.text, vt_ti: value.ti });

function scaleOf({ label, lower, upper, num, den, const: constant, inverse }: SourceScale) {
  return dsl.compuScale({
    label,
    lower: limitOf(lower),
    upper: limitOf(upper),
    numerator: num,
    denominator: den,
    constant: valuesOf(constant),
    inverse: valuesOf(inverse),
  });
}

function compuOf(compu: SourceCompu | undefined) {
  if (compu === undefined) return dsl.identical;
  const { category, scales, default: fallback, code, inverse } = compu;
  return dsl.compuMethod(
    category,
    { scales: scales?.map(scaleOf), progCode: code, default: valuesOf(fallback) },
    inverse && { scales: inverse.scales?.map(scaleOf), default: valuesOf(inverse.default) },
  );
}

function constraintOf(constraint: SourceConstraint | undefined) {
  if (constraint === undefined) return undefined;
  const { lower, upper, scales } = constraint;
  return dsl.constraint({
    lower: limitOf(lower),
    upper: limitOf(upper),
    scales: scales?.map((scale) =>
      dsl.scaleConstraint(scale.validity ?? "VALID", limitOf(scale.lower), limitOf(scale.upper), scale.label),
    ),
  });
}

function codedOf(compiler: Compiler, coded: SourceCoded | undefined) {
  if (coded === undefined) throw unknownName("coded type", undefined);
  const { type, bits, order, encoding, mask, condensed, leading_bits: leadingBits, length_key: key } = coded;
  const common = { encoding, littleEndian: order === "LE" };
  if (key !== undefined) return dsl.paramLength(type, paramOf(compiler, key), common);
  if (leadingBits !== undefined) return dsl.leadingLength(type, leadingBits, common);
  if (bits === undefined) {
    return dsl.minMaxLength(type, {
      ...common,
      minBytes: coded.min,
      maxBytes: coded.max,
      termination: coded.termination,
    });
  }
  return dsl.standardLength(type, bits, { ...common, mask: mask === undefined ? undefined : maskOf(mask), condensed });
}

function maskOf(mask: string): number[] {
  const bytes = fromHex(mask);
  if (bytes === undefined) throw new Fault("invalidData", `source: ${mask} is no hex mask`);
  return [...bytes];
}

function dopOf(compiler: Compiler, name: string | undefined): DOP {
  return named(compiler.dops, "DOP", name, (n) => buildDop(compiler, n, rowOf("DOP", compiler.source.dops, n)));
}

const optionalDop = (compiler: Compiler, name: string | undefined): DOP | undefined =>
  name === undefined ? undefined : dopOf(compiler, name);

function buildDop(compiler: Compiler, name: string, dop: SourceDop): DOP {
  const params = (list: readonly SourceParam[]) => list.map((param) => paramOf(compiler, param));
  const key = ({ byte, bit, dop: of }: SourceKey) => ({ byte, bit, dop: dopOf(compiler, of) });
  switch (dop.kind) {
    case "normal":
      return dsl.normalDop(name, {
        coded: codedOf(compiler, dop.coded),
        compu: compuOf(dop.compu),
        physical: dsl.physicalType(dop.phys.type, dop.phys.radix),
        unit: dop.unit === undefined ? undefined : unitOf(compiler, dop.unit),
        internalConstraint: constraintOf(dop.internal_constr),
        physicalConstraint: constraintOf(dop.phys_constr),
      });
    case "structure":
      return dsl.structure(name, params(dop.params), dop.byte_size);
    case "end_of_pdu":
      return dsl.endOfPduField(name, dopOf(compiler, dop.structure), dop.min, dop.max);
    case "static":
      return dsl.staticField(name, dopOf(compiler, dop.structure), dop.count, dop.item_bytes);
    case "dynamic_length":
      return dsl.dynamicLengthField(name, dopOf(compiler, dop.structure), dop.offset, key(dop.count));
    case "mux":
      return dsl.mux(name, {
        byte: dop.byte,
        switchKey: key(dop.switch),
        cases: dop.cases?.map((c) =>
          dsl.muxCase(c.name, dsl.limit(...c.lower), dsl.limit(...c.upper), optionalDop(compiler, c.structure)),
        ),
        defaultCase: dop.default && {
          name: dop.default.name,
          structure: optionalDop(compiler, dop.default.structure),
        },
      });
    case "dtc": {
      const dtcs = dop.dtcs.map((dtc) => dtcOf(compiler, dtc));
      return dsl.dtcDop(name, dtcs, codedOf(compiler, dop.coded), dsl.physicalType(dop.phys.type, dop.phys.radix));
    }
    case "env_data":
      return dsl.envData(
        name,
        params(dop.params),
        dop.dtcs?.map((code) => Number.parseInt(code, 16)),
      );
    case "env_data_desc":
      return dsl.envDataDesc(
        name,
        dop.switch_param,
        dop.env_datas.map((env) => dopOf(compiler, env)),
      );
  }
}

function unitOf({ source }: Compiler, name: string) {
  const { display_name: displayName, factorsitounit, offsetitounit } = rowOf("unit", source.units, name);
  return dsl.unit(name, displayName, factorsitounit, offsetitounit);
}

function tableOf(compiler: Compiler, name: string | undefined): TableDop {
  return named(compiler.tables, "table", name, (n) => {
    const { key, rows } = rowOf("table", compiler.source.tables, n);
    const described = rows.map((row) =>
      dsl.tableRow(
        row.name,
        row.key,
        defined<{ structure?: DOP; dop?: DOP }>({
          structure: optionalDop(compiler, row.structure),
          dop: optionalDop(compiler, row.dop),
        }),
      ),
    );
    return dsl.tableDop(n, dopOf(compiler, key), described);
  });
}

type BuildParam = (compiler: Compiler, param: SourceParam) => Param;

const PARAMS: Readonly<Record<string, BuildParam>> = {
  VALUE: (c, p) => dsl.value(p.name, dopOf(c, p.dop), { ...place(p), default: p.default }),
  CODED_CONST: (c, p) => dsl.codedConst(p.name, p.value ?? "", codedOf(c, p.coded), place(p)),
  PHYS_CONST: (c, p) => dsl.physConst(p.name, p.value ?? "", dopOf(c, p.dop), place(p)),
  RESERVED: (_, p) => dsl.reserved(p.name, p.bits ?? 0, place(p)),
  LENGTH_KEY: (c, p) => dsl.lengthKey(p.name, dopOf(c, p.dop), place(p)),
  MATCHING_REQUEST_PARAM: (_, p) => dsl.matchingRequest(p.name, p.request_byte ?? 0, p.bytes ?? 0, place(p)),
  NRC_CONST: (c, p) => dsl.nrcConst(p.name, p.values ?? [], codedOf(c, p.coded), place(p)),
  DYNAMIC: (_, p) => dsl.dynamic(p.name, place(p)),
  SYSTEM: (c, p) => dsl.system(p.name, dopOf(c, p.dop), p.sys_param ?? "", place(p)),
  TABLE_KEY: (c, p) => dsl.tableKey(p.name, tableOf(c, p.table), place(p)),
  TABLE_STRUCT: (c, p) => {
    if (p.table_key === undefined) throw unknownName("table key", undefined);
    return dsl.tableStruct(p.name, paramOf(c, p.table_key), place(p));
  },
};

const place = ({ byte, bit, semantic }: SourceParam): dsl.Place => ({ byte, bit, semantic });

function paramOf(compiler: Compiler, param: SourceParam): Param {
  return rowOf("parameter kind", PARAMS, param.kind ?? "VALUE")(compiler, param);
}

function servicesOf(compiler: Compiler, layer: string): readonly DiagService[] {
  return named(compiler.layers, "layer", layer, (name) =>
    (rowOf("layer", compiler.source.layers, name).services ?? []).flatMap((service) => buildService(compiler, service)),
  );
}

function buildService(compiler: Compiler, source: SourceService): DiagService[] {
  const params = source.params.map((param) => paramOf(compiler, param));
  const did = Number.parseInt(source.did, 16);
  const options = { classes: source.classes?.map(dsl.functClass), negative: negativeOf(compiler, source) };
  const services: DiagService[] = [];
  if (source.access !== "w") services.push(dsl.readService(`${source.name}_Read`, did, params, options));
  if (source.access !== "r") services.push(dsl.writeService(`${source.name}_Write`, did, params, options));
  return services;
}

function negativeOf(compiler: Compiler, { negative }: SourceService) {
  if (negative !== undefined) {
    return [{ response_type: "NEG_RESPONSE" as const, params: negative.map((param) => paramOf(compiler, param)) }];
  }
  const dop = compiler.source.negative_response_dop;
  return dop === undefined ? undefined : [dsl.negativeResponse([dsl.value("NRC", dopOf(compiler, dop), { byte: 2 })])];
}

function layerOf(compiler: Compiler, name: string) {
  const { classes, charts } = rowOf("layer", compiler.source.layers, name);
  return dsl.diagLayer(name, {
    services: servicesOf(compiler, name),
    classes,
    stateCharts: charts?.map((chart) => ({
      ...dsl.stateChart(chart.name, chart.semantic, chart.states, chart.transitions),
      start_state_short_name_ref: chart.start,
    })),
  });
}

function variantOf(compiler: Compiler, name: string): Variant {
  return named(compiler.variants, "variant", name, () => {
    const source = compiler.source.variants.find((variant) => variant.name === name);
    if (source === undefined) throw unknownName("variant", name);
    const parents = source.parents?.map((parent) =>
      dsl.parentRef(parent.kind, parentOf(compiler, parent.kind, parent.name), parent.not_inherited),
    );
    const layer = layerOf(compiler, name);
    return source.base === true
      ? dsl.baseVariant(layer, parents)
      : dsl.ecuVariant(
          layer,
          parents ?? [],
          source.patterns?.map((matches) => patternOf(compiler, matches)),
        );
  });
}

function parentOf(compiler: Compiler, kind: "Protocol" | "EcuSharedData" | "Variant", name: string) {
  return kind === "Variant" ? variantOf(compiler, name) : { diag_layer: layerOf(compiler, name) };
}

function patternOf(compiler: Compiler, matches: NonNullable<SourceVariant["patterns"]>[number]) {
  return dsl.variantPattern(
    ...matches.map(({ service: [layer, name], param, expected }) => {
      const service = servicesOf(compiler, layer).find(({ diag_comm }) => diag_comm?.short_name === `${name}_Read`);
      if (service === undefined) throw unknownName("service", `${name}_Read`);
      return { service, param, expected };
    }),
  );
}
