/** `sovd-edge serve`: the server until a signal ends it. */
import type { Command } from "commander";
import { risks } from "#config/derived.ts";
import { addConfigOptions, configFromFlags } from "#config/flags.ts";
import { loadConfig, problemText } from "#config/load.ts";
import { Fault } from "#core/errors.ts";
import { createLogger } from "#telemetry/logger.ts";
import { type RunningServer, startServer } from "../main.ts";
import { endOnSignals, onHangup } from "./signals.ts";

export function register(program: Command): void {
  const serve = program.command("serve").description("Run the server");
  addConfigOptions(serve);
  serve.action(async (options: Record<string, unknown>) => {
    const read = () => loadConfig({ ...configFromFlags(options), env: process.env });
    const loaded = read();
    const { config, source } = loaded;
    const log = createLogger(config.logging);
    const logger = log.scope("config");
    const told = ({ config, warnings }: typeof loaded) => {
      for (const warning of warnings) logger.warn(problemText(warning));
      for (const risk of risks(config)) logger.warn(risk);
      return config;
    };
    logger.info({ source: source ?? "defaults" }, "configuration");
    told(loaded);
    let server: RunningServer | undefined;
    let hungUp = false;
    const reload = () => void server?.reload(() => told(read()));
    // from the start: without a handler the signal would end the process. It comes after logrotate as well
    const leaveHangup = onHangup(() => {
      log.reopen();
      hungUp = true;
      reload();
    });
    server = await startServer(config, log);
    // what was read before may be older than the signal
    if (hungUp) reload();
    const running = server;
    const end = endOnSignals(() => running.close()).finally(leaveHangup);
    try {
      await running.ready;
      if (config.database.exit_no_database_loaded && running.fleet.ecus.length === 0) {
        throw new Fault("misconfigured", `No database could be loaded from ${config.database.path}`);
      }
    } catch (error) {
      await running.close();
      throw error;
    }
    await end;
  });
}
