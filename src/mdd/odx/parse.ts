/** ODX XML, streamed: 64 KiB at a time become elements that conversion needs; the rest is passed over. */
import { TextDecoder } from "node:util";
import { SaxesParser } from "saxes";
import { Fault } from "#core/errors.ts";
import type { OdxElement, Scope } from "./element.ts";
import { createHeld, type Held, keptAttributes, shared } from "./held.ts";
import type { OdxLimits } from "./limits.ts";
import type { Report } from "./report.ts";
import { ADMIN_DATA_DEPTH, CATEGORIES, LAYER_TAGS, LEFT_OUT, SILENT, STRICT_IN_SHARED_DATA } from "./tags.ts";

/** What all files of a set share. */
export interface ParseContext {
  readonly limits: OdxLimits;
  readonly report: Report;
  readonly isLenient: boolean;
  /** Elements kept so far, over all files. */
  elements: number;
  readonly held: Held;
}

export function createParseContext(limits: OdxLimits, report: Report, isLenient: boolean): ParseContext {
  return { limits, report, isLenient, elements: 0, held: createHeld() };
}

const CHUNK_BYTES = 64 * 1024;
const NO_CHILDREN: readonly OdxElement[] = Object.freeze([]);

interface OpenElement {
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string>>;
  children: OdxElement[] | typeof NO_CHILDREN;
  text: string;
  readonly line: number;
  readonly scope: Scope;
}

/** One file under way. */
interface Parsing {
  readonly file: string;
  readonly context: ParseContext;
  readonly parser: SaxesParser;
  readonly open: OpenElement[];
  /** Open elements that are passed over. */
  skipped: number;
  /** Line on which the tag under way began. */
  tagLine: number;
  lastEvent: number;
  readonly document: Scope;
  hasCategory: boolean;
}

/**
 * Reads one ODX file. Undefined: it holds a category that is not converted, which the report tells.
 * @throws Fault invalidData with file and line: not well-formed, a DOCTYPE (entities are refused), too deep, too large, no ODX
 */
export function parseOdx(file: string, bytes: Uint8Array, context: ParseContext): Scope | undefined {
  if (bytes.length > context.limits.maxFileBytes)
    throw wrong(file, 0, `more than ${context.limits.maxFileBytes} bytes`);
  const parser = new SaxesParser({ position: true });
  const parsing: Parsing = {
    file,
    context,
    parser,
    open: [],
    skipped: 0,
    tagLine: 1,
    lastEvent: 0,
    document: createScope(file),
    hasCategory: false,
  };
  listen(parsing);
  feed(parsing, bytes);
  return parsing.hasCategory ? parsing.document : undefined;
}

/** A scope whose element is still to be opened. */
function createScope(file: string, container?: Scope): Scope {
  const scope = { file, name: "", layers: [], ids: new Map() } as unknown as Scope;
  scope.container = container ?? scope;
  return scope;
}

function wrong(file: string, line: number, message: string): Fault {
  return new Fault("invalidData", `${file}:${line}: ${message}`, { file, line });
}

const wrongHere = ({ file, parser }: Parsing, message: string): Fault => wrong(file, parser.line, message);

function listen(parsing: Parsing): void {
  const { parser } = parsing;
  parser.on("error", (error) => {
    throw wrongHere(parsing, `XML: ${error.message.replace(/^\d+:\d+: /, "")}`);
  });
  parser.on("doctype", () => {
    throw wrongHere(parsing, "a DOCTYPE is refused: entities are not expanded");
  });
  parser.on("opentagstart", () => {
    parsing.tagLine = parser.line;
    parsing.lastEvent = parser.position;
  });
  parser.on("opentag", ({ name, attributes }) => openTag(parsing, name, attributes as Record<string, string>));
  parser.on("closetag", () => closeTag(parsing));
  parser.on("text", (text) => addText(parsing, text));
  parser.on("cdata", (text) => addText(parsing, text));
  parser.on("comment", () => {
    parsing.lastEvent = parser.position;
  });
}

function feed(parsing: Parsing, bytes: Uint8Array): void {
  const { parser, context } = parsing;
  const decoder = decoderFor(parsing.file, bytes);
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    parser.write(decode(parsing, decoder, bytes.subarray(at, at + CHUNK_BYTES), at + CHUNK_BYTES < bytes.length));
    if (parser.position - parsing.lastEvent > context.limits.maxTextBytes + CHUNK_BYTES)
      throw wrongHere(parsing, `text or tag longer than ${context.limits.maxTextBytes}`);
  }
  parser.close();
}

function decode(parsing: Parsing, decoder: TextDecoder, bytes: Uint8Array, stream: boolean): string {
  try {
    return decoder.decode(bytes, { stream });
  } catch {
    throw wrongHere(parsing, `bytes that are no ${decoder.encoding}`);
  }
}

