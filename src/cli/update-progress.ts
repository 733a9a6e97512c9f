/** How an update looks on a terminal: a bar for the whole and one for each component; in a pipe a line for each change. */
import { Fault } from "#core/errors.ts";
import type { Client } from "./update-client.ts";

export interface StatusView {
  readonly phase: string;
  readonly status: string;
  readonly progress?: number;
  readonly "x-state"?: string;
  readonly subprogress?: readonly {
    readonly entity: string;
    readonly status: string;
    readonly progress?: number;
    readonly step?: string;
    readonly "x-state"?: string;
  }[];
  readonly error?: string | { readonly message?: string };
}

export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** What one waits for: prepared; new software; the old one back; or whatever comes. */
export type Goal = "prepared" | "new" | "old" | "over";

const BAR_WIDTH = 28;
const POLL_MS = 250;
const CLEAR_LINE = "\u001b[2K";

/** One line for the whole, one for each component. */
export function progressLines(status: StatusView): string[] {
  const { subprogress = [] } = status;
  const width = Math.max(6, ...subprogress.map(({ entity }) => entity.length));
  const whole = bar("update", width, status.progress ?? 0, `${status.phase} ${status["x-state"] ?? status.status}`);
  const members = subprogress.map(({ entity, progress = 0, step, status: word, "x-state": state }) =>
    bar(entity, width, progress, [state ?? word, step].filter((part) => part !== undefined).join(": ")),
  );
  return [whole, ...members];
}

/** `name [####----]  50 %  text`. `percent`: 0 to 100. */
export function bar(name: string, width: number, percent: number, text: string): string {
  const filled = Math.round((BAR_WIDTH * percent) / 100);
  return `${name.padEnd(width)} [${"#".repeat(filled)}${"-".repeat(BAR_WIDTH - filled)}] ${String(percent).padStart(3)} %  ${text}`;
}

/** Draws one status after the other: bars that stay in place on a terminal, in a pipe the lines that are new. */
export function painter(output: Output): (status: StatusView) => void {
  let shown: readonly string[] = [];
  return (status) => {
    const lines = progressLines(status);
    if (output.isTTY === true) {
      const up = shown.length === 0 ? "" : `\u001b[${shown.length}A`;
      output.write(up + lines.map((line) => `${CLEAR_LINE}${line}\n`).join(""));
    } else for (const line of lines.filter((each) => !shown.includes(each))) output.write(`${line}\n`);
    shown = lines;
  };
}

export async function statusOf(client: Client, id: string): Promise<StatusView> {
  return (await client.json("GET", `/updates/${encodeURIComponent(id)}/status`)) as unknown as StatusView;
}

/** Follows an update until nothing more happens by itself. @throws Fault conflict when it did not end as wanted */
export async function follow(client: Client, id: string, output: Output, goal: Goal): Promise<void> {
  const paint = painter(output);
  for (;;) {
    const status = await statusOf(client, id);
    paint(status);
    if (status.status === "completed" || status.status === "failed") {
      if (!reached(goal, status)) throw new Fault("conflict", `Update ${id} ${failure(status)}`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** States in which every component has its old software, and nothing else is wanted of them. */
const OLD: ReadonlySet<string> = new Set(["rolledBack", "failed"]);

function reached(goal: Goal, { status, phase, "x-state": state = "" }: StatusView): boolean {
  if (goal === "old") return OLD.has(state);
  if (goal === "new") return status === "completed" && phase === "execute";
  return status === "completed";
}

function failure({ status, error, "x-state": state = status }: StatusView): string {
  const reason = typeof error === "string" ? error : error?.message;
  return reason === undefined ? `is ${state}` : `failed: ${reason}`;
}
