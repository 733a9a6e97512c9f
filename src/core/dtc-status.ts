/** Bits of the DTC status byte, bit 0 first (ISO 14229-1, D.2), as queries and control interfaces spell them. */
export const DTC_STATUS_BITS = [
  "testFailed",
  "testFailedThisOperationCycle",
  "pendingDtc",
  "confirmedDtc",
  "testNotCompletedSinceLastClear",
  "testFailedSinceLastClear",
  "testNotCompletedThisOperationCycle",
  "warningIndicatorRequested",
] as const;
export type DtcStatusBit = (typeof DTC_STATUS_BITS)[number];

/** The same bits as answers spell them: `test_failed`, … */
export const DTC_STATUS_MEMBERS: readonly string[] = DTC_STATUS_BITS.map((name) =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
);
