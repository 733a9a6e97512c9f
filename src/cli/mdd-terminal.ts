/** Text for people: colours and aligned columns on a terminal, plain text and tabs in a pipe. */
import type { Output } from "./config.ts";

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
export type Style = keyof typeof STYLES;

export interface Terminal extends Output {
  readonly isTerminal: boolean;
  readonly hasColours: boolean;
  /** Characters of a line. */
  readonly columns: number;
}

const DEFAULT_COLUMNS = 120;

/** The process's own streams. Colours need a terminal and no `NO_COLOR` (no-color.org). */
export function processTerminal(env: NodeJS.ProcessEnv = process.env): Terminal {
  const { isTTY, columns } = process.stdout;
  const isTerminal = isTTY === true;
  return {
    out: (text) => process.stdout.write(text),
    error: (text) => process.stderr.write(text),
    isTerminal,
    hasColours: isTerminal && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb",
    columns: columns ?? DEFAULT_COLUMNS,
  };
}

/** `text` in a style, where the terminal has styles. */
export function paint({ hasColours }: Terminal, style: Style, text: string): string {
  return hasColours && text !== "" ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text;
}

/** A cell of a table: text, or text in a style. */
export type Cell = string | readonly [Style, string];

/** Lines of a table: columns aligned and cut to the line on a terminal, cells apart by a tab in a pipe. */
export function tableText(terminal: Terminal, rows: readonly (readonly Cell[])[], indent = ""): string {
  if (!terminal.isTerminal) return rows.map((row) => `${indent}${row.map(plain).join("\t").trimEnd()}\n`).join("");
  const widths: number[] = [];
  for (const row of rows)
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, plain(cell).length);
  return rows.map((row) => `${indent}${lineText(terminal, row, widths, terminal.columns - indent.length)}\n`).join("");
}

const GAP = 2;

function lineText(terminal: Terminal, row: readonly Cell[], widths: readonly number[], columns: number): string {
  let left = columns;
  const cells = row.map((cell, i) => {
    const width = i === row.length - 1 ? plain(cell).length : widths[i]!;
    const text = cut(plain(cell), Math.max(0, left));
    left -= width + GAP;
    const padding = i === row.length - 1 ? "" : " ".repeat(Math.max(0, width - text.length));
    return (typeof cell === "string" ? text : paint(terminal, cell[0], text)) + padding;
  });
  return cells.join(" ".repeat(GAP)).trimEnd();
}

function plain(cell: Cell): string {
  // Names come from files: a control character must not reach the terminal.
  return (typeof cell === "string" ? cell : cell[1]).replace(/\p{Cc}/gu, "\u00b7");
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/** JSON for programs; integers beyond 2^53 become text, as JSON readers would round them. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? String(inner) : inner), 2)}\n`;
}
