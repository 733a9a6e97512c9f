/**
 * Communication parameters (ISO 22900-2 annex B names) as one table: configuration key, ODX name, kind of value, default.
 * The record `ComParams` is derived from it. Where values come from (configuration, database) is not known here.
 */

export type RetryPolicy = "Disabled" | "ContinueUntilTimeout" | "ContinueUnlimited";
export type AddressMode = "Physical" | "Functional";
export type SendType = "FixedPeriod" | "OnIdle";
/** NACK code (decimal text) → how often the message is sent again. */
export type NackRetries = Readonly<Record<string, number>>;

/** What a value of each kind is in memory. Durations are milliseconds. */
export interface ComParamValues {
  duration: number;
  u32: number;
  u16: number;
  canId: number | undefined;
  bool: boolean;
  bytes: readonly number[];
  text: string;
  retryPolicy: RetryPolicy;
  addressMode: AddressMode;
  sendType: SendType;
  nackRetries: NackRetries;
}
export type ComParamKind = keyof ComParamValues;

export interface ComParamDef<K extends ComParamKind = ComParamKind> {
  /** Key below `[com_params.<group>]`. */
  readonly key: string;
  /** ODX short name; empty where the value itself is a name. */
  readonly name: string;
  readonly kind: K;
  readonly default: ComParamValues[K];
  /** One line for the sample configuration and the docs. */
  readonly doc: string;
}

function param<K extends ComParamKind>(
  key: string,
  name: string,
  kind: K,
  value: ComParamValues[K],
  doc: string,
): ComParamDef<K> {
  return { key, name, kind, default: value, doc };
}

const UNTIL_TIMEOUT: RetryPolicy = "ContinueUntilTimeout";

