/**
 * The FlatBuffers schema of diagnostic databases: namespace `dataformat`, root `EcuData`, no file identifier. Accessors,
 * description types, verifier, writer and reader all derive from this one table.
 *
 * Fields stand in the order of their ids. A union takes two ids (hidden type byte, then value), a list of unions likewise.
 */

export type ScalarType = "bool" | "u8" | "u32" | "i32" | "f64";

/** `default: null` marks an optional scalar: absent differs from zero. */
export interface ScalarField {
  readonly kind: "scalar";
  readonly type: ScalarType;
  readonly default: number | boolean | null;
}
export interface StringField {
  readonly kind: "string";
}
/** Stored as int8; the default is the first member. */
export interface EnumField {
  readonly kind: "enum";
  readonly of: string;
}
export interface TableField {
  readonly kind: "table";
  readonly of: string;
}
export interface UnionField {
  readonly kind: "union";
  readonly of: string;
}
export type ElementField = ScalarField | StringField | EnumField | TableField | UnionField;
export interface ListField {
  readonly kind: "list";
  readonly of: ElementField;
}
export type FieldType = ElementField | ListField;

const string: StringField = { kind: "string" };
const u8: ScalarField = { kind: "scalar", type: "u8", default: 0 };
const u32: ScalarField = { kind: "scalar", type: "u32", default: 0 };
const i32: ScalarField = { kind: "scalar", type: "i32", default: 0 };
const f64: ScalarField = { kind: "scalar", type: "f64", default: 0 };
const no: ScalarField = { kind: "scalar", type: "bool", default: false };
const yes: ScalarField = { kind: "scalar", type: "bool", default: true };
const optional = (type: ScalarType): ScalarField => ({ kind: "scalar", type, default: null });
const enumeration = (of: string): EnumField => ({ kind: "enum", of });
const table = (of: string): TableField => ({ kind: "table", of });
const union = (of: string): UnionField => ({ kind: "union", of });
const list = (of: ElementField): ListField => ({ kind: "list", of });

export const ROOT_TABLE = "EcuData";

/** Members by number, from 0. */
export const ENUMS = {
  DiagCodedTypeName: [
    "LEADING_LENGTH_INFO_TYPE",
    "MIN_MAX_LENGTH_TYPE",
    "PARAM_LENGTH_INFO_TYPE",
    "STANDARD_LENGTH_TYPE",
  ],
  Termination: ["END_OF_PDU", "ZERO", "HEX_FF"],
  DataType: [
    "A_INT_32",
    "A_UINT_32",
    "A_FLOAT_32",
    "A_ASCIISTRING",
    "A_UTF_8_STRING",
    "A_UNICODE_2_STRING",
    "A_BYTEFIELD",
    "A_FLOAT_64",
  ],
  IntervalType: ["OPEN", "CLOSED", "INFINITE"],
  CompuCategory: [
    "IDENTICAL",
    "LINEAR",
    "SCALE_LINEAR",
    "TEXT_TABLE",
    "COMPU_CODE",
    "TAB_INTP",
    "RAT_FUNC",
    "SCALE_RAT_FUNC",
  ],
  PhysicalTypeDataType: [
    "A_INT_32",
    "A_UINT_32",
    "A_FLOAT_32",
    "A_ASCIISTRING",
    "A_UTF_8_STRING",
    "A_UNICODE_2_STRING",
    "A_BYTEFIELD",
    "A_FLOAT_64",
  ],
  Radix: ["HEX", "DEC", "BIN", "OCT"],
  ValidType: ["VALID", "NOT_VALID", "NOT_DEFINED", "NOT_AVAILABLE"],
  DOPType: [
    "REGULAR",
    "ENV_DATA_DESC",
    "MUX",
    "DYNAMIC_END_MARKER_FIELD",
    "DYNAMIC_LENGTH_FIELD",
    "END_OF_PDU_FIELD",
    "STATIC_FIELD",
    "ENV_DATA",
    "STRUCTURE",
    "DTC",
  ],
  ParamType: [
    "CODED_CONST",
    "DYNAMIC",
    "LENGTH_KEY",
    "MATCHING_REQUEST_PARAM",
    "NRC_CONST",
    "PHYS_CONST",
    "RESERVED",
    "SYSTEM",
    "TABLE_ENTRY",
    "TABLE_KEY",
    "TABLE_STRUCT",
    "VALUE",
  ],
  TableEntryRowFragment: ["KEY", "STRUCT"],
  ResponseType: ["POS_RESPONSE", "NEG_RESPONSE", "GLOBAL_NEG_RESPONSE"],
  DiagClassType: [
    "START_COMM",
    "STOP_COMM",
    "VARIANT_IDENTIFICATION",
    "READ_DYN_DEF_MESSAGE",
    "DYN_DEF_MESSAGE",
    "CLEAR_DYN_DEF_MESSAGE",
  ],
  TransmissionMode: ["SEND_ONLY", "RECEIVE_ONLY", "SEND_AND_RECEIVE", "SEND_OR_RECEIVE"],
  Addressing: ["FUNCTIONAL", "PHYSICAL", "FUNCTIONAL_OR_PHYSICAL"],
  ComParamType: ["REGULAR", "COMPLEX"],
  ComParamStandardisationLevel: ["STANDARD", "OEM_SPECIFIC", "OPTIONAL", "OEM_OPTIONAL"],
  ComParamUsage: ["ECU_SOFTWARE", "ECU_COMM", "APPLICATION", "TESTER"],
  UnitGroupCategory: ["COUNTRY", "EQUIV_UNITS"],
  FeatureFlag: ["RESERVED"],
} as const satisfies Record<string, readonly string[]>;

