/** The result as one HTML file that can be sent around: tables and SVG, no script, nothing loaded from elsewhere. */
import type { Measurement } from "./bench.ts";
import { PERCENTILES } from "./latencies.ts";
import { errorsOf, FIGURES, type Figure, figureOf, ratioOf, type Spread } from "./summary.ts";

export interface ReportFacts {
  readonly title: string;
  /** What was measured, when and where: name → value. */
  readonly facts: Readonly<Record<string, string>>;
  readonly names: readonly string[];
  readonly measurements: readonly Measurement[];
}

const COLOURS = ["#0b6e99", "#c4551a", "#4d7d2f", "#7a4d9a"] as const;
const [WIDTH, HEIGHT, LEFT, BOTTOM] = [640, 260, 70, 30];
const STYLE = `body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .7rem;border-bottom:1px solid #d5d9de;text-align:right}
td:first-child,th:first-child{text-align:left}small{color:#5c6670}svg text{font:12px system-ui,sans-serif;fill:#1b1f24}`;

/** The whole document. */
export function reportHtml({ title, facts, names, measurements }: ReportFacts): string {
  const rows = Object.entries(facts).map(([name, value]) => `<tr><td>${text(name)}</td><td>${text(value)}</td></tr>`);
  const throughput = chart(
    "requests/s by connections",
    names.map((_, i) =>
      measurements.map(({ connections, rounds }) => point(String(connections), rounds[i]!, FIGURES[0]!)),
    ),
  );
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${text(title)}</title><style>${STYLE}</style>
<h1>${text(title)}</h1><table>${rows.join("")}</table>${legend(names)}${throughput}
${measurements.map((measurement) => section(names, measurement)).join("\n")}</html>\n`;
}

function section(names: readonly string[], { connections, rounds }: Measurement): string {
  const head = FIGURES.map(({ name, unit }) => `<th>${text(name)}<br><small>${text(unit)}</small></th>`).join("");
  const servers = names.map((name, i) => {
    const cells = FIGURES.map(
      (figure) => `<td>${spread(figureOf(rounds[i]!, figure), figure.unit === "ms" ? 3 : 0)}</td>`,
    );
    const errors = Object.entries(errorsOf(rounds[i]!)).map(([kind, count]) => `${kind} × ${count}`);
    return `<tr><td>${text(name)}</td>${cells.join("")}<td>${text(errors.join(", ") || "none")}</td></tr>`;
  });
  const ratios = names.slice(0, -1).map((name, i) => {
    const cells = FIGURES.map((figure) => `<td>${spread(ratioOf(rounds[i]!, rounds.at(-1)!, figure), 2)}</td>`);
    return `<tr><td>${text(name)} ÷ ${text(names.at(-1)!)}</td>${cells.join("")}<td></td></tr>`;
  });
  const latencies = FIGURES.slice(1, 1 + PERCENTILES.length);
  const lines = names.map((_, i) => latencies.map((figure) => point(figure.name, rounds[i]!, figure)));
  return `<h2>${connections} connection${connections === 1 ? "" : "s"}</h2>
<table><tr><th></th>${head}<th>errors</th></tr>${[...servers, ...ratios].join("")}</table>${chart("latency, ms", lines)}`;
}

interface Point {
  readonly label: string;
  readonly value: number;
}

function point(label: string, rounds: Measurement["rounds"][number], figure: Figure): Point {
  return { label, value: figureOf(rounds, figure)?.median ?? 0 };
}

/** Lines over labelled steps; the vertical scale begins at 0. */
function chart(title: string, lines: readonly (readonly Point[])[]): string {
  const top = Math.max(...lines.flat().map(({ value }) => value)) || 1;
  const steps = lines[0]?.length ?? 0;
  const x = (i: number) => LEFT + ((WIDTH - LEFT - 20) * (i + 0.5)) / Math.max(1, steps);
  const y = (value: number) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - 30) * value) / top;
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const at = y(top * share).toFixed(1);
    return `<path d="M${LEFT} ${at}H${WIDTH - 20}" stroke="#d5d9de"/><text x="${LEFT - 6}" y="${at}" text-anchor="end">${short(top * share)}</text>`;
  });
  const drawn = lines.map((points, i) => {
    const colour = COLOURS[i % COLOURS.length];
    const path = points.map(({ value }, k) => `${x(k).toFixed(1)},${y(value).toFixed(1)}`);
    const dots = path.map((at) => `<circle cx="${at.split(",")[0]}" cy="${at.split(",")[1]}" r="3" fill="${colour}"/>`);
    return `<polyline points="${path.join(" ")}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join("")}`;
  });
  const labels = (lines[0] ?? []).map(
    ({ label }, i) => `<text x="${x(i).toFixed(1)}" y="${HEIGHT - 8}" text-anchor="middle">${text(label)}</text>`,
  );
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" role="img" aria-label="${text(title)}"><text x="${LEFT}" y="16">${text(title)}</text>${grid.join("")}${drawn.join("")}${labels.join("")}</svg>`;
}

function legend(names: readonly string[]): string {
  const entries = names.map((name, i) => `<span style="color:${COLOURS[i % COLOURS.length]}">●</span> ${text(name)}`);
  return `<p>${entries.join(" &nbsp; ")}</p>`;
}

function spread(figure: Spread | undefined, digits: number): string {
  if (figure === undefined) return "–";
  const { min, median, max } = figure;
  return `${median.toFixed(digits)}<br><small>${min.toFixed(digits)}…${max.toFixed(digits)}</small>`;
}

function short(value: number): string {
  if (value >= 10_000) return `${(value / 1_000).toFixed(0)}k`;
  return value >= 10 ? value.toFixed(0) : value.toPrecision(2);
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function text(value: string): string {
  return value.replace(/[&<>"]/g, (char) => ENTITIES[char]!);
}
