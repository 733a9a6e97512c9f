/** What this tester knows of an ECU's modes. Tracked from positive responses, cleared when the ECU comes back. Pure. */
import type { ModeId } from "#fleet/messages.ts";
import type { ServiceEntry } from "#mdd/query/service-entry.ts";
import { INITIAL_MODES, nextStates, type StateCharts, startStates } from "#mdd/query/state-charts.ts";

export type TrackedStates = Readonly<Record<ModeId, string | undefined>>;

export const UNKNOWN_STATES: TrackedStates = {
  session: undefined,
  security: undefined,
  commctrl: undefined,
  dtcsetting: undefined,
  authentication: undefined,
};

/** States of an ECU that has just come up. */
export function bornStates(charts: StateCharts): TrackedStates {
  const { session, security } = startStates(charts);
  return {
    session,
    security,
    commctrl: INITIAL_MODES.commctrl,
    dtcsetting: INITIAL_MODES.dtcsetting,
    authentication: undefined,
  };
}

/** States after a positive response to `service`. */
export function statesAfter(charts: StateCharts, states: TrackedStates, service: ServiceEntry): TrackedStates {
  if (service.transitions.length === 0) return states;
  const next = nextStates(charts, states, service);
  return next.session === states.session && next.security === states.security ? states : { ...states, ...next };
}
