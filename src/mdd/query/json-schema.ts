import {
  DiagService,
  type DOP,
  DTCDOP,
  DynamicLengthField,
  EndOfPduField,
  EnvData,
  EnvDataDesc,
  type Field,
  LengthKeyRef,
  MatchingRequestParam,
  MinMaxLengthType,
  MUXDOP,
  NormalDOP,
  type Param,
  ParamSpecificData,
  PhysConst,
  type Response,
  SpecificDataType,
  SpecificDOPData,
  StaticField,
  Structure,
  System,
  TableDop,
  TableKey,
  TableKeyReference,
  TableRow,
  TableStruct,
  Value,
} from "#mdd/generated/dataformat.ts";
import { type Database, each, MAX_TABLES_DEEP, reading } from "./database.ts";
import type { ServiceEntry } from "./service-entry.ts";
import { constantSchema, type JsonSchema, valueSchema } from "./value-schema.ts";

/** Schema of what a service takes or gives. `schema` is absent when there is nothing to name. */
export interface ServiceSchema {
  readonly name: string;
  readonly title: string;
  readonly schema?: JsonSchema;
}

export interface SchemaOptions {
  /** Members of structures stand in the parent object, as answers have them in the default value shape. */
  readonly flatten?: boolean;
}

/** Schemas written out in full grow exponentially with shared structures; beyond this many nodes `{}` (anything) stands in. */
const MAX_NODES = 10_000;

interface Walk {
  readonly isRequest: boolean;
  readonly flatten: boolean;
  /** Parameters of the request, for answers that repeat them. */
  readonly requestParams: readonly Param[];
  nodes: number;
}

/** Schema of the parameters that a request takes. @throws Fault invalidDatabase */
export function requestSchema(database: Database, service: ServiceEntry): ServiceSchema {
  return reading(`${service.shortName}.request`, () => {
    const params = requestParams(serviceTable(database, service));
    const walk: Walk = { isRequest: true, flatten: false, requestParams: params, nodes: 0 };
    return named("Request", service, paramsSchema(params, walk, 0));
  });
}

/** Schema of the data in a positive response: top-level parameters of another semantic than data do not appear in it. */
export function responseSchema(database: Database, service: ServiceEntry, options: SchemaOptions = {}): ServiceSchema {
  const { data, serviceIdRq } = database.naming.semantics;
  return reading(`${service.shortName}.pos_responses`, () => {
    const table = serviceTable(database, service);
    const requested = requestParams(table);
    const walk: Walk = { isRequest: false, flatten: options.flatten ?? false, requestParams: requested, nodes: 0 };
    const shown = each(table.posResponsesLength(), (i) => table.posResponses(i))
      .flatMap(responseParams)
      .filter((param) => [null, data, serviceIdRq].includes(param.semantic()));
    return named("Responses", service, paramsSchema(shown, walk, 0));
  });
}

function named(kind: "Request" | "Responses", { shortName }: ServiceEntry, schema: JsonSchema): ServiceSchema {
  const names = { name: `${kind}_${shortName}`, title: `${kind} for ${shortName}` };
  const isEmpty = schema.anyOf === undefined && Object.keys(schema.properties as object).length === 0;
  return isEmpty ? names : { ...names, schema };
}

function serviceTable(database: Database, service: ServiceEntry): DiagService {
  return new DiagService().__init(service.table, database.buffer);
}

function requestParams(service: DiagService): Param[] {
  const request = service.request();
  return request === null ? [] : each(request.paramsLength(), (i) => request.params(i));
}

function responseParams(response: Response): Param[] {
  return each(response.paramsLength(), (i) => response.params(i));
}

/** An object with the parameters that a caller gives or gets; the first of a name counts. */
function paramsSchema(params: readonly Param[], walk: Walk, depth: number): JsonSchema {
  const properties: Record<string, unknown> = {};
  const required: string[] = [];
  const alternatives: unknown[] = [];
  for (const param of params) {
    const name = param.shortName();
    const schema = name === null || name in properties ? undefined : paramSchema(param, walk, depth);
    if (name === null || schema === undefined) continue;
    if (walk.flatten && isMerged(param)) {
      Object.assign(properties, schema.properties);
      if (schema.anyOf !== undefined) alternatives.push(...(schema.anyOf as unknown[]));
      continue;
    }
    properties[name] = schema;
    if (walk.isRequest && isRequired(param, schema)) required.push(name);
  }
  return {
    type: "object",
    properties,
    ...(required.length === 0 ? {} : { required }),
    ...(alternatives.length === 0 ? {} : { anyOf: alternatives }),
  };
}

