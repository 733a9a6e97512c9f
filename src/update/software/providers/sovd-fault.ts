/** Faults as other servers and our own list them. */
import type { TargetFault } from "#update/software/provider.ts";

export interface SovdFault {
  readonly code: string;
  readonly severity?: number;
  readonly status?: Readonly<Record<string, unknown>>;
}

/** Bits of the DTC status (ISO 14229-1, D.2) that say that a fault is there, as ISO and as the CDA spell them. */
const ACTIVE_BITS = ["confirmedDTC", "testFailed", "confirmed_dtc", "test_failed"] as const;

const CONFIRMED_BITS = ["confirmedDTC", "confirmed_dtc"] as const;

/** A fault as the interface lists it (ISO 17978-3, Table 122). */
export function faultOf({ code, severity, status = {} }: SovdFault): TargetFault {
  const set = (name: string) => status[name] === true || status[name] === "1" || status[name] === 1;
  const active = status.aggregatedStatus === "active" || ACTIVE_BITS.some(set);
  const known = CONFIRMED_BITS.some((name) => status[name] !== undefined);
  return {
    code,
    active,
    ...(severity === undefined ? {} : { severity }),
    ...(known ? { confirmed: CONFIRMED_BITS.some(set) } : {}),
  };
}
