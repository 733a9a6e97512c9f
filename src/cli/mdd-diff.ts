/** `sovd-edge mdd diff`: what differs between two databases. */
import type { Command } from "commander";
import { Fault } from "#core/errors.ts";
import { type Change, diffDatabases } from "#mdd/tools/diff.ts";
import { readDescription } from "#mdd/writer/read.ts";
import { addLimits, type LimitFlags, loadOptions, openMdd, positive } from "./mdd-files.ts";
import { type Cell, jsonText, processTerminal, type Style, type Terminal, tableText } from "./mdd-terminal.ts";

export interface DiffFlags extends LimitFlags {
  readonly json?: boolean;
  readonly maxChanges?: number;
}

/** As diff(1): alike, different, trouble. */
const EXIT = { alike: 0, different: 1, trouble: 2 } as const;

const MARKS: Readonly<Record<Change["change"], readonly [Style, string]>> = {
  added: ["green", "+"],
  removed: ["red", "-"],
  changed: ["yellow", "~"],
};

export function registerDiff(mdd: Command): void {
  addLimits(
    mdd
      .command("diff <a> <b>")
      .description("Compare two databases; exit code 1 when they differ, 2 when one cannot be read")
      .option("--json", "print as JSON")
      .option("--max-changes <n>", "differences listed of one object (default: 1000)", positive),
  ).action(async (a: string, b: string, flags: DiffFlags) => {
    try {
      process.exitCode = await diff(a, b, flags);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      process.stderr.write(`${error.message}\n`);
      process.exitCode = EXIT.trouble;
    }
  });
}

/** Prints the differences. @returns 0 or 1 as diff does @throws Fault naming the file that cannot be read */
export async function diff(
  a: string,
  b: string,
  flags: DiffFlags,
  terminal: Terminal = processTerminal(),
): Promise<number> {
  const { verify = {} } = loadOptions(flags);
  const [before, after] = [await openMdd(a, flags), await openMdd(b, flags)].map(({ bytes }) =>
    readDescription(bytes, verify),
  );
  const { maxChanges } = flags;
  const changes = diffDatabases(before!, after!, maxChanges === undefined ? {} : { maxChanges });
  if (flags.json) terminal.out(jsonText({ different: changes.length > 0, a, b, changes }));
  else terminal.out(tableText(terminal, changes.map(rowOf)));
  return changes.length === 0 ? EXIT.alike : EXIT.different;
}

function rowOf({ change, kind, place, from, to }: Change): Cell[] {
  const values = from === undefined && to === undefined ? "" : `${valueText(from)} → ${valueText(to)}`;
  return [MARKS[change], kind, place, values];
}

function valueText(value: unknown): string {
  return value === undefined ? "nothing" : typeof value === "string" ? value : JSON.stringify(value);
}
