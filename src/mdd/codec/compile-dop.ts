/** From DOPs in the FlatBuffer to sub-plans (ISO 22901-1 §7.3.6). */
import {
  type Case,
  type DefaultCase,
  type DOP,
  DTCDOP,
  DynamicLengthField,
  EndOfPduField,
  EnvData,
  EnvDataDesc,
  type Field,
  MUXDOP,
  NormalDOP,
  SpecificDOPData,
  StaticField,
  Structure,
} from "#mdd/generated/dataformat.ts";
import { baseOf, compileCoded, compileCompu, compileConstraint, compileInterval, elements } from "./compile-scalar.ts";
import { addScalar, broken, type Compiler, keyOf, linkKeys, registerOf } from "./compiler.ts";
import { UNBOUNDED } from "./limits.ts";
import {
  Base,
  type CasePlan,
  type CodedType,
  type DtcInfo,
  type EnvDescPlan,
  FieldKind,
  type FieldPlan,
  type Target,
  TargetKind,
} from "./plan.ts";

/** Nested DOPs that are followed; real databases need about ten. */
const MAX_DEPTH = 64;

/** Compiles a DOP, or finds that it has been compiled. A damaged one becomes a target that tells what is wrong. */
export function compileDop(c: Compiler, dop: DOP | null): Target {
  if (dop === null) return broken(c, "no DOP");
  const memo = `dop ${dop.bb_pos}`;
  const known = c.targets.get(memo);
  if (known !== undefined) return known;
  if (c.depth >= MAX_DEPTH) return broken(c, "DOPs are nested too deep");
  c.depth++;
  const target = compileKind(c, dop);
  c.depth--;
  c.targets.set(memo, target);
  return target;
}

function compileKind(c: Compiler, dop: DOP): Target {
  switch (dop.specificDataType()) {
    case SpecificDOPData.NormalDOP:
      return compileScalar(c, dop.specificData(new NormalDOP()));
    case SpecificDOPData.Structure:
      return compileStructure(c, dop.specificData(new Structure()));
    case SpecificDOPData.EnvData:
      return compileEnvData(c, dop.specificData(new EnvData()));
    case SpecificDOPData.StaticField:
      return compileStatic(c, dop.specificData(new StaticField()));
    case SpecificDOPData.EndOfPduField:
      return compileEndOfPdu(c, dop.specificData(new EndOfPduField()));
    case SpecificDOPData.DynamicLengthField:
      return compileDynamic(c, dop.specificData(new DynamicLengthField()));
    case SpecificDOPData.MUXDOP:
      return compileMux(c, dop.specificData(new MUXDOP()));
    case SpecificDOPData.DTCDOP:
      return compileDtc(c, dop.specificData(new DTCDOP()));
    case SpecificDOPData.EnvDataDesc:
      return compileEnvDesc(c, dop.specificData(new EnvDataDesc()));
    default:
      return broken(c, "DOP of unknown kind");
  }
}

/** Compiles a coded type with the options of this compilation. */
export function codedOf(c: Compiler, type: Parameters<typeof compileCoded>[0]): CodedType | string {
  return compileCoded(type, c.options.lengthKeyUnit === "bytes" ? 8 : 1, (name) => registerOf(c, name));
}

function compileScalar(c: Compiler, dop: NormalDOP | null): Target {
  if (dop === null) return broken(c, "DATA-OBJECT-PROP without content");
  const coded = codedOf(c, dop.diagCodedType());
  if (typeof coded === "string") return broken(c, coded);
  const compu = compileCompu(dop.compuMethod(), coded.base);
  if (typeof compu === "string") return broken(c, compu);
  const physical = dop.physicalType();
  const index = addScalar(c, {
    coded,
    compu,
    physical: physical === null ? Base.NONE : baseOf(physical.baseDataType()),
    internalConstraint: compileConstraint(dop.internalConstr(), coded.base),
    physicalConstraint: compileConstraint(dop.physConstr(), coded.base),
  });
  return { kind: TargetKind.SCALAR, index };
}

function compileStructure(c: Compiler, structure: Structure | null): Target {
  if (structure === null) return broken(c, "STRUCTURE without content");
  const list = c.compileMembers(
    c,
    elements(structure.paramsLength(), (i) => structure.params(i)),
  );
  // a stored BYTE-SIZE of 0 says nothing (odx-converter never stores one)
  const index = c.pool.structures.push({ list, byteSize: structure.byteSize() || -1 }) - 1;
  return { kind: TargetKind.STRUCTURE, index };
}

function compileEnvData(c: Compiler, data: EnvData | null): Target {
  if (data === null) return broken(c, "ENV-DATA without content");
  const list = c.compileMembers(
    c,
    elements(data.paramsLength(), (i) => data.params(i)),
  );
  return { kind: TargetKind.STRUCTURE, index: c.pool.structures.push({ list, byteSize: -1 }) - 1 };
}

/** A field's item: its BASIC-STRUCTURE, or the environment data in its place. */
function compileItem(c: Compiler, field: Field | null): Target {
  const structure = field?.basicStructure() ?? null;
  const item = compileDop(c, structure ?? field?.envDataDesc() ?? null);
  const isFit = item.kind === TargetKind.STRUCTURE || item.kind === TargetKind.ENV_DATA_DESC;
  return isFit || item.kind === TargetKind.BROKEN ? item : broken(c, "a field needs a structure");
}

