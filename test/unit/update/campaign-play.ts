/** A campaign that is played to its end on a clock that jumps. */
import type { CampaignRecord } from "#update/software/campaign/states.ts";
import {
  begin,
  DyingPersistence,
  freshPersistence,
  ID,
  JumpClock,
  type Process,
  type Script,
  settle,
  startProcess,
  turn,
  World,
} from "./software-model.ts";

export interface Play {
  readonly process: Process;
  readonly clock: JumpClock;
  readonly disk: DyingPersistence;
  readonly world: World;
}

/** Executes a campaign until nothing happens by itself any more. */
export async function play(
  components: readonly string[],
  policy: CampaignRecord["policy"],
  scripts: readonly Script[] = [],
  { single = [], watchdogMs }: { readonly single?: readonly string[]; readonly watchdogMs?: number } = {},
  world = new World(components, scripts, single),
): Promise<Play> {
  const disk = new DyingPersistence(freshPersistence());
  const clock = new JumpClock();
  const process = await startProcess(disk, world, clock);
  await begin(process, components, policy, watchdogMs);
  if (watchdogMs === undefined) await settle(process, clock, disk);
  else while (process.campaigns.get(ID)?.state !== "awaitingVerdict") await step(process, clock);
  return { process, clock, disk, world };
}

export async function step({ campaigns }: Process, clock: JumpClock): Promise<void> {
  await turn();
  const state = campaigns.get(ID)?.state;
  if (state !== "awaitingVerdict" && !clock.jump()) await turn();
}

export const eventsOf = ({ journal }: Process, ...wanted: string[]): string[] =>
  [...journal.records()]
    .filter(({ event }) => wanted.includes(event))
    .map((record) => `${record.event} ${record.component}`);
