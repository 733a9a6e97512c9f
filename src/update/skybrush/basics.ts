/**
 * Messages that clients of Flockwave send before they come to firmware: who the server is, what time it has, what else it manages. Of
 * vehicles, docks, clocks and connections in the protocol's sense there are none here; a client that hears so goes on.
 */
import { PRODUCT, VERSION } from "#core/version.ts";
import type { Body } from "./envelope.ts";
import { nak, names, Outcome } from "./outcome.ts";

export interface ServerFacts {
  /** By service, as they are listened on. */
  readonly ports: () => Readonly<Record<string, number>>;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
  /** Ids of everything that can be updated. */
  readonly objects: () => readonly string[];
}

export type Answer = (body: Body) => Body;

export function basicAnswers({ ports, nowMs, objects }: ServerFacts): Readonly<Record<string, Answer>> {
  return {
    "SYS-PING": () => ({ type: "ACK-ACK" }),
    "SYS-VER": ({ type }) => ({ type, software: PRODUCT, version: VERSION }),
    "SYS-TIME": ({ type, adjustment }) =>
      adjustment === undefined ? { type, timestamp: nowMs() } : nak("The clock cannot be adjusted"),
    "SYS-PORTS": ({ type }) => ({ type, ports: ports() }),
    "EXT-LIST": ({ type }) => ({ type, loaded: [], available: [] }),
    "DEV-LISTSUB": ({ type }) => ({ type, paths: [] }),
    // what is updated has none of the types that can be asked for
    "OBJ-LIST": ({ type, filter }) => ({ type, ids: filter === undefined ? objects() : [] }),
    ...Object.fromEntries(["CLK-LIST", "CONN-LIST", "UAV-LIST"].map((type) => [type, () => ({ type, ids: [] })])),
    ...Object.fromEntries(["CLK-INF", "CONN-INF", "DOCK-INF", "EXT-INF", "UAV-INF"].map((type) => [type, nobody])),
  };
}

function nobody({ type, ids }: Body): Body {
  const outcome = new Outcome();
  for (const id of names(ids, "ids")) outcome.error(id, "No such object");
  return { ...outcome.body(type), status: {} };
}
