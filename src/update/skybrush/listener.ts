/** What transports have in common. */
import type { Server } from "node:net";
import type { SecureContextOptions } from "node:tls";
import { Fault } from "#core/errors.ts";
import type { ArrivalOptions } from "./budget.ts";
import type { Hub } from "./hub.ts";
import type { Rate } from "./rate.ts";

export interface ListenOptions extends ArrivalOptions {
  readonly hub: Hub;
  readonly rate: Rate;
  readonly address: string;
  /** 0: any. */
  readonly port: number;
  /** Longest message, bytes: base64 of the largest blob and its envelope. */
  readonly maxMessageBytes: number;
  readonly maxClients: number;
  /** Undefined: in the clear. */
  readonly tls: (SecureContextOptions & { readonly requestCert: boolean }) | undefined;
  readonly onProblem: (problem: unknown, where: string) => void;
}

export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

/** A client that does not read is let go when so much waits for it. */
export const MAX_UNSENT_BYTES = 1 << 20;

/** Who a connection is, for the audit and the log. */
export function actorOf(address: string | undefined): string {
  return `skybrush:${address ?? "?"}`;
}

/** Resolves with the port. @throws Fault misconfigured */
export function listenOn(server: Server, port: number, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const refuse = (error: Error) => reject(portFault(port, address, error));
    server.once("error", refuse);
    server.listen(port, address, () => {
      server.off("error", refuse);
      resolve((server.address() as { port: number }).port);
    });
  });
}

export function portFault(port: number, address: string, error: Error): Fault {
  return new Fault("misconfigured", `Port ${port} of ${address}: ${error.message}`, undefined, error);
}
