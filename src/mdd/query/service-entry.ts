import {
  type AdditionalAudience,
  type Audience as AudienceTable,
  CodedConst,
  DataType,
  type DiagComm,
  type DiagService,
  type Param,
  ParamSpecificData,
  SpecificDataType,
  StandardLengthType,
} from "#mdd/generated/dataformat.ts";
import { each, required } from "./database.ts";
import { trimAffix, trimServiceName } from "./naming.ts";
import type { NamingConvention } from "./naming-convention.ts";

/** Which resource collection a service belongs to. */
export type ServiceType = "Configurations" | "Data" | "Faults" | "Modes" | "Operations";

/** Service identifiers (ISO 14229-1) by resource collection; services with another SID are not addressable by name. */
export const SIDS_BY_TYPE: Readonly<Record<ServiceType, readonly number[]>> = {
  Configurations: [0x2e],
  Data: [0x21, 0x22],
  Faults: [0x14, 0x19],
  Modes: [0x10, 0x11, 0x27, 0x28, 0x29, 0x85],
  Operations: [0x2f, 0x31, 0x34, 0x36, 0x37],
};

const TYPE_BY_SID: ReadonlyMap<number, ServiceType> = new Map(
  Object.entries(SIDS_BY_TYPE).flatMap(([type, sids]) => sids.map((sid) => [sid, type as ServiceType] as const)),
);

/** A change of state that a positive response to a service brings about, by state short names. */
export interface StateTransition {
  readonly source: string;
  readonly target: string;
}

/** Who may use a service (ODX AUDIENCE); absent in the database: no restriction. */
export interface Audience {
  readonly enabled: readonly string[];
  readonly disabled: readonly string[];
  readonly isSupplier: boolean;
  readonly isDevelopment: boolean;
  readonly isManufacturing: boolean;
  readonly isAfterSales: boolean;
  readonly isAfterMarket: boolean;
}

/** What is asked of a service at run-time, decoded once. `table` is where its DiagService lies: the key for codec plans. */
export interface ServiceEntry {
  readonly table: number;
  readonly shortName: string;
  /** Short name without the general affix, case kept: the id of a data or configuration resource. */
  readonly id: string;
  /** Short name without the affix of its SID, case kept: the id of an operation or the value of a mode. */
  readonly serviceId: string;
  /** Long name without affix; empty when there is none. */
  readonly name: string;
  readonly semantic: string | undefined;
  readonly type: ServiceType | undefined;
  readonly sid: number | undefined;
  /** The constant second byte of the request: sub-function, or high byte of an identifier stored as two bytes. */
  readonly subFunction: number | undefined;
  /** Bytes every request begins with, as the database fixes them. */
  readonly prefix: Uint8Array;
  readonly functionalClasses: readonly string[];
  readonly preconditions: readonly string[];
  readonly transitions: readonly StateTransition[];
  readonly audience: Audience | undefined;
  readonly isExecutable: boolean;
}

/** Reads a service. @throws Fault invalidDatabase when it has no DIAG-COMM or no short name */
export function readService(service: DiagService, naming: NamingConvention): ServiceEntry {
  const comm = required(service.diagComm(), "DiagService.diag_comm");
  const shortName = required(comm.shortName(), "DiagComm.short_name");
  const request = service.request();
  const params = request === null ? [] : each(request.paramsLength(), (i) => request.params(i));
  const { bytes: prefix, subFunction } = readPrefix(params);
  const sid = prefix[0];
  return {
    table: service.bb_pos,
    shortName,
    id: trimAffix(shortName, naming.shortName),
    serviceId: trimServiceName(naming, shortName, sid),
    name: trimAffix(comm.longName()?.value() ?? "", naming.longName),
    semantic: comm.semantic() ?? undefined,
    type: sid === undefined ? undefined : TYPE_BY_SID.get(sid),
    sid,
    subFunction,
    prefix,
    ...readComm(comm),
  };
}

