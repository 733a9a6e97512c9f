/** The errors of the interface as a page: what a client may meet, read from the table and from the mapper that answers. */
import { FAULTS, Fault, type FaultKind, type FaultSpec } from "#core/errors.ts";
import { SOVD_DEFAULTS } from "#sovd/context.ts";
import { type ErrorAnswer, toErrorAnswer } from "#sovd/errors.ts";

const INTRODUCTION = `# Errors

Generated from \`src/core/errors.ts\`. Every refusal is the error object of ISO 17978-3: \`message\` for a person, \`error_code\` and \`vendor_code\` for
a program, \`parameters\` with facts such as the NRC of an ECU's refusal. *Again* says that the same request may succeed later; where a header is named,
it says when. Options with default values; those that change a status are in [compatibility.md](compatibility.md).

| kind | status | \`error_code\` | \`vendor_code\` | again | headers |
|---|---|---|---|---|---|
`;

const [CDA_BASE, OTHER_BASE] = ["/vehicle/v15", "/sovd/v1"] as const;

const answerOf = (kind: FaultKind, base: string): ErrorAnswer =>
  toErrorAnswer(new Fault(kind, ""), base, SOVD_DEFAULTS);

const codeOrNothing = (text: string | undefined): string => (text === undefined ? "" : `\`${text}\``);

function row(kind: FaultKind): string {
  const spec: FaultSpec = FAULTS[kind];
  const { status, json, headers = {} } = answerOf(kind, CDA_BASE);
  const again = spec.retryable === true ? "yes" : "";
  const names = Object.keys(headers).map((name) => `\`${name}\``);
  const cells = [
    `\`${kind}\``,
    status,
    codeOrNothing(json.error_code),
    codeOrNothing(json.vendor_code),
    again,
    names.join(", "),
  ];
  return `| ${cells.join(" | ")} |`;
}

/** What reads otherwise below base paths that are not the CDA's. */
function spellings(kinds: readonly FaultKind[]): string {
  const pairs = kinds.map((kind) => [CDA_BASE, OTHER_BASE].map((base) => answerOf(kind, base).json.error_code));
  const different = new Map(pairs.flatMap(([cda = "", other = ""]) => (cda === other ? [] : [[cda, other] as const])));
  return [...different].map(([cda, other]) => `\`${cda}\` reads \`${other}\``).join(", ");
}

/** The whole page. */
export function errorsMarkdown(): string {
  const kinds = Object.keys(FAULTS) as FaultKind[];
  const note = `Below base paths other than the CDA's \`/vehicle/…\`, ${spellings(kinds)}.`;
  return `${INTRODUCTION}${kinds.map(row).join("\n")}\n\n${note}\n`;
}
