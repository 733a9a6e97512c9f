/**
 * A security plugin: an ES module whose default export makes one of these. It says no in words, `undefined` means yes; what it throws
 * is an internal error.
 */
import { Fault } from "#core/errors.ts";
import { makeOfModule } from "#core/module.ts";
import type { Claims, TokenAnswer } from "./claims.ts";

/** Why something is refused; goes to the caller. */
export type Refusal = string;

/** A diagnostic service that is about to be sent or listed. */
export interface ServiceFacts {
  readonly name: string;
  readonly sid: number;
  /** Upper-case hex of the constant begin of the request. */
  readonly prefix: string;
  readonly semantic?: string;
  readonly functionalClasses: readonly string[];
  /** Upper-case hex of the whole request, where it is fixed by now: raw requests, clearing of faults. */
  readonly request?: string;
}

/** Whom a service would reach. */
export interface ServiceTarget {
  readonly addressing: "physical" | "functional";
  /** Ids of the ECU, or of the members of the functional group. */
  readonly ecus: readonly string[];
}

/** A change of software or of diagnostic databases that is about to begin. */
export interface UpdateFacts {
  readonly kind: "software" | "database";
  /** Id of the package, place of bulk data (`category/file`), or the mode of a database update. */
  readonly id: string;
  readonly targets: readonly string[];
  /** What is asked for: `register`, `prepare`, `execute`, `automated`, `delete`, `x-rollback` and so on; of bulk data `upload`, `remove`; absent for databases. */
  readonly action?: string;
}

export interface SecurityPlugin {
  /** The answer to a body of `POST authorize`, any JSON value. */
  authorize(body: unknown): TokenAnswer | Refusal | Promise<TokenAnswer | Refusal>;
  /** Claims of a presented token. They are remembered until `exp`; without `exp` they are asked for at each request. */
  claims(token: string): Claims | Refusal | Promise<Claims | Refusal>;
  /**
   * Asked for each service that a client's request would run, and for each entry of a list. `entity`: id of the ECU, or name of the
   * functional group. What this program sends by itself is not asked for: variant detection, the end of locks, keep-alives.
   */
  validateService?(
    claims: Claims | undefined,
    service: ServiceFacts,
    entity: string,
    target: ServiceTarget,
  ): Refusal | undefined | Promise<Refusal | undefined>;
  /** Asked before anything of an update is changed. */
  validateUpdate?(claims: Claims, update: UpdateFacts): Refusal | undefined | Promise<Refusal | undefined>;
}

/** Loads the module at `path`, relative to the working directory. @throws Fault invalidConfig */
export async function loadPlugin(path: string): Promise<SecurityPlugin> {
  const plugin = await makeOfModule("security.plugin", path);
  if (isPlugin(plugin)) return plugin;
  throw new Fault(
    "invalidConfig",
    `security.plugin: the default export of ${path} makes no plugin with authorize and claims`,
  );
}

function isPlugin(value: unknown): value is SecurityPlugin {
  const methods = (value ?? {}) as Partial<Record<keyof SecurityPlugin, unknown>>;
  return typeof methods.authorize === "function" && typeof methods.claims === "function";
}

/** Runs a method of the plugin and turns a refusal into `forbidden`. */
export async function ask<T extends object | undefined>(answer: () => T | Refusal | Promise<T | Refusal>): Promise<T> {
  let said: T | Refusal;
  try {
    said = await answer();
  } catch (error) {
    throw new Fault("internal", "The security plugin failed", undefined, error);
  }
  if (typeof said === "string") throw new Fault("forbidden", said);
  return said;
}
