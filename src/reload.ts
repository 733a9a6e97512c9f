/** A new configuration for a running server: what can change without a restart does, what cannot is named. */

import { changedKeys, withKeys } from "#config/changes.ts";
import type { Config } from "#config/types.ts";
import { reasonOf } from "#core/errors.ts";
import type { Log } from "#telemetry/logger.ts";
import type { Notifier } from "#telemetry/systemd.ts";

/** A part of the program that takes a new configuration while it runs. */
export interface ReloadablePart {
  /** Keys that take effect without a restart. Files that they name are read anew even where no key has changed. */
  readonly keys: readonly string[];
  /** False: what its keys say needs a restart this time. */
  accepts?(wanted: Config): boolean;
  /**
   * Makes what the new configuration asks for; nothing changes before the function it gives back is called. @throws when it cannot be
   * made
   */
  prepare(config: Config): Promise<() => void | Promise<void>>;
}

export interface ReloadOutcome {
  /** Changed keys that are in force now. */
  readonly applied: readonly string[];
  /** Changed keys that wait for a restart. */
  readonly restart: readonly string[];
  /** Why everything stays as it was. */
  readonly problem?: string;
}

export interface Reloader {
  /** The configuration in force. */
  readonly config: Config;
  /** Reads the configuration and takes it over, all or nothing. One run at a time. Never rejects. */
  reload(read: () => Config): Promise<ReloadOutcome>;
}

export interface ReloaderOptions {
  readonly config: Config;
  /** In the order in which they take over; one that fails there keeps those behind it from it. */
  readonly parts: readonly ReloadablePart[];
  readonly log: Log;
  readonly notifier: Pick<Notifier, "reloading" | "reloaded"> | undefined;
  /** Told of each configuration that is in force from now on. */
  readonly onTaken: (config: Config) => void;
}

export function createReloader({ config: initial, parts, log, notifier, onTaken }: ReloaderOptions): Reloader {
  const logger = log.scope("config");
  let config = initial;
  let running: Promise<unknown> = Promise.resolve();

  const takeOver = async (read: () => Config): Promise<ReloadOutcome> => {
    const wanted = read();
    const reloadable = new Set(parts.flatMap(({ keys, accepts }) => (accepts?.(wanted) === false ? [] : keys)));
    const changed = changedKeys(config, wanted);
    const applied = changed.filter((key) => reloadable.has(key));
    const next = withKeys(config, wanted, applied);
    // all of them before the first: what cannot be made changes nothing
    const commits = [];
    for (const part of parts) commits.push(await part.prepare(next));
    for (const commit of commits) await commit();
    config = next;
    onTaken(next);
    return { applied, restart: changed.filter((key) => !reloadable.has(key)) };
  };
  const once = async (read: () => Config): Promise<ReloadOutcome> => {
    notifier?.reloading();
    try {
      const { applied, restart } = await takeOver(read);
      logger.info({ applied }, "configuration read anew");
      if (restart.length > 0) logger.warn({ keys: restart }, "changed keys that need a restart");
      return { applied, restart };
    } catch (error) {
      const problem = reasonOf(error);
      logger.error({ problem }, "configuration not taken over, the old one stays in force");
      return { applied: [], restart: [], problem };
    } finally {
      notifier?.reloaded();
    }
  };
  return {
    get config() {
      return config;
    },
    reload(read) {
      const turn = running.then(() => once(read));
      running = turn;
      return turn;
    },
  };
}
