import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import type { ServiceEntry, StateTransition } from "#mdd/query/service-entry.ts";
import {
  checkPreconditions,
  type EcuStates,
  findTransitionService,
  nextStates,
  type StateCharts,
  startStates,
  stateMismatchFault,
} from "#mdd/query/state-charts.ts";

const to = (source: string, target: string): StateTransition => ({ source, target });

const CHARTS: StateCharts = {
  session: {
    name: "Session",
    semantic: "SESSION",
    start: "Default",
    states: ["Default", "Extended", "Programming"],
    transitions: [to("Default", "Extended"), to("Extended", "Programming"), to("Extended", "Default")],
  },
  security: {
    name: "SecurityAccess",
    semantic: "SECURITY",
    start: "Locked",
    states: ["Locked", "Level_3"],
    transitions: [to("Locked", "Level_3"), to("Level_3", "Locked")],
  },
};

function service(shortName: string, transitions: StateTransition[], preconditions: string[] = []): ServiceEntry {
  return {
    ...{ table: 0, shortName, id: shortName, serviceId: shortName, name: "", semantic: undefined, type: "Modes" },
    ...{ sid: 0x10, subFunction: 1, prefix: Uint8Array.of(0x10, 1), functionalClasses: [] },
    ...{ preconditions, transitions, audience: undefined, isExecutable: true },
  };
}

const at = (session: string, security: string): EcuStates => ({ session, security });

test("an ECU starts where its charts start", () => {
  assert.deepEqual(startStates(CHARTS), at("Default", "Locked"));
  assert.deepEqual(startStates({ session: undefined, security: undefined }), {
    session: undefined,
    security: undefined,
  });
});

const MOVES: readonly (readonly [what: string, from: EcuStates, by: StateTransition[], to: EcuStates])[] = [
  ["a transition from here moves", at("Default", "Locked"), [to("Default", "Extended")], at("Extended", "Locked")],
  [
    "case does not count, the chart's spelling stays",
    at("DEFAULT", "Locked"),
    [to("default", "EXTENDED")],
    at("Extended", "Locked"),
  ],
  [
    "a transition from elsewhere does not",
    at("Programming", "Locked"),
    [to("Default", "Extended")],
    at("Programming", "Locked"),
  ],
  [
    "one that no chart knows does not",
    at("Default", "Locked"),
    [to("Default", "Programming")],
    at("Default", "Locked"),
  ],
  [
    "one service may move both",
    at("Extended", "Level_3"),
    [to("Extended", "Default"), to("Level_3", "Locked")],
    at("Default", "Locked"),
  ],
  ["none: nothing", at("Extended", "Level_3"), [], at("Extended", "Level_3")],
];

for (const [what, from, by, target] of MOVES) {
  test(what, () => assert.deepEqual(nextStates(CHARTS, from, service("Any", by)), target));
}

test("a target is reached from the current state first, then from the start state", () => {
  const fromDefault = service("FromDefault", [to("Default", "Extended")]);
  const fromExtended = service("FromExtended", [to("Extended", "Default")]);
  const services = [fromDefault, fromExtended];
  assert.equal(findTransitionService(services, CHARTS.session, "Default", "extended"), fromDefault);
  assert.equal(findTransitionService(services, CHARTS.session, "Programming", "Extended"), fromDefault);
  assert.equal(findTransitionService(services, CHARTS.session, "Extended", "Default"), fromExtended);
});

test("an unknown target is not found", () => {
  const search = () => findTransitionService([], CHARTS.security, "Locked", "nope");
  assert.throws(
    search,
    (error) => error instanceof Fault && error.kind === "notFound" && /Locked -> nope/.test(error.message),
  );
});

const ALLOWED: readonly (readonly [
  what: string,
  preconditions: string[],
  by: StateTransition[],
  now: EcuStates,
  mismatch: string | undefined,
])[] = [
  ["no precondition: always", [], [], at("Programming", "Level_3"), undefined],
  ["the state asked for", ["Extended"], [], at("Extended", "Locked"), undefined],
  ["the state asked for, in other case", ["EXTENDED"], [], at("extended", "Locked"), undefined],
  ["another session", ["Extended"], [], at("Programming", "Locked"), "session"],
  ["the start state among those asked for", ["Default"], [], at("Programming", "Locked"), undefined],
  ["a security state", ["Level_3"], [], at("Default", "Locked"), "security"],
  ["session fits, security does not", ["Extended", "Level_3"], [], at("Extended", "Locked"), "security"],
  [
    "the source of a transition of its own",
    ["Extended"],
    [to("Level_3", "Locked")],
    at("Extended", "Level_3"),
    undefined,
  ],
  ["a state no chart knows counts as a session", ["Nowhere"], [], at("Default", "Locked"), "session"],
];

for (const [what, preconditions, by, now, mismatch] of ALLOWED) {
  test(`preconditions: ${what}`, () => {
    assert.equal(checkPreconditions(CHARTS, now, service("Any", by, preconditions))?.chart, mismatch);
  });
}

test("a mismatch names the service and what it needs", () => {
  const any = service("WriteCoding", [], ["Extended", "Programming"]);
  const mismatch = checkPreconditions(CHARTS, at("Default", "Locked"), any);
  assert.ok(mismatch !== undefined);
  const fault = stateMismatchFault(any, mismatch);
  assert.equal(fault.kind, "badRequest");
  assert.match(fault.message, /^WriteCoding - Session mismatch\. Required one of: Extended, Programming/);
});
