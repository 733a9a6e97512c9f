/** State charts and what services have to do with them (ISO 22901-1 §7.3.3.3). */
import type {
  PreConditionStateRef,
  State,
  StateChart,
  StateTransition,
  StateTransitionRef,
} from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import { type Context, once } from "./context.ts";
import { child, list, type OdxElement, textOf } from "./element.ts";
import { resolve } from "./links.ts";
import { longNameOf, nameOf, requiredChild, snrefOf, unlessEmpty } from "./values.ts";

export function buildStateChart(context: Context, element: OdxElement): StateChart {
  requiredChild(context, element, "START-STATE-SNREF");
  const transitions = list(element, "STATE-TRANSITIONS", "STATE-TRANSITION");
  const states = list(element, "STATES", "STATE");
  return defined<StateChart>({
    short_name: nameOf(context, element),
    semantic: requiredChild(context, element, "SEMANTIC")?.text.trim(),
    state_transitions: unlessEmpty(transitions.flatMap((one) => buildTransition(context, one) ?? [])),
    start_state_short_name_ref: snrefOf(element, "START-STATE-SNREF"),
    states: unlessEmpty(states.flatMap((one) => buildState(context, one) ?? [])),
  });
}

function buildState(context: Context, element: OdxElement): State | undefined {
  return once(context, element, () =>
    defined<State>({ short_name: nameOf(context, element), long_name: longNameOf(element) }),
  );
}

function buildTransition(context: Context, element: OdxElement): StateTransition | undefined {
  return once(context, element, () =>
    defined<StateTransition>({
      short_name: nameOf(context, element),
      source_short_name_ref: snrefOf(element, "SOURCE-SNREF"),
      target_short_name_ref: snrefOf(element, "TARGET-SNREF"),
    }),
  );
}

export function transitionRefsOf(context: Context, owner: OdxElement): StateTransitionRef[] {
  return list(owner, "STATE-TRANSITION-REFS", "STATE-TRANSITION-REF").flatMap((ref) => {
    const target = resolve(context, ref, ["STATE-TRANSITION"]);
    if (target === undefined) return [];
    return [
      defined<StateTransitionRef>({ value: textOf(ref, "VALUE"), state_transition: buildTransition(context, target) }),
    ];
  });
}

export function preConditionsOf(context: Context, owner: OdxElement): PreConditionStateRef[] {
  return list(owner, "PRE-CONDITION-STATE-REFS", "PRE-CONDITION-STATE-REF").flatMap((ref) => {
    const target = resolve(context, ref, ["STATE"]);
    if (target === undefined) return [];
    return [
      defined<PreConditionStateRef>({
        value: textOf(ref, "VALUE"),
        in_param_if_short_name: snrefOf(ref, "IN-PARAM-IF-SNREF"),
        in_param_path_short_name: child(ref, "IN-PARAM-IF-SNPATHREF")?.attributes["SHORT-NAME-PATH"],
        state: buildState(context, target),
      }),
    ];
  });
}
