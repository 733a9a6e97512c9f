/** Every call to an ECU by name. */

import type { EcuCallTable } from "./call.ts";
import { configurationList, dataList, dataRead, dataWrite, flashService, genericService } from "./data.ts";
import { docs } from "./docs.ts";
import { faultClear, faultList, faultRead } from "./faults.ts";
import {
  comParams,
  comParamsOverride,
  detect,
  jobList,
  jobRead,
  layerSdgs,
  lockAcquired,
  lockReleased,
  requestDownload,
  serviceSdgs,
  transferAbort,
  transferExit,
  transferStart,
} from "./misc.ts";
import { modeRead, modeWrite } from "./modes.ts";
import { operationInfo, operationList, operationResults, operationStart, operationStop, reset } from "./operations.ts";
import { resolveServices } from "./resolve.ts";

export const ECU_CALLS: EcuCallTable = {
  detect,
  layerSdgs,
  serviceSdgs,
  resolveServices,
  dataList,
  configurationList,
  operationList,
  operationInfo,
  docs,
  dataRead,
  dataWrite,
  flashService,
  genericService,
  operationStart,
  operationResults,
  operationStop,
  reset,
  modeRead,
  modeWrite,
  faultList,
  faultRead,
  faultClear,
  jobList,
  jobRead,
  comParams,
  comParamsOverride,
  requestDownload,
  transferStart,
  transferAbort,
  transferExit,
  lockAcquired,
  lockReleased,
};
