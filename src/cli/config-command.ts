/** `sovd-edge config print|check` and `generate-config`. */
import type { Command } from "commander";
import { addConfigOptions, configFromFlags } from "#config/flags.ts";
import { checkConfig, generateConfig, printConfig } from "./config.ts";

export function register(program: Command): void {
  const config = program.command("config").description("Look at the configuration");
  addConfigOptions(config.command("print").description("Print the configuration in force"))
    .option("--defaults", "print every key with its default")
    .action((options: Record<string, unknown>) => {
      const defaults = options.defaults === true;
      process.exitCode = printConfig({ ...configFromFlags(options), env: process.env, defaults });
    });
  config
    .command("check <file>")
    .description("Name every problem of a configuration file with key, line and column")
    .action((file: string) => {
      process.exitCode = checkConfig(file);
    });
  program
    .command("generate-config")
    .description("Write a sample configuration with every key commented out")
    .option("-o, --output <file>", "file to write, - for standard output")
    .action(({ output }: { output?: string }) => {
      process.exitCode = generateConfig(output);
    });
}
