/** What the protocol needs of whatever installs: objects, targets, and uploads that run. */
import type { Caller } from "./access.ts";

export interface FirmwareTarget {
  readonly id: string;
  readonly name: string;
}

/** Who asks for something. */
export interface Requester {
  /** For the audit. */
  readonly actor: string;
  /** Undefined: nobody has to say who it is. */
  readonly caller: Caller | undefined;
}

export interface UploadRequest extends Requester {
  readonly object: string;
  readonly blob: Uint8Array;
  readonly version?: string | undefined;
  /** Signed description of the image, and its signatures, as an update package carries them. */
  readonly manifest?: unknown;
  readonly signature?: unknown;
}

export type UploadState =
  /** `limited`: something else sees to it that it does not last for ever. */
  | { readonly state: "running"; readonly percent: number; readonly step: string; readonly limited?: boolean }
  | { readonly state: "done" }
  | { readonly state: "failed"; readonly error: string };

export interface FirmwarePort {
  /** Sorted. */
  objects(): readonly string[];
  targets(): readonly FirmwareTarget[];
  supports(object: string, target: string): boolean;
  /** Keeps the image and registers its installation. Resolves with the id of that. @throws Fault */
  register(request: UploadRequest): Promise<string>;
  /** Begins. @throws Fault */
  start(upload: string, requester: Requester): Promise<void>;
  state(upload: string): UploadState;
  /** Calls `changed` when the state may have changed; returns what ends that. @throws Fault */
  watch(upload: string, changed: () => void): () => void;
  /** Stops it, or takes it back. @throws Fault */
  cancel(upload: string, requester: Requester, reason: string): Promise<void>;
  /** Its result was kept long enough. What is under way stays. */
  forget(upload: string): Promise<void>;
}
