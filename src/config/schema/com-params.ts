/** Communication parameters (ISO 22900-2): what the database says is overlaid by these, or these stand in where it is silent. */
import { boolWord, bytes, choice, type Duration, duration, optional, record, refuse, text, u16, u32 } from "../leaf.ts";
import { inlineSection, type Leaf, section } from "../node.ts";

const precedence = choice(
  ["Database", "Config"],
  "Database",
  "`Database`: the value stands in where the database has none. `Config`: the value is used, the database is not asked.",
);

function comParam<T>(name: string, value: Leaf<T>) {
  return inlineSection(value.doc, { name: text(name, "Name of the parameter in the database."), value, precedence });
}

const time = (ms: number, doc: string): Leaf<Duration> =>
  duration({ secs: Math.floor(ms / 1_000), nanos: (ms % 1_000) * 1_000_000 }, doc);

const retryPolicy = (nrc: string) =>
  choice(
    ["ContinueUntilTimeout", "Disabled", "ContinueUnlimited"],
    "ContinueUntilTimeout",
    `What to do when an ECU answers NRC ${nrc}.`,
  );

function isNackRetries(code: string, retries: unknown): asserts retries is number {
  if (!/^(0x[0-9a-f]{1,2}|\d{1,3})$/i.test(code)) refuse("NACK codes like 0x03", code);
  if (!Number.isInteger(retries) || Number(retries) < 0) refuse("a count of retries", retries);
}

const nackRetries = record<number>(
  "{ code = retries }",
  isNackRetries,
  { "0x03": 3 },
  "How often a diagnostic message is repeated after a negative acknowledge, by NACK code.",
);

const uds = section("UDS timing, retries and tester present.", {
  timeout_default: comParam("CP_P6Max", time(1_000, "Longest wait for an answer.")),
  rc_78_timeout: comParam("CP_P6Star", time(1_000, "Longest wait for an answer after NRC 0x78.")),
  repeat_req_count_app: comParam("CP_RepeatReqCountApp", u32(2, "Repeats after a lost or unreadable answer.")),
  rc_21_retry_policy: comParam("CP_RC21Handling", retryPolicy("0x21")),
  rc_21_completion_timeout: comParam(
    "CP_RC21CompletionTimeout",
    time(25_000, "Longest time for repeats after NRC 0x21."),
  ),
  rc_21_repeat_request_time: comParam("CP_RC21RequestTime", time(200, "Pause before a repeat after NRC 0x21.")),
  rc_78_retry_policy: comParam("CP_RC78Handling", retryPolicy("0x78")),
  rc_78_completion_timeout: comParam(
    "CP_RC78CompletionTimeout",
    time(25_000, "Longest time an ECU may keep answering NRC 0x78."),
  ),
  rc_94_retry_policy: comParam("CP_RC94Handling", retryPolicy("0x94")),
  rc_94_completion_timeout: comParam(
    "CP_RC94CompletionTimeout",
    time(25_000, "Longest time for repeats after NRC 0x94."),
  ),
  rc_94_repeat_request_time: comParam("CP_RC94RequestTime", time(200, "Pause before a repeat after NRC 0x94.")),
  tester_present_retry_policy: comParam(
    "CP_TesterPresentHandling",
    boolWord(true, "Whether tester present is sent at all."),
  ),
  tester_present_addr_mode: comParam(
    "CP_TesterPresentAddrMode",
    choice(["Physical", "Functional"], "Physical", "Addressing of tester present."),
  ),
  tester_present_response_expected: comParam(
    "CP_TesterPresentReqResp",
    boolWord(false, "Whether tester present waits for an answer. The CDA lists true and sends without."),
  ),
  tester_present_send_type: comParam(
    "CP_TesterPresentSendType",
    choice(
      ["FixedPeriod", "OnIdle"],
      "FixedPeriod",
      "Whether tester present keeps its period or only fills silence. The CDA lists OnIdle and keeps the period.",
    ),
  ),
  tester_present_message: comParam(
    "CP_TesterPresentMessage",
    bytes([0x3e, 0x80], "Bytes of tester present. The CDA lists 3E 00 and sends 3E 80."),
  ),
  tester_present_exp_pos_resp: comParam(
    "CP_TesterPresentExpPosResp",
    bytes([0x7e, 0x00], "Positive answer to tester present."),
  ),
  tester_present_exp_neg_resp: comParam(
    "CP_TesterPresentExpNegResp",
    bytes([0x7f, 0x3e], "Begin of a negative answer to tester present."),
  ),
  tester_present_time: comParam("CP_TesterPresentTime", time(2_000, "Period of tester present.")),
});

const doip = section("DoIP addresses and timing.", {
  logical_gateway_address: comParam(
    "CP_DoIPLogicalGatewayAddress",
    u16(0, "Logical address of the gateway an ECU is behind."),
  ),
  logical_ecu_address: comParam("CP_DoIPLogicalEcuAddress", u16(0, "Logical address of the ECU.")),
  logical_functional_address: comParam(
    "CP_DoIPLogicalFunctionalAddress",
    u16(0, "Logical address of functional requests."),
  ),
  logical_tester_address: comParam("CP_DoIPLogicalTesterAddress", u16(0, "Logical address of this tester.")),
  logical_response_id_table_name: text("CP_UniqueRespIdTable", "Table of the database that holds the ECU address."),
  nack_number_of_retries: comParam("CP_DoIPNumberOfRetries", nackRetries),
  diagnostic_ack_timeout: comParam(
    "CP_DoIPDiagnosticAckTimeout",
    time(1_000, "Longest wait for the acknowledge of a diagnostic message."),
  ),
  retry_period: comParam("CP_DoIPRetryPeriod", time(200, "Pause before a repeat after a negative acknowledge.")),
  routing_activation_timeout: comParam(
    "CP_DoIPRoutingActivationTimeout",
    time(30_000, "Longest wait for routing activation."),
  ),
  repeat_request_count_transmission: comParam(
    "CP_RepeatReqCountTrans",
    u32(3, "Repeats of a message that could not be handed to the socket."),
  ),
  connection_timeout: comParam("CP_DoIPConnectionTimeout", time(30_000, "Longest wait for a TCP connection.")),
  connection_retry_delay: comParam(
    "CP_DoIPConnectionRetryDelay",
    time(5_000, "Pause between attempts to connect again."),
  ),
  connection_retry_attempts: comParam(
    "CP_DoIPConnectionRetryAttempts",
    u32(100, "Attempts to connect again before giving up."),
  ),
});

const canId = (doc: string) => optional(u32(0, doc));

const can = section("CAN identifiers.", {
  physical_request_id: comParam("CP_CanPhysReqId", canId("CAN identifier of physical requests.")),
  physical_response_id: comParam("CP_CanRespUSDTId", canId("CAN identifier of answers.")),
  functional_id: comParam("CP_CanFuncReqId", canId("CAN identifier of functional requests.")),
  unique_resp_id_table_name: text("CP_UniqueRespIdTable", "Table of the database that holds the identifiers."),
});

export const COM_PARAMS = section("Communication parameters of all ECUs.", { uds, doip, can });
