/** Modules of the operator's. */
import { atLeast, textList } from "../leaf.ts";
import { section } from "../node.ts";

export const PLUGINS = section("Plugins: ES modules that add routes, take log records, check what is sent.", {
  modules: textList([], "Paths of the modules, relative to the working directory; asked in this order."),
  start_timeout_ms: atLeast(1, 10_000, "Longest time for a plugin's `init`, and for its `close`."),
  log_queue_records: atLeast(1, 1_000, "Log records that wait for a plugin's `logSink`; more are dropped and counted."),
});
