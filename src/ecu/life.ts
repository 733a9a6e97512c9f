/**
 * One ECU's life as two facts, connectivity and what detection found, and the word the API says for both. Pure tables; a test
 * walks them. Source: OpenSOVD architecture, ECU states.
 */
import type { EcuStateWord } from "#fleet/messages.ts";
import type { VariantScope } from "#mdd/query/layers.ts";

export type Connectivity = "Offline" | "Online";

export type Finding =
  | { readonly kind: "NotTested" }
  | { readonly kind: "Detected"; readonly variant: VariantScope; readonly isFallback: boolean }
  | { readonly kind: "NotDetected" }
  /** Another database of the same address speaks for the ECU that is there. */
  | { readonly kind: "Duplicate" };

export interface Life {
  readonly connectivity: Connectivity;
  readonly finding: Finding;
}

export type LifeEvent =
  | { readonly kind: "gatewayConnected" }
  | { readonly kind: "gatewayClosed" }
  /** A request other than the keep-alive stayed without any answer. */
  | { readonly kind: "silent" }
  | { readonly kind: "found"; readonly finding: Finding };

export const NOT_TESTED: Finding = { kind: "NotTested" };
export const BORN: Life = { connectivity: "Offline", finding: NOT_TESTED };

/** The state word for every pair of facts. */
export const WORDS: Readonly<Record<Connectivity, Readonly<Record<Finding["kind"], EcuStateWord>>>> = {
  Online: { NotTested: "NotTested", Detected: "Online", NotDetected: "NoVariantDetected", Duplicate: "Duplicate" },
  Offline: { NotTested: "Offline", Detected: "Disconnected", NotDetected: "Disconnected", Duplicate: "Duplicate" },
};

export function wordOf(life: Life): EcuStateWord {
  return WORDS[life.connectivity][life.finding.kind];
}

/** The life after an event; the same object when nothing changed. */
export function live(life: Life, event: LifeEvent): Life {
  switch (event.kind) {
    case "gatewayConnected":
      return life.connectivity === "Online" ? life : { connectivity: "Online", finding: NOT_TESTED };
    case "gatewayClosed":
    case "silent":
      return life.connectivity === "Offline" ? life : { ...life, connectivity: "Offline" };
    case "found":
      return { connectivity: "Online", finding: event.finding };
  }
}

/** Whether a request may be sent: the ECU answered, and this database speaks for it. */
export function canBeAsked({ connectivity, finding }: Life): boolean {
  return connectivity === "Online" && finding.kind !== "NotTested" && finding.kind !== "Duplicate";
}

/** Whether a send must be preceded by detection. A duplicate never is: another database speaks for that ECU. */
export function needsDetection(life: Life): boolean {
  if (life.finding.kind === "Duplicate") return false;
  return life.finding.kind === "NotTested" || life.connectivity === "Offline";
}
