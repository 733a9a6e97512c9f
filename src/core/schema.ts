/**
 * Builders of JSON Schema with the types of TypeBox and without its code: of its 400 kB of type engine a schema as we write it needs
 * nothing, and every process would load them at its start. What they make is, member by member, what TypeBox makes.
 */
import type { Type as TypeBox } from "typebox";

type Schema = Record<string, unknown>;

/** Members of an object that may be absent: said beside the schema, as JSON Schema says it in the object's `required`. */
const optional = new WeakSet<object>();

function requiredOf(properties: Readonly<Record<string, object>>): { readonly required?: readonly string[] } {
  const required = Object.keys(properties).filter((name) => !optional.has(properties[name]!));
  return required.length === 0 ? {} : { required };
}

const ofType =
  (type: string) =>
  (options: Schema = {}): Schema => ({ type, ...options });

const BUILDERS = {
  String: ofType("string"),
  Number: ofType("number"),
  Integer: ofType("integer"),
  Boolean: ofType("boolean"),
  Null: ofType("null"),
  Unknown: (options: Schema = {}): Schema => ({ ...options }),
  Literal: (value: string | number | boolean, options: Schema = {}): Schema => ({
    type: typeof value,
    const: value,
    ...options,
  }),
  Enum: (values: readonly (string | number)[], options: Schema = {}): Schema => ({ enum: values, ...options }),
  Union: (anyOf: readonly Schema[], options: Schema = {}): Schema => ({ anyOf, ...options }),
  Array: (items: Schema, options: Schema = {}): Schema => ({ type: "array", items, ...options }),
  Object: (properties: Record<string, Schema>, options: Schema = {}): Schema => ({
    type: "object",
    ...requiredOf(properties),
    properties,
    ...options,
  }),
  Record: (key: { readonly pattern?: string }, value: Schema, options: Schema = {}): Schema => ({
    type: "object",
    patternProperties: { [key.pattern ?? "^.*$"]: value },
    ...options,
  }),
  Optional: (schema: Schema): Schema => {
    const member = { ...schema };
    optional.add(member);
    return member;
  },
  Unsafe: (schema: Schema): Schema => ({ ...schema }),
};

/** As TypeBox's `Type`, for the builders that we use. */
export const Type = BUILDERS as unknown as Pick<typeof TypeBox, keyof typeof BUILDERS>;

export type { Static } from "typebox";
