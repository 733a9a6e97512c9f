/** Compiled checks of TypeBox schemas, made at first use and kept. */
import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";

/** More say nothing to the caller and cost time to find. */
const MAX_ERRORS = 10;

const compiled = new WeakMap<object, ReturnType<typeof Compile>>();

function validatorOf(schema: TSchema): ReturnType<typeof Compile> {
  let validator = compiled.get(schema);
  if (validator === undefined) {
    validator = Compile(schema);
    compiled.set(schema, validator);
  }
  return validator;
}

/** What is wrong with `value`, by field; undefined when it fits. */
export function problemsOf(schema: TSchema, value: unknown): string | undefined {
  const validator = validatorOf(schema);
  if (validator.Check(value)) return undefined;
  const errors = validator.Errors(value).slice(0, MAX_ERRORS);
  return errors.map((error) => `${fieldName(error.instancePath)}: ${error.message}`).join("; ");
}

function fieldName(instancePath: string): string {
  return instancePath === "" ? "body" : instancePath.slice(1).replaceAll("/", ".");
}
