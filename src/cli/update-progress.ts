/** How an update looks on a terminal: a bar for the whole and one for each component; in a pipe a line for each change. */
import { Fault } from "#core/errors.ts";
import type { Client } from "./update-client.ts";

export interface StatusView {
  /** Absent from ros2_medkit, which has it as the next one. */
  readonly phase?: string;
  readonly "x-medkit"?: { readonly phase?: string };
  readonly status: string;
  readonly progress?: number;
  readonly "x-state"?: string;
  readonly subprogress?: readonly {
    readonly entity: string;
    readonly status: string;
    readonly progress?: number;
    readonly step?: string;
    readonly error?: { readonly message?: string };
    readonly "x-state"?: string;
  }[];
  readonly error?: string | { readonly message?: string };
}

export interface Output {
  readonly isTTY?: boolean;
  /** Of the terminal, which may change. */
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

/** What one waits for: prepared; new software; the old one back; or whatever comes. */
export type Goal = "prepared" | "new" | "old" | "over";

const BAR_WIDTH = 28;
/** Columns that the words behind a bar get before the bar does. */
const WORDS_WIDTH = 26;
const LEAST_BAR_WIDTH = 4;
const LEAST_LABEL_WIDTH = 8;
const NUMBER_WIDTH = " 100 %  ".length;
const POLL_MS = 250;
/** A server that updates itself starts anew meanwhile. */
const SILENCE_MS = 120_000;
const CLEAR_LINE = "\u001b[2K";
const CLEAR_BELOW = "\u001b[J";

/** Whether lines can be drawn over. */
export function isLive({ isTTY }: Output): boolean {
  return isTTY === true && process.env.TERM !== "dumb";
}

/** One line for the whole, one for each component. */
export function progressLines(status: StatusView, columns?: number): string[] {
  const { subprogress = [] } = status;
  const width = Math.max(6, ...subprogress.map(({ entity }) => entity.length));
  const line = (name: string, percent: number, text: string) =>
    bar(printable(name), width, percent, printable(text), columns);
  const whole = line("update", status.progress ?? 0, `${phaseOf(status)} ${status["x-state"] ?? status.status}`);
  const members = subprogress.map(({ entity, progress = 0, step, error, status: word, "x-state": state }) =>
    line(entity, progress, [state ?? word, error?.message ?? step].filter((part) => part !== undefined).join(": ")),
  );
  return [whole, ...members];
}

/** `name [####----]  50 %  text`, no wider than `columns` if given: the bar gives way first. `percent`: 0 to 100. */
export function bar(name: string, width: number, percent: number, text: string, columns?: number): string {
  const number = `${String(percent).padStart(3)} %  ${text}`;
  if (columns === undefined) return `${name.padEnd(width)} ${drawn(percent, BAR_WIDTH)} ${number}`;
  const label = Math.min(width, Math.max(LEAST_LABEL_WIDTH, columns - NUMBER_WIDTH - WORDS_WIDTH));
  const room = Math.min(BAR_WIDTH, columns - label - " []".length - NUMBER_WIDTH - WORDS_WIDTH);
  const middle = room < LEAST_BAR_WIDTH ? "" : `${drawn(percent, room)} `;
  // the last column stays free: some terminals go to the next line behind it
  return `${name.slice(0, label).padEnd(label)} ${middle}${number}`.slice(0, Math.max(1, columns - 1));
}

/** What others say may have lines of its own, and must not steer the terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, " ");
}

function drawn(percent: number, width: number): string {
  const filled = Math.round((width * percent) / 100);
  return `[${"#".repeat(filled)}${"-".repeat(width - filled)}]`;
}

function phaseOf({ phase, "x-medkit": medkit }: StatusView): string {
  return phase ?? medkit?.phase ?? "";
}

/** Draws one status after the other: bars that stay in place on a terminal, in a pipe the lines that are new. */
export function painter(output: Output): (status: StatusView) => void {
  let shown: readonly string[] = [];
  let before: number | undefined;
  return (status) => {
    if (isLive(output)) {
      // a terminal that was told no size says 0
      const [columns, rows] = [output.columns || 80, output.rows || 24];
      const lines = fitting(progressLines(status, columns), rows);
      // a terminal that became narrower has broken the lines anew: nobody knows where they stand
      const up = shown.length === 0 || columns !== before ? "" : `\u001b[${shown.length}A`;
      output.write(`${up}${lines.map((line) => `${CLEAR_LINE}${line}\n`).join("")}${CLEAR_BELOW}`);
      before = columns;
      shown = lines;
    } else {
      const lines = progressLines(status);
      for (const line of lines.filter((each) => !shown.includes(each))) output.write(`${line}\n`);
      shown = lines;
    }
  };
}

/** No more than can be drawn over: what has scrolled away cannot. */
function fitting(lines: readonly string[], rows: number): readonly string[] {
  if (lines.length < rows) return lines;
  const kept = Math.max(1, rows - 2);
  return [...lines.slice(0, kept), `and ${lines.length - kept} more`];
}

/** Runs `work`; Ctrl-C ends the program, after it said what becomes of what was begun. */
export async function interruptible<T>(output: Output, says: string, work: () => Promise<T>): Promise<T> {
  const end = () => {
    output.write(`\n${says}\n`);
    process.exit(INTERRUPTED);
  };
  process.once("SIGINT", end);
  try {
    return await work();
  } finally {
    process.off("SIGINT", end);
  }
}

/** As shells give it for SIGINT. */
const INTERRUPTED = 130;

export async function statusOf(client: Client, id: string): Promise<StatusView> {
  return (await client.json("GET", `/updates/${encodeURIComponent(id)}/status`)) as unknown as StatusView;
}

/**
 * Follows an update until nothing more happens by itself; `left` is said when Ctrl-C ends that. @throws Fault conflict when it did not end as wanted, notResponding when the
 * server has been silent for long
 */
export async function follow(
  client: Client,
  id: string,
  output: Output,
  goal: Goal,
  left = `Update ${id} goes on without being watched: \`update status ${id} --watch\` watches it again, \`update rollback ${id}\` takes it back.`,
): Promise<void> {
  const status = await interruptible(output, left, () => watched(client, id, painter(output)));
  if (!reached(goal, status)) throw new Fault("conflict", `Update ${id} ${failure(status)}`);
}

async function watched(client: Client, id: string, paint: (status: StatusView) => void): Promise<StatusView> {
  let heardMs = Date.now();
  for (;;) {
    const status = await statusOf(client, id).catch((error: unknown) => {
      const lost = error instanceof Fault && error.kind === "notResponding" && Date.now() - heardMs < SILENCE_MS;
      if (!lost) throw error;
    });
    if (status !== undefined) {
      heardMs = Date.now();
      paint(status);
      if (status.status === "completed" || status.status === "failed") return status;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Why it failed, if it did. */
export function problemOf({ error }: StatusView): string | undefined {
  return typeof error === "string" ? error : error?.message;
}

/** States in which every component has its old software, and nothing else is wanted of them. */
const OLD: ReadonlySet<string> = new Set(["rolledBack", "failed"]);

function reached(goal: Goal, view: StatusView): boolean {
  const { status, "x-state": state = "" } = view;
  if (goal === "old") return OLD.has(state);
  if (goal === "new") return status === "completed" && phaseOf(view).startsWith("execute");
  return status === "completed";
}

function failure(view: StatusView): string {
  const reason = problemOf(view);
  return reason === undefined ? `is ${view["x-state"] ?? view.status}` : `failed: ${reason}`;
}
