/** `sovd-edge audit verify`: checks every link of the audit chain, of a server that runs or of a store. */
import type { KeyObject } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { Fault } from "#core/errors.ts";
import { readKey } from "#security/keys.ts";
import { ENVIRONMENTS, environmentFile } from "#store/environments.ts";
import { openEnvironment } from "#store/lmdb-env.ts";
import { createLmdbPersistence } from "#store/lmdb-persistence.ts";
import { type Anchor, type AuditRecord, NO_ANCHOR, verifyChain } from "#update/software/journal/audit.ts";
import { readAnchor, readHeads, verifyStored } from "#update/software/journal/chain.ts";
import { type SignedHead, type SignedVerdict, verifySigned } from "#update/software/journal/heads.ts";
import { type Client, type Connection, connect, connected } from "./update-client.ts";
import { wrongUsage } from "./usage.ts";

const HEAD = /^(\d+):([0-9a-f]{64})$/;

interface Options extends Omit<Connection, "to"> {
  readonly to?: string;
  readonly store?: string;
  readonly expect?: string;
  readonly key?: readonly string[];
}

export function register(program: Command): void {
  const verify = program.command("audit").description("The audit chain of updates").command("verify");
  connected(verify.description("Check every link; exit code 1: it is broken, or cannot be read"), "optional")
    .option("--store <folder>", "a store instead of a server: one that is in use, a backup, a copy")
    .option("--expect <seq:hash>", "a head that was noted elsewhere: shows a chain whose tail was cut")
    .option("--key <file...>", "PEM files of keys that may sign heads: shows also a chain that was written anew or cut")
    .action(async (options: Options) => {
      const keys = (options.key ?? []).map((file) => readKey(file, "public", "--key"));
      const verdict = await verdictOf(options, keys);
      if (!verdict.whole)
        throw new Fault("corruption", `The audit chain is broken at record ${verdict.seq}: ${verdict.problem}`);
      const { records, head, compared } = verdict;
      process.stdout.write(`whole: ${records} records, head ${head.seq}:${head.hash}\n`);
      if (verdict.signed !== undefined)
        process.stdout.write(`signed up to record ${verdict.signed.seq}, ${verdict.signed.at}\n`);
      if (!compared) process.stdout.write("the expected head lies before the oldest record kept: not compared\n");
    });
}

async function verdictOf({ to, store, expect, ...more }: Options, keys: readonly KeyObject[]): Promise<SignedVerdict> {
  const head = headOf(expect);
  if (to === undefined && store !== undefined) return verifyStore(store, head, keys);
  if (to === undefined || store !== undefined) throw wrongUsage("Give one of --to and --store");
  return verifyServer(await connect({ to, ...more }), head, keys);
}

function headOf(text: string | undefined): Anchor | undefined {
  if (text === undefined) return undefined;
  const match = HEAD.exec(text);
  if (match === null) throw wrongUsage(`--expect ${text} is not seq:hash`);
  return { seq: Number(match[1]), hash: match[2]! };
}

/** The whole chain, page by page. */
async function verifyServer(
  client: Client,
  expect: Anchor | undefined,
  keys: readonly KeyObject[],
): Promise<SignedVerdict> {
  const records: AuditRecord[] = [];
  const heads = new Map<number, SignedHead>();
  for (;;) {
    const { items, signed_heads: signed = [] } = await client.json("GET", `/x-audit?after=${records.at(-1)?.seq ?? 0}`);
    const page = items as readonly AuditRecord[];
    for (const head of signed as readonly SignedHead[]) heads.set(head.seq, head);
    // how many a server gives at a time is its own affair
    if (page.length === 0) break;
    records.push(...page);
  }
  const [first] = records;
  const anchor = first === undefined || first.seq === 1 ? NO_ANCHOR : { seq: first.seq - 1, hash: first.prev };
  return verifySigned([...heads.values()], keys, anchor, (each) => verifyChain(records, anchor, expect, each));
}

/** Of a store as a server has it, or of a backup. Nothing is written. */
async function verifyStore(
  folder: string,
  expect: Anchor | undefined,
  keys: readonly KeyObject[],
): Promise<SignedVerdict> {
  const file = [environmentFile(folder, "state"), join(folder, "state.mdb")].find((path) => existsSync(path));
  if (file === undefined) throw new Fault("storageIo", `There is no store in ${folder}`);
  const env = await openEnvironment({ file, tables: ENVIRONMENTS.state, maxBytes: 0, readOnly: true });
  try {
    const persistence = createLmdbPersistence(env);
    // in this order: a server that prunes meanwhile signs that first
    const anchor = readAnchor(persistence);
    const heads = readHeads(persistence);
    return verifySigned(heads, keys, anchor, (signed) => verifyStored(persistence, expect, signed));
  } finally {
    await env.close();
  }
}
