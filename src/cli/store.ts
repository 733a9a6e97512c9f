/** `sovd-edge store check|backup|restore|compact`: care of the store; only `backup` may run beside a server. */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { storePath } from "#config/derived.ts";
import { addConfigOptions, configFromFlags } from "#config/flags.ts";
import { loadConfig } from "#config/load.ts";
import type { Config } from "#config/types.ts";
import { checkInProcess } from "#store/check-process.ts";
import { requireStore } from "#store/environments.ts";
import { backupFolder, compactStore, restoreStore } from "#store/maintenance.ts";

const MIB = 1 << 20;

type Flags = Record<string, unknown>;
type Say = (line: string) => void;

interface StoreCommand {
  /** Name and argument as commander writes them. */
  readonly usage: string;
  readonly about: string;
  /** Returns the exit code. */
  run(config: Config, target: string, say: Say): Promise<number>;
}

const COMMANDS: readonly StoreCommand[] = [
  {
    usage: "check",
    about: "Read everything and compare it with its hashes, in a process of its own; exit code 1 names what is damaged",
    run: checkCommand,
  },
  {
    usage: "backup <folder>",
    about: "Copy the store to a new folder, also while a server has it open",
    run: async (config, target, say) => {
      const { folder, maxBytes } = optionsOf(config);
      requireStore(folder);
      const { files } = await backupFolder(folder, resolve(target), maxBytes);
      const bytes = Object.values(files).reduce((sum, { size }) => sum + size, 0);
      say(`${target}: ${mib(bytes)} MiB`);
      return 0;
    },
  },
  {
    usage: "restore <folder>",
    about: "Put a backup in the place of the store, after checking it",
    run: async (config, source, say) => {
      const { folder, maxBytes } = optionsOf(config);
      await restoreStore(resolve(source), folder, maxBytes);
      say(`${folder} is what ${source} was`);
      return 0;
    },
  },
  {
    usage: "compact",
    about: "Rewrite the store without its free pages and without content that nobody refers to",
    run: async (config, _target, say) => {
      const { folder, maxBytes } = optionsOf(config);
      requireStore(folder);
      const { before, after, orphans } = await compactStore(folder, maxBytes);
      if (orphans > 0) say(`${orphans} values that nobody referred to are gone`);
      say(`${folder}: ${mib(before)} MiB, now ${mib(after)} MiB`);
      return 0;
    },
  },
];

export function register(program: Command): void {
  const store = program.command("store").description("Care of the store; all but backup while no server has it open");
  for (const { usage, about, run } of COMMANDS) {
    addConfigOptions(store.command(usage).description(about)).action(async (...given: unknown[]) => {
      const target = usage.includes("<") ? String(given[0]) : "";
      const flags = given.at(usage.includes("<") ? 1 : 0) as Flags;
      const { config } = loadConfig({ ...configFromFlags(flags), env: process.env });
      process.exitCode = await run(config, target, (line) => process.stdout.write(`${line}\n`));
    });
  }
}

async function checkCommand(config: Config, _target: string, say: Say): Promise<number> {
  const { folder, maxBytes } = optionsOf(config);
  requireStore(folder);
  const entry = checkEntry();
  const { problems, values, records, bytes } = await checkInProcess(
    folder,
    maxBytes,
    entry === undefined ? {} : { entry },
  );
  for (const { where, problem } of problems) say(`${where}: ${problem}`);
  say(
    `${folder}: ${values} values of ${mib(bytes)} MiB and ${records} records read, ${problems.length || "no"} problem${problems.length === 1 ? "" : "s"}`,
  );
  return problems.length === 0 ? 0 : 1;
}

/** Beside the bundle the checking process has an entry of its own; from the sources the store knows its way. */
function checkEntry(): string | undefined {
  const here = import.meta.url;
  return here.endsWith(".ts") ? undefined : fileURLToPath(new URL("./workers/store-check.js", here));
}

function optionsOf(config: Config) {
  return { folder: resolve(storePath(config)), maxBytes: config.store.max_bytes };
}

const mib = (bytes: number): string => (bytes / MIB).toFixed(1);
