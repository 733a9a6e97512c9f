/** What is fuzzed, each with its share of the time. */
import { doipClientTarget } from "./doip-client.ts";
import { doipEntityTarget } from "./doip-entity.ts";
import { httpTarget } from "./http.ts";
import type { FuzzTarget } from "./target.ts";
import { udsTarget } from "./uds.ts";

export const TARGETS: readonly (readonly [target: FuzzTarget<never>, share: number])[] = [
  [httpTarget as FuzzTarget<never>, 4],
  [udsTarget as FuzzTarget<never>, 2],
  [doipClientTarget as FuzzTarget<never>, 2],
  [doipEntityTarget as FuzzTarget<never>, 2],
];
