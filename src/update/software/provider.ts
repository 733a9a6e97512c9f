/**
 * What stands between a campaign and the way a target takes software. The campaign knows no backend; a backend knows no campaign.
 *
 * The contract that makes a campaign survive a loss of power: **every call may come again**, with the same `campaign` and `attempt`,
 * after a crash at any instruction of the first one. A repeated call finishes or finds done what the first one began. What a call
 * must remember across that goes into `job.memory` before the step it describes.
 *
 * Order of calls for one target: `prepare` → `execute` → `verify` (until the health gate has its verdict) → `commit` → `close`,
 * or, from any point after `execute` was first called and before `close`: `rollback`. `cancel` may come beside `prepare` or `execute`.
 * Failures are `Fault`s (`context.fault` makes them); their kind and message go into the status and the audit. Anything else that is
 * thrown is a failure with its message. Who goes on after its signal was aborted is left behind in the end, and the next call comes.
 */
import { Fault, type FaultDetails, type FaultKind } from "#core/errors.ts";
import type { TufFiles } from "#update/software/trust/tuf.ts";
import type { Manifest } from "./package.ts";

/** The signed part of a package. Signatures are base64. `tuf`: what the manifest was read from, instead of signatures of its own. */
export interface SignedManifest {
  readonly manifest: Manifest | undefined;
  readonly signatures: readonly string[];
  readonly tuf?: TufFiles;
}

/** An image in the store of this node: complete, of known length and hash. */
export interface Artifact {
  readonly name: string;
  readonly sizeBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
  /** Bytes from `offset` on, in pieces of at most 1 MiB, each checked against the store's own hash. Constant memory. */
  read(offset?: number): AsyncIterable<Uint8Array>;
}

/** Category of the image that is on a classic ECU now: uploaded once by the operator, kept by each update. */
export const CURRENT_IMAGE = "current-image";

/** Small durable notes of one target in one campaign: what `prepare` left for `rollback`, how far a transfer is. */
export interface ProviderMemory {
  get(name: string): string | undefined;
  /** Resolves when the note is on the disk. */
  set(name: string, value: string): Promise<void>;
}

/** How far a call is. `percent` 0…100 of this call alone; it never falls back. */
export interface ProviderProgress {
  readonly percent: number;
  /** What is going on, in a few words. */
  readonly step?: string;
}

