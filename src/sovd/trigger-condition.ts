/** When a trigger fires: conditions on a value before and after a change. */
import { type Static, Type } from "#core/schema.ts";

const Bound = Type.Optional(Type.Number());

export const TriggerCondition = Type.Object({
  condition_type: Type.Union([
    Type.Literal("OnChange"),
    Type.Literal("OnChangeTo"),
    Type.Literal("EnterRange"),
    Type.Literal("LeaveRange"),
  ]),
  target_value: Type.Optional(Type.Unknown({ description: "`OnChangeTo`: the value." })),
  lower_bound: Bound,
  upper_bound: Bound,
});
export type TriggerCondition = Static<typeof TriggerCondition>;

type Rule = (condition: TriggerCondition, before: unknown, now: unknown) => boolean;

const RULES: Readonly<Record<TriggerCondition["condition_type"], Rule>> = {
  OnChange: () => true,
  OnChangeTo: ({ target_value: target }, _before, now) => same(now, target),
  EnterRange: (range, before, now) => within(range, now) && !within(range, before),
  LeaveRange: (range, before, now) => within(range, before) && !within(range, now),
};

const RANGE = ["lower_bound", "upper_bound"] as const;
const NEEDED = { OnChange: [], OnChangeTo: ["target_value"], EnterRange: RANGE, LeaveRange: RANGE } as const;

/** What a condition lacks, in words. */
export function lackOf({ condition_type: type, ...given }: TriggerCondition): string | undefined {
  const lacking = NEEDED[type].filter((name) => given[name] === undefined);
  return lacking.length === 0 ? undefined : `${type} needs ${lacking.join(" and ")}`;
}

/** `before` is undefined for a value that was not there; what did not change never fires. */
export function fires(condition: TriggerCondition, before: unknown, now: unknown): boolean {
  return !same(before, now) && RULES[condition.condition_type](condition, before, now);
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function within({ lower_bound: lower = 0, upper_bound: upper = 0 }: TriggerCondition, value: unknown): boolean {
  return typeof value === "number" && value >= lower && value <= upper;
}
