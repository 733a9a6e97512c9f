/** What is told of a component that needs service and does not answer: of it above all. */
import type { TargetFacts } from "#update/software/provider.ts";
import { inNeedOfService } from "./next.ts";
import type { CampaignRecord } from "./states.ts";

/** As it was when its update was prepared; undefined for one that needs no service. */
export function lastKnown(record: CampaignRecord | undefined, component: string): TargetFacts | undefined {
  const member = inNeedOfService(record).includes(component)
    ? record?.members.find((each) => each.component === component)
    : undefined;
  if (member === undefined) return undefined;
  const { supportsTrial, hardwareId, serial } = member;
  return {
    supportsRollback: false,
    supportsTrial,
    ...(hardwareId === undefined ? {} : { hardwareId }),
    ...(serial === undefined ? {} : { serial }),
  };
}
