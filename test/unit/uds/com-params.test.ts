import assert from "node:assert/strict";
import { test } from "node:test";
import { parseComParam, readComParamConfig } from "#uds/com-param-values.ts";
import { buildComParams, COM_PARAM_ROWS, type ComParamKind, DEFAULT_COM_PARAMS } from "#uds/com-params.ts";
import fc from "../../fixtures/properties.ts";

const KINDS: readonly ComParamKind[] = [...new Set(COM_PARAM_ROWS.map(({ def }) => def.kind))];

/** Keys and names of facts/transport.md 3 and facts/sovd-api.md 17.2, in the table's order. */
const EXPECTED = `
uds timeout_default CP_P6Max
uds rc_78_timeout CP_P6Star
uds repeat_req_count_app CP_RepeatReqCountApp
uds rc_21_retry_policy CP_RC21Handling
uds rc_21_completion_timeout CP_RC21CompletionTimeout
uds rc_21_repeat_request_time CP_RC21RequestTime
uds rc_78_retry_policy CP_RC78Handling
uds rc_78_completion_timeout CP_RC78CompletionTimeout
uds rc_94_retry_policy CP_RC94Handling
uds rc_94_completion_timeout CP_RC94CompletionTimeout
uds rc_94_repeat_request_time CP_RC94RequestTime
uds tester_present_retry_policy CP_TesterPresentHandling
uds tester_present_addr_mode CP_TesterPresentAddrMode
uds tester_present_response_expected CP_TesterPresentReqResp
uds tester_present_send_type CP_TesterPresentSendType
uds tester_present_message CP_TesterPresentMessage
uds tester_present_exp_pos_resp CP_TesterPresentExpPosResp
uds tester_present_exp_neg_resp CP_TesterPresentExpNegResp
uds tester_present_time CP_TesterPresentTime
doip logical_gateway_address CP_DoIPLogicalGatewayAddress
doip logical_ecu_address CP_DoIPLogicalEcuAddress
doip logical_response_id_table_name
doip logical_functional_address CP_DoIPLogicalFunctionalAddress
doip logical_tester_address CP_DoIPLogicalTesterAddress
doip nack_number_of_retries CP_DoIPNumberOfRetries
doip diagnostic_ack_timeout CP_DoIPDiagnosticAckTimeout
doip retry_period CP_DoIPRetryPeriod
doip routing_activation_timeout CP_DoIPRoutingActivationTimeout
doip repeat_request_count_transmission CP_RepeatReqCountTrans
doip connection_timeout CP_DoIPConnectionTimeout
doip connection_retry_delay CP_DoIPConnectionRetryDelay
doip connection_retry_attempts CP_DoIPConnectionRetryAttempts
can physical_request_id CP_CanPhysReqId
can physical_response_id CP_CanRespUSDTId
can functional_id CP_CanFuncReqId
can unique_resp_id_table_name`;

test("com params: keys and names", () => {
  const rows = COM_PARAM_ROWS.map(({ group, def }) => `${group} ${def.key} ${def.name}`.trim());
  assert.deepEqual(rows, EXPECTED.trim().split("\n"));
});

test("com params: defaults in milliseconds (facts/transport.md 3; keep-alive: decisions)", () => {
  const { uds, doip, can } = DEFAULT_COM_PARAMS;
  assert.deepEqual([uds.p6MaxMs, uds.p6StarMs, uds.repeatReqCountApp], [1_000, 1_000, 2]);
  assert.deepEqual([uds.rc21CompletionTimeoutMs, uds.rc21RequestTimeMs], [25_000, 200]);
  assert.deepEqual(
    [uds.testerPresentTimeMs, uds.testerPresentReqResp, uds.testerPresentSendType],
    [2_000, false, "FixedPeriod"],
  );
  assert.deepEqual([doip.connectionRetryDelayMs, doip.connectionRetryAttempts], [5_000, 100]);
  assert.deepEqual(doip.nackNumberOfRetries, { "5": 3 });
  assert.equal(can.functionalId, undefined);
});

test("com params: the record is plain data", () => {
  assert.deepEqual(structuredClone(DEFAULT_COM_PARAMS), DEFAULT_COM_PARAMS);
  const built = buildComParams(({ field, def }) => (field === "p6MaxMs" ? 7 : def.default));
  assert.deepEqual(built, { ...DEFAULT_COM_PARAMS, uds: { ...DEFAULT_COM_PARAMS.uds, p6MaxMs: 7 } });
});

