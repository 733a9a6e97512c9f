import { Fault } from "#core/errors.ts";
import type { StateChart as StateChartTable } from "#mdd/generated/dataformat.ts";
import { type Database, each, memoised, reading } from "./database.ts";
import { layersOf, type Scope } from "./layers.ts";
import type { ServiceEntry, StateTransition } from "./service-entry.ts";

/** One state chart of a layer; names as the database spells them, compared in any case. */
export interface StateChart {
  readonly name: string;
  readonly semantic: string;
  readonly start: string | undefined;
  readonly states: readonly string[];
  readonly transitions: readonly StateTransition[];
}

/** The two charts that matter at run-time. */
export interface StateCharts {
  readonly session: StateChart | undefined;
  readonly security: StateChart | undefined;
}

/** Where an ECU stands in each chart; undefined where the database has no chart or no start state. */
export interface EcuStates {
  readonly session: string | undefined;
  readonly security: string | undefined;
}

export type ChartKind = keyof StateCharts;

/** Modes that have no chart start like this. */
export const INITIAL_MODES = { dtcsetting: "on", commctrl: "enablerxandenabletx" } as const;

const CHART_KINDS: readonly ChartKind[] = ["session", "security"];

/** Session and security chart of a scope: the first of each semantic, nearest layer first. */
export function stateChartsOf(database: Database, scope: Scope): StateCharts {
  return memoised(database, `charts:${scope.kind}:${scope.index}`, () =>
    reading(`${scope.name}.state_charts`, () => {
      const charts = layersOf(database, scope).flatMap(({ diagLayer }) =>
        each(diagLayer.stateChartsLength(), (i) => diagLayer.stateCharts(i)).map(readChart),
      );
      const { session, security } = database.naming.semantics;
      const bySemantic = (semantic: string) => charts.find((chart) => same(chart.semantic, semantic));
      return { session: bySemantic(session), security: bySemantic(security) };
    }),
  );
}

function readChart(chart: StateChartTable): StateChart {
  return {
    name: chart.shortName() ?? "",
    semantic: chart.semantic() ?? "",
    start: chart.startStateShortNameRef() ?? undefined,
    states: each(chart.statesLength(), (i) => chart.states(i)?.shortName() ?? null),
    transitions: each(chart.stateTransitionsLength(), (i) => {
      const transition = chart.stateTransitions(i);
      return { source: transition?.sourceShortNameRef() ?? "", target: transition?.targetShortNameRef() ?? "" };
    }),
  };
}

/** The states an ECU is in after it comes up. */
export function startStates(charts: StateCharts): EcuStates {
  return { session: charts.session?.start, security: charts.security?.start };
}

/** The state of this name, spelled as in the chart. */
export function findState(chart: StateChart | undefined, name: string): string | undefined {
  return chart?.states.find((state) => same(state, name));
}

/** States after a positive response to `service`; what does not change stays. */
export function nextStates(charts: StateCharts, current: EcuStates, service: ServiceEntry): EcuStates {
  if (service.transitions.length === 0) return current;
  return {
    session: nextState(charts.session, current.session, service.transitions),
    security: nextState(charts.security, current.security, service.transitions),
  };
}

/** Target of the first transition that starts at `current` and is one of the chart's own; else `current`. */
export function nextState(
  chart: StateChart | undefined,
  current: string | undefined,
  transitions: readonly StateTransition[],
): string | undefined {
  if (chart === undefined || current === undefined) return current;
  const taken = transitions.find((transition) => same(transition.source, current) && belongsTo(chart, transition));
  return taken === undefined ? current : (findState(chart, taken.target) ?? taken.target);
}

/**
 * The service that leads to `target`: the first with a transition from the current state, else the first with one from the
 * chart's start state.
 * @throws Fault notFound
 */
export function findTransitionService(
  services: readonly ServiceEntry[],
  chart: StateChart | undefined,
  current: string | undefined,
  target: string,
): ServiceEntry {
  for (const source of new Set([current, chart?.start])) {
    if (chart === undefined || source === undefined || !belongsTo(chart, { source, target })) continue;
    const service = services.find((candidate) =>
      candidate.transitions.some((t) => same(t.source, source) && same(t.target, target)),
    );
    if (service !== undefined) return service;
  }
  const semantic = chart === undefined ? "" : ` (${chart.semantic})`;
  throw new Fault("notFound", `No service found for state transition ${current ?? "?"} -> ${target}${semantic}`);
}

/** Why a service may not be sent now. */
export interface StateMismatch {
  readonly chart: ChartKind;
  readonly current: string | undefined;
  readonly required: readonly string[];
}

/**
 * Checks the preconditions of a service (ODX PRE-CONDITION-STATE-REF). A state belongs to the chart that knows it, session if
 * none does; source states of the service's own transitions are allowed too; the start state always is. Undefined: it may be sent.
 */
export function checkPreconditions(
  charts: StateCharts,
  current: EcuStates,
  service: ServiceEntry,
): StateMismatch | undefined {
  if (service.preconditions.length === 0) return undefined;
  for (const kind of CHART_KINDS) {
    const required = allowedStates(charts, service, kind);
    const chart = charts[kind];
    const allowed = (state: string | undefined) => state !== undefined && required.some((name) => same(name, state));
    if (required.length > 0 && !allowed(current[kind]) && !allowed(chart?.start))
      return { chart: kind, current: current[kind], required };
  }
  return undefined;
}

/** The fault that tells a caller about a mismatch. */
export function stateMismatchFault(service: ServiceEntry, mismatch: StateMismatch): Fault {
  const word = mismatch.chart === "session" ? "Session" : "Security";
  const required = mismatch.required.join(", ");
  return new Fault(
    "badRequest",
    `${service.shortName} - ${word} mismatch. Required one of: ${required}. Current: ${mismatch.current ?? "unknown"}`,
    { required: mismatch.required, current: mismatch.current ?? null },
  );
}

function allowedStates(charts: StateCharts, service: ServiceEntry, kind: ChartKind): readonly string[] {
  const named = service.preconditions.filter((state) => ownerOf(charts, state) === kind);
  const chart = charts[kind];
  const sources = service.transitions.filter((transition) => chart !== undefined && belongsTo(chart, transition));
  return [...new Set([...named, ...sources.map(({ source }) => source)])];
}

function ownerOf(charts: StateCharts, state: string): ChartKind {
  return findState(charts.security, state) === undefined ? "session" : "security";
}

function belongsTo(chart: StateChart, { source, target }: StateTransition): boolean {
  return chart.transitions.some((transition) => same(transition.source, source) && same(transition.target, target));
}

function same(a: string, b: string): boolean {
  return a === b || a.toLowerCase() === b.toLowerCase();
}
