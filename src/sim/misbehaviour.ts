/**
 * How an ECU or a DoIP entity deviates on purpose. The schemas are the JSON bodies of the control API and the objects that a test
 * sets in-process. What has `times` stops after so many uses; without it it stays until taken away. Times are milliseconds.
 */
import { type Static, Type } from "#core/schema.ts";

const Byte = Type.Integer({ minimum: 0, maximum: 255 });
const Milliseconds = Type.Number({ minimum: 0, maximum: 3_600_000 });
const Hex = Type.String({ pattern: "^([0-9a-fA-F]{2})*$" });
const Times = Type.Optional(Type.Integer({ minimum: 0 }));
const CLOSED = { additionalProperties: false } as const;

/** A fixed time or a distribution. */
export const DelaySchema = Type.Union([
  Milliseconds,
  Type.Object({ kind: Type.Literal("uniform"), minMs: Milliseconds, maxMs: Milliseconds }, CLOSED),
  Type.Object({ kind: Type.Literal("normal"), meanMs: Milliseconds, deviationMs: Milliseconds }, CLOSED),
  Type.Object(
    {
      kind: Type.Literal("weighted"),
      values: Type.Array(Type.Object({ ms: Milliseconds, weight: Type.Number({ exclusiveMinimum: 0 }) }, CLOSED), {
        minItems: 1,
      }),
    },
    CLOSED,
  ),
]);
export type Delay = Static<typeof DelaySchema>;

export const EcuMisbehaviourSchema = Type.Object(
  {
    /** Only requests that begin with these bytes. */
    only: Type.Optional(Hex),
    /** Acknowledged, never answered, not carried out. */
    silent: Type.Optional(Type.Object({ times: Times }, CLOSED)),
    /** `echo` repeats the request's bytes, `wrongEcho` repeats them inverted. */
    ack: Type.Optional(Type.Enum(["plain", "echo", "wrongEcho", "none", "twice", "afterResponse"])),
    ackDelayMs: Type.Optional(Milliseconds),
    /** A diagnostic NACK in place of ACK and answer; the request is not carried out. */
    nack: Type.Optional(Type.Object({ code: Byte, times: Times }, CLOSED)),
    /** A negative response in place of the answer (0x21, 0x94 …); the request is not carried out. */
    nrc: Type.Optional(Type.Object({ code: Byte, times: Times }, CLOSED)),
    /** Time until the answer. */
    delay: Type.Optional(DelaySchema),
    /** `count` responses 0x78, one each `intervalMs`, the first at once, before the answer. `sid`: pending for another service. */
    pending: Type.Optional(
      Type.Object(
        {
          count: Type.Integer({ minimum: 1, maximum: 100_000 }),
          intervalMs: Milliseconds,
          sid: Type.Optional(Byte),
          times: Times,
        },
        CLOSED,
      ),
    ),
    /** What becomes of the answer's frame. `reordered`: kept back until another answer has left on that connection. */
    frame: Type.Optional(
      Type.Object(
        {
          kind: Type.Enum(["lost", "doubled", "reordered", "wrongDid", "wrongSid", "truncated"]),
          /** The right answer follows a wrong one after this time. */
          correctAfterMs: Type.Optional(Milliseconds),
          times: Times,
        },
        CLOSED,
      ),
    ),
    /** An unasked message that leaves before the answer. */
    stray: Type.Optional(Type.Object({ uds: Hex, times: Times }, CLOSED)),
  },
  CLOSED,
);
export type EcuMisbehaviour = Static<typeof EcuMisbehaviourSchema>;

