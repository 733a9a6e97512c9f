/** What is fuzzed. */
import { doipClientTarget } from "./doip-client.ts";
import { doipEntityTarget } from "./doip-entity.ts";
import { httpTarget } from "./http.ts";
import type { FuzzTarget } from "./target.ts";
import { udsTarget } from "./uds.ts";

export interface Amount {
  /** Of the time of a long run. */
  readonly share: number;
  /** Of a short run: about four seconds. */
  readonly cases: number;
}

export const TARGETS: readonly (readonly [target: FuzzTarget<never>, amount: Amount])[] = [
  [httpTarget as FuzzTarget<never>, { share: 4, cases: 1_200 }],
  [udsTarget as FuzzTarget<never>, { share: 2, cases: 100 }],
  [doipClientTarget as FuzzTarget<never>, { share: 2, cases: 150 }],
  [doipEntityTarget as FuzzTarget<never>, { share: 2, cases: 80 }],
];
