/** Download of a flash image: 0x34, 0x36, 0x37 (ISO 14229-1 clause 15). */
import { createHash } from "node:crypto";
import { accept, type Definition, type Handler, refuse } from "../matching.ts";
import { type EcuState, SECURITY_LEVELS, type Transfer } from "../state.ts";

const FORMAT_AT = 2;
const ADDRESS_AT = 3;
/** As the ECU has always sent it: its own length in the low nibble, where the standard has the high one. */
const LENGTH_FORMAT_IDENTIFIER = 0x04;
const DATA_AT = 2;

/** The refusal that the flash conditions demand: boot loader in programming session, security level 05, 07 or 09. */
export function flashCondition(state: EcuState, request: Uint8Array): Uint8Array | undefined {
  if (state.variant !== "BOOT" || state.sessionState !== "PROGRAMMING") return refuse(request, "requestOutOfRange");
  if (SECURITY_LEVELS[state.securityAccess] < SECURITY_LEVELS.LEVEL_05) return refuse(request, "securityAccessDenied");
  return undefined;
}

function conditioned(handler: Handler): Handler {
  return (state, request) => flashCondition(state, request) ?? handler(state, request);
}

const requestDownload: Handler = (state, request) => {
  const format = request[FORMAT_AT];
  const sizeAt = ADDRESS_AT + ((format ?? 0) & 0x0f);
  if (format === undefined || request.length < sizeAt) return refuse(request, "incorrectMessageLengthOrInvalidFormat");
  if (state.transfers.some(({ isActive }) => isActive)) return refuse(request, "requestSequenceError");
  const memorySize = new Uint8Array(format >> 4);
  memorySize.set(request.subarray(sizeAt, sizeAt + memorySize.length));
  state.transfers.push({
    addressAndLengthIdentifier: format,
    memoryAddress: new Uint8Array(request.subarray(ADDRESS_AT, sizeAt)),
    memorySize,
    isActive: true,
    dataTransferCount: 0,
    lastBlockCounter: 0,
    hash: createHash("sha1"),
    checksum: undefined,
  });
  const response = Buffer.alloc(5);
  response[0] = LENGTH_FORMAT_IDENTIFIER;
  response.writeUInt32BE(state.maxNumberOfBlockLength, 1);
  return accept(request, response);
};

/** The next block, or the last one again when its answer was lost: then nothing is written twice. */
const transferData: Handler = (state, request) => {
  const transfer = state.transfers.at(-1);
  const counter = request[1];
  if (counter === undefined) return refuse(request, "incorrectMessageLengthOrInvalidFormat");
  if (transfer === undefined || !transfer.isActive) return refuse(request, "requestSequenceError");
  const isNext = counter === ((transfer.lastBlockCounter + 1) & 0xff);
  const isRepeat = transfer.dataTransferCount > 0 && counter === transfer.lastBlockCounter;
  if (!isNext && !isRepeat) return refuse(request, "wrongBlockSequenceCounter");
  if (isNext) takeBlock(transfer, counter, request.subarray(DATA_AT));
  return accept(request, [counter]);
};

function takeBlock(transfer: Transfer, counter: number, data: Uint8Array): void {
  transfer.hash.update(data);
  transfer.dataTransferCount++;
  transfer.lastBlockCounter = counter;
}

const transferExit: Handler = (state, request) => {
  const transfer = state.transfers.at(-1);
  if (transfer === undefined) return refuse(request, "requestSequenceError");
  transfer.isActive = false;
  transfer.checksum ??= transfer.hash.digest();
  return accept(request);
};

export const TRANSFER_SERVICES: readonly Definition[] = [
  ["34[]", conditioned(requestDownload)],
  ["36[]", conditioned(transferData)],
  ["37", conditioned(transferExit)],
];
