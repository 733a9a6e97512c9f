/** `sovd-edge audit verify`: fetches the audit chain of a server and checks every link. */
import type { Command } from "commander";
import { Fault } from "#core/errors.ts";
import { type AuditRecord, type ChainVerdict, NO_ANCHOR, verifyChain } from "#update/software/audit.ts";
import { type Client, type Connection, connect, connected } from "./update-client.ts";

const PAGE_RECORDS = 1_000;
const HEAD = /^(\d+):([0-9a-f]{64})$/;

export function register(program: Command): void {
  const verify = program.command("audit").description("The audit chain of updates").command("verify");
  connected(verify.description("Fetch the chain and verify every link"))
    .option("--expect <seq:hash>", "a head that was noted elsewhere: shows a chain whose tail was cut")
    .action(async ({ expect, ...options }: Connection & { expect?: string }) => {
      const verdict = await verifyAudit(await connect(options), headOf(expect));
      if (!verdict.whole)
        throw new Fault("corruption", `The audit chain is broken at record ${verdict.seq}: ${verdict.problem}`);
      process.stdout.write(`whole: ${verdict.records} records, head ${verdict.head.seq}:${verdict.head.hash}\n`);
    });
}

interface Head {
  readonly seq: number;
  readonly hash: string;
}

function headOf(text: string | undefined): Head | undefined {
  if (text === undefined) return undefined;
  const match = HEAD.exec(text);
  if (match === null) throw new Fault("badRequest", `--expect ${text} is not seq:hash`);
  return { seq: Number(match[1]), hash: match[2]! };
}

/** The whole chain, page by page. */
async function verifyAudit(client: Client, expect: Head | undefined): Promise<ChainVerdict> {
  const records: AuditRecord[] = [];
  for (;;) {
    const { items } = await client.json("GET", `/x-audit?after=${records.at(-1)?.seq ?? 0}`);
    const page = items as readonly AuditRecord[];
    records.push(...page);
    if (page.length < PAGE_RECORDS) break;
  }
  const [first] = records;
  const anchor = first === undefined || first.seq === 1 ? NO_ANCHOR : { seq: first.seq - 1, hash: first.prev };
  return verifyChain(records, anchor, expect);
}
