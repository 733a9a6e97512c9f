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
  return textWith(member, outcome, dataErrors(member, group, outcome, context));
}

/** The same of what main tracks of each ECU: errors name the ECU as their source. */
export function groupStateText(group: string, outcome: GroupOutcome, context: SovdContext): string {
  const errors = dataErrors("modes", group, outcome, context);
  const named = errors.map(({ path, error }) => ({ path, error: { ...error, "x-errorsource": ecuOf(path) } }));
  return textWith("modes", outcome, named);
}

/** Name of the ECU that a pointer `/<member>/<ecu>…` leads to. */
function ecuOf(path: string): string {
  return path.split("/")[2] ?? "";
}

function textWith(member: GroupMember, outcome: GroupOutcome, errors: readonly DataError[]): string {
  return objectText({
    [member]: objectText(outcome.results),
    errors: errors.length === 0 ? undefined : JSON.stringify(errors),
  });
}
