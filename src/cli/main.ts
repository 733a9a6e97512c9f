#!/usr/bin/env node
/** The command line. Each command's code loads only when it is called: `serve` must not pay for the converter. */
import { Command, CommanderError } from "commander";
import type { ConfigProblem } from "#config/types.ts";
import { Fault } from "#core/errors.ts";
import { VERSION } from "#core/version.ts";
import { isWrongUsage } from "./usage.ts";

/** A command file exports one function that hangs its command, options and action into the program. */
interface CommandModule {
  register(program: Command): void;
}

const COMMANDS: Readonly<Record<string, () => Promise<CommandModule>>> = {
  serve: () => import("./serve.ts"),
  demo: () => import("./demo.ts"),
  simulate: () => import("./simulate.ts"),
  "simulate-device": () => import("./simulate-device.ts"),
  update: () => import("./update.ts"),
  audit: () => import("./audit.ts"),
  mdd: () => import("./mdd.ts"),
  store: () => import("./store.ts"),
  config: () => import("./config-command.ts"),
  "generate-config": () => import("./config-command.ts"),
  doctor: () => import("./doctor-command.ts"),
  bench: () => import("./bench.ts"),
  "bench-peer": () => import("./bench.ts"),
};

const EXIT_FAILED = 1;
const EXIT_WRONG_USAGE = 2;
/** As shells give it for SIGPIPE. */
const EXIT_UNREAD = 141;

/** Runs one command line (without node and script). Sets the exit code instead of exiting, so that output is flushed. */
export async function run(argv: readonly string[]): Promise<void> {
  const program = new Command("sovd-edge")
    .description("Embedded diagnostics runtime: SOVD over HTTP on one side, UDS over DoIP on the other")
    .version(VERSION, "-V, --version")
    .enablePositionalOptions()
    .exitOverride();
  const wanted = argv.find((word) => Object.hasOwn(COMMANDS, word));
  const modules = wanted === undefined ? Object.values(COMMANDS) : [COMMANDS[wanted]!];
  // one module may stand for two commands
  for (const module of new Set(await Promise.all(modules.map((load) => load())))) module.register(program);
  await program.parseAsync(argv, { from: "user" });
}

// whoever read our output has had enough: `sovd-edge … | head`
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(EXIT_UNREAD);
});

try {
  await run(process.argv.slice(2));
} catch (error) {
  if (error instanceof CommanderError) {
    // help and version end this way too; the text is out already
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_WRONG_USAGE;
  } else {
    process.stderr.write(`${describe(error)}\n`);
    process.exitCode = isWrongUsage(error) || isWrongFlag(error) ? EXIT_WRONG_USAGE : EXIT_FAILED;
  }
}

/** A configuration that only flags made wrong. */
function isWrongFlag(error: unknown): boolean {
  if (!(error instanceof Fault) || error.kind !== "invalidConfig") return false;
  const problems = (error.details?.problems ?? []) as readonly ConfigProblem[];
  return problems.length > 0 && problems.every(({ source }) => source?.startsWith("flag "));
}

/** The chain of causes, one a line; a stack only for what we did not foresee. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const lines = [error instanceof Fault ? error.message : (error.stack ?? error.message)];
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
    // most say in their own words what the cause says
    if (!lines.at(-1)?.includes(cause.message)) lines.push(`Caused by: ${cause.message}`);
  }
  return lines.join("\n");
}
