/** `sovd-edge mdd inspect`: the tree of a database, or the layout of one service. */
import { basename } from "node:path";
import type { Command } from "commander";
import { Fault } from "#core/errors.ts";
import type { Database } from "#mdd/query/database.ts";
import { functionalGroupsOf, type Scope, variantsOf } from "#mdd/query/layers.ts";
import { serviceIndex } from "#mdd/query/service-index.ts";
import { chooseScope, chooseService } from "#mdd/tools/choose.ts";
import { inspectMdd, type MddView, type ScopeView } from "#mdd/tools/inspect.ts";
import { layoutOf } from "#mdd/tools/layout.ts";
import type { LoadedMdd } from "#mdd/tools/load.ts";
import type { MessageView, ParamView, ServiceView } from "#mdd/tools/view.ts";
import { addLimits, type LimitFlags, positive, withMdd } from "./mdd-files.ts";
import { type Cell, jsonText, paint, processTerminal, type Terminal, tableText } from "./mdd-terminal.ts";

export interface InspectFlags extends LimitFlags {
  readonly variant?: string;
  readonly service?: string;
  readonly json?: boolean;
  readonly maxParams?: number;
}

export function registerInspect(mdd: Command): void {
  addLimits(
    mdd
      .command("inspect <file>")
      .description("Show a database: variants, services, parameters; or the layout of one service, bit by bit")
      .option("--variant <name>", "only this variant or functional group")
      .option("--service <name>", "only this service, with the layout of its messages")
      .option("--json", "print as JSON")
      .option("--max-params <n>", "parameters unfolded of one service", positive),
  ).action((file: string, flags: InspectFlags) => inspect(file, flags));
}

/** Prints the tree. @throws Fault naming file and place */
export async function inspect(
  file: string,
  flags: InspectFlags,
  terminal: Terminal = processTerminal(),
): Promise<void> {
  const view = await withMdd(file, flags, (loaded) => viewOf(loaded, flags));
  if (flags.json) terminal.out(jsonText(view));
  else if (flags.service === undefined) terminal.out(treeText(terminal, basename(file), view));
  else
    for (const scope of view.scopes)
      for (const service of scope.services) terminal.out(serviceText(terminal, service, scope));
}

function viewOf(loaded: LoadedMdd, { variant, service, maxParams }: InspectFlags): MddView {
  const { database } = loaded;
  const scope = variant === undefined ? undefined : chooseScope(database, variant);
  const scopes = scope === undefined ? [...variantsOf(database), ...functionalGroupsOf(database)] : [scope];
  return inspectMdd(loaded, {
    ...(scope !== undefined && { scope }),
    ...(service !== undefined && { service: shortNameIn(database, scopes, service) }),
    ...(maxParams !== undefined && { maxParams }),
  });
}

/** Short name of the service that the first of the scopes has; the last one's fault when none has it. */
function shortNameIn(database: Database, scopes: readonly Scope[], name: string): string {
  let problem: unknown = new Fault("notFound", `no service '${name}'`);
  for (const scope of scopes) {
    try {
      return chooseService(serviceIndex(database, scope), name).shortName;
    } catch (error) {
      if (!(error instanceof Fault) || error.kind !== "notFound") throw error;
      problem = error;
    }
  }
  throw problem;
}

function treeText(
  terminal: Terminal,
  file: string,
  { container, ecuName, revision, protocols, scopes }: MddView,
): string {
  const { version, metadata, chunks } = container;
  const facts: Cell[][] = [
    ["file", file],
    ["container", version],
    ...Object.entries(metadata).map(([key, value]) => [key, value]),
    ...chunks.map(({ type, name = "", compression = "stored", storedBytes, uncompressedBytes, signatures }) => [
      "chunk",
      `type ${type} ${name}: ${compression}, ${storedBytes}${uncompressedBytes === undefined ? "" : ` → ${uncompressedBytes}`} bytes, ${signatures.join(", ") || "no checksum"}`,
    ]),
    ["protocols", protocols.join(", ") || "none"],
  ];
  const head = `${paint(terminal, "bold", ecuName)}${revision === undefined ? "" : ` revision ${revision}`}\n`;
  return head + tableText(terminal, facts, "  ") + scopes.map((scope) => scopeText(terminal, scope)).join("");
}

function scopeText(terminal: Terminal, scope: ScopeView): string {
  const { kind, name, parents, patterns, services, shownBefore, jobs, stateCharts } = scope;
  const facts: Cell[][] = [
    ...parents.map((parent) => ["parent", `${parent.kind} ${parent.name}`]),
    ...patterns.map((conditions) => [
      "pattern",
      conditions.map(({ service, parameter, expected }) => `${service}.${parameter} = ${expected}`).join(" and "),
    ]),
    ...stateCharts.map((chart) => ["states", `${chart.name} (${chart.semantic}): ${chart.states.join(", ")}`]),
    ...(jobs.length === 0 ? [] : [["jobs", jobs.join(", ")]]),
    ...(shownBefore.length === 0 ? [] : [["shown above", `${shownBefore.length} services that it has too`]]),
  ];
  const head = `\n${kind} ${paint(terminal, "bold", name)}: ${services.length} service${services.length === 1 ? "" : "s"}\n`;
  return head + tableText(terminal, facts, "  ") + services.map((service) => serviceTree(terminal, service)).join("");
}

