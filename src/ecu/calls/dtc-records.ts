/** A DTC and its status byte are four bytes (ISO 14229-1, 11.3.2). */
const RECORD_BYTES = 4;

/** DTCs of a report whose list begins at `offset`; a cut-off last one is left out. */
export function dtcRecords(response: Uint8Array, offset: number): { code: number; status: number }[] {
  const records: { code: number; status: number }[] = [];
  for (let at = offset; at + RECORD_BYTES <= response.length; at += RECORD_BYTES) {
    const code = (response[at]! << 16) | (response[at + 1]! << 8) | response[at + 2]!;
    records.push({ code, status: response[at + 3]! });
  }
  return records;
}
