/** What decoded values pick: a response, a case, a row. */
import { createCell, readCoded } from "./coded-read.ts";
import { isConstant } from "./decode-scalar.ts";
import { type Comparable, isWithin } from "./limits.ts";
import {
  AT_CURSOR,
  type CasePlan,
  type MessagePlan,
  type MuxPlan,
  type Pool,
  type RowPlan,
  type ServicePlan,
  type Step,
  StepKind,
  type TablePlan,
} from "./plan.ts";

/** First case that holds the physical value of the switch key, else the default case. */
export function selectCase(mux: MuxPlan, value: Comparable): CasePlan | undefined {
  return mux.cases.find((c) => isWithin(c.limits, value)) ?? mux.defaultCase;
}

/** First row whose short name or key is the value's text. */
export function rowOf(table: TablePlan, value: unknown): RowPlan | undefined {
  return value === undefined ? undefined : table.byText.get(String(value));
}

/**
 * The response that the first byte selects. Of several, the one whose other constants fit too; when none does, the first, so that its
 * error tells what is wrong.
 */
export function selectResponse(plan: ServicePlan, payload: Uint8Array): MessagePlan | undefined {
  const sid = payload[0];
  if (sid === undefined) return undefined;
  let first: MessagePlan | undefined;
  for (const message of plan.responses) {
    if (!message.serviceIds.includes(sid)) continue;
    if (first !== undefined) return firstFitting(plan, sid, payload) ?? first;
    first = message;
  }
  return first;
}

function firstFitting(plan: ServicePlan, sid: number, payload: Uint8Array): MessagePlan | undefined {
  return plan.responses.find(
    (m) => m.serviceIds.includes(sid) && m.list.steps.every((step) => fits(plan.pool, step, payload)),
  );
}

const cell = createCell();

function fits(pool: Pool, step: Step, payload: Uint8Array): boolean {
  if (step.kind !== StepKind.CODED_CONST && step.kind !== StepKind.NRC_CONST) return true;
  if (step.bytePosition === AT_CURSOR) return true;
  const { coded } = pool.scalars[step.target]!;
  const next = readCoded(coded, payload, payload.length, step.bytePosition, step.bitPosition, undefined, cell);
  return next >= 0 && step.constants.some((constant) => isConstant(cell, constant));
}