/** One target of one campaign, as each call gets it. */
export interface UpdateJob {
  /** Id of the update package. */
  readonly campaign: string;
  /** Counts `prepare` requests of the package from 1. Same campaign and attempt: the same piece of work. */
  readonly attempt: number;
  /** Component id, lower case. */
  readonly component: string;
  /** Undefined for a package that carries none: then the backend knows what to install (package manager). */
  readonly artifact: Artifact | undefined;
  /** Version the target shall have, and had when it was prepared; undefined when nobody says. */
  readonly toVersion: string | undefined;
  readonly fromVersion: string | undefined;
  /** The package as it was registered. */
  readonly package: Readonly<Record<string, unknown>>;
  /** The manifest that was checked, and its signatures, for a backend that hands them on. */
  readonly signed?: SignedManifest;
  readonly memory: ProviderMemory;
  /** May be called as often as is convenient. */
  progress(progress: ProviderProgress): void;
  /** A line for the log, with the campaign and the component. */
  log(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** Aborted by a cancel, a time limit or the end of the process: stop at the next safe point and reject. */
  readonly signal: AbortSignal;
}

/** What a target says of itself: the body of `x-medkit-update`. */
export interface TargetFacts {
  readonly hardwareId?: string;
  readonly serial?: string;
  /** Installed version. */
  readonly version?: string;
  /** Can go back to what it had, by itself or by its old image. */
  readonly supportsRollback: boolean;
  /**
   * The new software runs on trial and the old one stays in place beside it. Targets without trial (one memory) go last, when all
   * others passed.
   */
  readonly supportsTrial: boolean;
  /** Room for an image, bytes; undefined where nobody can tell. */
  readonly freeBytes?: number;
  /** A trial without a verdict goes back by itself after so long; undefined where it waits for ever, or there is no trial. */
  readonly verdictTimeoutMs?: number;
}

/** A fault of a target as the health gate weighs it. */
export interface TargetFault {
  readonly code: string;
  /** 1 is worst; undefined counts as worst. */
  readonly severity?: number;
  /** Active or confirmed now. */
  readonly active: boolean;
  /** Confirmed, not only seen once; undefined where the target does not tell. */
  readonly confirmed?: boolean;
}

/** Kinds that mean "cannot be reached now": the campaign tries again instead of judging. */
const UNREACHABLE: ReadonlySet<FaultKind> = new Set([
  "notResponding",
  "ecuOffline",
  "requestTimeout",
  "workerLost",
  "overloaded",
  "notReady",
]);

export function isUnreachable(error: unknown): error is Fault {
  return error instanceof Fault && UNREACHABLE.has(error.kind);
}

export interface UpdateProvider {
  /** Name of the backend, as configuration writes it. */
  readonly kind: string;
  /** Says what the target is now. Faults of `UNREACHABLE` when it does not answer. */
  describe(component: string, signal: AbortSignal): Promise<TargetFacts>;
  /** Stages and checks everything that can be staged without changing what runs; keeps what `rollback` will need. */
  prepare(job: UpdateJob): Promise<void>;
  /** Makes the new software run, on trial where the target can. Resolves when it was started. */
  execute(job: UpdateJob): Promise<void>;
  /**
   * Asked at each poll of the health gate: does the new software run, and is it the right one? Resolves for yes; rejects with a fault
   * of `UNREACHABLE` for "not yet", any other for "no".
   */
  verify(job: UpdateJob): Promise<void>;
  /** The verdict is good: the new software stays, also over a restart. The old one is kept until `close`. */
  commit(job: UpdateJob): Promise<void>;
  /** Back to what ran before `execute`. Resolves at once when nothing was changed. */
  rollback(job: UpdateJob): Promise<void>;
  /** Stops what runs for this job, beside the abort of its signal: for backends that work elsewhere. */
  cancel?(job: UpdateJob): Promise<void>;
  /** The campaign is over and all targets are new: the old software may go. */
  close?(job: UpdateJob): Promise<void>;
  /**
   * The update was deleted: what of it lies elsewhere and nobody needs may go; what runs, and what a target may go back to, stays. Comes
   * at most once, within a few seconds, not while an update is under way on the component, and not where nothing was ever prepared. Who
   * rejects keeps it. `job.memory` still has what was noted; bytes of the image may be gone.
   */
  forget?(job: UpdateJob): Promise<void>;
  /** Faults of the target for the health gate; absent: the target keeps none and `verify` alone decides. */
  faults?(component: string, signal: AbortSignal): Promise<readonly TargetFault[]>;
  /** ECUs and functional groups that its calls speak to beside the component; of a backend that is built in. */
  speaksTo?(component: string): readonly string[];
  /** Called once at start, before any campaign is resumed: falls back from a trial that this very start was not meant to be. */
  boot?(): Promise<void>;
  /** Ends connections and timers. */
  dispose?(): Promise<void>;
}

/** What a provider is made of: the table of its target in the configuration, and hands into the rest of the program. */
export interface ProviderContext {
  /** Component id → its table `[update.targets.<component>]`, all tables that name this kind. */
  readonly targets: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  log(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** A failure of the closed set, for a call to throw: one of `UNREACHABLE` is tried again, `invalidSignature` is told as such. */
  fault(kind: FaultKind, message: string, details?: FaultDetails): Fault;
}

/** Default export of an ES module named by `[update] provider`. */
export type CreateProvider = (context: ProviderContext) => UpdateProvider | Promise<UpdateProvider>;
