/** State of one compilation: the pool under construction and what has been compiled already. */
import type { Param } from "#mdd/generated/dataformat.ts";
import { jsonBytes } from "./json-bytes.ts";
import type { CodecOptions } from "./options.ts";
import type { EnvDescPlan, Key, ParamList, Pool, Scalar, Step, TablePlan, Target } from "./plan.ts";
import { TargetKind } from "./plan.ts";

export interface Compiler {
  readonly options: CodecOptions;
  readonly pool: Pool;
  /** By kind and table offset: what the database shares is compiled once. */
  readonly targets: Map<string, Target>;
  readonly keys: Map<string, Key>;
  readonly registers: Map<string, number>;
  /** Names that a decoded object of the list may get. */
  readonly shownNames: Map<ParamList, ReadonlySet<string>>;
  readonly steps: Step[];
  depth: number;
  /** Compiles the parameters of a structure; here, because parameters hold DOPs and DOPs hold parameters. */
  readonly compileMembers: (c: Compiler, params: readonly Param[]) => ParamList;
}

export function createCompiler(options: CodecOptions, compileMembers: Compiler["compileMembers"]): Compiler {
  const pool: Pool = {
    scalars: [],
    structures: [],
    fields: [],
    muxes: [],
    tables: [],
    dtcs: [],
    envDescs: [],
    problems: [],
    registers: [],
  };
  return {
    options,
    pool,
    targets: new Map(),
    keys: new Map(),
    registers: new Map(),
    shownNames: new Map(),
    steps: [],
    depth: 0,
    compileMembers,
  };
}

/** A member name with its JSON bytes. */
export function keyOf(c: Compiler, name: string): Key {
  let key = c.keys.get(name);
  if (key === undefined) {
    key = { name, json: Uint8Array.from([...jsonBytes(name), 0x3a]) };
    c.keys.set(name, key);
  }
  return key;
}

/** The register in which values called `name` are kept. */
export function registerOf(c: Compiler, name: string): number {
  let register = c.registers.get(name);
  if (register === undefined) {
    register = c.pool.registers.length;
    c.registers.set(name, register);
    c.pool.registers.push(name);
  }
  return register;
}

/** Adds a scalar. @returns its index */
export function addScalar(c: Compiler, scalar: Scalar): number {
  return c.pool.scalars.push(scalar) - 1;
}

/** A target that only says what is wrong with the database. */
export function broken(c: Compiler, problem: string): Target {
  return { kind: TargetKind.BROKEN, index: c.pool.problems.push(problem) - 1 };
}

/** Last act: every step whose value is asked for learns its register. */
export function linkRegisters(c: Compiler): void {
  for (const step of c.steps) step.register = c.registers.get(step.key.name) ?? -1;
}

/** Registers by which tables and environment data find their keys. */
export function linkKeys(c: Compiler, plan: TablePlan | EnvDescPlan): void {
  if ("keyName" in plan) plan.keyRegister = registerOf(c, plan.keyName);
  else plan.selectorRegister = registerOf(c, plan.selectorName);
}
