/** The configuration as TOML: the sample with every key, and the values in force. */

import type { Keys, Leaf, MapOf, Node, Section } from "./node.ts";
import { OWN, SCHEMA } from "./schema.ts";
import { isTree, keyText, type Tree } from "./tree.ts";
import type { Config } from "./types.ts";

type AnySection = Extract<Node, { kind: "section" }>;

interface Style {
  /** `#` before what only shows the default. */
  readonly mark: string;
  readonly doc: boolean;
}

/** Every key with its documentation and default, commented out. Loading it changes nothing. */
export function sampleToml(): string {
  const head = [
    "# Configuration of sovd-edge. Every key is shown with its default; take the # away to change one.",
    "# The names are those of the Classic Diagnostic Adapter, whose file works unchanged; sections marked (own) are ours.",
  ];
  return `${[...head, ...sectionLines(SCHEMA, undefined, [], { mark: "#", doc: true })].join("\n").trimEnd()}\n`;
}

/** Values in force as TOML that loads to the same configuration. Secrets are left out. */
export function configToml(config: Config): string {
  return `${sectionLines(SCHEMA, config, [], { mark: "", doc: false }).join("\n").trim()}\n`;
}

/** `isEntry`: an empty table says something here, namely that it is there. */
function sectionLines(
  node: AnySection,
  values: unknown,
  path: readonly string[],
  style: Style,
  isEntry = false,
): string[] {
  const entries = Object.entries(node.keys as Keys);
  const table = isTree(values) ? values : {};
  const lines: string[] = [];
  const children: string[] = [];
  for (const [key, child] of entries) {
    const value = table[key];
    if (child.kind === "leaf") lines.push(...leafLines(key, child, value, style));
    else if (child.kind === "section" && child.inline) lines.push(...inlineLines(key, child, value, style));
    else children.push(...childLines(child, value, [...path, key], style));
  }
  if (path.length === 0) return [...lines, ...children];
  const needsHeader = lines.length > 0 || style.doc || isEntry;
  return [...(needsHeader ? header(node, path, style) : []), ...lines, ...children];
}

function header(node: AnySection, path: readonly string[], style: Style): string[] {
  const name = path.map(keyText).join(".");
  const own = OWN.has(path.join(".")) ? " (own)" : "";
  const about = style.doc ? [`# ${node.doc}${own}`] : [];
  return ["", ...about, `${node.optional ? style.mark : ""}[${name}]`];
}

function childLines(
  node: Exclude<Node, Leaf<unknown>>,
  value: unknown,
  path: readonly string[],
  style: Style,
): string[] {
  switch (node.kind) {
    case "section":
      return value === undefined && style.mark === "" ? [] : sectionLines(node, value, path, style);
    case "map":
      return style.doc ? mapSample(node, path, style) : mapValues(node, value, path, style);
    case "list":
      return style.doc ? listSample(node.doc, node.item, path, style) : listValues(node.item, value, path, style);
    case "partial":
      return style.doc ? [] : partialLines(node.of, value, path, style);
  }
}

function leafLines(key: string, leaf: Leaf<unknown>, value: unknown, style: Style): string[] {
  const shown = style.mark === "" ? value : (leaf.example ?? leaf.default);
  if (shown === undefined || (leaf.secret === true && style.mark === "")) return [];
  const notes = leaf.dead === undefined ? "" : ` Without effect: ${leaf.dead}.`;
  const example = leaf.optional ? " Absent by default." : "";
  const about = style.doc ? [`# ${leaf.doc}${example}${notes} (${leaf.type})`] : [];
  return [...about, `${style.mark}${keyText(key)} = ${tomlValue(formatted(leaf, shown))}`];
}

function inlineLines(key: string, node: AnySection, value: unknown, style: Style): string[] {
  const about = style.doc ? [`# ${node.doc}`] : [];
  return [...about, `${style.mark}${keyText(key)} = ${tomlValue(plain(node, value, style))}`];
}

/** A table's values in the file's own form; without values, the defaults. */
function plain(node: AnySection, value: unknown, style: Style): Tree {
  const table: Tree = {};
  for (const [key, leaf] of Object.entries(node.keys)) {
    if (leaf.kind !== "leaf") continue;
    const given = isTree(value) ? value[key] : style.mark === "" ? undefined : leaf.default;
    if (given !== undefined) table[key] = formatted(leaf, given);
  }
  return table;
}

function formatted(leaf: Leaf<unknown>, value: unknown): unknown {
  return leaf.format === undefined ? value : leaf.format(value);
}

function mapSample(node: MapOf, path: readonly string[], style: Style): string[] {
  const name = path.map(keyText).join(".");
  const lines = ["", `# ${node.doc} Tables: [${name}.<${node.keyName}>]`];
  const entries = Object.entries(node.default);
  if (entries.length > 0) {
    return [
      ...lines,
      `[${name}]`,
      ...entries.map(([key, value]) => `${style.mark}${keyText(key)} = ${tomlValue(value)}`),
    ];
  }
  if (node.item.kind !== "section") return lines;
  const about = Object.entries(node.item.keys).flatMap(([key, child]) =>
    child.kind === "leaf" ? leafLines(key, child, undefined, style) : [`# ${keyText(key)}: ${child.doc}`],
  );
  return [...lines, `${style.mark}[${name}.NAME]`, ...about];
}

function mapValues(node: MapOf, value: unknown, path: readonly string[], style: Style): string[] {
  const entries = Object.entries(isTree(value) ? value : {});
  if (node.item.kind === "section") {
    const item = node.item;
    return entries.flatMap(([key, entry]) => sectionLines(item, entry, [...path, key], style, true));
  }
  const item = node.item;
  if (item.kind === "leaf") {
    const lines = entries.map(([key, entry]) => `${keyText(key)} = ${tomlValue(formatted(item, entry))}`);
    return lines.length === 0 ? [] : ["", `[${path.map(keyText).join(".")}]`, ...lines];
  }
  return entries.flatMap(([key, entry]) => childLines(item, entry, [...path, key], style));
}

function listSample(doc: string, item: Section, path: readonly string[], style: Style): string[] {
  const about = Object.entries(item.keys).flatMap(([key, child]) =>
    child.kind === "leaf" ? leafLines(key, child, undefined, style) : [],
  );
  return ["", `# ${doc}`, `${style.mark}[[${path.map(keyText).join(".")}]]`, ...about];
}

function listValues(item: Section, value: unknown, path: readonly string[], style: Style): string[] {
  const entries = Array.isArray(value) ? value : [];
  return entries.flatMap((entry) => [
    "",
    `[[${path.map(keyText).join(".")}]]`,
    ...sectionLines(item, entry, [], style),
  ]);
}

function partialLines(of: Section, value: unknown, path: readonly string[], style: Style): string[] {
  if (!isTree(value)) return [];
  return Object.entries(value).flatMap(([key, child]) => {
    const node = of.keys[key];
    if (node?.kind !== "section" || !isTree(child)) return [];
    const lines = Object.entries(child).map(([name, entry]) => {
      const item = node.keys[name];
      const shown = item?.kind === "section" ? plain(item, entry, style) : entry;
      return `${keyText(name)} = ${tomlValue(shown)}`;
    });
    return lines.length === 0 ? [] : ["", `[${[...path, key].map(keyText).join(".")}]`, ...lines];
  });
}

/** A value as TOML writes it on one line. */
export function tomlValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(tomlValue).join(", ")}]`;
  if (isTree(value)) {
    const entries = Object.entries(value).map(([key, item]) => `${keyText(key)} = ${tomlValue(item)}`);
    return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
  }
  return JSON.stringify(value);
}
