/** What a device is told: a pure function of its own report and of what it shall have. The protocol keeps no other state. */
import type { Status } from "./codec.ts";

/** Software for a device, complete and verified in the store. */
export interface Image {
  readonly version: Uint8Array;
  readonly sizeBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

/**
 * How far a device may go: `download` takes blocks and stops before the swap; `trial` swaps, and is not told to mark the new software
 * good; `open` goes all the way; `held` does nothing.
 */
export type Gate = "held" | "download" | "trial" | "open";

/** What a device shall have; undefined: nobody says. */
export interface Desired {
  readonly image: Image;
  readonly gate: Gate;
  /** An update waits for the device's next report. */
  readonly busy?: boolean;
}

export interface AnswerLimits {
  /** Block size of a device that names none. */
  readonly defaultBlockBytes: number;
  /** Devices that ask for smaller blocks are told to wait: they would ask forever. */
  readonly minBlockBytes: number;
  readonly maxBlockBytes: number;
  /** Seconds until a device without work asks again. */
  readonly pollS: number;
  /** The same in the middle of an update, at a gate. */
  readonly gatePollS: number;
}

/** A command without its bytes. */
export type Step =
  | { readonly type: "wait"; readonly pollS: number }
  | { readonly type: "sync"; readonly pollS: number }
  | { readonly type: "write"; readonly offset: number; readonly length: number }
  | { readonly type: "swap" };

/** The next step of the device that reports `status`. */
export function nextStep(status: Status, desired: Desired | undefined, limits: AnswerLimits): Step {
  const { pollS, gatePollS } = limits;
  if (desired === undefined) return { type: "wait", pollS };
  const { image, gate, busy = false } = desired;
  const pause = { pollS: busy ? gatePollS : pollS };
  const atGate = { type: "wait", ...pause } as const;
  if (gate === "held") return atGate;
  if (sameVersion(status.version, image.version)) {
    return gate === "trial" ? atGate : { type: "sync", ...pause };
  }
  const offset = offsetOf(status, image);
  if (offset === image.sizeBytes) return gate === "download" ? atGate : { type: "swap" };
  const { mtu = limits.defaultBlockBytes } = status;
  if (mtu < limits.minBlockBytes) return { type: "wait", pollS };
  return { type: "write", offset, length: Math.min(mtu, limits.maxBlockBytes, image.sizeBytes - offset) };
}

/** Bytes of the image that the device has; 0 when it holds another one, or more than there is. */
export function offsetOf({ update }: Status, { version, sizeBytes }: Image): number {
  if (update === undefined || !sameVersion(update.version, version)) return 0;
  return update.offset <= sizeBytes ? update.offset : 0;
}

/** Versions are compared byte by byte: any other one is an update, an older one too. */
export function sameVersion(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

/** Text of a version, for people. */
export function versionText(version: Uint8Array): string {
  const text = Buffer.from(version).toString("utf8");
  return PRINTABLE.test(text) ? text : `0x${Buffer.from(version).toString("hex")}`;
}

const PRINTABLE = /^[\x20-\x7e]+$/;
