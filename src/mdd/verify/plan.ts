import type { ElementField, Field, FieldType, ScalarType } from "../schema.ts";
import { fieldsOf, MISTYPED, TABLES, UNIONS } from "../schema.ts";

/** The schema compiled for the verifier: numbers instead of names, resolved table references, vtable slots. */

export const SCALAR_BYTES: Readonly<Record<ScalarType, number>> = { bool: 1, u8: 1, u32: 4, i32: 4, f64: 8 };

/** What a field's place in the table holds: the value itself, or a forward offset to something. */
export type Kind = "inline" | "string" | "table" | "union" | "scalars" | "strings" | "tables" | "unions";

export interface FieldPlan {
  readonly name: string;
  readonly kind: Kind;
  /** Place in the vtable, bytes. A union's type is in the slot before. */
  readonly slot: number;
  /** Bytes in the table: of the value, or of the offset to it. Also its alignment. */
  readonly inlineBytes: number;
  /** Bytes of one element of a list of scalars. */
  readonly elementBytes: number;
  /** Table referred to, one for `table` and `tables`; by type number less one for unions. */
  readonly targets: readonly TablePlan[];
  /** Memo code of a list of this shape. */
  readonly code: number;
  /** Slot of a bool that, when true, forbids to follow this field. */
  readonly unlessSlot: number | undefined;
}

export interface TablePlan {
  readonly name: string;
  readonly code: number;
  readonly fields: readonly FieldPlan[];
}

const slotOf = (id: number): number => 4 + 2 * id;
const names = Object.keys(TABLES);
const LIST_OF_STRINGS = names.length + 1;
/** Code of a list of tables: behind those of tables (from 1) and of the list of strings. All fit a byte. */
const listCode = (table: string): number => LIST_OF_STRINGS + 1 + names.indexOf(table);

const plans = new Map(names.map((name, i) => [name, { name, code: i + 1, fields: [] as FieldPlan[] }]));
for (const [name, plan] of plans) plan.fields.push(...fieldsOf(name).flatMap((field) => planOf(name, field)));

/** Plan of a table; throws on a name that the schema does not have. */
export function tablePlan(name: string): TablePlan {
  const plan = plans.get(name);
  if (plan === undefined) throw new Error(`schema has no table ${name}`);
  return plan;
}

function planOf(table: string, { name, id, type }: Field): FieldPlan[] {
  const value = {
    name,
    slot: slotOf(id),
    inlineBytes: 4,
    elementBytes: 0,
    targets: [],
    code: 0,
    unlessSlot: unlessSlot(table, name),
    ...shape(type),
  };
  const types = { ...value, name: `${name}_type`, slot: slotOf(id - 1), targets: [] };
  if (value.kind === "union") return [{ ...types, kind: "inline", inlineBytes: 1 }, value];
  if (value.kind === "unions") return [{ ...types, kind: "scalars", elementBytes: 1 }, value];
  return [value];
}

function shape(type: FieldType): Pick<FieldPlan, "kind"> & Partial<FieldPlan> {
  switch (type.kind) {
    case "scalar":
      return { kind: "inline", inlineBytes: SCALAR_BYTES[type.type] };
    case "enum":
      return { kind: "inline", inlineBytes: 1 };
    case "string":
      return { kind: "string" };
    case "table":
      return { kind: "table", targets: [tablePlan(type.of)] };
    case "union":
      return { kind: "union", targets: membersOf(type.of) };
    case "list":
      return listShape(type.of);
  }
}

function listShape(of: ElementField): Pick<FieldPlan, "kind"> & Partial<FieldPlan> {
  switch (of.kind) {
    case "scalar":
      return { kind: "scalars", elementBytes: SCALAR_BYTES[of.type] };
    case "enum":
      return { kind: "scalars", elementBytes: 1 };
    case "string":
      return { kind: "strings", code: LIST_OF_STRINGS };
    case "table":
      return { kind: "tables", targets: [tablePlan(of.of)], code: listCode(of.of) };
    case "union":
      return { kind: "unions", targets: membersOf(of.of) };
  }
}

function membersOf(union: string): TablePlan[] {
  return UNIONS[union as keyof typeof UNIONS].map(tablePlan);
}

function unlessSlot(table: string, field: string): number | undefined {
  if (table !== MISTYPED.table || field !== MISTYPED.field) return undefined;
  const guard = fieldsOf(table).find(({ name }) => name === MISTYPED.when)!;
  return slotOf(guard.id);
}
