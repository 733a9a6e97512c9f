/** What calls need, by name. */
import type { EcuCallName, GroupCallName } from "./messages.ts";

/** Calls that any shard answers alike, because they only read the functional description. */
export const DESCRIPTION_CALLS: ReadonlySet<GroupCallName> = new Set([
  "groupDataList",
  "groupOperationList",
  "groupDocs",
]);

/** Calls that only read the database: they neither need nor start communication. */
export const METADATA_CALLS: ReadonlySet<EcuCallName> = new Set<EcuCallName>([
  "layerSdgs",
  "serviceSdgs",
  "resolveService",
  "dataList",
  "configurationList",
  "operationList",
  "operationInfo",
  "docs",
  "jobList",
  "jobRead",
  "comParams",
  "comParamsOverride",
  "lockAcquired",
  "lockReleased",
]);
