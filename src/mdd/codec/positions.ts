/** Where a parameter without BYTE-POSITION stands, and in which order parameters are processed. */
import { ParamSpecificData, SpecificDOPData } from "#mdd/generated/dataformat.ts";
import type { CodecOptions } from "./options.ts";
import { AT_CURSOR, type Step } from "./plan.ts";

/** What the position rule asks about a parameter. */
export interface PositionFacts {
  readonly bytePosition: number | null;
  readonly bitPosition: number | null;
  readonly paramKind: ParamSpecificData;
  readonly dopKind: SpecificDOPData;
  /** Bits of a fixed length; 0: not fixed. */
  readonly bits: number;
}

/**
 * Byte position of the parameter behind `before` (undefined: the first of its list). odx-converter cannot store a zero, so in its files an
 * absent position is 0 for all kinds but those that may really follow the parameter before: simple values, length keys and end-of-PDU
 * fields; and a bit field above one that lies in byte 0 belongs to that byte.
 */
export function resolvePosition(
  facts: PositionFacts,
  before: (PositionFacts & { readonly resolved: number }) | undefined,
  mode: CodecOptions["positions"],
): number {
  if (facts.bytePosition !== null) return facts.bytePosition;
  if (before === undefined) return 0;
  if (mode === "sequential") return AT_CURSOR;
  if (!mayFollow(facts)) return 0;
  const isAboveInByte0 =
    facts.bitPosition !== null &&
    before.resolved === 0 &&
    before.bits > 0 &&
    (before.bitPosition ?? 0) + before.bits <= facts.bitPosition;
  return isAboveInByte0 ? 0 : AT_CURSOR;
}

function mayFollow({ paramKind, dopKind }: PositionFacts): boolean {
  if (paramKind === ParamSpecificData.LengthKeyRef) return true;
  if (paramKind !== ParamSpecificData.Value) return false;
  return dopKind === SpecificDOPData.NormalDOP || dopKind === SpecificDOPData.EndOfPduField;
}

/**
 * Declared order, except that a key which stands at a fixed position is processed before what needs it. `needs` names the keys of a step.
 */
export function processingOrder(steps: readonly Step[], needs: (step: Step) => readonly string[]): Step[] {
  const order = [...steps];
  for (let i = 0; i < order.length; i++) {
    const names = needs(order[i]!);
    if (names.length === 0) continue;
    const later = order.findIndex((step, j) => j > i && names.includes(step.key.name));
    if (later < 0 || !isMovable(order, i, later)) continue;
    const [key] = order.splice(later, 1);
    order.splice(i, 0, key!);
    i++;
  }
  return order;
}

/** A move must not change where steps without a position begin. */
function isMovable(order: readonly Step[], to: number, from: number): boolean {
  return (
    order[from]!.bytePosition !== AT_CURSOR &&
    order[to]!.bytePosition !== AT_CURSOR &&
    order[from + 1]?.bytePosition !== AT_CURSOR
  );
}
