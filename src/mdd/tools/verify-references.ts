/** References that lead nowhere: fields that must be there, and names that nothing bears. */
import type { DiagLayer, EcuData, Param, ParentRef, StateChart } from "../generated/description.ts";
import type { FindingList } from "./findings.ts";
import { walkDescription } from "./walk.ts";

type Described = Readonly<Record<string, unknown>>;

/** Fields without which a table means nothing. The schema itself requires none. */
const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  EcuData: ["ecu_name"],
  Variant: ["diag_layer"],
  FunctionalGroup: ["diag_layer"],
  Protocol: ["diag_layer"],
  EcuSharedData: ["diag_layer"],
  DiagLayer: ["short_name"],
  ParentRef: ["ref"],
  MatchingParameter: ["diag_service", "out_param", "expected_value"],
  DiagService: ["diag_comm", "request"],
  SingleEcuJob: ["diag_comm"],
  DiagComm: ["short_name"],
  Param: ["short_name", "specific_data"],
  CodedConst: ["coded_value", "diag_coded_type"],
  NrcConst: ["coded_values", "diag_coded_type"],
  Value: ["dop"],
  PhysConst: ["phys_constant_value", "dop"],
  LengthKeyRef: ["dop"],
  System: ["dop"],
  TableKey: ["table_key_reference"],
  TableStruct: ["table_key"],
  TableDop: ["key_dop"],
  TableRow: ["short_name", "key"],
  DOP: ["specific_data"],
  NormalDOP: ["diag_coded_type"],
  DTCDOP: ["diag_coded_type"],
  DiagCodedType: ["specific_data"],
  ParamLengthInfoType: ["length_key"],
  StaticField: ["field"],
  EndOfPduField: ["field"],
  DynamicLengthField: ["field", "determine_number_of_items"],
  DetermineNumberOfItems: ["dop"],
  MUXDOP: ["switch_key"],
  SwitchKey: ["dop"],
  Case: ["short_name"],
  DefaultCase: ["short_name"],
  EnvDataDesc: ["param_short_name"],
  StateTransition: ["source_short_name_ref", "target_short_name_ref"],
  StateTransitionRef: ["state_transition"],
  PreConditionStateRef: ["state"],
  ComParamRef: ["com_param"],
  ComParam: ["short_name", "specific_data"],
  ProgCode: ["code_file"],
};

/** Checks every reference of a description. `files` are the names of the container's chunks. */
export function checkReferences(description: EcuData, files: ReadonlySet<string>, found: FindingList): void {
  const states = new Set<string>();
  walkDescription(description, (table, described) => {
    if (table === "StateChart")
      for (const { short_name } of (described as StateChart).states ?? []) states.add(lower(short_name));
  });
  walkDescription(description, (table, described, path) => {
    for (const field of REQUIRED[table] ?? [])
      if (described[field] === undefined) found.add("error", "dangling-ref", path, `${table} without ${field}`);
    CHECKS[table]?.(described, path, found, { files, states });
  });
}

interface Context {
  readonly files: ReadonlySet<string>;
  /** Names of all states of all charts, lower case. */
  readonly states: ReadonlySet<string>;
}

type Check = (described: Described, path: string, found: FindingList, context: Context) => void;

const lower = (name: string | undefined): string => (name ?? "").toLowerCase();

const CHECKS: Readonly<Record<string, Check>> = {
  Field: ({ basic_structure, env_data_desc }, path, found) => {
    if (basic_structure === undefined && env_data_desc === undefined)
      found.add("error", "dangling-ref", path, "Field without basic_structure and env_data_desc");
  },
  Request: checkParams,
  Response: checkParams,
  Structure: checkParams,
  EnvData: checkParams,
  StateChart: checkChart,
  StateTransitionRef: ({ state_transition }, path, found, { states }) => {
    const { source_short_name_ref: source, target_short_name_ref: target } = (state_transition ?? {}) as Described;
    for (const name of [source, target] as (string | undefined)[])
      if (name !== undefined && !states.has(lower(name)))
        found.add("error", "dangling-ref", path, `no state chart has a state '${name}'`);
  },
  PreConditionStateRef: ({ state }, path, found, { states }) => {
    const { short_name: name } = (state ?? {}) as { readonly short_name?: string };
    if (name !== undefined && !states.has(lower(name)))
      found.add("error", "dangling-ref", path, `no state chart has a state '${name}'`);
  },
  ParentRef: (described, path, found) => checkNotInherited(described as ParentRef, path, found),
  ProgCode: ({ code_file: file }, path, found, { files }) => checkFile(file, path, found, files),
  Library: ({ code_file: file }, path, found, { files }) => checkFile(file, path, found, files),
};

function checkFile(file: unknown, path: string, found: FindingList, files: ReadonlySet<string>): void {
  if (typeof file === "string" && file !== "" && !files.has(file))
    found.add("warning", "dangling-ref", path, `code file '${file}' is not in the container`);
}

/** Names of one list, and keys that its table structures and lengths refer to. */
function checkParams(described: Described, path: string, found: FindingList): void {
  const params = (described.params ?? []) as readonly Param[];
  const names = new Set<string>();
  for (const { short_name: name } of params) {
    if (name !== undefined && names.has(name))
      found.add("warning", "duplicate-name", `${path}.params[${name}]`, "two parameters of one list have this name");
    if (name !== undefined) names.add(name);
  }
  for (const param of params) {
    if (param.specific_data_type !== "TableStruct") continue;
    const key = param.specific_data.table_key?.short_name;
    if (key !== undefined && !names.has(key))
      found.add(
        "error",
        "dangling-ref",
        `${path}.params[${param.short_name ?? ""}]`,
        `no table key '${key}' beside it`,
      );
  }
}

function checkChart(described: Described, path: string, found: FindingList): void {
  const { states = [], state_transitions = [], start_state_short_name_ref: start } = described as StateChart;
  const names = new Set(states.map(({ short_name }) => lower(short_name)));
  const check = (name: string | undefined, what: string) => {
    if (name !== undefined && !names.has(lower(name)))
      found.add("error", "dangling-ref", path, `${what} '${name}' is no state of the chart`);
  };
  check(start, "start state");
  for (const { source_short_name_ref: source, target_short_name_ref: target } of state_transitions) {
    check(source, "source");
    check(target, "target");
  }
}

/** NOT-INHERITED names mean services and jobs of the parent and of its parents. */
function checkNotInherited(ref: ParentRef, path: string, found: FindingList): void {
  const excluded = ref.not_inherited_diag_comm_short_names ?? [];
  if (excluded.length === 0 || ref.ref_type === undefined || ref.ref_type === "TableDop") return;
  const names = new Set<string>();
  collectNames(ref.ref as Layered, names, new Set());
  for (const name of excluded)
    if (!names.has(name))
      found.add("warning", "dangling-ref", path, `NOT-INHERITED '${name}' is no service of the parent`);
}

interface Layered {
  readonly diag_layer?: DiagLayer;
  readonly parent_refs?: readonly ParentRef[];
}

function collectNames(layered: Layered, names: Set<string>, seen: Set<object>): void {
  if (seen.has(layered)) return;
  seen.add(layered);
  const { diag_services = [], single_ecu_jobs = [] } = layered.diag_layer ?? {};
  for (const { diag_comm } of [...diag_services, ...single_ecu_jobs]) names.add(diag_comm?.short_name ?? "");
  for (const { ref } of layered.parent_refs ?? []) if (ref !== undefined) collectNames(ref as Layered, names, seen);
}