/** Member tables by number, from 1; 0 is NONE. */
export const UNIONS = {
  SDxorSDG: ["SD", "SDG"],
  SpecificDataType: ["LeadingLengthInfoType", "MinMaxLengthType", "ParamLengthInfoType", "StandardLengthType"],
  SpecificDOPData: [
    "NormalDOP",
    "EndOfPduField",
    "StaticField",
    "EnvDataDesc",
    "EnvData",
    "DTCDOP",
    "Structure",
    "MUXDOP",
    "DynamicLengthField",
  ],
  DiagServiceOrJob: ["DiagService", "SingleEcuJob"],
  TableKeyReference: ["TableDop", "TableRow"],
  ParamSpecificData: [
    "CodedConst",
    "Dynamic",
    "MatchingRequestParam",
    "NrcConst",
    "PhysConst",
    "Reserved",
    "Value",
    "TableEntry",
    "TableKey",
    "TableStruct",
    "System",
    "LengthKeyRef",
  ],
  ParentRefType: ["Variant", "Protocol", "FunctionalGroup", "TableDop", "EcuSharedData"],
  SimpleOrComplexValueEntry: ["SimpleValue", "ComplexValue"],
  ComParamSpecificData: ["RegularComParam", "ComplexComParam"],
} as const satisfies Record<string, readonly string[]>;