export const COM_PARAMS = {
  uds: {
    p6MaxMs: param("timeout_default", "CP_P6Max", "duration", 1_000, "window for the answer after sending"),
    p6StarMs: param("rc_78_timeout", "CP_P6Star", "duration", 1_000, "window for the answer after NRC 0x78"),
    repeatReqCountApp: param(
      "repeat_req_count_app",
      "CP_RepeatReqCountApp",
      "u32",
      2,
      "repeats after a timeout or transport error",
    ),
    rc21Handling: param("rc_21_retry_policy", "CP_RC21Handling", "retryPolicy", UNTIL_TIMEOUT, "what NRC 0x21 does"),
    rc21CompletionTimeoutMs: param(
      "rc_21_completion_timeout",
      "CP_RC21CompletionTimeout",
      "duration",
      25_000,
      "longest handling of NRC 0x21",
    ),
    rc21RequestTimeMs: param(
      "rc_21_repeat_request_time",
      "CP_RC21RequestTime",
      "duration",
      200,
      "pause before the repeat after NRC 0x21",
    ),
    rc78Handling: param("rc_78_retry_policy", "CP_RC78Handling", "retryPolicy", UNTIL_TIMEOUT, "what NRC 0x78 does"),
    rc78CompletionTimeoutMs: param(
      "rc_78_completion_timeout",
      "CP_RC78CompletionTimeout",
      "duration",
      25_000,
      "longest handling of NRC 0x78",
    ),
    rc94Handling: param("rc_94_retry_policy", "CP_RC94Handling", "retryPolicy", UNTIL_TIMEOUT, "what NRC 0x94 does"),
    rc94CompletionTimeoutMs: param(
      "rc_94_completion_timeout",
      "CP_RC94CompletionTimeout",
      "duration",
      25_000,
      "longest handling of NRC 0x94",
    ),
    rc94RequestTimeMs: param(
      "rc_94_repeat_request_time",
      "CP_RC94RequestTime",
      "duration",
      200,
      "pause before the repeat after NRC 0x94",
    ),
    testerPresentHandling: param(
      "tester_present_retry_policy",
      "CP_TesterPresentHandling",
      "bool",
      true,
      "whether locks keep the session alive",
    ),
    testerPresentAddrMode: param(
      "tester_present_addr_mode",
      "CP_TesterPresentAddrMode",
      "addressMode",
      "Physical",
      "address of the keep-alive of an ECU lock",
    ),
    // The next two differ from ISO 22900-2 (response expected, on idle): clients and their tests look for 3E 80 at a fixed period.
    testerPresentReqResp: param(
      "tester_present_response_expected",
      "CP_TesterPresentReqResp",
      "bool",
      false,
      "true sends 3E 00 and awaits the answer, false sends 3E 80",
    ),
    testerPresentSendType: param(
      "tester_present_send_type",
      "CP_TesterPresentSendType",
      "sendType",
      "FixedPeriod",
      "FixedPeriod, or OnIdle: only when nothing else was sent",
    ),
    testerPresentMessage: param(
      "tester_present_message",
      "CP_TesterPresentMessage",
      "bytes",
      [0x3e, 0x00],
      "the keep-alive request",
    ),
    testerPresentExpPosResp: param(
      "tester_present_exp_pos_resp",
      "CP_TesterPresentExpPosResp",
      "bytes",
      [0x7e, 0x00],
      "expected beginning of its positive response",
    ),
    testerPresentExpNegResp: param(
      "tester_present_exp_neg_resp",
      "CP_TesterPresentExpNegResp",
      "bytes",
      [0x7f, 0x3e],
      "expected beginning of its negative response",
    ),
    testerPresentTimeMs: param(
      "tester_present_time",
      "CP_TesterPresentTime",
      "duration",
      2_000,
      "period of the keep-alive",
    ),
  },
  doip: {
    logicalGatewayAddress: param(
      "logical_gateway_address",
      "CP_DoIPLogicalGatewayAddress",
      "u16",
      0,
      "address of the gateway",
    ),
    logicalEcuAddress: param(
      "logical_ecu_address",
      "CP_DoIPLogicalEcuAddress",
      "u16",
      0,
      "address of the ECU, in the database inside the response id table",
    ),
    logicalResponseIdTableName: param(
      "logical_response_id_table_name",
      "",
      "text",
      "CP_UniqueRespIdTable",
      "name of the complex parameter that holds the response id table",
    ),
    logicalFunctionalAddress: param(
      "logical_functional_address",
      "CP_DoIPLogicalFunctionalAddress",
      "u16",
      0,
      "functional address",
    ),
    logicalTesterAddress: param(
      "logical_tester_address",
      "CP_DoIPLogicalTesterAddress",
      "u16",
      0,
      "address of this tester, such as 0x0E00",
    ),
    nackNumberOfRetries: param(
      "nack_number_of_retries",
      "CP_DoIPNumberOfRetries",
      "nackRetries",
      // Out of memory of the diagnostic NACK; 0x03, often seen here, is that of the generic NACK.
      { "5": 3 },
      "diagnostic NACK code → repeats",
    ),
    diagnosticAckTimeoutMs: param(
      "diagnostic_ack_timeout",
      "CP_DoIPDiagnosticAckTimeout",
      "duration",
      1_000,
      "window for the diagnostic ACK or NACK",
    ),
    retryPeriodMs: param("retry_period", "CP_DoIPRetryPeriod", "duration", 200, "pause before a repeat after a NACK"),
    routingActivationTimeoutMs: param(
      "routing_activation_timeout",
      "CP_DoIPRoutingActivationTimeout",
      "duration",
      30_000,
      "window for the routing activation response",
    ),
    repeatReqCountTrans: param(
      "repeat_request_count_transmission",
      "CP_RepeatReqCountTrans",
      "u32",
      3,
      "repeats of a failed hand-over to the connection",
    ),
    connectionTimeoutMs: param(
      "connection_timeout",
      "CP_DoIPConnectionTimeout",
      "duration",
      30_000,
      "window for the TCP and TLS handshake",
    ),
    connectionRetryDelayMs: param(
      "connection_retry_delay",
      "CP_DoIPConnectionRetryDelay",
      "duration",
      5_000,
      "pause between attempts to connect again",
    ),
    connectionRetryAttempts: param(
      "connection_retry_attempts",
      "CP_DoIPConnectionRetryAttempts",
      "u32",
      100,
      "attempts to connect again",
    ),
  },
  can: {
    physicalRequestId: param("physical_request_id", "CP_CanPhysReqId", "canId", undefined, "CAN id of requests"),
    physicalResponseId: param("physical_response_id", "CP_CanRespUSDTId", "canId", undefined, "CAN id of responses"),
    functionalId: param("functional_id", "CP_CanFuncReqId", "canId", undefined, "CAN id of functional requests"),
    uniqueRespIdTableName: param(
      "unique_resp_id_table_name",
      "",
      "text",
      "CP_UniqueRespIdTable",
      "name of the complex parameter that holds the response id table",
    ),
  },
} as const;

export type ComParamGroup = keyof typeof COM_PARAMS;

type ValuesOf<T> = { readonly [F in keyof T]: T[F] extends ComParamDef<infer K> ? ComParamValues[K] : never };

/** All communication parameters of one ECU: plain data, times in milliseconds. */
export type ComParams = { readonly [G in ComParamGroup]: ValuesOf<(typeof COM_PARAMS)[G]> };
export type UdsParams = ComParams["uds"];
export type DoipParams = ComParams["doip"];

export interface ComParamRow {
  readonly group: ComParamGroup;
  /** Member of the group in `ComParams`. */
  readonly field: string;
  readonly def: ComParamDef;
}

/** The table, flat, in its order. */
export const COM_PARAM_ROWS: readonly ComParamRow[] = (Object.keys(COM_PARAMS) as ComParamGroup[]).flatMap((group) =>
  Object.entries(COM_PARAMS[group]).map(([field, def]) => ({ group, field, def: def as ComParamDef })),
);

/**
 * A record with a value for every row, as `pick` gives it. The caller answers with a value of the row's kind, which
 * `parseComParam` and `readComParamConfig` see to.
 */
export function buildComParams(pick: (row: ComParamRow) => unknown): ComParams {
  const groups: Record<string, Record<string, unknown>> = { uds: {}, doip: {}, can: {} };
  for (const row of COM_PARAM_ROWS) groups[row.group]![row.field] = pick(row);
  return groups as unknown as ComParams;
}

/** Built-in values. */
export const DEFAULT_COM_PARAMS: ComParams = buildComParams((row) => row.def.default);
