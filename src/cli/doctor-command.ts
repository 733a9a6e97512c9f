/** `sovd-edge doctor`: what is wrong with this machine or configuration. */
import type { Command } from "commander";
import { addConfigOptions, configFromFlags } from "#config/flags.ts";
import { loadConfig } from "#config/load.ts";
import { doctor } from "./doctor.ts";

export function register(program: Command): void {
  addConfigOptions(
    program.command("doctor").description("Say what is wrong with this machine or configuration"),
  ).action(async (options: Record<string, unknown>) => {
    const { config } = loadConfig({ ...configFromFlags(options), env: process.env });
    process.exitCode = await doctor(config);
  });
}