function addField(c: Compiler, field: Partial<FieldPlan> & Pick<FieldPlan, "kind" | "item">): Target {
  if (field.item.kind === TargetKind.BROKEN) return field.item;
  const defaults = {
    minItems: 0,
    maxItems: Number.MAX_SAFE_INTEGER,
    itemBytes: 0,
    offset: 0,
    countByte: 0,
    countBit: 0,
    countScalar: -1,
  };
  return { kind: TargetKind.FIELD, index: c.pool.fields.push({ ...defaults, ...field }) - 1 };
}

function compileStatic(c: Compiler, field: StaticField | null): Target {
  if (field === null) return broken(c, "STATIC-FIELD without content");
  const items = field.fixedNumberOfItems();
  if (field.itemByteSize() === 0) return broken(c, "STATIC-FIELD with items of no bytes");
  return addField(c, {
    kind: FieldKind.STATIC,
    item: compileItem(c, field.field()),
    minItems: items,
    maxItems: items,
    itemBytes: field.itemByteSize(),
  });
}

function compileEndOfPdu(c: Compiler, field: EndOfPduField | null): Target {
  if (field === null) return broken(c, "END-OF-PDU-FIELD without content");
  return addField(c, {
    kind: FieldKind.END_OF_PDU,
    item: compileItem(c, field.field()),
    minItems: field.minNumberOfItems() ?? 0,
    maxItems: field.maxNumberOfItems() || Number.MAX_SAFE_INTEGER,
  });
}

function compileDynamic(c: Compiler, field: DynamicLengthField | null): Target {
  const determine = field?.determineNumberOfItems() ?? null;
  if (field === null || determine === null) return broken(c, "DYNAMIC-LENGTH-FIELD without DETERMINE-NUMBER-OF-ITEMS");
  const count = compileDop(c, determine.dop());
  if (count.kind !== TargetKind.SCALAR) return broken(c, "the number of items needs a simple DOP");
  return addField(c, {
    kind: FieldKind.DYNAMIC_LENGTH,
    item: compileItem(c, field.field()),
    offset: field.offset(),
    countByte: determine.bytePosition(),
    countBit: determine.bitPosition() & 7,
    countScalar: count.index,
  });
}

function compileMux(c: Compiler, mux: MUXDOP | null): Target {
  const key = mux?.switchKey() ?? null;
  if (mux === null || key === null) return broken(c, "MUX without SWITCH-KEY");
  const scalar = compileDop(c, key.dop());
  if (scalar.kind !== TargetKind.SCALAR) return broken(c, "a switch key needs a simple DOP");
  const { base } = c.pool.scalars[scalar.index]!.coded;
  const defaultCase = mux.defaultCase();
  const index =
    c.pool.muxes.push({
      bytePosition: mux.bytePosition(),
      switchByte: key.bytePosition(),
      switchBit: (key.bitPosition() ?? 0) & 7,
      switchScalar: scalar.index,
      cases: elements(mux.casesLength(), (i) => mux.cases(i)).map((one) => ({
        ...compileCase(c, one),
        limits: compileInterval(one.lowerLimit(), one.upperLimit(), base),
      })),
      defaultCase: defaultCase === null ? undefined : { ...compileCase(c, defaultCase), limits: UNBOUNDED },
    }) - 1;
  return { kind: TargetKind.MUX, index };
}

function compileCase(c: Compiler, one: Case | DefaultCase): Pick<CasePlan, "key" | "structure"> {
  const structure = one.structure();
  return {
    key: keyOf(c, one.shortName() ?? ""),
    structure: structure === null ? undefined : structureOnly(c, compileDop(c, structure)),
  };
}

function structureOnly(c: Compiler, target: Target): Target {
  return target.kind === TargetKind.STRUCTURE || target.kind === TargetKind.BROKEN
    ? target
    : broken(c, "a case needs a structure");
}

function compileDtc(c: Compiler, dop: DTCDOP | null): Target {
  if (dop === null) return broken(c, "DTC-DOP without content");
  const coded = codedOf(c, dop.diagCodedType());
  if (typeof coded === "string") return broken(c, coded);
  if (coded.base >= Base.FLOAT32) return broken(c, "a trouble code needs an integer type");
  const byCode = new Map<number, DtcInfo>();
  for (const dtc of elements(dop.dtcsLength(), (i) => dop.dtcs(i))) {
    const code = dtc.troubleCode();
    const display = dtc.displayTroubleCode();
    const info = { code, fault_name: dtc.text()?.value() ?? "", severity: dtc.level() ?? 0 };
    if (!byCode.has(code)) byCode.set(code, display === null ? info : { ...info, display_code: display });
  }
  return { kind: TargetKind.DTC, index: c.pool.dtcs.push({ coded, byCode }) - 1 };
}

function compileEnvDesc(c: Compiler, desc: EnvDataDesc | null): Target {
  const selectorName = desc?.paramShortName() ?? null;
  if (desc === null || selectorName === null) return broken(c, "ENV-DATA-DESC without PARAM-SNREF");
  const datas = elements(desc.envDatasLength(), (i) => desc.envDatas(i)).flatMap((dop) => {
    const data = dop.specificDataType() === SpecificDOPData.EnvData ? dop.specificData(new EnvData()) : null;
    const target = compileDop(c, dop);
    if (data === null || target.kind !== TargetKind.STRUCTURE) return [];
    const codes = elements(data.dtcValuesLength(), (i) => data.dtcValues(i));
    return [{ codes, list: c.pool.structures[target.index]!.list }];
  });
  const plan: EnvDescPlan = { selectorName, selectorRegister: -1, datas };
  linkKeys(c, plan);
  return { kind: TargetKind.ENV_DATA_DESC, index: c.pool.envDescs.push(plan) - 1 };
}
