import { Fault } from "#core/errors.ts";
import type { OdxElement } from "./element.ts";

/** `error` stops the conversion, `warning` is what a person should look at, `left-out` has no place in the database. */
export type Severity = "error" | "warning" | "left-out";

export interface ReportEntry {
  readonly severity: Severity;
  readonly file: string;
  /** From 1; 0: the file as a whole. */
  readonly line: number;
  readonly message: string;
}

/** What was left out or could not be resolved, with places. Bounded: entries beyond the limit are only counted. */
export class Report {
  readonly entries: ReportEntry[] = [];
  readonly #maxEntries: number;
  #dropped = 0;
  #errors = 0;
  #firstError: ReportEntry | undefined;

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  add(severity: Severity, file: string, line: number, message: string): void {
    const entry = { severity, file, line, message };
    if (severity === "error") {
      this.#errors++;
      this.#firstError ??= entry;
    }
    if (this.entries.length < this.#maxEntries) this.entries.push(entry);
    else this.#dropped++;
  }

  at(element: OdxElement, severity: Severity, message: string): void {
    this.add(severity, element.scope.file, element.line, message);
  }

  /** Entries, the last one saying how many did not fit. */
  finish(): ReportEntry[] {
    if (this.#dropped === 0) return this.entries;
    return [...this.entries, { severity: "warning", file: "", line: 0, message: `${this.#dropped} more entries` }];
  }

  /** @throws Fault invalidData with the first error's place, when there was one; `details.report` holds all entries */
  throwOnErrors(): void {
    if (this.#firstError === undefined) return;
    const { file, line, message } = this.#firstError;
    const others = this.#errors === 1 ? "" : ` (and ${this.#errors - 1} more errors)`;
    throw new Fault("invalidData", `${file}:${line}: ${message}${others}`, { file, line, report: this.finish() });
  }
}

/** The fault of something that cannot be gone around, at its place. */
export function faultAt({ scope, line }: OdxElement, message: string): Fault {
  return new Fault("invalidData", `${scope.file}:${line}: ${message}`, { file: scope.file, line });
}
