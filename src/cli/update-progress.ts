/** How an update looks on a terminal: a bar for the whole and one for each component. */
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

const BAR_WIDTH = 28;

/** One line for the whole, one for each component. */
export function progressLines(status: StatusView): string[] {
  const { subprogress = [] } = status;
  const width = Math.max(6, ...subprogress.map(({ entity }) => entity.length));
  const whole = line("update", width, status.progress ?? 0, `${status.phase} ${status["x-state"] ?? status.status}`);
  const members = subprogress.map(({ entity, progress = 0, step, status: word, "x-state": state }) =>
    line(entity, width, progress, [state ?? word, step].filter((part) => part !== undefined).join(": ")),
  );
  return [whole, ...members];
}

function line(name: string, width: number, percent: number, text: string): string {
  const filled = Math.round((BAR_WIDTH * percent) / 100);
  return `${name.padEnd(width)} [${"#".repeat(filled)}${"-".repeat(BAR_WIDTH - filled)}] ${String(percent).padStart(3)} %  ${text}`;
}