function serviceHead(terminal: Terminal, { name, prefix, resource, semantic }: ServiceView): string {
  const words = [resource, semantic].filter((word) => word !== undefined).join(", ");
  return `${paint(terminal, "cyan", name)}  ${prefix}${words === "" ? "" : `  ${paint(terminal, "dim", words)}`}\n`;
}

function serviceTree(terminal: Terminal, service: ServiceView): string {
  const messages = service.messages.map(
    (message) => `    ${messageHead(message)}\n${tableText(terminal, paramRows(message.params, 0), "      ")}`,
  );
  return `\n  ${serviceHead(terminal, service)}${messages.join("")}`;
}

function messageHead({ kind, bytes, params }: MessageView): string {
  const length =
    params.length === 0 ? "empty" : bytes === undefined ? "variable length" : `${bytes} byte${bytes === 1 ? "" : "s"}`;
  return `${kind === "request" ? "request" : `${kind} response`}, ${length}`;
}

const WORD = 8;

/** Rows of place, length, name, kind, meaning; what a parameter holds stands indented below it. */
function paramRows(params: readonly ParamView[], depth: number): Cell[][] {
  const indent = "  ".repeat(depth);
  return params.flatMap((param): Cell[][] => [
    [placeText(param), lengthText(param), `${indent}${param.name}`, param.kind, meaningText(param)],
    ...(param.problem === undefined ? [] : [["", "", ["red", `${indent}  ${param.problem}`]] satisfies Cell[]]),
    ...(param.groups ?? []).flatMap(({ label, params: members }) => [
      ...(label === "structure" ? [] : [["", "", ["dim", `${indent}  ${label}`]] satisfies Cell[]]),
      ...paramRows(members, depth + (label === "structure" ? 1 : 2)),
    ]),
  ]);
}

/** `3`, `3.4` with its lowest bit, `+2` from the start of what it stands in, `…` behind the one before. */
function placeText({ byte, offset, bit, bits = 0 }: ParamView): string {
  const at = byte !== undefined ? String(byte) : offset !== undefined ? `+${offset}` : "…";
  return bit === 0 && bits % WORD === 0 ? at : `${at}.${bit}`;
}

function lengthText({ bits, bytes }: ParamView): string {
  if (bits !== undefined && bits % WORD !== 0) return `${bits} bit`;
  if (bytes === undefined) return "var";
  return `${bytes} byte${bytes === 1 ? "" : "s"}`;
}

function meaningText({ type, value, default: preset, unit, compu, limits, dop, semantic }: ParamView): string {
  return [
    value === undefined ? "" : `= ${value}`,
    type ?? "",
    compu === undefined ? "" : `${compu.category} ${compu.scales.join("; ")}`,
    unit ?? "",
    limits ?? "",
    preset === undefined ? "" : `default ${preset}`,
    dop === undefined ? "" : `[${dop}]`,
    semantic === undefined || semantic === "DATA" ? "" : semantic,
  ]
    .filter((word) => word !== "")
    .join("  ");
}

function serviceText(terminal: Terminal, service: ServiceView, scope: ScopeView): string {
  const { functionalClasses, preconditions, transitions, longName } = service;
  const facts: Cell[][] = [
    ["from", `${scope.kind} ${scope.name}`],
    ...(longName === undefined ? [] : [["long name", longName]]),
    ...(functionalClasses.length === 0 ? [] : [["classes", functionalClasses.join(", ")]]),
    ...(preconditions.length === 0 ? [] : [["needs state", preconditions.join(", ")]]),
    ...transitions.map(({ source, target }) => ["transition", `${source} → ${target}`]),
  ];
  const messages = service.messages.map(
    (message) =>
      `\n${paint(terminal, "bold", messageHead(message))}\n${diagramText(terminal, message)}${tableText(terminal, [HEADER, ...paramRows(message.params, 0)], "  ")}`,
  );
  return `${serviceHead(terminal, service)}${tableText(terminal, facts, "  ")}${messages.join("")}`;
}

const HEADER: readonly Cell[] = (["byte", "length", "parameter", "kind", "meaning"] as const).map((word) => [
  "dim",
  word,
]);

/** The fixed bytes of a message, a row each, with the bits that a parameter has. */
function diagramText(terminal: Terminal, message: MessageView): string {
  const rows = layoutOf(message);
  if (rows.length === 0) return "";
  const width = Math.max(4, ...rows.map((row) => byteText(row).length));
  const lines = rows.map((row) => {
    const names = row.begins.map(({ letter, path }) => `${letter} ${path}`).join("   ");
    return `  ${byteText(row).padStart(width)}  ${paint(terminal, "cyan", row.bits)}  ${names}`.trimEnd();
  });
  return `  ${"byte".padStart(width)}  76543210\n${lines.join("\n")}\n\n`;
}

function byteText({ first, last }: { readonly first: number; readonly last: number }): string {
  return first === last ? String(first) : `${first}…${last}`;
}