const TEXTS: readonly (readonly [ComParamKind, string, unknown])[] = [
  ["duration", "1000000", 1_000],
  ["duration", "25000000", 25_000],
  ["duration", "0.5e6", 500],
  ["duration", " 200 ", 0.2],
  ["duration", "0", undefined],
  ["duration", "-1", undefined],
  ["duration", "1 s", undefined],
  ["duration", "NaN", undefined],
  ["duration", "Infinity", undefined],
  ["u32", "2", 2],
  ["u32", "4294967295", 4_294_967_295],
  ["u32", "4294967296", undefined],
  ["u32", "0x10", undefined],
  ["u32", "-1", undefined],
  ["u32", "1.5", undefined],
  ["u16", "65535", 65_535],
  ["u16", "65536", undefined],
  ["canId", "0x7E0", 0x7e0],
  ["canId", "2016", 2_016],
  ["canId", "0x20000000", undefined],
  ["bool", "Enabled", true],
  ["bool", "YES", true],
  ["bool", "1", true],
  ["bool", "Response expected", true],
  ["bool", "disabled", false],
  ["bool", "0", false],
  ["bool", "No response expected", false],
  ["bool", "maybe", undefined],
  ["bytes", "3E00", [0x3e, 0x00]],
  ["bytes", "0x3e 80", [0x3e, 0x80]],
  ["bytes", "[62, 0]", [62, 0]],
  ["bytes", "[256]", undefined],
  ["bytes", "[", undefined],
  ["bytes", "3E0", undefined],
  ["bytes", "", undefined],
  ["retryPolicy", "Continue until RC78 timeout", "ContinueUntilTimeout"],
  ["retryPolicy", "Continue handling unlimited", "ContinueUnlimited"],
  ["retryPolicy", "ContinueUnlimited", "ContinueUnlimited"],
  ["retryPolicy", "Disabled", "Disabled"],
  ["retryPolicy", "0", "Disabled"],
  ["retryPolicy", "1", "ContinueUntilTimeout"],
  ["retryPolicy", "2", "ContinueUnlimited"],
  ["retryPolicy", "3", undefined],
  ["retryPolicy", "perhaps", undefined],
  ["addressMode", "Functional", "Functional"],
  ["addressMode", "0", "Physical"],
  ["sendType", "On idle", "OnIdle"],
  ["sendType", "Fixed periodic", "FixedPeriod"],
  ["sendType", "1", "OnIdle"],
  ["nackRetries", '{"0x03": 3, "5": "2"}', { "3": 3, "5": 2 }],
  ["nackRetries", '{"0x100": 3}', undefined],
  ["nackRetries", '{"0x03": -1}', undefined],
  ["nackRetries", "3", undefined],
  ["text", " CP_UniqueRespIdTable ", "CP_UniqueRespIdTable"],
];
for (const [kind, text, value] of TEXTS) {
  test(`com params: text "${text}" as ${kind}`, () => assert.deepEqual(parseComParam(kind, text), value));
}

test("com params: a duration takes the unit of the database", () => {
  assert.equal(parseComParam("duration", "5", 1), 5_000);
  assert.equal(parseComParam("duration", "5", 1e-3), 5);
  assert.equal(parseComParam("duration", "5", 0), undefined);
});

const CONFIG: readonly (readonly [ComParamKind, unknown, unknown])[] = [
  ["duration", { secs: 1, nanos: 500_000_000 }, 1_500],
  ["duration", { secs: 0, nanos: 0 }, 0],
  ["duration", { secs: 2 }, 2_000],
  ["duration", { secs: -1, nanos: 0 }, undefined],
  ["duration", { nanos: 5 }, undefined],
  ["u16", 0x3000, 0x3000],
  ["u16", "12288", 0x3000],
  ["u16", 70_000, undefined],
  ["u16", 1.5, undefined],
  ["canId", 0x7e0, 0x7e0],
  ["bool", "true", true],
  ["bool", true, true],
  ["bool", 1, true],
  ["bytes", [62, 128], [62, 128]],
  ["bytes", "3E80", [62, 128]],
  ["retryPolicy", "ContinueUnlimited", "ContinueUnlimited"],
  ["retryPolicy", 0, "Disabled"],
  ["nackRetries", { "0x03": 3 }, { "3": 3 }],
  ["nackRetries", { "0x03": "x" }, undefined],
  ["text", 5, "5"],
  ["text", null, undefined],
];
for (const [kind, raw, value] of CONFIG) {
  test(`com params: configured ${JSON.stringify(raw)} as ${kind}`, () => {
    assert.deepEqual(readComParamConfig(kind, raw), value);
  });
}

test("com params: reading never throws, and never gives NaN", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...KINDS),
      fc.oneof(fc.anything(), fc.string(), fc.json()),
      fc.double(),
      (kind, raw, factor) => {
        const values = [readComParamConfig(kind, raw), typeof raw === "string" ? parseComParam(kind, raw, factor) : 0];
        for (const value of values) assert.ok(!Number.isNaN(value));
      },
    ),
  );
});

test("com params: every default is a value of its kind", () => {
  for (const { def } of COM_PARAM_ROWS) {
    if (def.default === undefined || def.kind === "duration") continue;
    assert.deepEqual(readComParamConfig(def.kind, def.default), def.default, def.key);
  }
});