/** Undefined: the parameter does not appear. Constants are written by the encoder, so a request never names them. */
function paramSchema(param: Param, walk: Walk, depth: number): JsonSchema | undefined {
  switch (param.specificDataType()) {
    case ParamSpecificData.Value: {
      const value = param.specificData(new Value());
      return dopSchema(value?.dop() ?? null, walk, depth, value?.physicalDefaultValue() ?? null);
    }
    case ParamSpecificData.LengthKeyRef:
      return dopSchema(param.specificData(new LengthKeyRef())?.dop() ?? null, walk, depth);
    case ParamSpecificData.TableKey:
      return tableKeySchema(param.specificData(new TableKey()), walk, depth);
    case ParamSpecificData.TableStruct:
      return tableStructSchema(param, walk, depth);
    case ParamSpecificData.MatchingRequestParam:
      return walk.isRequest ? undefined : matchingSchema(param, walk, depth);
    case ParamSpecificData.PhysConst:
      return walk.isRequest ? undefined : physConstSchema(param.specificData(new PhysConst()));
    case ParamSpecificData.System:
      return walk.isRequest ? undefined : dopSchema(param.specificData(new System())?.dop() ?? null, walk, depth);
    default:
      return undefined;
  }
}

/** Without it the encoder refuses: no default, and no way to be empty. */
function isRequired(param: Param, schema: JsonSchema): boolean {
  if ("default" in schema || schema.minItems === 0) return false;
  if (param.specificDataType() === ParamSpecificData.TableKey) return true;
  return param.specificDataType() === ParamSpecificData.Value && !mayBeEmpty(valueDop(param));
}

function mayBeEmpty(dop: DOP | null): boolean {
  if (dop?.specificDataType() !== SpecificDOPData.NormalDOP) return false;
  const type = dop.specificData(new NormalDOP())?.diagCodedType() ?? null;
  if (type?.specificDataType() !== SpecificDataType.MinMaxLengthType) return false;
  return type.specificData(new MinMaxLengthType())?.minLength() === 0;
}

function valueDop(param: Param): DOP | null {
  return param.specificDataType() === ParamSpecificData.Value ? (param.specificData(new Value())?.dop() ?? null) : null;
}

function isMerged(param: Param): boolean {
  const kind = valueDop(param)?.specificDataType();
  return kind === SpecificDOPData.Structure || kind === SpecificDOPData.EnvDataDesc || kind === SpecificDOPData.EnvData;
}

/** The answer repeats a value of the request: it looks like the request's parameter at that place. */
function matchingSchema(param: Param, walk: Walk, depth: number): JsonSchema | undefined {
  const position = param.specificData(new MatchingRequestParam())?.requestBytePos();
  const source = walk.requestParams.find(
    (candidate) =>
      candidate.specificDataType() === ParamSpecificData.Value && (candidate.bytePosition() ?? 0) === position,
  );
  return source === undefined ? undefined : dopSchema(valueDop(source), walk, depth);
}

function physConstSchema(constant: PhysConst | null): JsonSchema | undefined {
  const dop = constant?.dop() ?? null;
  if (dop?.specificDataType() !== SpecificDOPData.NormalDOP) return undefined;
  const normal = dop.specificData(new NormalDOP());
  return normal === null ? undefined : constantSchema(normal, constant?.physConstantValue() ?? "");
}

function tableRows(key: TableKey | null): TableRow[] {
  switch (key?.tableKeyReferenceType()) {
    case TableKeyReference.TableDop: {
      const table = key.tableKeyReference(new TableDop());
      return table === null ? [] : each(table.rowsLength(), (i) => table.rows(i));
    }
    case TableKeyReference.TableRow: {
      const row = key.tableKeyReference(new TableRow());
      return row === null ? [] : [row];
    }
    default:
      return [];
  }
}

/** A request names a row; an answer gives the key as the key's own DOP has it. */
function tableKeySchema(key: TableKey | null, walk: Walk, depth: number): JsonSchema {
  if (!walk.isRequest && key?.tableKeyReferenceType() === TableKeyReference.TableDop)
    return dopSchema(key.tableKeyReference(new TableDop())?.keyDop() ?? null, walk, depth) ?? {};
  return { type: "string", enum: [...new Set(tableRows(key).map((row) => row.shortName() ?? ""))] };
}

