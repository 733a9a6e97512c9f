/** The answer of a functional call: results by ECU, and what failed beside them. */
import { Fault, type FaultData, toFaultData } from "#core/errors.ts";
import type { GroupOutcome } from "#fleet/messages.ts";
import type { SovdContext } from "./context.ts";
import { type SovdError, toDataError } from "./errors.ts";
import { objectText } from "./json-text.ts";

/** The member that holds results by ECU; data errors point below it. */
export type GroupMember = "data" | "parameters" | "modes";

interface DataError {
  readonly path: string;
  readonly error: SovdError;
}

function unreachable(ecu: string, outcome: GroupOutcome): DataError | undefined {
  const heard = ecu in outcome.results || outcome.errors.some(({ path }) => path.split("/")[1] === ecu);
  if (heard) return undefined;
  return { path: `/${ecu}`, error: toDataError(toFaultData(new Fault("ecuOffline", `Ecu ${ecu} offline`))) };
}

/** Data errors of an outcome, pointers below `/member`. */
export function dataErrors(
  member: GroupMember,
  group: string,
  outcome: GroupOutcome,
  context: SovdContext,
): readonly DataError[] {
  const found = outcome.errors.map(({ path, fault }: { path: string; fault: FaultData }) => ({
    path,
    error: toDataError(fault),
  }));
  if (context.options.unreachableMembers === "error") {
    for (const ecu of context.fleet.ecus) {
      const error = ecu.groups.includes(group) ? unreachable(ecu.id, outcome) : undefined;
      if (error !== undefined) found.push(error);
    }
  }
  return found.map(({ path, error }) => ({ path: `/${member}${path}`, error }));
}

/** `{"<member>":{"<ecu>":…},"errors"?}` as JSON text. */
export function groupText(member: GroupMember, group: string, outcome: GroupOutcome, context: SovdContext): string {
  const errors = dataErrors(member, group, outcome, context);
  return objectText({
    [member]: objectText(outcome.results),
    errors: errors.length === 0 ? undefined : JSON.stringify(errors),
  });
}
