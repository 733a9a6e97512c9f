/**
 * Where the keys of a TOML text stand. The parser tells places of syntax errors only; a wrong value needs its place too. The text
 * has been parsed before, so this reader may take its syntax for granted; on garbage it only finds fewer keys.
 */
import { type Path, pathText } from "./tree.ts";

export interface Place {
  /** Both count from 1. */
  readonly line: number;
  readonly column: number;
}

interface Cursor {
  readonly text: string;
  at: number;
  readonly places: Map<string, Place>;
  readonly lineStarts: readonly number[];
  /** Length of each array of tables so far. */
  readonly tables: Map<string, number>;
}

/** Key (as `pathText` writes it) → place of its first mention. */
export function locateKeys(text: string): ReadonlyMap<string, Place> {
  const lineStarts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lineStarts.push(at + 1);
  const cursor: Cursor = { text, at: 0, places: new Map(), lineStarts, tables: new Map() };
  let table: Path = [];
  for (skipBlank(cursor); cursor.at < text.length; skipBlank(cursor)) {
    const before = cursor.at;
    if (text[cursor.at] === "[") table = readHeader(cursor);
    else readPair(cursor, table);
    if (cursor.at === before) cursor.at++;
  }
  return cursor.places;
}

function readHeader(cursor: Cursor): Path {
  const isArray = cursor.text.startsWith("[[", cursor.at);
  cursor.at += isArray ? 2 : 1;
  const start = cursor.at;
  let path: Path = [];
  const keys = readKeys(cursor);
  for (const [index, key] of keys.entries()) {
    path = [...path, key];
    const name = pathText(path);
    const isLast = index === keys.length - 1;
    if (isArray && isLast) cursor.tables.set(name, (cursor.tables.get(name) ?? 0) + 1);
    record(cursor, path, start);
    const length = cursor.tables.get(name);
    if (length !== undefined) path = [...path, length - 1];
    record(cursor, path, start);
  }
  while (cursor.text[cursor.at] === "]") cursor.at++;
  return path;
}

function readPair(cursor: Cursor, table: Path): void {
  let path = table;
  const start = cursor.at;
  for (const key of readKeys(cursor)) {
    path = [...path, key];
    record(cursor, path, start);
  }
  if (cursor.text[cursor.at] === "=") {
    cursor.at++;
    readValue(cursor, path);
  }
}

/** A dotted key; the cursor stops after it and its blanks. */
function readKeys(cursor: Cursor): string[] {
  const keys: string[] = [];
  for (;;) {
    skip(cursor, /[ \t]*/y);
    const quoted = skip(cursor, /"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/y);
    const bare = quoted === "" ? skip(cursor, /[A-Za-z0-9_-]+/y) : "";
    if (quoted === "" && bare === "") return keys;
    keys.push(quoted === "" ? bare : unquote(quoted));
    skip(cursor, /[ \t]*/y);
    if (cursor.text[cursor.at] !== ".") return keys;
    cursor.at++;
  }
}

function readValue(cursor: Cursor, path: Path): void {
  skip(cursor, /[ \t]*/y);
  const opener = cursor.text[cursor.at];
  if (opener === "[") readItems(cursor, "]", (index) => readValue(cursor, mark(cursor, [...path, index])));
  else if (opener === "{") readItems(cursor, "}", () => readPair(cursor, path));
  else if (skip(cursor, /"""[\s\S]*?(?<!\\)"{3,5}|'''[\s\S]*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/y) === "")
    skip(cursor, /[^,\]}#\n]*/y);
}

function readItems(cursor: Cursor, close: string, readItem: (index: number) => void): void {
  cursor.at++;
  for (let index = 0; ; index++) {
    skipBlank(cursor);
    if (cursor.at >= cursor.text.length) return;
    if (cursor.text[cursor.at] === close) {
      cursor.at++;
      return;
    }
    const before = cursor.at;
    readItem(index);
    skipBlank(cursor);
    if (cursor.text[cursor.at] === ",") cursor.at++;
    if (cursor.at === before) cursor.at++;
  }
}

function skipBlank(cursor: Cursor): void {
  skip(cursor, /(?:\s+|#[^\n]*)*/y);
}

function skip(cursor: Cursor, form: RegExp): string {
  form.lastIndex = cursor.at;
  const found = form.exec(cursor.text)?.[0] ?? "";
  cursor.at += found.length;
  return found;
}

function unquote(quoted: string): string {
  if (quoted.startsWith("'")) return quoted.slice(1, -1);
  try {
    return JSON.parse(quoted);
  } catch {
    return quoted.slice(1, -1);
  }
}

function mark(cursor: Cursor, path: Path): Path {
  record(cursor, path, cursor.at);
  return path;
}

function record(cursor: Cursor, path: Path, at: number): void {
  const name = pathText(path);
  if (cursor.places.has(name)) return;
  const line = cursor.lineStarts.findLastIndex((start) => start <= at);
  cursor.places.set(name, { line: line + 1, column: at - (cursor.lineStarts[line] as number) + 1 });
}
