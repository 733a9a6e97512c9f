/** What a transport needs of the rest, and what all of them have in common. */
import type { Desk } from "./desk.ts";
import type { Registry } from "./registry.ts";

/** The channel and the command of the protocol, as every transport names them. */
export const CHANNEL = "dfu";
/** Largest report: version and status of a device are short. */
export const MAX_REPORT_BYTES = 4_096;

export interface TransportParts {
  readonly desk: Desk;
  readonly registry: Registry;
  readonly onProblem: (problem: unknown, where: string) => void;
}

/** A transport that runs. */
export interface Transport {
  /** Of what it listens on; 0 for one that calls out. */
  readonly port: number;
  close(): Promise<void>;
}