function readComm(comm: DiagComm) {
  const audience = comm.audience();
  return {
    functionalClasses: each(comm.functClassLength(), (i) => comm.functClass(i)?.shortName() ?? null),
    preconditions: each(
      comm.preConditionStateRefsLength(),
      (i) => comm.preConditionStateRefs(i)?.state()?.shortName() ?? null,
    ),
    transitions: each(comm.stateTransitionRefsLength(), (i) => readTransition(comm, i)),
    audience: audience === null ? undefined : readAudience(audience),
    isExecutable: comm.isExecutable(),
  };
}

function readTransition(comm: DiagComm, index: number): StateTransition | null {
  const transition = comm.stateTransitionRefs(index)?.stateTransition();
  const source = transition?.sourceShortNameRef();
  const target = transition?.targetShortNameRef();
  return typeof source === "string" && typeof target === "string" ? { source, target } : null;
}

/** Audience of a service or job, as plain data. */
export function readAudience(audience: AudienceTable): Audience {
  const names = (length: number, get: (index: number) => AdditionalAudience | null) =>
    each(length, (i) => get(i)?.shortName() ?? null);
  return {
    enabled: names(audience.enabledAudiencesLength(), (i) => audience.enabledAudiences(i)),
    disabled: names(audience.disabledAudiencesLength(), (i) => audience.disabledAudiences(i)),
    isSupplier: audience.isSupplier(),
    isDevelopment: audience.isDevelopment(),
    isManufacturing: audience.isManufacturing(),
    isAfterSales: audience.isAfterSales(),
    isAfterMarket: audience.isAfterMarket(),
  };
}

interface Constant {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/**
 * The fixed bytes at the start of a request: constants without a gap from byte 0 on, each counted in whole bytes. An absent byte position of a
 * constant is 0 (the converter cannot store a zero).
 */
function readPrefix(params: readonly Param[]): { bytes: Uint8Array; subFunction: number | undefined } {
  const constants = new Map<number, Uint8Array>();
  for (const param of params) {
    const constant = readConstant(param);
    if (constant !== undefined && !constants.has(constant.position)) constants.set(constant.position, constant.bytes);
  }
  const bytes: number[] = [];
  for (let next = constants.get(0); next !== undefined; next = constants.get(bytes.length)) bytes.push(...next);
  const second = constants.get(1);
  const subFunction = bytes.length > 1 && second?.length === 1 ? second[0] : undefined;
  return { bytes: Uint8Array.from(bytes), subFunction };
}

/** A constant that can be told from a request's first bytes: UINT32 from bit 0 on, unmasked, written in decimal. */
function readConstant(param: Param): Constant | undefined {
  if (param.specificDataType() !== ParamSpecificData.CodedConst || (param.bitPosition() ?? 0) !== 0) return undefined;
  const constant = param.specificData(new CodedConst());
  const type = constant?.diagCodedType() ?? null;
  const text = constant?.codedValue() ?? "";
  if (type === null || type.baseDataType() !== DataType.A_UINT_32 || !/^\d{1,10}$/.test(text)) return undefined;
  if (type.specificDataType() !== SpecificDataType.StandardLengthType) return undefined;
  const length = type.specificData(new StandardLengthType());
  if (length === null || length.condensed() || length.bitMaskLength() > 0) return undefined;
  const bytes = toBytes(Number(text), length.bitLength(), type.isHighLowByteOrder());
  return bytes === undefined ? undefined : { position: param.bytePosition() ?? 0, bytes };
}

function toBytes(value: number, bits: number, isHighLow: boolean): Uint8Array | undefined {
  if (bits === 0 || bits > 32 || value >= 2 ** bits) return undefined;
  const bytes = new Uint8Array(Math.ceil(bits / 8));
  for (let i = bytes.length - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256;
  return isHighLow ? bytes : bytes.reverse();
}
