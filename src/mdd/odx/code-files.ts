/** Files of program code that travel with a database. */
import { Fault } from "#core/errors.ts";
import { CHUNK_TYPE } from "../container/messages.ts";
import type { PlainChunk } from "../writer/mdd.ts";
import type { OdxLimits } from "./limits.ts";
import type { Report } from "./report.ts";
import { type OdxSource, readZip } from "./zip.ts";

/** Parts of code files to embed: both patterns must match the whole name. */
export interface PartialJobs {
  readonly file: RegExp;
  readonly content: RegExp;
  /** Both as the caller wrote them. */
  readonly patterns: readonly [file: string, content: string];
}

export interface CodeFileOptions {
  readonly isIncluded: boolean;
  readonly partial: readonly PartialJobs[];
}

/** `FILE_REGEX:CONTENT_REGEX`, divided at the first colon that leaves two valid patterns. @throws Fault invalidParameter */
export function parsePartialJobs(text: string): PartialJobs {
  for (let colon = text.indexOf(":"); colon >= 0; colon = text.indexOf(":", colon + 1)) {
    const patterns = [text.slice(0, colon), text.slice(colon + 1)] as const;
    const [file, content] = [wholeMatch(patterns[0]), wholeMatch(patterns[1])];
    if (file !== undefined && content !== undefined) return { file, content, patterns };
  }
  throw new Fault("invalidParameter", `'${text}' is not FILE_REGEX:CONTENT_REGEX`);
}

function wholeMatch(pattern: string): RegExp | undefined {
  try {
    return new RegExp(`^(?:${pattern})$`, "u");
  } catch {
    return undefined;
  }
}

/** Names of code files that a description mentions, each once, in the order met. */
function codeFileNames(description: object): string[] {
  const names = new Set<string>();
  const seen = new Set<object>();
  const open: object[] = [description];
  while (open.length > 0) {
    const one = open.pop()!;
    if (seen.has(one)) continue;
    seen.add(one);
    const { code_file: name } = one as { code_file?: unknown };
    if (typeof name === "string") names.add(name);
    for (const value of Object.values(one).reverse()) if (typeof value === "object" && value !== null) open.push(value);
  }
  return [...names];
}

/** The chunks of code files that a description mentions: whole ones, then parts of archives. A file that the set does not have is an error in the report. */
export function codeFileChunks(
  description: object,
  sources: readonly OdxSource[],
  { isIncluded, partial }: CodeFileOptions,
  report: Report,
  limits: OdxLimits,
): PlainChunk[] {
  if (!isIncluded && partial.length === 0) return [];
  const whole: PlainChunk[] = [];
  const parts: PlainChunk[] = [];
  for (const name of codeFileNames(description)) {
    const patterns = partial.filter(({ file }) => file.test(name));
    if (!isIncluded && patterns.length === 0) continue;
    const source = sources.find((one) => one.name === name || one.name.endsWith(`/${name}`));
    if (source === undefined) {
      report.add("error", name, 0, "code file is not in the set");
      continue;
    }
    const content = source.read();
    if (isIncluded) whole.push({ type: CHUNK_TYPE.codeFile, name, content });
    if (patterns.length > 0 && /\.(jar|zip)$/i.test(name)) parts.push(...partsOf(name, content, patterns, limits));
  }
  return [...whole, ...parts];
}

function partsOf(name: string, archive: Uint8Array, patterns: readonly PartialJobs[], limits: OdxLimits): PlainChunk[] {
  return readZip(name, archive, limits)
    .filter((entry) => patterns.some(({ content }) => content.test(entry.name)))
    .map((entry) => ({ type: CHUNK_TYPE.codeFilePartial, name: `${name}::${entry.name}`, content: entry.read() }));
}