export const TABLES = {
  SD: { value: string, si: string, ti: string },
  SDOrSDG: { sd_or_sdg: union("SDxorSDG") },
  SDG: { caption_sn: string, sds: list(table("SDOrSDG")), si: string },
  SDGS: { sdgs: list(table("SDG")) },
  Audience: {
    enabled_audiences: list(table("AdditionalAudience")),
    disabled_audiences: list(table("AdditionalAudience")),
    is_supplier: no,
    is_development: no,
    is_manufacturing: no,
    is_after_sales: no,
    is_after_market: no,
  },
  LeadingLengthInfoType: { bit_length: u32 },
  MinMaxLengthType: { min_length: u32, max_length: optional("u32"), termination: enumeration("Termination") },
  ParamLengthInfoType: { length_key: table("Param") },
  StandardLengthType: { bit_length: u32, bit_mask: list(u8), condensed: no },
  DiagCodedType: {
    type: enumeration("DiagCodedTypeName"),
    base_type_encoding: string,
    base_data_type: enumeration("DataType"),
    is_high_low_byte_order: yes,
    specific_data: union("SpecificDataType"),
  },
  Text: { value: string, ti: string },
  Limit: { value: string, interval_type: enumeration("IntervalType") },
  CompuValues: { v: optional("f64"), vt: string, vt_ti: string },
  CompuRationalCoEffs: { numerator: list(f64), denominator: list(f64) },
  CompuScale: {
    short_label: table("Text"),
    lower_limit: table("Limit"),
    upper_limit: table("Limit"),
    inverse_values: table("CompuValues"),
    consts: table("CompuValues"),
    rational_co_effs: table("CompuRationalCoEffs"),
  },
  CompuDefaultValue: { values: table("CompuValues"), inverse_values: table("CompuValues") },
  CompuInternalToPhys: {
    compu_scales: list(table("CompuScale")),
    prog_code: table("ProgCode"),
    compu_default_value: table("CompuDefaultValue"),
  },
  CompuPhysToInternal: {
    prog_code: table("ProgCode"),
    compu_scales: list(table("CompuScale")),
    compu_default_value: table("CompuDefaultValue"),
  },
  CompuMethod: {
    category: enumeration("CompuCategory"),
    internal_to_phys: table("CompuInternalToPhys"),
    phys_to_internal: table("CompuPhysToInternal"),
  },
  PhysicalType: {
    precision: optional("u32"),
    base_data_type: enumeration("PhysicalTypeDataType"),
    display_radix: enumeration("Radix"),
  },
  Unit: {
    short_name: string,
    display_name: string,
    factorsitounit: optional("f64"),
    offsetitounit: optional("f64"),
    physical_dimension: table("PhysicalDimension"),
  },
  ScaleConstr: {
    short_label: table("Text"),
    lower_limit: table("Limit"),
    upper_limit: table("Limit"),
    validity: enumeration("ValidType"),
  },
  InternalConstr: {
    lower_limit: table("Limit"),
    upper_limit: table("Limit"),
    scale_constr: list(table("ScaleConstr")),
  },
  DTC: {
    short_name: string,
    trouble_code: u32,
    display_trouble_code: string,
    text: table("Text"),
    level: optional("u32"),
    sdgs: table("SDGS"),
    is_temporary: no,
  },
  NormalDOP: {
    compu_method: table("CompuMethod"),
    diag_coded_type: table("DiagCodedType"),
    physical_type: table("PhysicalType"),
    internal_constr: table("InternalConstr"),
    unit_ref: table("Unit"),
    phys_constr: table("InternalConstr"),
  },
  Field: { basic_structure: table("DOP"), env_data_desc: table("DOP"), is_visible: yes },
  StaticField: { fixed_number_of_items: u32, item_byte_size: u32, field: table("Field") },
  EndOfPduField: { max_number_of_items: optional("u32"), min_number_of_items: optional("u32"), field: table("Field") },
  EnvDataDesc: { param_short_name: string, param_path_short_name: string, env_datas: list(table("DOP")) },
  EnvData: { dtc_values: list(u32), params: list(table("Param")) },
  Structure: { params: list(table("Param")), byte_size: optional("u32"), is_visible: yes },
  DTCDOP: {
    diag_coded_type: table("DiagCodedType"),
    physical_type: table("PhysicalType"),
    compu_method: table("CompuMethod"),
    dtcs: list(table("DTC")),
    is_visible: no,
  },
  LongName: { value: string, ti: string },
  SwitchKey: { byte_position: u32, bit_position: optional("u32"), dop: table("DOP") },
  DefaultCase: { short_name: string, long_name: table("LongName"), structure: table("DOP") },
  Case: {
    short_name: string,
    long_name: table("LongName"),
    structure: table("DOP"),
    lower_limit: table("Limit"),
    upper_limit: table("Limit"),
  },
  MUXDOP: {
    byte_position: u32,
    switch_key: table("SwitchKey"),
    default_case: table("DefaultCase"),
    cases: list(table("Case")),
    is_visible: no,
  },
  DetermineNumberOfItems: { byte_position: u32, bit_position: u32, dop: table("DOP") },
  DynamicLengthField: {
    offset: u32,
    field: table("Field"),
    determine_number_of_items: table("DetermineNumberOfItems"),
  },
  DOP: {
    dop_type: enumeration("DOPType"),
    short_name: string,
    sdgs: table("SDGS"),
    specific_data: union("SpecificDOPData"),
  },
  State: { short_name: string, long_name: table("LongName") },
  StateChart: {
    short_name: string,
    semantic: string,
    state_transitions: list(table("StateTransition")),
    start_state_short_name_ref: string,
    states: list(table("State")),
  },
  StateTransition: { short_name: string, source_short_name_ref: string, target_short_name_ref: string },
  StateTransitionRef: { value: string, state_transition: table("StateTransition") },
  PreConditionStateRef: {
    value: string,
    in_param_if_short_name: string,
    in_param_path_short_name: string,
    state: table("State"),
  },
  TableRow: {
    short_name: string,
    long_name: table("LongName"),
    key: string,
    dop: table("DOP"),
    structure: table("DOP"),
    sdgs: table("SDGS"),
    audience: table("Audience"),
    funct_class_refs: list(table("FunctClass")),
    state_transition_refs: list(table("StateTransitionRef")),
    pre_condition_state_refs: list(table("PreConditionStateRef")),
    is_executable: yes,
    semantic: string,
    is_mandatory: no,
    is_final: no,
  },
  TableDiagCommConnector: { diag_comm: union("DiagServiceOrJob"), semantic: string },
  TableDop: {
    semantic: string,
    short_name: string,
    long_name: table("LongName"),
    key_label: string,
    struct_label: string,
    key_dop: table("DOP"),
    rows: list(table("TableRow")),
    diag_comm_connector: list(table("TableDiagCommConnector")),
    sdgs: table("SDGS"),
  },
  CodedConst: { coded_value: string, diag_coded_type: table("DiagCodedType") },
  Dynamic: {},
  LengthKeyRef: { dop: table("DOP") },
  MatchingRequestParam: { request_byte_pos: i32, byte_length: u32 },
  NrcConst: { coded_values: list(string), diag_coded_type: table("DiagCodedType") },
  PhysConst: { phys_constant_value: string, dop: table("DOP") },
  Reserved: { bit_length: u32 },
  System: { dop: table("DOP"), sys_param: string },
  TableEntry: { param: table("Param"), target: enumeration("TableEntryRowFragment"), table_row: table("TableRow") },
  TableKey: { table_key_reference: union("TableKeyReference") },
  TableStruct: { table_key: table("Param") },
  Value: { physical_default_value: string, dop: table("DOP") },
  Param: {
    id: u32,
    param_type: enumeration("ParamType"),
    short_name: string,
    semantic: string,
    sdgs: table("SDGS"),
    physical_default_value: string,
    byte_position: optional("u32"),
    bit_position: optional("u32"),
    specific_data: union("ParamSpecificData"),
  },
  FunctClass: { short_name: string },
  Request: { params: list(table("Param")), sdgs: table("SDGS") },
  Response: { response_type: enumeration("ResponseType"), params: list(table("Param")), sdgs: table("SDGS") },
  AdditionalAudience: { short_name: string, long_name: table("LongName") },
  DiagComm: {
    short_name: string,
    long_name: table("LongName"),
    semantic: string,
    funct_class: list(table("FunctClass")),
    sdgs: table("SDGS"),
    diag_class_type: enumeration("DiagClassType"),
    pre_condition_state_refs: list(table("PreConditionStateRef")),
    state_transition_refs: list(table("StateTransitionRef")),
    protocols: list(table("Protocol")),
    audience: table("Audience"),
    is_mandatory: no,
    is_executable: yes,
    is_final: no,
  },
  DiagService: {
    diag_comm: table("DiagComm"),
    request: table("Request"),
    pos_responses: list(table("Response")),
    neg_responses: list(table("Response")),
    is_cyclic: no,
    is_multiple: no,
    addressing: enumeration("Addressing"),
    transmission_mode: enumeration("TransmissionMode"),
    com_param_refs: list(table("ComParamRef")),
  },
  ProgCode: {
    code_file: string,
    encryption: string,
    syntax: string,
    revision: string,
    entrypoint: string,
    library: list(table("Library")),
  },
  JobParam: {
    short_name: string,
    long_name: table("LongName"),
    physical_default_value: string,
    dop_base: table("DOP"),
    semantic: string,
  },
  SingleEcuJob: {
    diag_comm: table("DiagComm"),
    prog_codes: list(table("ProgCode")),
    input_params: list(table("JobParam")),
    output_params: list(table("JobParam")),
    neg_output_params: list(table("JobParam")),
  },
  MatchingParameter: {
    expected_value: string,
    diag_service: table("DiagService"),
    out_param: table("Param"),
    use_physical_addressing: optional("bool"),
  },
  VariantPattern: { matching_parameter: list(table("MatchingParameter")) },
  DiagLayer: {
    short_name: string,
    long_name: table("LongName"),
    funct_classes: list(table("FunctClass")),
    com_param_refs: list(table("ComParamRef")),
    diag_services: list(table("DiagService")),
    single_ecu_jobs: list(table("SingleEcuJob")),
    state_charts: list(table("StateChart")),
    additional_audiences: list(table("AdditionalAudience")),
    sdgs: table("SDGS"),
  },
  FunctionalGroup: { diag_layer: table("DiagLayer"), parent_refs: list(table("ParentRef")) },
  ParentRef: {
    ref: union("ParentRefType"),
    not_inherited_diag_comm_short_names: list(string),
    not_inherited_variables_short_names: list(string),
    not_inherited_dops_short_names: list(string),
    not_inherited_tables_short_names: list(string),
    not_inherited_global_neg_responses_short_names: list(string),
  },
  EcuSharedData: { diag_layer: table("DiagLayer") },
  Variant: {
    diag_layer: table("DiagLayer"),
    is_base_variant: no,
    variant_pattern: list(table("VariantPattern")),
    parent_refs: list(table("ParentRef")),
  },
  SimpleValue: { value: string },
  ComplexValue: { entries: list(union("SimpleOrComplexValueEntry")) },
  Protocol: {
    diag_layer: table("DiagLayer"),
    com_param_spec: table("ComParamSpec"),
    prot_stack: table("ProtStack"),
    parent_refs: list(table("ParentRef")),
  },
  ComParamRef: {
    simple_value: table("SimpleValue"),
    complex_value: table("ComplexValue"),
    com_param: table("ComParam"),
    protocol: table("Protocol"),
    prot_stack: table("ProtStack"),
  },
  RegularComParam: { physical_default_value: string, dop: table("DOP") },
  ComplexComParam: {
    com_params: list(table("ComParam")),
    complex_physical_default_values: list(table("ComplexValue")),
    allow_multiple_values: no,
  },
  ComParam: {
    com_param_type: enumeration("ComParamType"),
    short_name: string,
    long_name: table("LongName"),
    param_class: string,
    cp_type: enumeration("ComParamStandardisationLevel"),
    display_level: optional("u32"),
    cp_usage: enumeration("ComParamUsage"),
    specific_data: union("ComParamSpecificData"),
  },
  PhysicalDimension: {
    short_name: string,
    long_name: table("LongName"),
    length_exp: optional("i32"),
    mass_exp: optional("i32"),
    time_exp: optional("i32"),
    current_exp: optional("i32"),
    temperature_exp: optional("i32"),
    molar_amount_exp: optional("i32"),
    luminous_intensity_exp: optional("i32"),
  },
  UnitGroup: { short_name: string, long_name: table("LongName"), unitrefs: list(table("Unit")) },
  UnitSpec: {
    unit_groups: list(table("UnitGroup")),
    units: list(table("Unit")),
    physical_dimensions: list(table("PhysicalDimension")),
    sdgs: table("SDGS"),
  },
  ComParamSubSet: {
    com_params: list(table("ComParam")),
    complex_com_params: list(table("ComParam")),
    data_object_props: list(table("DOP")),
    unit_spec: table("UnitSpec"),
  },
  ProtStack: {
    short_name: string,
    long_name: table("LongName"),
    pdu_protocol_type: string,
    physical_link_type: string,
    comparam_subset_refs: list(table("ComParamSubSet")),
  },
  ComParamSpec: { prot_stacks: list(table("ProtStack")) },
  Library: {
    short_name: string,
    long_name: table("LongName"),
    code_file: string,
    encryption: string,
    syntax: string,
    entry_point: string,
  },
  EcuData: {
    version: string,
    ecu_name: string,
    revision: string,
    metadata: list(table("KeyValue")),
    feature_flags: list(enumeration("FeatureFlag")),
    variants: list(table("Variant")),
    functional_groups: list(table("FunctionalGroup")),
    dtcs: list(table("DTC")),
  },
  KeyValue: { key: string, value: string },
} as const satisfies Record<string, Readonly<Record<string, FieldType>>>;

