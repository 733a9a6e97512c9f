/** What the routes know of the database update. */
import type { Claims } from "#security/claims.ts";
import type { UpdateMode } from "#store/update-set.ts";
import type { UploadHeaders } from "./upload-parts.ts";

export type { UpdateMode } from "#store/update-set.ts";

export const FILE_SETS = ["current", "nextupdate", "backup"] as const;
export type FileSet = (typeof FILE_SETS)[number];

export const UPDATE_MODES = ["apply", "rollback", "cleanup"] as const satisfies readonly UpdateMode[];

/** A diagnostic database as a file. */
export interface RuntimeFile {
  /** File name in lower case. */
  readonly id: string;
  readonly sizeBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly revision: string | undefined;
}

/** Content that is read piece by piece. */
export interface FileContent {
  readonly sizeBytes: number;
  readonly chunks: Iterator<Uint8Array>;
  close(): void;
}

export interface UpdateExecutionView {
  readonly id: string;
  readonly mode: UpdateMode;
  readonly status: "running" | "completed" | "failed";
  /** Why it failed and what is active now. */
  readonly reason: string | undefined;
}

/** Who begins an update, and what must still hold when the sets are switched. */
export interface UpdateCaller {
  readonly claims: Claims;
  /** Throws when something stands in the way. Asked when the update begins and again just before the switch. */
  readonly requireQuiet: () => void;
}

/** The update of the diagnostic databases at run time. Rejections are `Fault`s; a call that fails has changed nothing. */
export interface DatabaseUpdate {
  /** Sorted by id. `nextupdate` shows `current` while nothing is pending. */
  files(set: FileSet): readonly RuntimeFile[];
  /** Undefined when there is no such file. The caller closes it. */
  open(set: FileSet, id: string): FileContent | undefined;
  /** Verifies what comes in and adds all of it to the pending set. Returns the ids. */
  upload(upload: UploadHeaders & { readonly chunks: AsyncIterable<Uint8Array> }): Promise<readonly string[]>;
  /** Takes one file out of the pending set, which begins as a copy of the current one. */
  removePending(id: string): Promise<void>;
  /** Forgets what is pending, or the backup. Returns the ids of the files. */
  removeAll(set: "nextupdate" | "backup"): Promise<readonly string[]>;
  /** Begins an execution and returns its id once that is durable; the work goes on behind it. */
  start(mode: UpdateMode, caller: UpdateCaller): Promise<string>;
  /** The last execution, running or ended. */
  execution(): UpdateExecutionView | undefined;
}
