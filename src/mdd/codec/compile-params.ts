/** From PARAMs in the FlatBuffer to steps (ISO 22901-1 §7.4.8). */
import { reasonOf } from "#core/errors.ts";
import {
  CodedConst,
  type DOP,
  LengthKeyRef,
  MatchingRequestParam,
  NrcConst,
  type Param,
  ParamSpecificData,
  PhysConst,
  Reserved,
  SpecificDOPData,
  System,
  TableKey,
  TableStruct,
  Value,
} from "#mdd/generated/dataformat.ts";
import { codedOf, compileDop } from "./compile-dop.ts";
import { elements, MAX_VALUE_BITS } from "./compile-scalar.ts";
import { compileTable } from "./compile-table.ts";
import { addScalar, type Compiler, keyOf } from "./compiler.ts";
import { Category, type Failing } from "./compu.ts";
import { codecFault } from "./errors.ts";
import { internalOf } from "./input.ts";
import {
  Base,
  type CodedType,
  FieldKind,
  type Internal,
  LengthKind,
  type ParamList,
  type Scalar,
  type Step,
  StepKind,
  TargetKind,
} from "./plan.ts";
import { type PositionFacts, processingOrder, resolvePosition } from "./positions.ts";
import { encodeText } from "./text.ts";

/** Which parameters of a list are shown, and where matching parameters find the request. */
export interface ListContext {
  readonly isShown: (param: Param) => boolean;
  readonly request: ParamList | undefined;
}

const MEMBERS: ListContext = { isShown: () => true, request: undefined };

/** Parameters of structures: all of them are shown. */
export function compileMembers(c: Compiler, params: readonly Param[]): ParamList {
  return compileList(c, params, MEMBERS);
}

/** Compiles the parameters of a message or structure. */
export function compileList(c: Compiler, params: readonly Param[], context: ListContext): ParamList {
  const steps: Step[] = [];
  let before: (PositionFacts & { readonly resolved: number }) | undefined;
  for (const param of params) {
    const content = compileContent(c, param, context);
    const facts = factsOf(c, param, content);
    const resolved = resolvePosition(facts, before, c.options.positions);
    before = { ...facts, resolved };
    const bit = param.bitPosition() ?? 0;
    const problem = bit > 7 ? `BIT-POSITION ${bit}` : "";
    const step: Step = {
      ...EMPTY,
      key: keyOf(c, param.shortName() ?? ""),
      bytePosition: resolved,
      bitPosition: bit & 7,
      isHidden: !context.isShown(param),
      ...content,
      ...(problem === "" ? {} : { kind: StepKind.BROKEN, problem }),
    };
    steps.push(step);
    c.steps.push(step);
  }
  const list: ParamList = {
    steps: processingOrder(steps, (step) => needsOf(c, step)),
    names: new Set(steps.map((step) => step.key.name)),
    mayRepeatKeys: repeatsKeys(c, steps),
  };
  c.shownNames.set(list, new Set(steps.flatMap((step) => shownNames(c, step).flat())));
  return list;
}

type Content = Partial<Omit<Step, "kind">> & Pick<Step, "kind">;

const EMPTY: Omit<Step, "key" | "bytePosition" | "bitPosition"> = {
  kind: StepKind.BROKEN,
  isHidden: false,
  targetKind: TargetKind.BROKEN,
  target: -1,
  isFlat: false,
  register: -1,
  constants: [],
  fallback: undefined,
  bits: 0,
  requestPosition: 0,
  requestBytes: 0,
  requestName: "",
  problem: "",
};

function reservedStep(bits: number): Content {
  return bits > MAX_VALUE_BITS ? brokenStep(`RESERVED of ${bits} bits`) : { kind: StepKind.RESERVED, bits };
}

function brokenStep(problem: string): Content {
  return { kind: StepKind.BROKEN, problem };
}

