/** Service definitions as a table and how a request finds its row: longest definition first, then order of definition. */
import { fromHex } from "#core/bytes.ts";
import { NRCS, type NrcName } from "#uds/nrc.ts";
import { matchBytes, NEGATIVE_RESPONSE_SID, POSITIVE_RESPONSE_OFFSET } from "#uds/services.ts";
import type { EcuState } from "./state.ts";

/** Answers a request and changes only the state it is given. Undefined: the ECU stays silent. */
export type Handler = (state: EcuState, request: Uint8Array) => Uint8Array | undefined;

/** Request in hex; `[]` at its end lets any bytes follow, without it the request must be exactly this. */
export type Definition = readonly [request: string, handler: Handler];

interface Row {
  readonly bytes: Uint8Array;
  readonly open: boolean;
  readonly handler: Handler;
}

/** SID → rows in the order in which they are tried. */
export type ServiceIndex = readonly (readonly Row[])[];

/** Index of definitions by SID. Throws on a definition that is not hex. */
export function indexServices(definitions: readonly Definition[]): ServiceIndex {
  const index: Row[][] = Array.from({ length: 256 }, () => []);
  for (const [text, handler] of definitions) {
    const open = text.endsWith("[]");
    const bytes = fromHex(open ? text.slice(0, -2) : text);
    if (bytes === undefined || bytes.length === 0) throw new Error(`service definition is not hex: ${text}`);
    index[bytes[0]!]!.push({ bytes, open, handler });
  }
  for (const rows of index) rows.sort((a, b) => b.bytes.length - a.bytes.length);
  return index;
}

/** The ECU's answer to one request; undefined when it stays silent. */
export function answer(index: ServiceIndex, state: EcuState, request: Uint8Array): Uint8Array | undefined {
  for (const row of index[request[0]!] ?? []) if (matches(row, request)) return row.handler(state, request);
  return refuse(request, "requestOutOfRange");
}

/** The negative response to a request. */
export function refuse(request: Uint8Array, nrc: NrcName): Uint8Array {
  return Uint8Array.of(NEGATIVE_RESPONSE_SID, request[0]!, NRCS[nrc].code);
}

/** The positive response: SID + 0x40, the bytes that this service repeats from its request, then `tail`. */
export function accept(request: Uint8Array, tail?: ArrayLike<number>): Uint8Array {
  const repeated = Math.min(matchBytes(request[0]!), request.length);
  const response = new Uint8Array(repeated + (tail?.length ?? 0));
  for (let i = 0; i < repeated; i++) response[i] = request[i]!;
  response[0]! += POSITIVE_RESPONSE_OFFSET;
  if (tail !== undefined) response.set(tail, repeated);
  return response;
}

function matches({ bytes, open }: Row, request: Uint8Array): boolean {
  if (open ? request.length < bytes.length : request.length !== bytes.length) return false;
  for (let i = 1; i < bytes.length; i++) if (bytes[i] !== request[i]) return false;
  return true;
}
