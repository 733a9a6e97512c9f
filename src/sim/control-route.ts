/** What a route of the control API is, and what every handler needs. */
import type { Static, TSchema } from "typebox";
import { Fault } from "#core/errors.ts";
import type { Ecu } from "./ecu.ts";
import type { Endpoint } from "./endpoint.ts";
import { checked } from "./schema.ts";
import type { TokenIssuer } from "./tokens.ts";
import type { RunningVehicle } from "./vehicle.ts";

export interface ControlContext {
  readonly vehicle: RunningVehicle;
  readonly tokens: TokenIssuer;
  readonly params: Readonly<Record<string, string>>;
  /** Parsed JSON, form parameters, or undefined. */
  readonly body: unknown;
}

export interface ControlAnswer {
  readonly status: number;
  /** Undefined values are left out. Absent: empty body. */
  readonly json?: unknown;
  readonly text?: string;
  /** Runs when the answer is out. */
  readonly afterwards?: () => void;
}

export interface ControlRoute {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  readonly path: string;
  readonly body?: "json" | "form";
  readonly doc: string;
  readonly handle: (context: ControlContext) => ControlAnswer | Promise<ControlAnswer>;
}

export const NO_CONTENT: ControlAnswer = { status: 204 };

/** The body, checked. */
export function valid<S extends TSchema>(schema: S, { body }: ControlContext): Static<S> {
  return checked(schema, body, "body", "badRequest");
}

/** The ECU that the path names. */
export function ecuOf({ vehicle, params }: ControlContext): Ecu {
  const ecu = vehicle.findEcu(params.ecu ?? params.name!);
  if (ecu === undefined) throw new Fault("notFound", "no such ECU");
  return ecu;
}

/** The endpoint of the entity that the path names, or that the ECU is behind. */
export function endpointOf(context: ControlContext): Endpoint {
  return context.vehicle.endpoint(ecuOf(context).name);
}