function compileContent(c: Compiler, param: Param, context: ListContext): Content {
  switch (param.specificDataType()) {
    case ParamSpecificData.CodedConst: {
      const constant = param.specificData(new CodedConst());
      return constants(c, StepKind.CODED_CONST, constant?.diagCodedType() ?? null, [constant?.codedValue() ?? ""]);
    }
    case ParamSpecificData.NrcConst: {
      const constant = param.specificData(new NrcConst());
      const texts = elements(constant?.codedValuesLength() ?? 0, (i) => constant!.codedValues(i) as string | null);
      return constants(c, StepKind.NRC_CONST, constant?.diagCodedType() ?? null, texts);
    }
    case ParamSpecificData.Value: {
      const value = param.specificData(new Value());
      return valued(c, StepKind.VALUE, value?.dop() ?? null, value?.physicalDefaultValue() ?? null);
    }
    case ParamSpecificData.PhysConst:
      return physConst(c, param.specificData(new PhysConst()));
    case ParamSpecificData.LengthKeyRef:
      return valued(c, StepKind.LENGTH_KEY, param.specificData(new LengthKeyRef())?.dop() ?? null, null);
    case ParamSpecificData.System:
      return valued(c, StepKind.SYSTEM, param.specificData(new System())?.dop() ?? null, null);
    case ParamSpecificData.Reserved:
      return reservedStep(param.specificData(new Reserved())?.bitLength() ?? 0);
    case ParamSpecificData.MatchingRequestParam:
      return matching(c, param, param.specificData(new MatchingRequestParam()), context.request);
    case ParamSpecificData.TableKey:
      return tableStep(c, StepKind.TABLE_KEY, param.specificData(new TableKey()), param.shortName() ?? "");
    case ParamSpecificData.TableStruct: {
      const key = param.specificData(new TableStruct())?.tableKey() ?? null;
      const isKey = key?.specificDataType() === ParamSpecificData.TableKey;
      if (key === null || !isKey) return brokenStep("TABLE-STRUCT without TABLE-KEY");
      return tableStep(c, StepKind.TABLE_STRUCT, key.specificData(new TableKey()), key.shortName() ?? "");
    }
    case ParamSpecificData.Dynamic:
      return { kind: StepKind.DYNAMIC };
    case ParamSpecificData.TableEntry:
      return { kind: StepKind.TABLE_ENTRY };
    default:
      return brokenStep("parameter of unknown kind");
  }
}

function valued(c: Compiler, kind: StepKind, dop: DOP | null, defaultText: string | null): Content {
  const target = compileDop(c, dop);
  if (target.kind === TargetKind.BROKEN) return brokenStep(c.pool.problems[target.index]!);
  const isScalar = target.kind === TargetKind.SCALAR;
  const isEnvData = dop?.specificDataType() === SpecificDOPData.EnvData;
  return {
    kind,
    targetKind: target.kind,
    target: target.index,
    isFlat: target.kind === TargetKind.STRUCTURE && (isEnvData || c.options.shape === "cda"),
    fallback: isScalar && defaultText !== null ? physicalValue(c.pool.scalars[target.index]!, defaultText) : undefined,
  };
}

/** A physical value that the database writes as text, as a client would send it. */
function physicalValue(scalar: Scalar, text: string): string | number | bigint {
  const isNumeric = scalar.coded.base < Base.TEXT && scalar.compu.category !== Category.TEXT_TABLE;
  const trimmed = text.trim();
  if (!isNumeric || trimmed === "" || Number.isNaN(Number(trimmed))) return text;
  return /^[+-]?\d{16,}$/.test(trimmed) ? BigInt(trimmed) : Number(trimmed);
}

const THROWING: Failing = {
  fail: (kind, text) => {
    throw codecFault(kind, text, "");
  },
};

function physConst(c: Compiler, constant: PhysConst | null): Content {
  const content = valued(c, StepKind.PHYS_CONST, constant?.dop() ?? null, null);
  if (content.targetKind !== TargetKind.SCALAR) return content;
  const scalar = c.pool.scalars[content.target!]!;
  try {
    const value = physicalValue(scalar, constant?.physConstantValue() ?? "");
    return { ...content, constants: [internalOf(scalar, value, "hex", THROWING)] };
  } catch (error) {
    return brokenStep(`PHYS-CONST: ${reasonOf(error)}`);
  }
}

function constants(
  c: Compiler,
  kind: StepKind,
  type: Parameters<typeof codedOf>[1],
  texts: readonly string[],
): Content {
  const coded = codedOf(c, type);
  if (typeof coded === "string") return brokenStep(coded);
  const values: Internal[] = [];
  for (const text of texts) {
    const value = codedValue(coded, text);
    if (value === undefined) return brokenStep(`constant '${text}' is no value of its type`);
    values.push(value);
  }
  const scalar: Scalar = {
    coded,
    compu: IDENTICAL,
    physical: coded.base,
    internalConstraint: undefined,
    physicalConstraint: undefined,
  };
  return { kind, targetKind: TargetKind.SCALAR, target: addScalar(c, scalar), constants: values };
}

const IDENTICAL = {
  category: Category.IDENTICAL,
  scales: [],
  inverseScales: [],
  points: undefined,
  byText: new Map<string, number>(),
  defaultText: undefined,
  defaultNumber: undefined,
};

/** A coded constant: decimal for numbers, hex for byte fields, else text. */
function codedValue(coded: CodedType, text: string): Internal | undefined {
  if (coded.base === Base.TEXT) return padded(coded, encodeText(text, coded.textEncoding));
  if (coded.base === Base.BYTES) {
    const digits = text.replace(/0x|[\s,]/gi, "");
    if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) return undefined;
    return padded(
      coded,
      Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)),
    );
  }
  const trimmed = text.trim();
  if (trimmed === "" || Number.isNaN(Number(trimmed))) return undefined;
  if (/^[+-]?\d{16,}$/.test(trimmed)) return BigInt(trimmed);
  const number = Number(trimmed);
  if (coded.base === Base.FLOAT32) return Math.fround(number);
  return coded.base === Base.FLOAT64 || Number.isInteger(number) ? number : undefined;
}

