/** What somebody asks to be done to an update, whichever way the request came. */
import { toFaultData } from "#core/errors.ts";
import type { Updates } from "./updates.ts";

export interface Attempt {
  readonly id: string;
  /** As the SOVD interface and the audit name it. */
  readonly action: string;
  readonly actor: string;
}

/**
 * Does `work`, which gets the components of the update; when that fails, puts the refusal on record. `onProblem`: the record could not be
 * written. @throws Fault notFound, and what `work` throws
 */
export async function attempt(
  updates: Updates,
  { id, action, actor }: Attempt,
  work: (components: readonly string[]) => Promise<void>,
  onProblem: (problem: unknown) => void,
): Promise<void> {
  const components = updates.record(id).members.map(({ component }) => component);
  try {
    await work(components);
  } catch (error) {
    await updates.refused(id, action, actor, toFaultData(error).message).catch(onProblem);
    throw error;
  }
}
