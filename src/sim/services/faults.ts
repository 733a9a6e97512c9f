/** Fault memory services 0x14 and 0x19 (ISO 14229-1 clause 12). */
import type { Dtc, FaultMemory } from "../dtc.ts";
import { accept, type Definition, type Handler, refuse } from "../matching.ts";
import type { EcuState } from "../state.ts";

const AVAILABILITY_MASK = 0xff;
const DTC_FORMAT_ISO_14229 = 0x01;
const ALL_DTCS = 0xffffff;
const MEMORY_BY_SELECTION: readonly FaultMemory[] = ["Standard", "Development"];

const clear: Handler = (state, request) => {
  if (request.length < 4) return refuse(request, "incorrectMessageLengthOrInvalidFormat");
  const dtc = u24(request, 1);
  const selected = request.length > 4 ? [MEMORY_BY_SELECTION[request[4]!]] : MEMORY_BY_SELECTION;
  for (const memory of selected) {
    if (memory === undefined) continue;
    if (dtc === ALL_DTCS) state.dtcs[memory].clear();
    else state.dtcs[memory].delete(dtc);
  }
  return accept(request);
};

const countByMask: Handler = (state, request) => {
  if (request.length < 3) return refuse(request, "incorrectMessageLengthOrInvalidFormat");
  const count = byMask(state, request[2]!).length;
  return accept(request, [AVAILABILITY_MASK, DTC_FORMAT_ISO_14229, count >> 8, count & 0xff]);
};

const listByMask: Handler = (state, request) => {
  if (request.length < 3) return refuse(request, "incorrectMessageLengthOrInvalidFormat");
  return accept(request, [AVAILABILITY_MASK, ...byMask(state, request[2]!).flatMap(head)]);
};

/** The DTCs of the memory that is named behind the mask. */
const listMemoryByMask: Handler = (state, request) => {
  const [, , mask = 0, selection = 0] = request;
  const memory = request.length === 4 ? MEMORY_BY_SELECTION[selection] : undefined;
  if (memory === undefined) return refuse(request, "requestOutOfRange");
  return accept(request, [selection, AVAILABILITY_MASK, ...byMask(state, mask, memory).flatMap(head)]);
};

/** All records of one DTC; the record number asked for is not looked at. */
function records(bytesOf: (dtc: Dtc) => number[]): Handler {
  return (state, request) => {
    if (request.length < 6) return refuse(request, "incorrectMessageLengthOrInvalidFormat");
    const dtc = state.dtcs.Standard.get(u24(request, 2));
    return dtc === undefined ? refuse(request, "requestOutOfRange") : accept(request, [...head(dtc), ...bytesOf(dtc)]);
  };
}

/** The same for the memory that is named behind the record number. */
function memoryRecords(bytesOf: (dtc: Dtc) => number[]): Handler {
  return (state, request) => {
    const selection = request[6];
    const memory = request.length === 7 && selection !== undefined ? MEMORY_BY_SELECTION[selection] : undefined;
    const dtc = memory === undefined ? undefined : state.dtcs[memory].get(u24(request, 2));
    if (dtc === undefined) return refuse(request, "requestOutOfRange");
    return accept(request, [selection!, ...head(dtc), ...bytesOf(dtc)]);
  };
}

function snapshotBytes(dtc: Dtc): number[] {
  return dtc.snapshots.flatMap(({ recordNumber, records }) => [
    recordNumber,
    records.length,
    ...records.flatMap(({ did, data }) => [did >> 8, did & 0xff, ...data]),
  ]);
}

function extendedDataBytes(dtc: Dtc): number[] {
  return dtc.extendedData.flatMap(({ recordNumber, data }) => [recordNumber, ...data]);
}

function byMask(state: EcuState, mask: number, memory: FaultMemory = "Standard"): Dtc[] {
  return [...state.dtcs[memory].values()].filter((dtc) => (dtc.status & mask) !== 0);
}

function head({ id, status }: Dtc): number[] {
  return [id >> 16, (id >> 8) & 0xff, id & 0xff, status];
}

function u24(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
}

export const FAULT_SERVICES: readonly Definition[] = [
  ["14[]", clear],
  ["1901[]", countByMask],
  ["1902[]", listByMask],
  ["1904[]", records(snapshotBytes)],
  ["1906[]", records(extendedDataBytes)],
  ["1917[]", listMemoryByMask],
  ["1918[]", memoryRecords(snapshotBytes)],
  ["1919[]", memoryRecords(extendedDataBytes)],
];
