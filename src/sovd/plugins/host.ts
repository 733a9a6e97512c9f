/** The plugins of this process: loaded, started, asked, ended. What one of them throws is named and stays its own. */
import type { Config } from "#config/types.ts";
import { Fault, reasonOf } from "#core/errors.ts";
import type { Fleet } from "#fleet/api.ts";
import type { Log } from "#telemetry/logger.ts";
import type { Route } from "../route.ts";
import { type LoadedPlugin, loadPlugins } from "./load.ts";
import { createLogQueue, type LogQueue } from "./log-sink.ts";
import { type OnFailure, requireFree, routesOf } from "./routes.ts";
import type { PluginContext, PluginLog } from "./types.ts";

export interface PluginHost {
  /** Modules with a safety check: shards load these too. */
  readonly safetyModules: readonly string[];
  /** Connects log sinks and calls `init`. @throws Fault internal that names the plugin whose `init` fails */
  start(parts: PluginParts): Promise<void>;
  /** Rows for the route table that holds `builtIn`. After `start`. @throws Fault invalidConfig for a clash */
  routes(builtIn: readonly Route[]): readonly Route[];
  /** Ends log sinks, then plugins, the last one first. Never rejects. */
  close(): Promise<void>;
}

export interface PluginParts {
  readonly fleet: Fleet;
  /** Begins deferred communication. */
  trigger(): Promise<void>;
}

/** Loads what `[plugins]` names. @throws Fault invalidConfig */
export async function createPluginHost(config: Config["plugins"], log: Log): Promise<PluginHost> {
  const plugins = await loadPlugins(config.modules);
  const started: { readonly plugin: LoadedPlugin; readonly context: PluginContext }[] = [];
  const queues: LogQueue[] = [];
  const disconnect: (() => void)[] = [];
  const logger = log.scope("plugins");
  const onFailure: OnFailure = (plugin, message, error) => logger.error({ plugin, error }, message);

  const connectSink = ({ name, logSink }: LoadedPlugin) => {
    if (logSink === undefined) return;
    const own = scopeOf(name);
    const queue = createLogQueue({
      // a sink that logs would feed itself without end
      sink: (record) => (record.scope === own ? undefined : logSink(record)),
      maxRecords: config.log_queue_records,
      onProblem: (error) => onFailure(name, `Plugin ${name}: logSink failed`, error),
    });
    queues.push(queue);
    disconnect.push(log.addSink((line) => queue.write(line)));
  };
  return {
    safetyModules: plugins.filter((plugin) => plugin.checkBeforeSend !== undefined).map(({ path }) => path),
    async start(parts) {
      for (const plugin of plugins) {
        const context = contextOf(plugin, parts, log);
        started.push({ plugin, context });
        connectSink(plugin);
        try {
          await within(config.start_timeout_ms, plugin.init?.(context));
        } catch (error) {
          throw new Fault("internal", `Plugin ${plugin.name}: init failed: ${reasonOf(error)}`, undefined, error);
        }
        logger.info({ plugin: plugin.name, routes: plugin.routes?.length ?? 0 }, "plugin started");
      }
    },
    routes(builtIn) {
      const table = [...builtIn];
      for (const { plugin, context } of started) {
        const rows = routesOf(plugin, context, onFailure);
        requireFree(plugin, rows, table);
        table.push(...rows);
      }
      return table.slice(builtIn.length);
    },
    async close() {
      for (const stop of disconnect) stop();
      const flushed = Promise.all(queues.map((queue) => queue.flushed()));
      await within(config.start_timeout_ms, flushed).catch(() => logger.warn("a plugin's logSink did not end in time"));
      for (const { plugin } of [...started].reverse()) {
        try {
          await within(config.start_timeout_ms, plugin.close?.());
        } catch (error) {
          onFailure(plugin.name, `Plugin ${plugin.name}: close failed`, error);
        }
      }
    },
  };
}

const scopeOf = (plugin: string): string => `plugin:${plugin}`;

function contextOf({ name }: LoadedPlugin, { fleet, trigger }: PluginParts, log: Log): PluginContext {
  const logger = log.scope(scopeOf(name));
  const at =
    (level: keyof PluginLog) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}) =>
      logger[level](fields, message);
  return {
    log: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") },
    vehicle: fleet,
    triggerDeferredInitialization: () => trigger(),
    fault: (kind, message, details) => new Fault(kind, message, details),
  };
}

/** The promise, or a rejection when it takes too long. */
async function within<T>(timeoutMs: number, work: T | Promise<T>): Promise<T> {
  if (!(work instanceof Promise)) return work;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`it took longer than ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