/** A value of fixed length stands left, zeros behind. */
function padded(coded: CodedType, bytes: Uint8Array | undefined): Uint8Array | undefined {
  if (bytes === undefined || coded.lengthKind !== LengthKind.STANDARD || bytes.length >= coded.valueBits / 8)
    return bytes;
  const full = new Uint8Array(Math.ceil(coded.valueBits / 8));
  full.set(bytes);
  return full;
}

function matching(
  c: Compiler,
  param: Param,
  match: MatchingRequestParam | null,
  request: ParamList | undefined,
): Content {
  const position = match?.requestBytePos() ?? 0;
  const bytes = match?.byteLength() ?? 0;
  if (match === null || position < 0 || bytes === 0)
    return brokenStep(`MATCHING-REQUEST-PARAM of ${bytes} bytes at request byte ${position}`);
  const content = { kind: StepKind.MATCHING_REQUEST, requestPosition: position, requestBytes: bytes };
  const source = request?.steps.find((step) => step.bytePosition === position && step.bitPosition === 0);
  if (source === undefined || source.targetKind !== TargetKind.SCALAR) return content;
  const isConstant = source.kind === StepKind.CODED_CONST;
  const { coded } = c.pool.scalars[source.target]!;
  if (coded.lengthKind === LengthKind.STANDARD && Math.ceil(coded.bits / 8) !== bytes) return content;
  const typed = {
    ...content,
    targetKind: source.targetKind,
    target: source.target,
    constants: isConstant ? source.constants : [],
    requestName: source.key.name,
  };
  const name = isConstant || c.options.shape === "iso" ? (param.shortName() ?? "") : source.key.name;
  return { ...typed, key: keyOf(c, name) };
}

function tableStep(c: Compiler, kind: StepKind, key: TableKey | null, keyName: string): Content {
  const table = key === null ? undefined : compileTable(c, key, keyName);
  return typeof table === "number" ? { kind, target: table } : brokenStep(table ?? "TABLE-KEY without content");
}

function factsOf(c: Compiler, param: Param, content: Content): PositionFacts {
  return {
    bytePosition: param.bytePosition(),
    bitPosition: param.bitPosition(),
    paramKind: param.specificDataType(),
    dopKind: dopKindOf(c, content),
    bits: fixedBits(c, content),
  };
}

function dopKindOf(c: Compiler, { targetKind, target }: Content): SpecificDOPData {
  if (targetKind === TargetKind.SCALAR) return SpecificDOPData.NormalDOP;
  const isEndOfPdu = targetKind === TargetKind.FIELD && c.pool.fields[target!]!.kind === FieldKind.END_OF_PDU;
  return isEndOfPdu ? SpecificDOPData.EndOfPduField : SpecificDOPData.NONE;
}

function fixedBits(c: Compiler, content: Content): number {
  if (content.kind === StepKind.RESERVED) return content.bits ?? 0;
  if (content.targetKind !== TargetKind.SCALAR) return 0;
  const { coded } = c.pool.scalars[content.target!]!;
  return coded.lengthKind === LengthKind.STANDARD ? coded.bits : 0;
}

/** Keys of the same list that a step looks up. */
function needsOf(c: Compiler, step: Step): readonly string[] {
  if (step.kind === StepKind.TABLE_STRUCT) return [c.pool.tables[step.target]!.keyName];
  if (step.targetKind === TargetKind.ENV_DATA_DESC) return [c.pool.envDescs[step.target]!.selectorName];
  if (step.targetKind !== TargetKind.SCALAR || step.kind === StepKind.CODED_CONST) return [];
  const { lengthKeyName } = c.pool.scalars[step.target]!.coded;
  return lengthKeyName === "" ? [] : [lengthKeyName];
}

/** Names that a step may put into the decoded object; alternatives are lists of their own. */
function shownNames(c: Compiler, step: Step): readonly (readonly string[])[] {
  if (step.isHidden || step.kind === StepKind.DYNAMIC || step.kind === StepKind.TABLE_ENTRY) return [];
  if (step.targetKind === TargetKind.ENV_DATA_DESC)
    return c.pool.envDescs[step.target]!.datas.map((data) => [...(c.shownNames.get(data.list) ?? [])]);
  if (step.targetKind === TargetKind.STRUCTURE && step.isFlat)
    return [[...(c.shownNames.get(c.pool.structures[step.target]!.list) ?? [])]];
  return [[step.key.name]];
}

function repeatsKeys(c: Compiler, steps: readonly Step[]): boolean {
  const seen = new Set<string>();
  for (const step of steps) {
    const names = new Set(shownNames(c, step).flat());
    for (const name of names) if (seen.has(name)) return true;
    for (const name of names) seen.add(name);
  }
  return false;
}
