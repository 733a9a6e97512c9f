/** The result as text. */
import type { Measurement } from "./bench.ts";
import { errorsOf, FIGURES, type Figure, figureOf, type Round, ratioOf, type Spread, spreadOf } from "./summary.ts";

/** From this share of a core on, the generator bounds what it measures. */
const BUSY = 0.9;
const MIB = 1_048_576;

/** One block of lines per number of connections: every server, then each one's ratio to the last. */
export function textOf(names: readonly string[], measurements: readonly Measurement[]): string {
  return measurements.map((measurement) => block(names, measurement).join("\n")).join("\n\n");
}

function block(names: readonly string[], { connections, rounds }: Measurement): string[] {
  const head = [`${connections} connection${connections === 1 ? "" : "s"}`, ...FIGURES.map(title), "errors", "memory"];
  const rows = names.map((name, i) => [
    name,
    ...FIGURES.map((figure) => cell(rounds[i]!, figure)),
    ...facts(rounds[i]!),
  ]);
  const last = rounds.at(-1)!;
  const ratios = names
    .slice(0, -1)
    .map((name, i) => [
      `${name} ÷ ${names.at(-1)}`,
      ...FIGURES.map((figure) => spreadText(ratioOf(rounds[i]!, last, figure), (value) => value.toFixed(2))),
      "",
      "",
    ]);
  const busiest = Math.max(...rounds.flat().map(({ clientBusy }) => clientBusy));
  const warning = `  the load generator used ${Math.round(busiest * 100)} % of a core: requests/s are bounded by it, server CPU is not`;
  return [...aligned([head, ...rows, ...ratios]), ...(busiest > BUSY ? [warning] : [])];
}

function title({ name, unit }: Figure): string {
  return unit === "1/s" ? name : `${name} ${unit}`;
}

function cell(rounds: readonly Round[], figure: Figure): string {
  return spreadText(figureOf(rounds, figure), (value) => format(value, figure));
}

function format(value: number, { unit }: Figure): string {
  if (unit === "1/s") return value.toFixed(0);
  return unit === "ms" ? value.toFixed(3) : value.toFixed(1);
}

function spreadText(spread: Spread | undefined, show: (value: number) => string): string {
  if (spread === undefined) return "–";
  const { min, median, max } = spread;
  return `${show(median)} [${show(min)}…${show(max)}]`;
}

function facts(rounds: readonly Round[]): [string, string] {
  const errors = Object.entries(errorsOf(rounds)).map(([kind, count]) => `${kind} × ${count}`);
  const unsent = rounds.reduce((sum, round) => sum + round.unsent, 0);
  if (unsent > 0) errors.push(`unsent × ${unsent}`);
  return [errors.length === 0 ? "none" : errors.join(", "), memory(rounds)];
}

function memory(rounds: readonly Round[]): string {
  const anon = rounds.flatMap(({ serverRssAnonBytes }) => serverRssAnonBytes ?? []);
  const rss = rounds.flatMap(({ serverRssBytes }) => serverRssBytes ?? []);
  if (anon.length === 0) return "–";
  return `${(spreadOf(anon).max / MIB).toFixed(1)} MiB of ${(spreadOf(rss).max / MIB).toFixed(1)}`;
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row.map((text, i) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join("  "),
  );
}
