/** Our server beside what is bare of everything it adds: what authorization, locks, codec, hop and ECU cost, as ratios of one run. */
import { JSON_TYPE } from "#core/media-types.ts";
import { type BenchOptions, type Contender, compare, type Measurement } from "../bench.ts";
import { encodeRequest } from "../http-message.ts";
import { prepare } from "../profiles.ts";
import { FIGURES, ratioOf } from "../summary.ts";
import type { Lab } from "./lab.ts";

/** What a ratio to the bare peer has to be; `figure` names one of `FIGURES`. */
interface Goal {
  readonly figure: string;
  readonly connections: readonly number[];
  readonly atLeast?: number;
  readonly atMost?: number;
}

interface Comparison {
  readonly title: string;
  readonly names: readonly [string, string];
  readonly goals: readonly Goal[];
  readonly contenders: (lab: Lab) => Promise<readonly [Contender, Contender]>;
}

const HOST = "127.0.0.1";

export const COMPARISONS: readonly Comparison[] = [
  {
    title: "list of components",
    names: ["server", "bare uWebSockets.js"],
    goals: [{ figure: "requests/s", connections: [64], atLeast: 0.8 }],
    contenders: async ({ target, barePort }) => [
      { name: "server", address: target.address, requests: (await prepare("list", target)).requests },
      peer("bare uWebSockets.js", barePort, ["/"]),
    ],
  },
  {
    title: "data read through UDS",
    names: ["server", "bare exchange"],
    goals: [
      { figure: "requests/s", connections: [1, 64], atLeast: 0.65 },
      { figure: "p50", connections: [1, 64], atMost: 1.3 },
      { figure: "p99", connections: [1, 64], atMost: 1.3 },
    ],
    contenders: async ({ target, hopPort, hopPaths }) => [
      { name: "server", address: target.address, requests: (await prepare("read", target)).requests },
      peer("bare exchange", hopPort, hopPaths),
    ],
  },
];

export interface SelfTestResult {
  readonly comparison: Comparison;
  readonly measurements: readonly Measurement[];
  /** One line per goal. */
  readonly verdicts: readonly string[];
}

/** Measures both comparisons in a running lab. */
export async function runSelfTest(lab: Lab, options: BenchOptions): Promise<SelfTestResult[]> {
  const results: SelfTestResult[] = [];
  for (const comparison of COMPARISONS) {
    const measurements = await compare(await comparison.contenders(lab), options);
    results.push({ comparison, measurements, verdicts: measurements.flatMap((one) => verdictsOf(comparison, one)) });
  }
  return results;
}

function peer(name: string, port: number, paths: readonly string[]): Contender {
  const host = `${HOST}:${port}`;
  const requests = paths.map((path) => encodeRequest({ method: "GET", path, host, accept: JSON_TYPE }));
  return { name, address: { host: HOST, port }, requests };
}

function verdictsOf({ goals, names }: Comparison, { connections, rounds }: Measurement): string[] {
  return goals
    .filter((goal) => goal.connections.includes(connections))
    .map(({ figure: name, atLeast, atMost }) => {
      const ratio =
        ratioOf(rounds[0]!, rounds[1]!, FIGURES.find((figure) => figure.name === name)!)?.median ?? Number.NaN;
      const met = ratio >= (atLeast ?? 0) && ratio <= (atMost ?? Number.POSITIVE_INFINITY);
      const wanted = atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`;
      return `${met ? "met   " : "missed"} ${name} at ${connections}: ${ratio.toFixed(2)} × ${names[1]} (${wanted})`;
    });
}
