/** `docs/config.md`: every key with type, default, flag and meaning. */
import type { Keys, Leaf, Node } from "./node.ts";
import { RELOADABLE, reloadableKeys } from "./reloadable.ts";
import { tomlValue } from "./render.ts";
import { OWN, SCHEMA } from "./schema.ts";
import { keyText } from "./tree.ts";

const LIVE: ReadonlySet<string> = new Set(
  (Object.keys(RELOADABLE) as (keyof typeof RELOADABLE)[]).flatMap(reloadableKeys),
);

const INTRODUCTION = `# Configuration

Generated from the schema; \`config/sample.toml\` shows the same keys as a file.

Later wins: defaults, the TOML file, the environment, the command line.

- **File**: \`--config FILE\`, else \`SOVD_EDGE_CONFIG_FILE\` or \`CDA_CONFIG_FILE\`, else \`opensovd-cda.toml\` in the working directory or the
  nearest folder above it. A file that was found must be readable and right; without any file the defaults hold.
- **Environment**: \`SOVD_EDGE_SERVER__PORT\` or \`CDA_SERVER__PORT\` (two underscores between table and key), or \`CDASERVER.PORT\`.
  Values are written as text, as in TOML, or with commas for lists.
- **Tables** merge, lists are replaced. Keys that nothing knows are warned about by name; below \`[ecu.<name>.com_params]\` they are an error.

\`sovd-edge config check FILE\` names every problem at once with line and column; \`sovd-edge config print\` shows the values in force.
Sections and keys marked *own* are not known to the Classic Diagnostic Adapter.

On SIGHUP (\`systemctl reload\`) the configuration is read again, and the files that it names. Keys marked *live* take effect at once, all of them or
none: a configuration that is wrong is named in the log, and the old one stays in force. Other keys that have changed are named and wait for a restart.
A new certificate is for new connections; open ones end with their next answer.
`;

/** The whole page. */
export function configMarkdown(): string {
  return `${[INTRODUCTION, ...nodeLines(SCHEMA, [])].join("\n")}\n`;
}

function nodeLines(node: Node, path: readonly string[]): string[] {
  switch (node.kind) {
    case "leaf":
      return [];
    case "section":
      return sectionLines(node.doc, node.keys, path);
    case "list":
      return sectionLines(node.doc, node.item.keys, path, "[[", "]]");
    case "partial":
      return [...heading(path), node.doc, ""];
    case "map":
      return mapLines(node, path);
  }
}

function sectionLines(doc: string, keys: Keys, path: readonly string[], open = "[", close = "]"): string[] {
  const rows = Object.entries(keys).flatMap(([key, node]) => row(key, node, path));
  const children = Object.entries(keys).filter(([, node]) => !isRow(node));
  return [
    ...heading(path, open, close),
    ...(path.length === 0 ? [] : [doc, ""]),
    ...(rows.length === 0 ? [] : table(rows)),
    ...children.flatMap(([key, node]) => nodeLines(node, [...path, key])),
  ];
}

function mapLines(node: Extract<Node, { kind: "map" }>, path: readonly string[]): string[] {
  const name = `<${node.keyName}>`;
  const defaults = Object.entries(node.default);
  return [
    ...heading(path),
    node.doc,
    "",
    ...(defaults.length === 0
      ? []
      : [...defaults.map(([key, value]) => `- default \`${keyText(key)} = ${tomlValue(value)}\``), ""]),
    ...(node.item.kind === "leaf" ? table(row(name, node.item, path)) : nodeLines(node.item, [...path, name])),
  ];
}

function heading(path: readonly string[], open = "[", close = "]"): string[] {
  if (path.length === 0) return [];
  const own = OWN.has(path.join(".")) ? " *own*" : "";
  return [`## \`${open}${path.join(".")}${close}\`${own}`, ""];
}

function isRow(node: Node): boolean {
  return node.kind === "leaf" || (node.kind === "section" && node.inline);
}

function row(key: string, node: Node, path: readonly string[]): string[] {
  if (node.kind === "leaf") return [leafRow(key, node, path)];
  if (node.kind !== "section" || !node.inline) return [];
  const { name, value } = node.keys;
  if (name?.kind !== "leaf" || value?.kind !== "leaf") return [];
  return [cells(`\`${key}\``, `${value.type} (${name.default})`, defaultText(value), "", node.doc)];
}

function leafRow(key: string, leaf: Leaf<unknown>, path: readonly string[]): string {
  const own = OWN.has([...path, key].join(".")) ? " *own*" : "";
  const live = LIVE.has([...path, key].join(".")) ? " *live*" : "";
  const dead = leaf.dead === undefined ? "" : ` **Without effect**: ${leaf.dead}.`;
  const others = Object.keys(leaf.env ?? {}).map((name) => `\`${name}\``);
  const flag = [...(leaf.flag === undefined ? [] : [`\`${leaf.flag}\``]), ...others].join(", ");
  return cells(`\`${key}\`${own}${live}`, leaf.type, defaultText(leaf), flag, `${leaf.doc}${dead}`);
}

function defaultText(leaf: Leaf<unknown>): string {
  if (leaf.default === undefined) return "absent";
  return `\`${tomlValue(leaf.format === undefined ? leaf.default : leaf.format(leaf.default))}\``;
}

function table(rows: readonly string[]): string[] {
  return ["| key | type | default | flag, variable | meaning |", "|---|---|---|---|---|", ...rows, ""];
}

function cells(...texts: readonly string[]): string {
  return `| ${texts.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
}