function tableStructSchema(param: Param, walk: Walk, depth: number): JsonSchema {
  const keyParam = param.specificData(new TableStruct())?.tableKey() ?? null;
  const key =
    keyParam?.specificDataType() === ParamSpecificData.TableKey ? keyParam.specificData(new TableKey()) : null;
  const rows = tableRows(key).map((row) => {
    const schema = dopSchema(row.structure() ?? row.dop(), walk, depth + 1);
    return objectOf(schema === undefined ? {} : { [row.shortName() ?? ""]: schema });
  });
  return { anyOf: rows };
}

function dopSchema(dop: DOP | null, walk: Walk, depth: number, text: string | null = null): JsonSchema | undefined {
  if (dop === null) return undefined;
  walk.nodes++;
  if (walk.nodes > MAX_NODES || depth > MAX_TABLES_DEEP) return {};
  const next = depth + 1;
  switch (dop.specificDataType()) {
    case SpecificDOPData.NormalDOP:
      return apply(dop.specificData(new NormalDOP()), (normal) => valueSchema(normal, text, walk.isRequest));
    case SpecificDOPData.Structure:
      return apply(dop.specificData(new Structure()), (structure) =>
        paramsSchema(
          each(structure.paramsLength(), (i) => structure.params(i)),
          walk,
          next,
        ),
      );
    case SpecificDOPData.EndOfPduField:
      return apply(dop.specificData(new EndOfPduField()), (field) => ({
        ...arrayOf(field.field(), walk, next),
        minItems: field.minNumberOfItems() ?? 0,
        ...(field.maxNumberOfItems() ? { maxItems: field.maxNumberOfItems() } : {}),
      }));
    case SpecificDOPData.StaticField:
      return apply(dop.specificData(new StaticField()), (field) => {
        const count = field.fixedNumberOfItems();
        return { ...arrayOf(field.field(), walk, next), minItems: count, maxItems: count };
      });
    case SpecificDOPData.DynamicLengthField:
      return apply(dop.specificData(new DynamicLengthField()), (field) => arrayOf(field.field(), walk, next));
    case SpecificDOPData.MUXDOP:
      return apply(dop.specificData(new MUXDOP()), (mux) => muxSchema(mux, walk, next));
    case SpecificDOPData.EnvDataDesc:
      return apply(dop.specificData(new EnvDataDesc()), (desc) => ({
        anyOf: each(desc.envDatasLength(), (i) => desc.envDatas(i)).map((env) => dopSchema(env, walk, next) ?? {}),
      }));
    case SpecificDOPData.EnvData:
      return apply(dop.specificData(new EnvData()), (env) =>
        paramsSchema(
          each(env.paramsLength(), (i) => env.params(i)),
          walk,
          next,
        ),
      );
    case SpecificDOPData.DTCDOP:
      return apply(dop.specificData(new DTCDOP()), (dtc) => dtcSchema(dtc, walk));
    default:
      return undefined;
  }
}

/** `{Selector, <case>: {…}}`, one alternative for each case; a case without a structure has the selector only. */
function muxSchema(mux: MUXDOP, walk: Walk, depth: number): JsonSchema {
  const selector = dopSchema(mux.switchKey()?.dop() ?? null, walk, depth) ?? {};
  const fallback = mux.defaultCase();
  const cases = [...each(mux.casesLength(), (i) => mux.cases(i)), ...(fallback === null ? [] : [fallback])];
  return {
    anyOf: cases.map((option) => {
      const content = dopSchema(option.structure(), walk, depth);
      const name = option.shortName() ?? "";
      return {
        title: name,
        ...objectOf({ Selector: selector, ...(content === undefined ? {} : { [name]: content }) }),
      };
    }),
  };
}

/** A request gives the code alone. */
function dtcSchema(dtc: DTCDOP, walk: Walk): JsonSchema {
  const codes = each(dtc.dtcsLength(), (i) => dtc.dtcs(i)?.troubleCode() ?? null);
  const code = { type: "integer", format: "int32" };
  if (walk.isRequest) return codes.length === 0 ? code : { ...code, enum: [...new Set(codes)] };
  const text = { type: "string" };
  const members = { code, display_code: text, fault_name: text, severity: { type: "integer", format: "int32" } };
  return { ...objectOf(members), required: ["code"] };
}

function arrayOf(field: Field | null, walk: Walk, depth: number): JsonSchema {
  const items = dopSchema(field?.basicStructure() ?? field?.envDataDesc() ?? null, walk, depth);
  return { type: "array", items: items ?? {} };
}

function objectOf(properties: JsonSchema): JsonSchema {
  return { type: "object", properties };
}

function apply<T>(table: T | null, schema: (table: T) => JsonSchema): JsonSchema | undefined {
  return table === null ? undefined : schema(table);
}
