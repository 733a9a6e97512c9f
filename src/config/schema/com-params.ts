/**
 * Communication parameters (ISO 22900-2): what the database says is overlaid by these, or these stand in where it is silent. Names,
 * defaults and sentences come from the table of the parameters; here is only which key has which kind, for the static types.
 */
import { type ComParamDef, type ComParamKind, COM_PARAMS as TABLE } from "#uds/com-params.ts";
import { boolWord, bytes, choice, duration, optional, record, refuse, text, u16, u32 } from "../leaf.ts";
import { inlineSection, type Leaf, type Section, section } from "../node.ts";

const KINDS = {
  uds: {
    timeout_default: "duration",
    rc_78_timeout: "duration",
    repeat_req_count_app: "u32",
    rc_21_retry_policy: "retryPolicy",
    rc_21_completion_timeout: "duration",
    rc_21_repeat_request_time: "duration",
    rc_78_retry_policy: "retryPolicy",
    rc_78_completion_timeout: "duration",
    rc_94_retry_policy: "retryPolicy",
    rc_94_completion_timeout: "duration",
    rc_94_repeat_request_time: "duration",
    tester_present_retry_policy: "bool",
    tester_present_addr_mode: "addressMode",
    tester_present_response_expected: "bool",
    tester_present_send_type: "sendType",
    tester_present_message: "bytes",
    tester_present_exp_pos_resp: "bytes",
    tester_present_exp_neg_resp: "bytes",
    tester_present_time: "duration",
  },
  doip: {
    logical_gateway_address: "u16",
    logical_ecu_address: "u16",
    logical_functional_address: "u16",
    logical_tester_address: "u16",
    logical_response_id_table_name: "text",
    nack_number_of_retries: "nackRetries",
    diagnostic_ack_timeout: "duration",
    retry_period: "duration",
    routing_activation_timeout: "duration",
    repeat_request_count_transmission: "u32",
    connection_timeout: "duration",
    connection_retry_delay: "duration",
    connection_retry_attempts: "u32",
  },
  can: {
    physical_request_id: "canId",
    physical_response_id: "canId",
    functional_id: "canId",
    unique_resp_id_table_name: "text",
  },
} as const satisfies { readonly [G in keyof typeof TABLE]: Readonly<Record<string, ComParamKind>> };

function isNackRetries(code: string, retries: unknown): asserts retries is number {
  if (!/^(0x[0-9a-f]{1,2}|\d{1,3})$/i.test(code)) refuse("NACK codes like 0x05", code);
  if (!Number.isInteger(retries) || Number(retries) < 0) refuse("a count of retries", retries);
}

/** How the file writes a value of each kind. */
const LEAVES = {
  duration: (ms: number, doc: string) =>
    duration({ secs: Math.floor(ms / 1_000), nanos: Math.round((ms % 1_000) * 1_000_000) }, doc),
  u32: (value: number, doc: string) => u32(value, doc),
  u16: (value: number, doc: string) => u16(value, doc),
  canId: (_none: undefined, doc: string) => optional(u32(0, doc)),
  bool: (value: boolean, doc: string) => boolWord(value, doc),
  bytes: (value: readonly number[], doc: string) => bytes(value, doc),
  text: (value: string, doc: string) => text(value, doc),
  retryPolicy: (value: "ContinueUntilTimeout", doc: string) =>
    choice(["ContinueUntilTimeout", "Disabled", "ContinueUnlimited"], value, doc),
  addressMode: (value: "Physical", doc: string) => choice(["Physical", "Functional"], value, doc),
  sendType: (value: "FixedPeriod", doc: string) => choice(["FixedPeriod", "OnIdle"], value, doc),
  nackRetries: (value: Readonly<Record<string, number>>, doc: string) =>
    record<number>("{ code = retries }", isNackRetries, value, doc),
} satisfies Record<ComParamKind, (value: never, doc: string) => unknown>;

type LeafOf<K extends ComParamKind> = ReturnType<(typeof LEAVES)[K]>;

const precedence = choice(
  ["Database", "Config"],
  "Database",
  "`Database`: the value stands in where the database has none. `Config`: the value is used, the database is not asked.",
);
const named = (name: string) => text(name, "Name of the parameter in the database.");

/** A value that no database has is written plainly, all others with name and precedence. */
type ComParam<K extends ComParamKind> = K extends "text"
  ? LeafOf<K>
  : Section<{ name: Leaf<string>; value: LeafOf<K>; precedence: typeof precedence }>;
type Group<T extends Readonly<Record<string, ComParamKind>>> = Section<{ readonly [P in keyof T]: ComParam<T[P]> }>;

function group<T extends Readonly<Record<string, ComParamKind>>>(doc: string, kinds: T, table: object): Group<T> {
  const rows: readonly ComParamDef[] = Object.values(table);
  const keys = Object.entries(kinds).map(([key, kind]) => {
    const row = rows.find((candidate) => candidate.key === key);
    if (row?.kind !== kind) throw new Error(`communication parameter ${key} is ${row?.kind ?? "unknown"}, not ${kind}`);
    const sentence = `${row.doc.charAt(0).toUpperCase()}${row.doc.slice(1)}.`;
    const value: Leaf<unknown> = LEAVES[kind](row.default as never, sentence) as Leaf<unknown>;
    return [key, kind === "text" ? value : inlineSection(sentence, { name: named(row.name), value, precedence })];
  });
  return section(doc, Object.fromEntries(keys)) as Group<T>;
}

export const COM_PARAMS = section("Communication parameters of all ECUs.", {
  uds: group("UDS timing, retries and tester present.", KINDS.uds, TABLE.uds),
  doip: group("DoIP addresses and timing.", KINDS.doip, TABLE.doip),
  can: group("CAN identifiers.", KINDS.can, TABLE.can),
});
