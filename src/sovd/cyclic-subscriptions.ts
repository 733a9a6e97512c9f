/** Cyclic subscriptions (ISO 17978-3): the status of an update again and again, as server-sent events. */
import { Fault } from "#core/errors.ts";
import { Type } from "#core/schema.ts";
import type { Clock, TimerHandle } from "#core/time.ts";
import type { Updates } from "#update/software/updates.ts";
import { envelopeOf, type Observed, observedOf, pathOfObserved } from "./observed.ts";
import type { AnswerEvents, Route } from "./route.ts";
import type { Standing } from "./standing.ts";
import { standingRoutes } from "./standing-routes.ts";
import { updatesOf } from "./updates.ts";

/** Milliseconds between two events. */
export const PERIODS_MS = { fast: 50, normal: 200, slow: 500 } as const;
type Interval = keyof typeof PERIODS_MS;

const MAX_DURATION_S = 7 * 86_400;
const DEFAULT_DURATION_S = 3_600;

export interface CyclicSubscription {
  readonly update: string;
  readonly interval: Interval;
}

const Interval = Type.Union([Type.Literal("fast"), Type.Literal("normal"), Type.Literal("slow")]);
const Duration = Type.Integer({ minimum: 1, maximum: MAX_DURATION_S, description: "Seconds; default: an hour." });
const Protocol = Type.Literal("sse");

function updateOf(observed: Observed, resource: string): string {
  if ("update" in observed) return observed.update;
  throw new Fault("badRequest", `${resource} cannot be read in a cycle; the status of an update can`);
}

export const cyclicSubscriptionRoutes: readonly Route[] = standingRoutes({
  name: "cyclic-subscriptions",
  one: "cyclic subscription",
  body: Type.Object({
    resource: Type.String({ maxLength: 2_048, description: "`/updates/{id}/status`, with or without a base path." }),
    interval: Interval,
    protocol: Type.Optional(Protocol),
    duration: Type.Optional(Duration),
  }),
  change: Type.Object({ interval: Type.Optional(Interval), duration: Type.Optional(Duration) }),
  item: Type.Object({
    id: Type.String(),
    observed_resource: Type.String(),
    event_source: Type.String(),
    protocol: Protocol,
    interval: Interval,
    duration: Duration,
  }),
  requests: ({ subscriptions }) => subscriptions,
  create: ({ resource, interval, duration = DEFAULT_DURATION_S }, requestBase, { options }) => {
    const { base, observed } = observedOf(resource, requestBase, options.basePaths);
    return { base, lifetimeS: duration, what: { update: updateOf(observed, resource), interval } };
  },
  changed: ({ what, lifetimeS }, { interval = what.interval, duration = lifetimeS }) => ({
    lifetimeS: duration,
    what: { ...what, interval },
  }),
  show: ({ id, base, lifetimeS, what: { update, interval } }, path) => ({
    id,
    observed_resource: pathOfObserved(base, { update }),
    event_source: `${path}/events`,
    protocol: "sse",
    interval,
    duration: lifetimeS,
  }),
  events: (standing, context) => {
    const now = () => context.subscriptions.get(standing.entity, standing.id);
    return cyclicEvents(now, updatesOf(context), context.clock);
  },
});

/** An event at once and one each period; a client that is slow misses some. `standing`: as it is now, for it may be changed. */
function cyclicEvents(standing: () => Standing<CyclicSubscription>, updates: Updates, clock: Clock): AnswerEvents {
  let timer: TimerHandle | undefined;
  let taken = true;
  return {
    open(write) {
      const tell = (): void => {
        const { base, what } = standing();
        // first: a client may go away while it is written to
        timer = clock.setTimeout(tell, PERIODS_MS[what.interval]);
        if (taken) taken = write(`data: ${JSON.stringify(envelopeOf(base, updates, what.update))}\n\n`);
      };
      tell();
    },
    onDrain() {
      taken = true;
    },
    close() {
      if (timer !== undefined) clock.clearTimeout(timer);
    },
  };
}
