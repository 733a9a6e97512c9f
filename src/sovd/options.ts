/** The operator's choices out of the configuration. */
import type { Config } from "#config/types.ts";
import { SOVD_DEFAULTS, type SovdOptions } from "./context.ts";

export function sovdOptionsOf(config: Config): SovdOptions {
  const { compat, limits, locks, faults } = config;
  return {
    ...SOVD_DEFAULTS,
    basePaths: config.http.base_paths,
    healthEnabled: config.health.enabled,
    updatesEnabled: config.update.enabled,
    openReads: config.security.open_reads,
    lockStatus: compat.lock_status,
    comParamLock: compat.comparam_lock,
    dataLock: compat.write_lock,
    downloadLock: compat.download_lock,
    finishedTransfersBlock: compat.finished_transfers_block,
    databaseDownload: config.update.allow_download,
    restoreEcuLocks: locks.restore_ecu_locks,
    maxLockExpirationS: locks.max_expiration_secs,
    notReadyStatus: compat.unready_status,
    truncatedAnswerStatus: compat.truncated_status,
    unknownFaultStatus: compat.unknown_dtc_status,
    genericRefusalStatus: compat.generic_service_nrc_status,
    unreachableMembers: compat.group_unreachable,
    retryAfterS: config.runtime_update_config.retry_after_seconds,
    maxSubscriptions: config.update.max_subscriptions,
    maxEndedExecutions: limits.ended_executions,
    dataCategories: config.data.categories,
    componentFields: Object.keys(config.components.additional_fields),
    faultScopes: { default: faults.default_scope, userMemory: faults.user_memory_scope },
    restartService: compat.restart_service,
  };
}
