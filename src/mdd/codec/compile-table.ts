/** From TABLEs in the FlatBuffer to plans (ISO 22901-1 §7.4.9). */
import { TableDop, type TableKey, TableKeyReference, TableRow } from "#mdd/generated/dataformat.ts";
import { compileDop } from "./compile-dop.ts";
import { elements } from "./compile-scalar.ts";
import { type Compiler, keyOf, linkKeys } from "./compiler.ts";
import { type RowPlan, type TablePlan, TargetKind } from "./plan.ts";

/** Compiles the table of a key called `keyName`. @returns its index, or what is wrong */
export function compileTable(c: Compiler, key: TableKey, keyName: string): number | string {
  if (key.tableKeyReferenceType() === TableKeyReference.TableRow) {
    const row = key.tableKeyReference(new TableRow());
    if (row === null) return "TABLE-KEY without TABLE-ROW";
    return addTable(c, `row ${row.bb_pos} ${keyName}`, () => ({ keyName, rows: [], fixed: row, keyScalar: -1 }));
  }
  const table =
    key.tableKeyReferenceType() === TableKeyReference.TableDop ? key.tableKeyReference(new TableDop()) : null;
  if (table === null) return "TABLE-KEY without TABLE";
  const scalar = compileDop(c, table.keyDop());
  if (scalar.kind !== TargetKind.SCALAR) return "a table key needs a simple DOP";
  return addTable(c, `table ${table.bb_pos} ${keyName}`, () => ({
    keyName,
    rows: elements(table.rowsLength(), (i) => table.rows(i)),
    fixed: undefined,
    keyScalar: scalar.index,
  }));
}

interface TableSource {
  readonly keyName: string;
  readonly rows: readonly TableRow[];
  readonly fixed: TableRow | undefined;
  readonly keyScalar: number;
}

function addTable(c: Compiler, memo: string, source: () => TableSource): number {
  const known = c.targets.get(memo);
  if (known !== undefined) return known.index;
  const { keyName, rows, fixed, keyScalar } = source();
  const plans = rows.map((row) => compileRow(c, row));
  const byText = new Map<string, RowPlan>();
  for (const row of plans) for (const text of [row.key.name, row.keyText]) if (!byText.has(text)) byText.set(text, row);
  const fixedRow = fixed === undefined ? undefined : compileRow(c, fixed);
  const plan: TablePlan = { keyScalar, rows: plans, byText, keyRegister: -1, keyName, fixedRow };
  linkKeys(c, plan);
  const index = c.pool.tables.push(plan) - 1;
  c.targets.set(memo, { kind: TargetKind.BROKEN, index });
  return index;
}

function compileRow(c: Compiler, row: TableRow): RowPlan {
  const dop = row.structure() ?? row.dop();
  return {
    key: keyOf(c, row.shortName() ?? ""),
    keyText: row.key() ?? "",
    target: dop === null ? undefined : compileDop(c, dop),
  };
}
