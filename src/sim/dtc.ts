/** Fault memories: DTC numbers, status bits (ISO 14229-1 annex D.2), and their form in the control API. */
import { fromHex, hexByte, toHex } from "#core/bytes.ts";
import { DTC_STATUS_BITS, type DtcStatusBit } from "#core/dtc-status.ts";

export const FAULT_MEMORIES = ["Standard", "Development"] as const;
export type FaultMemory = (typeof FAULT_MEMORIES)[number];

const DEFAULT_STATUS: Partial<Record<DtcStatusBit, boolean>> = { testFailed: true, confirmedDtc: true };
const LETTERS = "PCBU";

export interface Snapshot {
  readonly recordNumber: number;
  readonly records: readonly { readonly did: number; readonly data: Uint8Array }[];
}

export interface ExtendedData {
  readonly recordNumber: number;
  readonly data: Uint8Array;
}

export interface Dtc {
  /** 24 bits. */
  readonly id: number;
  readonly status: number;
  readonly emissionsRelated: boolean;
  readonly snapshots: readonly Snapshot[];
  readonly extendedData: readonly ExtendedData[];
}

/** A DTC as JSON takes it. */
export interface DtcInput {
  readonly id: string;
  readonly statusMask?: string;
  readonly status?: Partial<Record<DtcStatusBit, boolean>>;
  readonly emissionsRelated?: boolean;
  readonly snapshots?: readonly { recordNumber: string; records: readonly { did: string; data: string }[] }[];
  readonly extendedData?: readonly { recordNumber: string; data: string }[];
}

export type ParsedDtc = { readonly dtc: Dtc } | { readonly problem: "malformed" | "lowerCaseLetter" };

/**
 * Number of a DTC written as six hex digits or as letter (P, C, B, U: bits 23 and 22), digit 0 to 3 and five hex digits.
 * A lower-case letter is told apart because the control API answers it differently.
 */
export function parseDtcId(text: string): number | "malformed" | "lowerCaseLetter" {
  if (/^[0-9a-fA-F]{6}$/.test(text)) return Number.parseInt(text, 16);
  const letterForm = /^([PCBUpcbu])([0-3])([0-9a-fA-F]{5})$/.exec(text);
  if (letterForm === null) return "malformed";
  const letter = LETTERS.indexOf(letterForm[1]!);
  if (letter < 0) return "lowerCaseLetter";
  return (letter << 22) | (Number(letterForm[2]) << 20) | Number.parseInt(letterForm[3]!, 16);
}

/** The DTC of its JSON form; `statusMask` wins over `status`. */
export function parseDtc(input: DtcInput): ParsedDtc {
  const id = parseDtcId(input.id);
  if (typeof id === "string") return { problem: id };
  const status = input.statusMask === undefined ? statusOf(input.status ?? {}) : hexNumber(input.statusMask, 1);
  const snapshots = (input.snapshots ?? []).map(({ recordNumber, records }) => ({
    recordNumber: hexNumber(recordNumber, 1),
    records: records.map(({ did, data }) => ({ did: hexNumber(did, 2), data: fromHex(data) })),
  }));
  const extendedData = (input.extendedData ?? []).map(({ recordNumber, data }) => ({
    recordNumber: hexNumber(recordNumber, 1),
    data: fromHex(data),
  }));
  const whole =
    status !== undefined &&
    snapshots.every(isWholeSnapshot) &&
    extendedData.every((r) => r.recordNumber !== undefined && r.data !== undefined);
  if (!whole) return { problem: "malformed" };
  return {
    dtc: {
      id,
      status,
      emissionsRelated: input.emissionsRelated ?? false,
      snapshots: snapshots as Snapshot[],
      extendedData: extendedData as ExtendedData[],
    },
  };
}

/** JSON form of a DTC: id in lower case without leading zeros, status mask in upper case. */
export function dtcView(dtc: Dtc): Record<string, unknown> {
  return {
    id: dtc.id.toString(16),
    status: Object.fromEntries(DTC_STATUS_BITS.map((name, bit) => [name, (dtc.status & (1 << bit)) !== 0])),
    statusMask: hexByte(dtc.status),
    emissionsRelated: dtc.emissionsRelated,
    snapshots: dtc.snapshots.map(({ recordNumber, records }) => ({
      recordNumber: hexByte(recordNumber),
      records: records.map(({ did, data }) => ({
        did: did.toString(16).toUpperCase().padStart(4, "0"),
        data: toHex(data),
      })),
    })),
    extendedData: dtc.extendedData.map(({ recordNumber, data }) => ({
      recordNumber: hexByte(recordNumber),
      data: toHex(data),
    })),
  };
}

function statusOf(bits: Partial<Record<DtcStatusBit, boolean>>): number {
  let status = 0;
  DTC_STATUS_BITS.forEach((name, bit) => {
    if (bits[name] ?? DEFAULT_STATUS[name]) status |= 1 << bit;
  });
  return status;
}

function isWholeSnapshot(snapshot: {
  recordNumber: number | undefined;
  records: { did?: number | undefined; data: unknown }[];
}) {
  return (
    snapshot.recordNumber !== undefined && snapshot.records.every((r) => r.did !== undefined && r.data !== undefined)
  );
}

/** Value of exactly `bytes` bytes of hex. */
function hexNumber(text: string, bytes: number): number | undefined {
  const value = fromHex(text);
  return value?.length === bytes ? value.reduce((sum, byte) => sum * 256 + byte, 0) : undefined;
}
