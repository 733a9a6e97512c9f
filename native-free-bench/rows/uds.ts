/** UDS: which response belongs to which request, and the small text codecs beside it. */
import { toHex } from "#core/bytes.ts";
import { formatDtc, formatSaeDtc, parseDtc } from "#mdd/query/dtc.ts";
import { matchResponse } from "#uds/match.ts";
import { bytes, type Rows } from "./row.ts";

const read = bytes("22f190");
const answer = bytes("62f1905343454454323654384244303035323631");
const refusal = bytes("7f2231");
const pending = bytes("7f2278");

export const UDS_ROWS: Rows = {
  "UDS: match a positive response": () => matchResponse(read, answer),
  "UDS: match a refusal": () => matchResponse(read, refusal),
  "UDS: match response pending": () => matchResponse(read, pending),
  "bytes: to hexadecimal": () => toHex(answer),
  "bytes: from hexadecimal": () => bytes("62F1905343454454323654384244303035323631"),
  "DTC: format": () => formatDtc(0x1e240),
  "DTC: format (SAE)": () => formatSaeDtc(0x1e240),
  "DTC: parse": () => parseDtc("01E240"),
};
