/** One answer out of what the shards of a functional group said. */
import { type FaultData, fromFaultData } from "#core/errors.ts";
import type { GroupOutcome, PartialError, Reply } from "./messages.ts";

export interface ShardAnswer {
  /** Members of the group on that shard, lower case. */
  readonly members: readonly string[];
  readonly reply?: Reply;
  readonly fault?: FaultData;
}

/**
 * Joins results and errors. When no shard answered the first fault is the answer; a shard that failed beside others that answered
 * turns into one error per member. `path` of those errors is `/<ecu>`; the resource puts its own name before it.
 */
export function mergeOutcomes(answers: readonly ShardAnswer[]): Reply & { readonly outcome: GroupOutcome } {
  const answered = answers.filter((answer) => answer.reply !== undefined);
  const firstFault = answers.find((answer) => answer.fault !== undefined)?.fault;
  if (answered.length === 0) throw fromFaultData(firstFault ?? { kind: "internal", message: "no shard answered" });
  const results: Record<string, string> = {};
  const errors: PartialError[] = [];
  for (const { reply, fault, members } of answers) {
    Object.assign(results, reply?.meta?.group?.results);
    errors.push(...(reply?.meta?.group?.errors ?? []));
    if (fault !== undefined) errors.push(...members.map((ecu) => ({ path: `/${ecu}`, fault })));
  }
  return { ...answered[0]!.reply!, outcome: { results, errors } };
}
