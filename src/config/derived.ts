/** Values that follow from several keys, or from keys and the machine. */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { isLoopback } from "#core/loopback.ts";
import type { Config, EcuConfig } from "./types.ts";

const MOST_SHARDS = 2;

/** Folder of the store. */
export function storePath({ store, runtime_update_config }: Config): string {
  return store.path === "" ? join(runtime_update_config.storage_dir, ".sovd-edge") : store.path;
}

/** Number of shards on this machine. */
export function shardCount({ shards }: Config): number {
  return shards.workers === 0 ? Math.min(MOST_SHARDS, availableParallelism()) : shards.workers;
}

/** Strictness with `strict.enabled` taken in. */
export function strictness({ strict }: Config): { readonly parameterValidation: boolean; readonly ecuConfig: boolean } {
  return {
    parameterValidation: strict.enabled || strict.parameter_validation,
    ecuConfig: strict.enabled || strict.ecu_config,
  };
}

/** Settings of one ECU, its name in exact case first, then in any. */
export function ecuConfig({ ecu }: Config, name: string): EcuConfig | undefined {
  if (Object.hasOwn(ecu, name)) return ecu[name];
  const other = Object.keys(ecu).find((candidate) => candidate.toLowerCase() === name.toLowerCase());
  return other === undefined ? undefined : ecu[other];
}

/** A node that is there for updates alone, and talks to no ECU, needs neither databases nor DoIP. */
export function needsVehicle({ update, doip, can }: Config): boolean {
  if (!update.enabled) return true;
  if (update.role !== "secondary") return doip.enabled || can !== undefined;
  return Object.values(update.targets).some(({ provider }) => provider === "uds-flash");
}

/** Warnings about settings that are allowed and yet risky. */
export function risks(config: Config): string[] {
  const { security, doip, skybrush, http, update } = config;
  const known = skybrush.authentication === "token" || (skybrush.tls && http.tls_ca !== undefined);
  const open = skybrush.enabled && !isLoopback(skybrush.address) && !known && update.verify !== "required";
  return [
    ...(security.mode === "development" ? ["security.mode is development: anyone gets a token"] : []),
    ...(doip.enabled && doip.tls.ca === undefined && needsVehicle(config)
      ? ["doip.tls.ca is not set: certificates of gateways are not verified"]
      : []),
    ...(open ? ["skybrush: whoever reaches its address may update components"] : []),
  ];
}
