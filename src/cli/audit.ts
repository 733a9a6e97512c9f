/** `sovd-edge audit verify`: checks every link of the audit chain, of a server that runs or of a store. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { Fault } from "#core/errors.ts";
import { ENVIRONMENTS, environmentFile } from "#store/environments.ts";
import { openEnvironment } from "#store/lmdb-env.ts";
import { createLmdbPersistence } from "#store/lmdb-persistence.ts";
import {
  type Anchor,
  type AuditRecord,
  type ChainVerdict,
  NO_ANCHOR,
  verifyChain,
} from "#update/software/journal/audit.ts";
import { verifyStored } from "#update/software/journal/chain.ts";
import { type Client, type Connection, connect, connected } from "./update-client.ts";

const HEAD = /^(\d+):([0-9a-f]{64})$/;

interface Options extends Omit<Connection, "to"> {
  readonly to?: string;
  readonly store?: string;
  readonly expect?: string;
}

export function register(program: Command): void {
  const verify = program.command("audit").description("The audit chain of updates").command("verify");
  connected(verify.description("Check every link; exit code 1: it is broken, or cannot be read"), "optional")
    .option("--store <folder>", "a store instead of a server: one that is in use, a backup, a copy")
    .option("--expect <seq:hash>", "a head that was noted elsewhere: shows a chain whose tail was cut")
    .action(async (options: Options) => {
      const verdict = await verdictOf(options);
      if (!verdict.whole)
        throw new Fault("corruption", `The audit chain is broken at record ${verdict.seq}: ${verdict.problem}`);
      const { records, head, compared } = verdict;
      process.stdout.write(`whole: ${records} records, head ${head.seq}:${head.hash}\n`);
      if (!compared) process.stdout.write("the expected head lies before the oldest record kept: not compared\n");
    });
}

async function verdictOf({ to, store, expect, ...more }: Options): Promise<ChainVerdict> {
  const head = headOf(expect);
  if (to === undefined && store !== undefined) return verifyStore(store, head);
  if (to === undefined || store !== undefined) throw new Fault("badRequest", "Give one of --to and --store");
  return verifyServer(await connect({ to, ...more }), head);
}

function headOf(text: string | undefined): Anchor | undefined {
  if (text === undefined) return undefined;
  const match = HEAD.exec(text);
  if (match === null) throw new Fault("badRequest", `--expect ${text} is not seq:hash`);
  return { seq: Number(match[1]), hash: match[2]! };
}

/** The whole chain, page by page. */
async function verifyServer(client: Client, expect: Anchor | undefined): Promise<ChainVerdict> {
  const records: AuditRecord[] = [];
  for (;;) {
    const { items } = await client.json("GET", `/x-audit?after=${records.at(-1)?.seq ?? 0}`);
    const page = items as readonly AuditRecord[];
    // how many a server gives at a time is its own affair
    if (page.length === 0) break;
    records.push(...page);
  }
  const [first] = records;
  const anchor = first === undefined || first.seq === 1 ? NO_ANCHOR : { seq: first.seq - 1, hash: first.prev };
  return verifyChain(records, anchor, expect);
}

/** Of a store as a server has it, or of a backup. Nothing is written. */
async function verifyStore(folder: string, expect: Anchor | undefined): Promise<ChainVerdict> {
  const file = [environmentFile(folder, "state"), join(folder, "state.mdb")].find((path) => existsSync(path));
  if (file === undefined) throw new Fault("storageIo", `There is no store in ${folder}`);
  const env = await openEnvironment({ file, tables: ENVIRONMENTS.state, maxBytes: 0, readOnly: true });
  try {
    return verifyStored(createLmdbPersistence(env), expect);
  } finally {
    await env.close();
  }
}
