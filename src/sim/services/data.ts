/** Data identifiers (ISO 14229-1 clause 11): the built-in ones and those an ECU is given. */
import { accept, type Definition, type Handler, refuse } from "../matching.ts";
import { type BlockType, type EcuState, SESSIONS, VARIANTS } from "../state.ts";

type Read = (state: EcuState) => ArrayLike<number>;

const BUILT_IN: Readonly<Record<string, Read>> = {
  F100: ({ variant }) => VARIANTS[variant],
  F180: ({ blocks }) => versions(blocks, "BOOT"),
  F181: ({ blocks }) => versions(blocks, "CODE"),
  F182: ({ blocks }) => versions(blocks, "DATA"),
  F186: ({ sessionState }) => [SESSIONS[sessionState].active],
  F190: ({ vin }) => Buffer.from(vin, "latin1"),
  F199: () => programmingDate(new Date()),
  F200: () => [0x00, 0x00, 0x00, 0x0a],
};

const DID_BYTES = 3;

/** Number of blocks of the type, then major, minor and patch of each. */
function versions(blocks: EcuState["blocks"], type: BlockType): number[] {
  const own = blocks.filter((block) => block.type === type);
  return [own.length, ...own.flatMap(({ softwareVersion }) => softwareVersion.split(".").map(Number))];
}

/** Year, month, day in binary; the odd year formula is the one that testers of this ECU have always read (2026 gives 0). */
function programmingDate(date: Date): number[] {
  const year = date.getFullYear();
  return [year % Math.trunc(year / 1000), date.getMonth() + 1, date.getDate()];
}

const readGiven: Handler = (state, request) => {
  const found = request.length === DID_BYTES ? state.data.get(identifier(request)) : undefined;
  return found === undefined ? refuse(request, "requestOutOfRange") : accept(request, found.value);
};

/** A value keeps its length: another one is refused. */
const writeGiven: Handler = (state, request) => {
  const found = request.length > DID_BYTES ? state.data.get(identifier(request)) : undefined;
  if (found?.writable !== true) return refuse(request, "requestOutOfRange");
  if (request.length - DID_BYTES !== found.value.length)
    return refuse(request, "incorrectMessageLengthOrInvalidFormat");
  found.value = new Uint8Array(request.subarray(DID_BYTES));
  return accept(request);
};

function identifier(request: Uint8Array): number {
  return (request[1]! << 8) | request[2]!;
}

export const DATA_SERVICES: readonly Definition[] = [
  ...Object.entries(BUILT_IN).map(
    ([did, read]): Definition => [`22${did}`, (state, request) => accept(request, read(state))],
  ),
  ["22F19B", (_, request) => refuse(request, "generalProgrammingFailure")],
  ["22[]", readGiven],
  ["2E[]", writeGiven],
];
