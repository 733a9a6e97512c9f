/** What calls need, by name. */
import type { GroupCallName } from "./messages.ts";

/** Calls that any shard answers alike, because they only read the functional description. */
export const DESCRIPTION_CALLS: ReadonlySet<GroupCallName> = new Set([
  "groupDataList",
  "groupOperationList",
  "groupDocs",
  "groupResolveServices",
]);