export const EntityMisbehaviourSchema = Type.Object(
  {
    /** T_TCP_Initial_Inactivity: closes a connection that is not activated in time. */
    initialInactivityMs: Type.Optional(Milliseconds),
    /** T_TCP_General_Inactivity: closes a connection without traffic. */
    generalInactivityMs: Type.Optional(Milliseconds),
    /** Connections that may be activated; beyond it the others are checked for life, then 0x01. */
    maxSockets: Type.Optional(Type.Integer({ minimum: 1, maximum: 255 })),
    /** A source address that lives on another connection gets 0x03. */
    denySecondConnection: Type.Optional(Type.Boolean()),
    /** Closes after a denied activation where the standard says so, and after a diagnostic NACK 0x02. */
    closeOnDenial: Type.Optional(Type.Boolean()),
    /** Plain connections get 0x07. */
    tlsRequired: Type.Optional(Type.Boolean()),
    /** T_TCP_Alive_Check, default 500. */
    aliveCheckTimeoutMs: Type.Optional(Milliseconds),
    /** Sends alive check requests this often; closes a connection that does not answer in time. */
    aliveCheckIntervalMs: Type.Optional(Type.Number({ minimum: 1, maximum: 3_600_000 })),
    /** Answer to routing activation: this code, after this time, or none at all. */
    activation: Type.Optional(
      Type.Object(
        {
          code: Type.Optional(Byte),
          silent: Type.Optional(Type.Boolean()),
          delayMs: Type.Optional(Milliseconds),
          times: Times,
        },
        CLOSED,
      ),
    ),
    /** Connections stay open, nothing is read or written any more. */
    halfOpen: Type.Optional(Type.Boolean()),
    /** `bytes`: one write per byte; `coalesce`: what falls into `coalesceMs` leaves in one write. */
    write: Type.Optional(Type.Enum(["whole", "bytes", "coalesce"])),
    coalesceMs: Type.Optional(Milliseconds),
    /** A generic NACK of this code in place of each diagnostic message's handling. */
    genericNack: Type.Optional(Type.Object({ code: Byte, times: Times }, CLOSED)),
    /** What announcements say beside who it is: further action (0x10 central security), sync status (0x10 not yet). */
    announcement: Type.Optional(
      Type.Object({ furtherAction: Type.Optional(Byte), syncStatus: Type.Optional(Byte), times: Times }, CLOSED),
    ),
    /** Knows the routing activation of central security (0xE0). */
    centralSecurity: Type.Optional(Type.Boolean()),
    /** No answer over UDP. */
    udpSilent: Type.Optional(Type.Boolean()),
  },
  CLOSED,
);
export type EntityMisbehaviour = Static<typeof EntityMisbehaviourSchema>;

/** The timers and rules of ISO 13400-2 that the plain simulator leaves out. */
export const STRICT_ISO: EntityMisbehaviour = {
  initialInactivityMs: 2_000,
  generalInactivityMs: 300_000,
  maxSockets: 16,
  denySecondConnection: true,
  closeOnDenial: true,
  aliveCheckTimeoutMs: 500,
};

/** Whether a counted misbehaviour applies now; counts the use. */
export function uses<T extends { times?: number }>(counted: T | undefined): counted is T {
  if (counted === undefined || counted.times === 0) return false;
  if (counted.times !== undefined) counted.times--;
  return true;
}

/** Milliseconds of a delay; `random` gives values from 0 up to, not including, 1. */
export function drawDelay(delay: Delay, random: () => number): number {
  if (typeof delay === "number") return delay;
  switch (delay.kind) {
    case "uniform":
      return delay.minMs + random() * (delay.maxMs - delay.minMs);
    case "normal":
      // Box and Muller; 1 - random() is never 0.
      return Math.max(
        0,
        delay.meanMs + delay.deviationMs * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
      );
    case "weighted":
      return drawWeighted(delay.values, random);
  }
}

function drawWeighted(values: readonly { ms: number; weight: number }[], random: () => number): number {
  let rest = random() * values.reduce((sum, { weight }) => sum + weight, 0);
  for (const { ms, weight } of values) {
    rest -= weight;
    if (rest < 0) return ms;
  }
  return values.at(-1)!.ms;
}
