/** Detection, special data, jobs, communication parameters, flash sequence, lock side effects. */
import { Fault } from "#core/errors.ts";
import type { ComParamInput, EcuCalls, Reply } from "#fleet/messages.ts";
import { comParamJson, listComParams } from "#mdd/query/com-params.ts";
import { describeJob, listJobs } from "#mdd/query/jobs.ts";
import { layerSdgs as readLayerSdgs } from "#mdd/query/sdg.ts";
import { findFlashService, flashService } from "#mdd/query/service-purposes.ts";
import { answerReply } from "../answer.ts";
import { applyOverrides, overridesJson } from "../com-param-overrides.ts";
import type { Ecu } from "../ecu.ts";
import { FlashTransfer } from "../flash-transfer.ts";
import { emptyReply, jsonReply } from "../reply.ts";
import { NO_BODY, requireOnline, runService, sendRaw } from "../run.ts";
import { answerSchema, listSchema } from "../schemas.ts";
import type { CallContext } from "./call.ts";
import { readService, sdgsReply } from "./data.ts";
import { restoreDefault } from "./modes.ts";
import { operationService } from "./operations.ts";

export async function detect(ecu: Ecu): Promise<Reply> {
  await ecu.endpoint?.detector.run();
  return emptyReply(201);
}

export function layerSdgs(ecu: Ecu): Reply {
  return jsonReply(readLayerSdgs(ecu.loaded.database, ecu.scope));
}

export function serviceSdgs(ecu: Ecu, { service, action, schema }: EcuCalls["serviceSdgs"]): Reply {
  const key = `${service}_${action}`;
  const entry = action === "read" ? readService(ecu, service) : operationService(ecu, service, "start");
  return sdgsReply(ecu, key, entry, schema);
}

export function jobList(ecu: Ecu, args: EcuCalls["jobList"]): Reply {
  const items = listJobs(ecu.loaded.database, ecu.scope);
  return jsonReply({ items, ...(args.schema ? { schema: listSchema("jobs") } : {}) });
}

export function jobRead(ecu: Ecu, args: EcuCalls["jobRead"]): Reply {
  const job = describeJob(ecu.loaded.database, ecu.scope, args.job);
  return jsonReply({ ...job, ...(args.schema ? { schema: listSchema("job") } : {}) });
}

/** The database's parameters of the ECU's protocol, overrides laid over them by the caller's execution. */
export function comParams(ecu: Ecu): Reply {
  const known = listComParams(ecu.loaded.database, ecu.scope, ecu.assignment.protocol);
  const json = Object.fromEntries([...known].map(([name, value]) => [name, comParamJson(value)]));
  return jsonReply({ ...json, ...overridesJson(ecu.overrides) });
}

/** Puts overrides in force for every request from now on. @throws Fault badRequest for a value that is none of its kind */
export function comParamsOverride(ecu: Ecu, { overrides }: EcuCalls["comParamsOverride"]): Reply {
  const wanted: Readonly<Record<string, ComParamInput>> = overrides ?? {};
  ecu.params = applyOverrides(ecu.assignment.comParams, wanted);
  ecu.overrides = wanted;
  ecu.endpoint?.configure(ecu);
  return emptyReply(204);
}

export async function requestDownload(
  ecu: Ecu,
  args: EcuCalls["requestDownload"],
  context: CallContext,
): Promise<Reply> {
  const service = findFlashService(ecu.loaded.database, ecu.index, "requestDownload");
  const answer = await runService(ecu, service, { type: "json", parameters: args.parameters }, context.send);
  const form = { ...args, accept: "json", member: "requestdownload" } as const;
  return answerReply(answer, form, () => answerSchema(ecu, service, "requestdownload", context.options));
}

/** Answers as soon as the transfer runs; it outlives the call. */
export function transferStart(ecu: Ecu, args: EcuCalls["transferStart"], context: CallContext): Reply {
  if (ecu.transfer?.active) throw new Fault("conflict", `A flash transfer is running already on ${ecu.name}`);
  requireOnline(ecu);
  const service = flashService(ecu.loaded.database, ecu.index, "transferData");
  const transfer = new FlashTransfer(ecu.name, args, {
    // The caller's deadline is that of the call, not of the transfer.
    request: (bytes) => sendRaw(ecu, bytes, { params: ecu.params.uds }, service),
    progress: (message) => context.onTransfer(message),
    now: () => context.clock.now(),
  });
  ecu.transfer = transfer;
  void ecu.use(() => transfer.run());
  return emptyReply(200);
}

export function transferAbort(ecu: Ecu, { id }: EcuCalls["transferAbort"]): Reply {
  if (ecu.transfer?.id === id) ecu.transfer.abort("the transfer was aborted");
  return emptyReply(204);
}

export async function transferExit(ecu: Ecu, _args: EcuCalls["transferExit"], context: CallContext): Promise<Reply> {
  const service = findFlashService(ecu.loaded.database, ecu.index, "transferExit");
  await runService(ecu, service, NO_BODY, context.send);
  return emptyReply(204);
}

export function lockAcquired(ecu: Ecu, _args: EcuCalls["lockAcquired"], { keepAlives }: CallContext): Reply {
  keepAlives.start(ecu);
  return emptyReply(204);
}

/** The keep-alive ends, and the ECU goes back to its default session and security level. */
export async function lockReleased(
  ecu: Ecu,
  _args: EcuCalls["lockReleased"],
  { keepAlives, send }: CallContext,
): Promise<Reply> {
  keepAlives.stop(ecu);
  await restoreDefault(ecu, "session", send);
  await restoreDefault(ecu, "security", send);
  return emptyReply(204);
}
