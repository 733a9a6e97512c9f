/** What transports have in common. */
import type { Hub } from "./hub.ts";

export interface ListenOptions {
  readonly hub: Hub;
  readonly address: string;
  /** 0: any. */
  readonly port: number;
  /** Longest message, bytes: base64 of the largest blob and its envelope. */
  readonly maxMessageBytes: number;
  readonly maxClients: number;
  readonly onProblem: (problem: unknown, where: string) => void;
}

export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

/** A client that does not read is let go when so much waits for it. */
export const MAX_UNSENT_BYTES = 1 << 20;