export type TableName = keyof typeof TABLES;
export type EnumName = keyof typeof ENUMS;
export type UnionName = keyof typeof UNIONS;

export interface Field {
  readonly name: string;
  /** Id of the value; a union's type byte has `id - 1`. */
  readonly id: number;
  readonly type: FieldType;
}

function numbered(fields: Readonly<Record<string, FieldType>>): Field[] {
  let id = 0;
  return Object.entries(fields).map(([name, type]) => {
    if (isUnion(type)) id++;
    return { name, id: id++, type };
  });
}

/** Whether a field has a hidden type slot before its value. */
export function isUnion(type: FieldType): boolean {
  return type.kind === "union" || (type.kind === "list" && type.of.kind === "union");
}

/** Every table's fields with their ids. */
export const FIELDS: ReadonlyMap<string, readonly Field[]> = new Map(
  Object.entries(TABLES).map(([name, fields]) => [name, numbered(fields)]),
);

/** Fields of a table; throws on a name that the schema does not have (a fault of the program, not of data). */
export function fieldsOf(tableName: string): readonly Field[] {
  const fields = FIELDS.get(tableName);
  if (fields === undefined) throw new Error(`schema has no table ${tableName}`);
  return fields;
}

/**
 * Converters write a base variant's patterns as MatchingParameter tables where the schema says VariantPattern. So this list
 * is never followed on a base variant: neither verified nor read.
 */
export const MISTYPED = { table: "Variant", field: "variant_pattern", when: "is_base_variant" } as const;
