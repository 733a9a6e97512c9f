/** The configuration as plain data. Types only: a worker that imports them loads nothing. */
import type { Duration as LeafDuration } from "./leaf.ts";
import type { Infer } from "./node.ts";
import type { SCHEMA } from "./schema.ts";

export type Duration = LeafDuration;
export type Config = Infer<typeof SCHEMA>;

/** Communication parameters of all ECUs, every one with its default. */
export type ComParams = Config["com_params"];
/** Settings of one ECU. */
export type EcuConfig = Config["ecu"][string];
/** What one ECU's settings say of communication parameters. */
export type ComParamOverrides = EcuConfig["com_params"];

/** Something wrong with a configuration: which key, where it was set, and why. Lines and columns count from 1. */
export interface ConfigProblem {
  readonly key: string;
  readonly message: string;
  /** File, `environment NAME` or `flag --name`; absent for what no one set. */
  readonly source?: string;
  readonly line?: number;
  readonly column?: number;
}