/** By byte order mark, else by the XML declaration, else UTF-8. */
function decoderFor(file: string, bytes: Uint8Array): TextDecoder {
  const declared = /^<\?xml[^>]*encoding\s*=\s*["']([^"']+)/.exec(
    Buffer.from(bytes.subarray(0, 200)).toString("latin1"),
  );
  const marked =
    bytes[0] === 0xff && bytes[1] === 0xfe
      ? "utf-16le"
      : bytes[0] === 0xfe && bytes[1] === 0xff
        ? "utf-16be"
        : undefined;
  const encoding = marked ?? declared?.[1] ?? "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true });
  } catch {
    throw wrong(file, 1, `unknown encoding ${encoding}`);
  }
}

function openTag(parsing: Parsing, tag: string, attributes: Readonly<Record<string, string>>): void {
  const { context, open, skipped } = parsing;
  parsing.lastEvent = parsing.parser.position;
  const depth = open.length + skipped;
  if (depth >= context.limits.maxDepth)
    throw wrongHere(parsing, `elements nested deeper than ${context.limits.maxDepth}`);
  if (skipped > 0 || isPassedOver(parsing, tag, depth)) {
    parsing.skipped++;
    return;
  }
  if (depth === 0) checkRoot(parsing, tag, attributes["MODEL-VERSION"]);
  if (++context.elements > context.limits.maxElements)
    throw wrongHere(parsing, `more than ${context.limits.maxElements} elements`);
  open.push(openElement(parsing, tag, attributes, depth));
}

function checkRoot(parsing: Parsing, tag: string, version: string | undefined): void {
  if (tag !== "ODX") throw wrongHere(parsing, `root element is ${tag}, not ODX`);
  if (version?.startsWith("2.2") !== true)
    parsing.context.report.add("warning", parsing.file, parsing.tagLine, `MODEL-VERSION ${version} is read as 2.2`);
}

function isPassedOver({ context, open, tagLine, file }: Parsing, tag: string, depth: number): boolean {
  if (SILENT.has(tag) || (tag === "ADMIN-DATA" && depth !== ADMIN_DATA_DEPTH)) return true;
  if (depth === 1 && !CATEGORIES.has(tag)) {
    if (tag !== "ADMIN-DATA") context.report.add("left-out", file, tagLine, `${tag} is not converted`);
    return true;
  }
  if (!LEFT_OUT.has(tag)) return false;
  const layer = open.find((one) => LAYER_TAGS.has(one.tag))?.tag;
  const isError = STRICT_IN_SHARED_DATA.has(tag) && layer === "ECU-SHARED-DATA";
  const severity = !isError ? "left-out" : context.isLenient ? "warning" : "error";
  context.report.add(severity, file, tagLine, `${tag} has no place in the database`);
  return true;
}

function openElement(
  parsing: Parsing,
  tag: string,
  attributes: Readonly<Record<string, string>>,
  depth: number,
): OpenElement {
  const parent = parsing.open.at(-1);
  const scope = openScope(parsing, tag, depth) ?? parent?.scope ?? parsing.document;
  const element: OpenElement = {
    tag: shared(parsing.context.held.strings, tag),
    attributes: keptAttributes(parsing.context.held, attributes),
    children: NO_CHILDREN,
    text: "",
    line: parsing.tagLine,
    scope,
  };
  if (depth === 1 || scope !== parent?.scope) scope.root = element;
  if (parent !== undefined && depth > 1) {
    if (parent.children === NO_CHILDREN) parent.children = [element];
    else (parent.children as OdxElement[]).push(element);
  }
  if (element.attributes.ID !== undefined) register(parsing, element, element.attributes.ID);
  return element;
}

/** The scope that this tag opens: a category the document's, a diag layer one of its own. */
function openScope(parsing: Parsing, tag: string, depth: number): Scope | undefined {
  const { file, document } = parsing;
  if (depth === 1) {
    if (parsing.hasCategory) throw wrongHere(parsing, "a second category in one file");
    parsing.hasCategory = true;
    return document;
  }
  if (depth !== 3 || !LAYER_TAGS.has(tag)) return undefined;
  const scope = createScope(file, document);
  document.layers.push(scope);
  return scope;
}

function register({ context, file }: Parsing, element: OdxElement, id: string): void {
  const { ids } = element.scope;
  if (!ids.has(id)) ids.set(id, element);
  else context.report.add("warning", file, element.line, `ID ${id} appears twice, the first one counts`);
}

function closeTag(parsing: Parsing): void {
  parsing.lastEvent = parsing.parser.position;
  if (parsing.skipped > 0) {
    parsing.skipped--;
    return;
  }
  const element = parsing.open.pop()!;
  element.text = element.children.length > 0 ? "" : shared(parsing.context.held.strings, element.text);
  // a list that grew by push has room for sixteen more
  if (element.children.length > 0) element.children = element.children.slice();
  const parent = parsing.open.at(-1);
  if (element.tag === "SHORT-NAME" && parent !== undefined && parent.scope.root === parent)
    parent.scope.name = element.text.trim();
}

function addText(parsing: Parsing, text: string): void {
  parsing.lastEvent = parsing.parser.position;
  const element = parsing.open.at(-1);
  if (parsing.skipped > 0 || element === undefined || element.children.length > 0) return;
  if (element.text.length + text.length > parsing.context.limits.maxTextBytes)
    throw wrongHere(parsing, `text longer than ${parsing.context.limits.maxTextBytes}`);
  element.text += text;
}
