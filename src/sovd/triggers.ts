/** Triggers (ISO 17978-3): a client is told once, or each time, when the status of an update changes as it wants to know. */
import { type Static, Type } from "#core/schema.ts";
import { valueAt } from "#update/software/campaign/preconditions.ts";
import type { Updates } from "#update/software/updates.ts";
import { envelopeOf, type Observed, observedOf, observes, pathOfObserved } from "./observed.ts";
import type { AnswerEvents, Route } from "./route.ts";
import type { Standing, StandingRequests } from "./standing.ts";
import { standingRoutes } from "./standing-routes.ts";
import { fires, lackOf, TriggerCondition } from "./trigger-condition.ts";

const MAX_LIFETIME_S = 7 * 86_400;
const DEFAULT_LIFETIME_S = 86_400;
/** Events kept for a client that is away. */
const MAX_KEPT = 32;
const DEFAULT_POINTER = "/status";

const Lifetime = Type.Integer({ minimum: 1, maximum: MAX_LIFETIME_S, description: "Seconds; default: a day." });
const LogSettings = Type.Object({
  severity: Type.Optional(Type.String({ maxLength: 32 })),
  marker: Type.Optional(Type.String({ maxLength: 256 })),
});
const shared = {
  trigger_condition: TriggerCondition,
  path: Type.Optional(
    Type.String({ maxLength: 512, description: "JSON pointer into the status; default: `/status`." }),
  ),
  protocol: Type.Optional(Type.Literal("sse")),
  multishot: Type.Optional(Type.Boolean({ description: "Fires each time; default: once." })),
  persistent: Type.Optional(Type.Literal(false, { description: "A restart of the server forgets triggers." })),
  lifetime: Type.Optional(Lifetime),
  log_settings: Type.Optional(LogSettings),
};
const Body = Type.Object({
  resource: Type.String({
    maxLength: 2_048,
    description: "`/updates/{id}/status`, or `/components/{component}/updates` for all that affect it.",
  }),
  ...shared,
});

/** One that was created, and what it has seen. */
export interface Trigger {
  readonly observed: Observed;
  readonly asked: Static<typeof Body>;
  /** Value at the pointer, by update. */
  readonly seen: Map<string, unknown>;
  /** What fired, newest last; numbered from 1. */
  readonly fired: { readonly seq: number; readonly text: string }[];
  count: number;
  /** Tells the stream. */
  tell: (() => void) | undefined;
}

const isOver = ({ asked, count }: Trigger): boolean => asked.multishot !== true && count > 0;

export const triggerRoutes: readonly Route[] = standingRoutes({
  name: "triggers",
  one: "trigger",
  body: Body,
  change: Type.Object({ lifetime: Lifetime }),
  item: Type.Object({
    id: Type.String(),
    status: Type.Union([Type.Literal("active"), Type.Literal("terminated")]),
    observed_resource: Type.String(),
    event_source: Type.String(),
    ...shared,
  }),
  check: ({ trigger_condition: condition }) => lackOf(condition),
  requests: ({ triggers }) => triggers,
  create: (asked, requestBase, { options, softwareUpdates }) => {
    const { base, observed } = observedOf(asked.resource, requestBase, options.basePaths);
    const trigger: Trigger = { observed, asked, seen: new Map(), fired: [], count: 0, tell: undefined };
    for (const id of softwareUpdates?.list({}) ?? []) look(trigger, base, softwareUpdates!, id);
    return { base, lifetimeS: asked.lifetime ?? DEFAULT_LIFETIME_S, what: trigger };
  },
  changed: (_standing, { lifetime }) => ({ lifetimeS: lifetime }),
  show: ({ id, base, lifetimeS, what }, path) => {
    const { trigger_condition, path: pointer, multishot = false, log_settings } = what.asked;
    return {
      id,
      status: isOver(what) ? "terminated" : "active",
      observed_resource: pathOfObserved(base, what.observed),
      event_source: `${path}/events`,
      protocol: "sse",
      trigger_condition,
      ...(pointer === undefined ? {} : { path: pointer }),
      multishot,
      persistent: false,
      lifetime: lifetimeS,
      ...(log_settings === undefined ? {} : { log_settings }),
    };
  },
  events: ({ what }, _context, lastEventId) => {
    const after = Number.parseInt(lastEventId, 10) || 0;
    return isOver(what) && after === what.count ? undefined : triggerEvents(what, after);
  },
});

/** Notes the present value; true when an update that the trigger observes has changed to what it waits for. */
function look({ observed, asked, seen }: Trigger, base: string, updates: Updates, id: string): boolean {
  const key = id.toLowerCase();
  const before = seen.get(key);
  const { payload } = envelopeOf(base, updates, id);
  if (payload === undefined || !observes(observed, updates, id)) {
    seen.delete(key);
    return false;
  }
  const now = valueAt(payload, asked.path ?? DEFAULT_POINTER);
  seen.set(key, now);
  return fires(asked.trigger_condition, before, now);
}

/** Who is told beside the client, for triggers with `log_settings`. */
export type TriggerLog = (
  level: "debug" | "info" | "warn" | "error",
  fields: Readonly<Record<string, unknown>>,
) => void;

/** Levels of the log by the words clients use; any other is `info`. */
const LEVELS = new Map<string, Parameters<TriggerLog>[0]>([
  ["debug", "debug"],
  ["warn", "warn"],
  ["warning", "warn"],
  ["error", "error"],
  ["fatal", "error"],
]);

/** Fires the triggers of one update that changed. */
export function fireTriggers(
  triggers: StandingRequests<Trigger>,
  updates: Updates,
  id: string,
  log: TriggerLog | undefined,
): void {
  for (const standing of triggers.all()) {
    const { what, base } = standing;
    if (isOver(what) || !look(what, base, updates, id)) continue;
    const event = { ...envelopeOf(base, updates, id), "x-update": updates.record(id).package.id };
    what.fired.push({ seq: ++what.count, text: JSON.stringify(event) });
    if (what.fired.length > MAX_KEPT) what.fired.shift();
    if (what.asked.log_settings !== undefined) log?.(...noteOf(standing, id));
    what.tell?.();
  }
}

function noteOf({ id: trigger, what }: Standing<Trigger>, update: string): Parameters<TriggerLog> {
  const { severity = "info", marker } = what.asked.log_settings ?? {};
  const fields = { trigger, update, ...(marker === undefined ? {} : { marker }) };
  return [LEVELS.get(severity.toLowerCase()) ?? "info", fields];
}

/** What fired after event `after`, and what fires from now on. A trigger that fires once ends with its event. */
function triggerEvents(trigger: Trigger, after: number): AnswerEvents {
  let sent = after > trigger.count ? 0 : after;
  let taken = true;
  let tell = (): void => undefined;
  return {
    open(write, end) {
      tell = () => {
        for (const { seq, text } of trigger.fired) {
          if (seq <= sent || !taken) continue;
          sent = seq;
          taken = write(`id: ${seq}\ndata: ${text}\n\n`);
        }
        if (isOver(trigger) && sent === trigger.count) end();
      };
      trigger.tell = tell;
      tell();
    },
    onDrain() {
      taken = true;
      tell();
    },
    close() {
      if (trigger.tell === tell) trigger.tell = undefined;
      tell = () => undefined;
    },
  };
}
