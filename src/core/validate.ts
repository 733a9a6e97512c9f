/** Checks of values against schemas, compiled at first use and kept. */
import type { Static, TSchema } from "typebox";
import { Compile, type Validator } from "typebox/schema";

/** More say nothing to the caller and cost time to find. */
const MAX_ERRORS = 10;

const compiled = new WeakMap<object, Validator>();

function validatorOf(schema: TSchema): Validator {
  let validator = compiled.get(schema);
  if (validator === undefined) {
    validator = Compile(schema as never) as unknown as Validator;
    compiled.set(schema, validator);
  }
  return validator;
}

export interface Problem {
  /** JSON pointer of the member; empty: the value itself. */
  readonly instancePath: string;
  readonly message: string;
  readonly params: object;
}

/** Whether the value is of the schema's type. */
export function fits<S extends TSchema>(schema: S, value: unknown): value is Static<S> {
  return validatorOf(schema).Check(value);
}

/** What is wrong with a value that does not fit. */
export function problems(schema: TSchema, value: unknown): readonly Problem[] {
  const [, errors] = validatorOf(schema).Errors(value);
  return errors.slice(0, MAX_ERRORS);
}

/** What is wrong with `value`, by field; undefined when it fits. */
export function problemsOf(schema: TSchema, value: unknown): string | undefined {
  if (fits(schema, value)) return undefined;
  return problems(schema, value)
    .map(({ instancePath, message }) => `${fieldName(instancePath)}: ${message}`)
    .join("; ");
}

function fieldName(instancePath: string): string {
  return instancePath === "" ? "body" : instancePath.slice(1).replaceAll("/", ".");
}
