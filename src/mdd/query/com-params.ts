import {
  type ComParam,
  type ComParamRef,
  ComParamSpecificData,
  ComplexComParam,
  ComplexValue,
  type DiagLayer,
  NormalDOP,
  RegularComParam,
  SimpleOrComplexValueEntry,
  SimpleValue,
  SpecificDOPData,
} from "#mdd/generated/dataformat.ts";
import { type Database, each, invalidDatabase, memoised, reading, required, unfolding } from "./database.ts";
import { baseVariant, layersOf, type Scope } from "./layers.ts";

/** Factor and offset from a physical value to SI; undefined where the unit has none. */
export interface ComParamUnit {
  readonly factorToSi: number | undefined;
  readonly offsetToSi: number | undefined;
}

/** A communication parameter as the database has it: physical text, or named parts. */
export type ComParamValue =
  | { readonly kind: "simple"; readonly text: string; readonly unit: ComParamUnit | undefined }
  | { readonly kind: "complex"; readonly parts: ReadonlyMap<string, ComParamValue> };

/** Communication parameters by short name, first reference first. */
export type ComParams = ReadonlyMap<string, ComParamValue>;

/**
 * Communication parameters that are in force for an ECU: those of the base variant's own layer for `protocol`; with `protocol`
 * undefined those of any. Parents, other variants and the defaults of the parameter's own definition do not count.
 * @throws Fault invalidDatabase when a reference has no value, or two
 */
export function comParamsOf(database: Database, protocol: string | undefined): ComParams {
  return memoised(database, `comparams:${protocol?.toLowerCase() ?? ""}`, () => {
    const base = baseVariant(database);
    const own = base === undefined ? undefined : layersOf(database, base)[0];
    return own === undefined ? new Map() : readLayer(own.diagLayer, protocol, new Map());
  });
}

/** Every communication parameter a scope and its parents name for `protocol`, nearest first: what the comparam resource shows. */
export function listComParams(database: Database, scope: Scope, protocol: string | undefined): ComParams {
  return memoised(database, `comparamlist:${scope.kind}:${scope.index}:${protocol?.toLowerCase() ?? ""}`, () =>
    layersOf(database, scope).reduce(
      (params, { diagLayer }) => readLayer(diagLayer, protocol, params),
      new Map<string, ComParamValue>(),
    ),
  );
}

/** The part of a complex parameter (a table such as CP_UniqueRespIdTable) that has this name. */
export function comParamPart(params: ComParams, table: string, part: string): ComParamValue | undefined {
  const value = params.get(table);
  return value?.kind === "complex" ? value.parts.get(part) : undefined;
}

/** The comparam resource's JSON of one parameter: `{value, unit}`, parts nested by name. */
export function comParamJson(value: ComParamValue): unknown {
  if (value.kind === "complex")
    return Object.fromEntries([...value.parts].map(([name, part]) => [name, comParamJson(part)]));
  const { text, unit } = value;
  const json =
    unit === undefined
      ? null
      : { factor_to_si_unit: unit.factorToSi ?? null, offset_to_si_unit: unit.offsetToSi ?? null };
  return { value: text, unit: json };
}

function readLayer(layer: DiagLayer, protocol: string | undefined, into: Map<string, ComParamValue>) {
  return reading(`${layer.shortName() ?? "layer"}.com_param_refs`, () => {
    for (const ref of each(layer.comParamRefsLength(), (i) => layer.comParamRefs(i))) {
      const param = ref.comParam();
      const name = param?.shortName() ?? undefined;
      if (param === null || name === undefined || into.has(name) || !isFor(ref, protocol)) continue;
      into.set(name, readRef(ref, param, name));
    }
    return into;
  });
}

function isFor(ref: ComParamRef, protocol: string | undefined): boolean {
  if (protocol === undefined) return true;
  return ref.protocol()?.diagLayer()?.shortName()?.toLowerCase() === protocol.toLowerCase();
}

function readRef(ref: ComParamRef, param: ComParam, name: string): ComParamValue {
  const simple = ref.simpleValue();
  const complex = ref.complexValue();
  if (simple !== null && complex !== null) throw invalidDatabase(name, "both a simple and a complex value");
  if (simple !== null) return readSimple(simple, param, name);
  return readComplex(required(complex, `${name}: value`), param, name, 0, unfolding(name));
}

function readSimple(simple: SimpleValue, param: ComParam, name: string): ComParamValue {
  if (param.specificDataType() === ComParamSpecificData.ComplexComParam)
    throw invalidDatabase(name, "simple value of a complex parameter");
  return { kind: "simple", text: required(simple.value(), `${name}: value`), unit: readUnit(param) };
}

function readUnit(param: ComParam): ComParamUnit | undefined {
  const dop = param.specificData(new RegularComParam())?.dop() ?? null;
  if (dop === null || dop.specificDataType() !== SpecificDOPData.NormalDOP) return undefined;
  const unit = dop.specificData(new NormalDOP())?.unitRef() ?? null;
  if (unit === null) return undefined;
  return { factorToSi: unit.factorsitounit() ?? undefined, offsetToSi: unit.offsetitounit() ?? undefined };
}

/** Parts and their definitions stand in the same order. */
function readComplex(
  value: ComplexValue,
  param: ComParam,
  name: string,
  depth: number,
  count: (depth: number) => void,
): ComParamValue {
  count(depth);
  if (param.specificDataType() !== ComParamSpecificData.ComplexComParam)
    throw invalidDatabase(name, "complex value of a simple parameter");
  const definition = required(param.specificData(new ComplexComParam()), `${name}: ComplexComParam`);
  const parts = new Map<string, ComParamValue>();
  const length = Math.min(value.entriesLength(), definition.comParamsLength());
  for (let i = 0; i < length; i++) {
    const part = required(definition.comParams(i), `${name}[${i}]`);
    const partName = required(part.shortName(), `${name}[${i}].short_name`);
    parts.set(partName, readEntry(value, i, part, `${name}.${partName}`, depth, count));
  }
  return { kind: "complex", parts };
}

function readEntry(
  value: ComplexValue,
  index: number,
  part: ComParam,
  name: string,
  depth: number,
  count: (depth: number) => void,
): ComParamValue {
  if (value.entriesType(index) === SimpleOrComplexValueEntry.SimpleValue)
    return readSimple(required(value.entries(index, new SimpleValue()), name), part, name);
  return readComplex(required(value.entries(index, new ComplexValue()), name), part, name, depth + 1, count);
}
