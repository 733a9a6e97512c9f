/** How much a finding matters: an `error` makes a database unfit, a `warning` makes it doubtful, a `note` is good to know. */
export type Severity = "error" | "warning" | "note";

/** One thing that verification found. */
export interface Finding {
  readonly severity: Severity;
  /** Which check, in one word. */
  readonly rule: Rule;
  /** Where: path from the root of container or database. */
  readonly place: string;
  readonly message: string;
}

/** The checks, in the order in which they run. */
export const RULES = [
  "container",
  "chunk",
  "checksum",
  "flatbuffer",
  "schema",
  "dangling-ref",
  "duplicate-name",
  "duplicate-did",
  "unreachable-variant",
  "does-not-compile",
  "ambiguous-name",
] as const;
export type Rule = (typeof RULES)[number];

/** Findings in the order in which they were made, at most `maxFindings`; each is kept once. */
export class FindingList {
  readonly all: Finding[] = [];
  readonly #seen = new Set<string>();
  readonly #max: number;
  /** Findings beyond the limit. */
  dropped = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(severity: Severity, rule: Rule, place: string, message: string): void {
    const key = `${rule}\n${place}\n${message}`;
    if (this.#seen.has(key)) return;
    if (this.all.length >= this.#max) {
      this.dropped++;
      return;
    }
    this.#seen.add(key);
    this.all.push({ severity, rule, place, message });
  }
}
