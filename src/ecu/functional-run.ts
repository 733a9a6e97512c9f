/** One service sent to the members of a functional group: once per gateway, answers per ECU. */
import { Fault, toFaultData } from "#core/errors.ts";
import type { GroupOutcome, PartialError, ServiceBody } from "#fleet/messages.ts";
import type { ServiceEntry } from "#mdd/query/service-entry.ts";
import { functionalRequest } from "#uds/functional.ts";
import type { Caller } from "#uds/job.ts";
import { encodeService } from "./codec.ts";
import type { Ecu } from "./ecu.ts";
import type { GroupDescription } from "./functional-description.ts";
import type { Gateway } from "./gateway.ts";
import { type Answer, throwRefusal, track } from "./run.ts";

export interface FunctionalTarget {
  readonly gateways: readonly Gateway[];
  readonly deadlineMs: number;
  readonly caller: Caller;
  readonly isStrict: boolean;
  onSkipped(gateway: Gateway, reason: string): void;
}

/** Finished JSON of one ECU's answer; undefined where an ECU is to be left out. */
export type Render = (ecu: Ecu, answer: Answer) => { text: string; errors: readonly PartialError[] };

/** Members of the group behind a gateway that can be asked: online, detected, and the gateway itself among them. */
export function membersOf(gateway: Gateway, group: string): readonly Ecu[] {
  return gateway.ecus.filter(
    (ecu) => ecu.online && ecu.endpoint !== undefined && ecu.assignment.groups.includes(group),
  );
}

/**
 * Sends and collects. Failures of single ECUs are errors beside the results; nothing at all is thrown but faults of the request
 * itself (unknown service, wrong parameters).
 */
export async function runFunctional(
  description: GroupDescription,
  service: ServiceEntry,
  body: ServiceBody,
  target: FunctionalTarget,
  render: Render,
): Promise<GroupOutcome> {
  const plan = description.loaded.plan(service.table);
  const request = encodeService(plan, body, target.isStrict);
  const results: Record<string, string> = {};
  const errors: PartialError[] = [];
  await Promise.all(
    target.gateways.map(async (gateway) => {
      const members = membersOf(gateway, description.name);
      const asked = askable(gateway, members, target);
      if (asked === undefined) return;
      for (const [ecu, outcome] of await ask(gateway, asked, request, target, service.shortName)) {
        try {
          if (outcome instanceof Fault) throw outcome;
          const response = throwRefusal(plan, outcome ?? new Uint8Array(0));
          track(ecu, service);
          const rendered = render(ecu, { plan, request, response });
          results[ecu.name.toLowerCase()] = rendered.text;
          errors.push(...rendered.errors);
        } catch (error) {
          errors.push({ path: `/${ecu.name.toLowerCase()}`, fault: toFaultData(error) });
        }
      }
    }),
  );
  return { results, errors };
}

/** The gateway must be an online member itself: its parameters are those of the request. */
function askable(
  gateway: Gateway,
  members: readonly Ecu[],
  target: FunctionalTarget,
): { own: Ecu; members: readonly Ecu[] } | undefined {
  if (members.length === 0) return undefined;
  const own = members.find((ecu) => ecu.assignment.ecuAddress === gateway.logicalAddress);
  if (own === undefined) target.onSkipped(gateway, "its own ECU is not an online member of the group");
  else if (gateway.functional === undefined) target.onSkipped(gateway, "it has no functional address");
  else return { own, members };
  return undefined;
}

async function ask(
  gateway: Gateway,
  { own, members }: { own: Ecu; members: readonly Ecu[] },
  request: Uint8Array,
  { deadlineMs, caller }: FunctionalTarget,
  service: string,
): Promise<readonly (readonly [Ecu, Uint8Array | Fault | undefined])[]> {
  try {
    const answers = await functionalRequest({
      group: gateway.functional!,
      members: members.map((ecu) => ecu.endpoint!.client),
      request,
      service,
      params: own.params.uds,
      deadlineMs,
      caller,
    });
    return members.map((ecu, i) => [ecu, answers[i]] as const);
  } catch (error) {
    const fault = error instanceof Fault ? error : new Fault("internal", String(error));
    return members.map((ecu) => [ecu, fault] as const);
  }
}
