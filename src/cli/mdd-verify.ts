/** `sovd-edge mdd verify`: everything that is wrong with MDD files. */
import type { Command } from "commander";
import { Fault } from "#core/errors.ts";
import { type Finding, RULES, type Severity } from "#mdd/tools/findings.ts";
import { type VerifyReport, verifyMdd } from "#mdd/tools/verify.ts";
import { addLimits, type LimitFlags, loadOptions, positive, readInput } from "./mdd-files.ts";
import { jsonText, paint, processTerminal, type Style, type Terminal, tableText } from "./mdd-terminal.ts";

export interface VerifyFlags extends LimitFlags {
  readonly json?: boolean;
  readonly strict?: boolean;
  readonly ignore?: readonly string[];
  readonly maxFindings?: number;
}

const STYLE_OF: Readonly<Record<Severity, Style>> = { error: "red", warning: "yellow", note: "dim" };

export function registerVerify(mdd: Command): void {
  addLimits(
    mdd
      .command("verify <file...>")
      .description("Check databases: container, checksums, FlatBuffer, references, names, variants, services")
      .option("--strict", "warnings make it fail too")
      .option("--ignore <rules...>", `leave out checks: ${RULES.join(", ")}`)
      .option("--json", "print as JSON")
      .option("--max-findings <n>", "findings listed of one file (default: 1000)", positive),
  ).action(async (files: readonly string[], flags: VerifyFlags) => {
    process.exitCode = await verify(files, flags);
  });
}

/** Prints the findings of each file. @returns the exit code: 1 when a file has an error or cannot be read */
export async function verify(
  files: readonly string[],
  flags: VerifyFlags,
  terminal: Terminal = processTerminal(),
): Promise<number> {
  const reports: { readonly file: string; readonly ok: boolean; readonly findings: readonly Finding[] }[] = [];
  for (const file of files) {
    const report = await reportOf(file, flags);
    const findings = report.findings.filter(({ rule }) => flags.ignore?.includes(rule) !== true);
    const ok = findings.every(({ severity }) => severity === "note" || (severity === "warning" && !flags.strict));
    reports.push({ file, ok, findings });
    if (!flags.json) print(terminal, file, ok, findings, report.dropped);
  }
  if (flags.json) terminal.out(jsonText({ ok: reports.every(({ ok }) => ok), files: reports }));
  return reports.every(({ ok }) => ok) ? 0 : 1;
}

/** A file that cannot be read is a finding like others, so that the rest is checked. */
async function reportOf(file: string, flags: VerifyFlags): Promise<VerifyReport> {
  try {
    const { maxFindings } = flags;
    return await verifyMdd(readInput(file, flags.maxFileBytes), {
      ...loadOptions(flags),
      ...(maxFindings !== undefined && { maxFindings }),
    });
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    const finding: Finding = { severity: "error", rule: "container", place: "file", message: error.message };
    return { findings: [finding], dropped: 0, ok: false };
  }
}

function print(terminal: Terminal, file: string, ok: boolean, findings: readonly Finding[], dropped: number): void {
  const verdict = ok ? paint(terminal, "green", "ok") : paint(terminal, "red", "failed");
  const count = (severity: Severity) => {
    const number = findings.filter((finding) => finding.severity === severity).length;
    return `${number} ${severity}${number === 1 ? "" : "s"}`;
  };
  terminal.out(`${file}: ${verdict}, ${count("error")}, ${count("warning")}, ${count("note")}\n`);
  const rows = findings.map(({ severity, rule, place, message }) => [
    [STYLE_OF[severity], severity] as const,
    rule,
    message,
    ["dim", place] as const,
  ]);
  terminal.out(tableText({ ...terminal, columns: Number.POSITIVE_INFINITY }, rows, "  "));
  if (dropped > 0) terminal.out(`  and ${dropped} more (--max-findings)\n`);
}
