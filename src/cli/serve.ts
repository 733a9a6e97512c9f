/** `sovd-edge serve`: the server until a signal ends it. */
import type { Command } from "commander";
import { risks } from "#config/derived.ts";
import { addConfigOptions, configFromFlags } from "#config/flags.ts";
import { loadConfig, problemText } from "#config/load.ts";
import { Fault } from "#core/errors.ts";
import { createLogger } from "#telemetry/logger.ts";
import { startServer } from "../main.ts";
import { endOnSignals } from "./signals.ts";

export function register(program: Command): void {
  const serve = program.command("serve").description("Run the server");
  addConfigOptions(serve);
  serve.action(async (options: Record<string, unknown>) => {
    const { config, warnings, source } = loadConfig({ ...configFromFlags(options), env: process.env });
    const log = createLogger(config.logging);
    const logger = log.scope("config");
    logger.info({ source: source ?? "defaults" }, "configuration");
    for (const warning of warnings) logger.warn(problemText(warning));
    for (const risk of risks(config)) logger.warn(risk);
    const server = await startServer(config, log);
    const end = endOnSignals(() => server.close());
    // After logrotate: without a handler the signal would end the process.
    process.on("SIGHUP", () => log.reopen());
    try {
      await server.ready;
      if (config.database.exit_no_database_loaded && server.fleet.ecus.length === 0) {
        throw new Fault("misconfigured", `No database could be loaded from ${config.database.path}`);
      }
    } catch (error) {
      await server.close();
      throw error;
    }
    await end;
  });
}
