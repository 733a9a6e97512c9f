/** Which states of campaigns and members are to be met by a kill, how a run gets there, and which ones were met. */
import {
  CAMPAIGN_STATES,
  type CampaignState,
  MEMBER_STATES,
  type MemberState,
} from "#update/software/campaign/states.ts";

export type Role = "primary" | "secondary";

export interface Goal {
  readonly role: Role;
  readonly of: "campaign" | "member";
  readonly state: CampaignState | MemberState;
}

/**
 * How a run is made to pass a state. `stepwise`: prepared and executed by two calls; `stop`: a client takes it back during the trial;
 * `unreachable`: a secondary is cut off then, for longer than going back may take; `absent`: it is cut off before; `independent`: each
 * decides for itself, and one falls back.
 */
export type Way = "plain" | "stepwise" | "stop" | "unreachable" | "absent" | "independent";

/** States of a campaign that a node of this role is never met in. What is deleted is in none any more. */
const NEVER: Readonly<Record<Role, ReadonlySet<CampaignState>>> = {
  // it is the secondary that waits for a verdict, and then for the word to close
  primary: new Set(["awaitingVerdict", "committed", "deleted"]),
  // its one member is all of it, and the slot of that can always be prepared and taken back
  secondary: new Set(["partial", "failed", "needsService", "deleted"]),
};

export const GOALS: readonly Goal[] = [
  ...(["primary", "secondary"] as const).flatMap((role) =>
    CAMPAIGN_STATES.filter((state) => !NEVER[role].has(state)).map((state): Goal => ({ role, of: "campaign", state })),
  ),
  ...MEMBER_STATES.map((state): Goal => ({ role: "primary", of: "member", state })),
];

const WAYS: Readonly<Partial<Record<CampaignState | MemberState, Way>>> = {
  prepared: "stepwise",
  rollingBack: "stop",
  rolledBack: "stop",
  failed: "absent",
  partial: "independent",
  needsService: "unreachable",
  stuck: "unreachable",
};

export function wayTo({ state }: Goal): Way {
  return WAYS[state] ?? "plain";
}

interface Seen {
  readonly state: string;
  readonly members: readonly { readonly state: string }[];
}

/** Whether what a node says, or its store, is the goal. */
export function meets({ of, state }: Goal, seen: Seen): boolean {
  return of === "campaign" ? seen.state === state : seen.members.some((member) => member.state === state);
}

/** Kills by the state they fell into. */
export class Histogram {
  readonly #counts = new Map<string, number>();

  add(role: Role, seen: Seen | undefined): void {
    if (seen === undefined) return;
    this.#count({ role, of: "campaign", state: seen.state as CampaignState });
    if (role !== "primary") return;
    for (const state of new Set(seen.members.map((member) => member.state)))
      this.#count({ role, of: "member", state: state as MemberState });
  }

  get missing(): readonly Goal[] {
    return GOALS.filter((goal) => !this.#counts.has(keyOf(goal)));
  }

  /** One line for the campaigns of each role, one for members. */
  get lines(): readonly string[] {
    const rows = new Map<string, string[]>();
    for (const goal of GOALS) {
      const row = `${goal.role}, ${goal.of}`;
      rows.set(row, [...(rows.get(row) ?? []), `${goal.state} ${this.#counts.get(keyOf(goal)) ?? 0}`]);
    }
    return [...rows].map(([row, states]) => `kills by state of the ${row}: ${states.join(", ")}`);
  }

  #count(goal: Goal): void {
    this.#counts.set(keyOf(goal), (this.#counts.get(keyOf(goal)) ?? 0) + 1);
  }
}

function keyOf({ role, of, state }: Goal): string {
  return `${role} ${of} ${state}`;
}
