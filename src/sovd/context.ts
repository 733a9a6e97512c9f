/** What the resources need from the rest of the program. `main` makes one of these; tests make their own. */
import type { Clock } from "#core/time.ts";
import type { EcuView, Fleet } from "#fleet/api.ts";
import type { Authenticator as ReloadableAuthenticator } from "#security/authenticator.ts";
import type { DatabaseUpdate } from "#update/api.ts";
import type { Updates } from "#update/software/updates.ts";
import type { ComParamRegistry } from "./comparam-registry.ts";
import type { CyclicSubscription } from "./cyclic-subscriptions.ts";
import type { ExecutionRegistry } from "./executions.ts";
import type { FlashFiles } from "./flash-files.ts";
import type { LockRegistry } from "./locks.ts";
import type { StandingRequests } from "./standing.ts";
import type { TransferRegistry } from "./transfers.ts";
import type { Trigger, TriggerLog } from "./triggers.ts";

/** Tokens, and the hooks of a security plugin. */
export type Authenticator = Omit<ReloadableAuthenticator, "reload">;

/** A file that a diagnostic database carries. */
export interface EmbeddedFile {
  /** Stable over restarts. */
  readonly id: string;
  readonly name: string;
  readonly mimetype: string;
  readonly sizeBytes: number;
  readonly originalPath: string;
}

export interface EmbeddedFiles {
  list(ecu: EcuView): Promise<readonly EmbeddedFile[]>;
  /** Decompressed content; undefined when there is no such file. */
  read(ecu: EcuView, id: string): Promise<{ readonly contentType: string; readonly bytes: Uint8Array } | undefined>;
}

export type HealthStatus = "Up" | "Starting" | "Pending" | "Failed";

export interface HealthComponent {
  readonly name: string;
  readonly status: HealthStatus;
  /** More members of the component, named `x-…`. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface HealthSnapshot {
  readonly status: HealthStatus;
  readonly components: readonly HealthComponent[];
}

export interface VersionInfo {
  readonly name: string;
  readonly version: string;
  readonly commit: string;
  readonly buildDate: string;
}

/** Choices of the operator, one row each. `compatibility.ts` says what they stand for. */
export interface SovdOptions {
  /** Where the resource tree is mounted, without trailing slash. */
  readonly basePaths: readonly string[];
  readonly healthEnabled: boolean;
  readonly updatesEnabled: boolean;
  /** Reads and communication parameters without token, as the CDA has them. */
  readonly openReads: boolean;
  readonly lockStatus: "cda" | "iso";
  readonly comParamLock: boolean;
  readonly dataLock: boolean;
  readonly downloadLock: boolean;
  /** A transfer that has ended and was not deleted stands in the way of a database update. */
  readonly finishedTransfersBlock: boolean;
  /** Diagnostic databases may be retrieved. */
  readonly databaseDownload: boolean;
  readonly restoreEcuLocks: boolean;
  readonly maxLockExpirationS: number;
  /** Status of vehicle routes before databases are loaded. */
  readonly notReadyStatus: 503 | 404;
  readonly truncatedAnswerStatus: 400 | 502;
  readonly unknownFaultStatus: 400 | 404;
  /** Status of `genericservice` when the ECU refuses. */
  readonly genericRefusalStatus: 200 | 502;
  /** Group members that cannot be reached: left out, or a data error each. */
  readonly unreachableMembers: "silent" | "error";
  readonly retryAfterS: number;
  /** Cyclic subscriptions, and triggers, at once. */
  readonly maxSubscriptions: number;
  /** Ended executions kept per operation. */
  readonly maxEndedExecutions: number;
  /** Functional class → category; undefined: a service's semantic is its category and all are listed. */
  readonly dataCategories: Readonly<Record<string, string>> | undefined;
  /** Fields of the component list beside `items`. */
  readonly componentFields: readonly string[];
  readonly faultScopes: { readonly default: string; readonly userMemory: string };
  /** Reset service that `status/restart` runs when the body names none. */
  readonly restartService: string;
}

export const SOVD_DEFAULTS: SovdOptions = {
  basePaths: ["/vehicle/v15", "/sovd/v1", "/api/v1"],
  healthEnabled: true,
  updatesEnabled: true,
  openReads: true,
  lockStatus: "cda",
  comParamLock: false,
  dataLock: false,
  downloadLock: true,
  finishedTransfersBlock: true,
  databaseDownload: false,
  restoreEcuLocks: false,
  maxLockExpirationS: 3_153_600_000,
  notReadyStatus: 503,
  truncatedAnswerStatus: 400,
  unknownFaultStatus: 400,
  genericRefusalStatus: 200,
  unreachableMembers: "silent",
  retryAfterS: 1,
  maxSubscriptions: 64,
  maxEndedExecutions: 16,
  dataCategories: undefined,
  componentFields: ["x-sovd2uds-can-ecus", "x-sovd2uds-lin-ecus"],
  faultScopes: { default: "FaultMem", userMemory: "DevelopmentFaultMemory" },
  restartService: "HardReset",
};

export interface SovdContext {
  readonly fleet: Fleet;
  readonly clock: Clock;
  readonly options: SovdOptions;
  readonly authenticator: Authenticator;
  readonly locks: LockRegistry;
  readonly executions: ExecutionRegistry;
  readonly comParams: ComParamRegistry;
  readonly transfers: TransferRegistry;
  readonly flashFiles: FlashFiles;
  readonly embeddedFiles: EmbeddedFiles;
  /** Absent where databases cannot be changed. */
  readonly databaseUpdate?: DatabaseUpdate;
  readonly softwareUpdates?: Updates;
  readonly subscriptions: StandingRequests<CyclicSubscription>;
  readonly triggers: StandingRequests<Trigger>;
  /** Notes a trigger with `log_settings` that fired. */
  readonly onTrigger?: TriggerLog;
  /** Of the vehicle; undefined as long as nobody says. */
  readonly vin?: () => string | undefined;
  readonly version: VersionInfo;
  health(): HealthSnapshot;
  /** True only while a new database set is switched in. */
  switching(): boolean;
  /** What went wrong beside an answer already given. */
  onProblem(problem: unknown, where: string): void;
}
