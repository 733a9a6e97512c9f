/** Where a read's microseconds go, as the server itself measures it with `process.stage_timing`. */
import { runLoad } from "../load.ts";
import { prepare } from "../profiles.ts";
import type { Lab } from "./lab.ts";

/** Microseconds of one stage. */
export interface StageRow {
  readonly stage: string;
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
}

const WARM_UP_MS = 3_000;

/** Reads with so many connections; the lab must be fresh, because what was measured before stays in the figures. */
export async function measureStages(lab: Lab, connections: number, durationMs: number): Promise<StageRow[]> {
  const { address, host } = lab.target;
  const { requests } = await prepare("read", lab.target);
  await runLoad({ address, requests, connections, durationMs: WARM_UP_MS });
  await runLoad({ address, requests, connections, durationMs });
  const text = await fetch(`http://${host}/metrics`).then((response) => response.text());
  const rows = new Map<string, { stage: string; mean: number; p50: number; p99: number }>();
  for (const [, stage, figure, us] of text.matchAll(
    /^sovd_stage_microseconds\{stage="(\w+)",figure="(mean|p50|p99)"\} (\S+)$/gm,
  )) {
    const row = rows.get(stage!) ?? { stage: stage!, mean: 0, p50: 0, p99: 0 };
    row[figure as "mean" | "p50" | "p99"] = Number(us);
    rows.set(stage!, row);
  }
  return withWayBack([...rows.values()]);
}

/** `arrive` holds accept, auth and handle; what no stage has of the whole is the way back to the main thread. */
function withWayBack(rows: readonly StageRow[]): StageRow[] {
  const whole = rows.find(({ stage }) => stage === "request");
  if (whole === undefined) return [...rows];
  const parts = rows.filter(({ stage }) => ["arrive", "prepare", "exchange", "decode", "write"].includes(stage));
  const rest = (figure: "mean" | "p50") => whole[figure] - parts.reduce((sum, row) => sum + row[figure], 0);
  return [...rows, { stage: "way back (rest)", mean: rest("mean"), p50: rest("p50"), p99: 0 }];
}

export function stagesText(rows: readonly StageRow[]): string {
  return rows
    .map(({ stage, mean, p50, p99 }) =>
      [stage.padEnd(16), ...[mean, p50, p99].map((us) => us.toFixed(1).padStart(9))].join(" "),
    )
    .join("\n");
}
