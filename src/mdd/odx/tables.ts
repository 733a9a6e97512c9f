/** Tables, their rows and the keys that choose one (ISO 22901-1 §7.3.6.11). */
import type { TableDiagCommConnector, TableDop, TableKey, TableRow } from "../generated/description.ts";
import { defined } from "../writer/dsl/defined.ts";
import { buildAudience, functClassesOf } from "./audiences.ts";
import { type Context, isUnderWay, once } from "./context.ts";
import { list, type OdxElement, shortName, textOf } from "./element.ts";
import { referredDop } from "./fields.ts";
import { resolve, resolveChild, resolveName } from "./links.ts";
import { sdgsOf } from "./sdgs.ts";
import { preConditionsOf, transitionRefsOf } from "./states.ts";
import { flagOf, longNameOf, nameOf, requiredChild, snrefOf, unlessEmpty } from "./values.ts";

const KEY_REFS: ReadonlySet<string> = new Set(["TABLE-REF", "TABLE-SNREF", "TABLE-ROW-REF"]);

/** A key of a whole table, or of one fixed row. */
export function buildTableKey(context: Context, element: OdxElement): TableKey {
  const refs = element.children.filter(({ tag }) => KEY_REFS.has(tag));
  if (refs.length !== 1) {
    const severity = refs.length > 0 && context.isLenient ? "warning" : "error";
    context.report.at(
      element,
      severity,
      `TABLE-KEY ${shortName(element)} refers to ${refs.length} tables, one is wanted`,
    );
  }
  const ref = refs[0];
  const target =
    ref &&
    (ref.tag === "TABLE-SNREF"
      ? resolveName(context, element, ref.tag, "table")
      : resolve(context, ref, ["TABLE", "TABLE-ROW"]));
  if (target === undefined) return {};
  const rowName = snrefOf(element, "TABLE-ROW-SNREF");
  const row =
    target.tag === "TABLE-ROW"
      ? target
      : rowName === undefined
        ? undefined
        : rowNamed(context, element, target, rowName);
  if (row !== undefined) return typed("TableRow", buildTableRow(context, row));
  return rowName === undefined ? typed("TableDop", buildTable(context, target)) : {};
}

function typed(type: "TableDop" | "TableRow", reference: TableDop | TableRow | undefined): TableKey {
  return reference === undefined
    ? {}
    : ({ table_key_reference_type: type, table_key_reference: reference } as TableKey);
}

function rowNamed(context: Context, place: OdxElement, table: OdxElement, name: string): OdxElement | undefined {
  const row = rowElements(context, table).find((one) => shortName(one) === name);
  if (row === undefined) context.report.at(place, "error", `TABLE ${shortName(table)} has no row ${name}`);
  return row;
}

function rowElements(context: Context, table: OdxElement): OdxElement[] {
  return table.children.flatMap((one) => {
    if (one.tag === "TABLE-ROW") return [one];
    return one.tag === "TABLE-ROW-REF" ? (resolve(context, one, ["TABLE-ROW"]) ?? []) : [];
  });
}

export function buildTable(context: Context, element: OdxElement): TableDop | undefined {
  return once(context, element, () =>
    defined<TableDop>({
      semantic: element.attributes.SEMANTIC,
      short_name: nameOf(context, element),
      long_name: longNameOf(element),
      key_label: textOf(element, "KEY-LABEL"),
      struct_label: textOf(element, "STRUCT-LABEL"),
      key_dop: referredDop(context, element, "KEY-DOP", ["DATA-OBJECT-PROP"]),
      rows: unlessEmpty(rowElements(context, element).flatMap((row) => buildTableRow(context, row) ?? [])),
      diag_comm_connector: unlessEmpty(connectorsOf(context, element)),
      sdgs: sdgsOf(context, element),
    }),
  );
}

/** Connectors back to a service that uses this very table cannot be stored: the format knows no circles. */
function connectorsOf(context: Context, table: OdxElement): TableDiagCommConnector[] {
  return list(table, "TABLE-DIAG-COMM-CONNECTORS", "TABLE-DIAG-COMM-CONNECTOR").flatMap((element) => {
    const target =
      resolveChild(context, element, "DIAG-COMM-REF", ["DIAG-SERVICE", "SINGLE-ECU-JOB"]) ??
      resolveName(context, element, "DIAG-COMM-SNREF", "diag-comm");
    if (target === undefined) return [];
    if (isUnderWay(context, target)) {
      context.report.at(
        element,
        "left-out",
        `connector of TABLE ${shortName(table)} to ${shortName(target)}, which uses the table`,
      );
      return [];
    }
    const built = context.build.diagComm(context, target);
    if (built === undefined) return [];
    const connector = { diag_comm_type: built.kind, diag_comm: built.value } as TableDiagCommConnector;
    return [{ ...defined({ semantic: textOf(element, "SEMANTIC") }), ...connector }];
  });
}

export function buildTableRow(context: Context, element: OdxElement): TableRow | undefined {
  return once(context, element, () =>
    defined<TableRow>({
      short_name: nameOf(context, element),
      long_name: longNameOf(element),
      key: requiredChild(context, element, "KEY")?.text,
      dop: referredDop(context, element, "DATA-OBJECT-PROP", ["DATA-OBJECT-PROP", "DTC-DOP"]),
      structure: referredDop(context, element, "STRUCTURE", ["STRUCTURE"]),
      sdgs: sdgsOf(context, element),
      audience: buildAudience(context, element),
      funct_class_refs: unlessEmpty(functClassesOf(context, element)),
      state_transition_refs: unlessEmpty(transitionRefsOf(context, element)),
      pre_condition_state_refs: unlessEmpty(preConditionsOf(context, element)),
      is_executable: flagOf(context, element, "IS-EXECUTABLE"),
      semantic: element.attributes.SEMANTIC,
      is_mandatory: flagOf(context, element, "IS-MANDATORY"),
      is_final: flagOf(context, element, "IS-FINAL"),
    }),
  );
}
