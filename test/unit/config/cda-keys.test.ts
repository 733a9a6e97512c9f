/** Every key of the reference (sovd-api.md §17.2): its default, its flag, both forms of its variable, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import { addConfigOptions, configFromFlags } from "#config/flags.ts";
import { defaultConfig, readConfig } from "#config/load.ts";
import { type Leaf, leavesOf } from "#config/node.ts";
import { OWN, SCHEMA } from "#config/schema.ts";
import { pathText, setAt, type Tree, valueAt } from "#config/tree.ts";

const AFFIXES =
  "_read _write _read_dump _write_dump _dump _read_func _write_func _read_dump_func _write_dump_func _dump_func _control_func _control".split(
    " ",
  );
const NAMING = "database.naming_convention";
const ABSENT = undefined;

interface Row {
  readonly key: string;
  readonly value: unknown;
  readonly flag?: string;
  /** A value that the key must not take. */
  readonly wrong?: unknown;
  /** Where ours is another on purpose: sovd-api.md §18, decisions. */
  readonly ours?: unknown;
  /** Says that nothing reads it. */
  readonly dead?: true;
}

const row = (key: string, value: unknown, more: Omit<Row, "key" | "value"> = {}): Row => ({ key, value, ...more });
const NUMBER = { wrong: -1 } as const;
const BOOL = { wrong: "true, perhaps" } as const;
const TEXT = { wrong: 3 } as const;

const ROWS: readonly Row[] = [
  row("flash_files_path", ".", { ...TEXT, flag: "-f, --flash-files-path" }),
  row("server.address", "0.0.0.0", { wrong: "here", flag: "--listen-address" }),
  row("server.port", 20_002, { wrong: 65_536, flag: "--listen-port" }),
  row("doip.enabled", true, BOOL),
  row("doip.tester_address", "10.2.1.240", { wrong: "10.2", flag: "-t, --tester-address" }),
  row("doip.tester_subnet", "255.255.0.0", { wrong: "/16", flag: "--tester-subnet" }),
  row("doip.gateway_port", 13_400, { wrong: 0, flag: "--gateway-port" }),
  row("doip.tls_port", 3_496, { wrong: 0 }),
  row("doip.send_timeout_ms", 1_000, { wrong: 0 }),
  row("doip.send_diagnostic_message_ack", true, BOOL),
  row("doip.alive_check_interval_secs", 1_800, { wrong: 2 ** 32 }),
  row("doip.protocol_name", "UDS_Ethernet_DoIP_DOBT", { ...TEXT, flag: "--protocol-name" }),
  row("can", ABSENT, { wrong: { interface: "can0" } }),
  row("database.path", ".", { ...TEXT, flag: "-d, --databases-path" }),
  row("database.exit_no_database_loaded", false, { ...BOOL, flag: "--exit-no-database-loaded" }),
  row("database.fallback_to_base_variant", true, { ...BOOL, flag: "--fallback-to-base-variant" }),
  row("database.ignore_protocol", false, BOOL),
  row("database.ignore_invalid_mdd", true, BOOL),
  row(`${NAMING}.short_name_affix_position`, "Suffix", { wrong: "suffix" }),
  row(`${NAMING}.long_name_affix_position`, "Suffix", { wrong: "Middle" }),
  row(`${NAMING}.short_name_affixes`, AFFIXES, { wrong: ["_read "] }),
  row(
    `${NAMING}.long_name_affixes`,
    AFFIXES.map((affix) => affix.replaceAll("_", " ")),
    { wrong: [" read "] },
  ),
  row(
    `${NAMING}.service_affixes`,
    {
      "0x85": ["Prefix", ["DTC_Setting_Mode_"]],
      "0x31": ["Suffix", ["_start", "_stop", "_requestresults", "_start_func", "_stop_func", "_requestresults_func"]],
    },
    { wrong: { "0x100": ["Suffix", []] } },
  ),
  row(`${NAMING}.action_affixes.position`, "Suffix", { wrong: "Both" }),
  row(`${NAMING}.action_affixes.read`, "_Read", { wrong: "_Read " }),
  row(`${NAMING}.action_affixes.write`, "_Write", TEXT),
  row(`${NAMING}.action_affixes.start`, "_Start", TEXT),
  row(`${NAMING}.action_affixes.stop`, "_Stop", TEXT),
  row(`${NAMING}.action_affixes.request_results`, "_RequestResults", TEXT),
  row(`${NAMING}.semantics.data`, "DATA", TEXT),
  row(`${NAMING}.semantics.security`, "SECURITY", TEXT),
  row(`${NAMING}.semantics.session`, "SESSION", TEXT),
  row(`${NAMING}.semantics.service_id_rq`, "SERVICEIDRQ", TEXT),
  row(`${NAMING}.functional_class_varcoding`, "varcoding", TEXT),
  row(`${NAMING}.configuration_service_parameter_semantic_id`, "ID", { dead: true }),
  row(
    `${NAMING}.can_protocol_aliases`,
    ["UDS_CAN", "ISO_11898_2_DWCAN", "ISO_11898_3_DWFTCAN", "CAN", "ISO_15765_2", "ISO_15765_3"],
    { wrong: "CAN" },
  ),
  row(`${NAMING}.can_protocol_markers`, ["CAN", "ISO_11898"], { wrong: [1] }),
  row("flat_buf.verify", false, { dead: true }),
  row("flat_buf.ignore_missing_null_terminator", false, BOOL),
  row("flat_buf.max_depth", 64, NUMBER),
  row("flat_buf.max_tables", 100_000_000, NUMBER),
  row("flat_buf.max_apparent_size", 2n ** 63n - 1n, { ...NUMBER, ours: Number.MAX_SAFE_INTEGER }),
  row("flat_buf.mdd_decompress", false, { dead: true, flag: "--mdd-decompress" }),
  row("functional_description.description_database", "functional_groups", TEXT),
  row("functional_description.enabled_functional_groups", ABSENT, { wrong: "all" }),
  row("functional_description.protocol_position", "Suffix", { wrong: "None" }),
  row(
    "components.additional_fields",
    {
      "x-sovd2uds-can-ecus": { CAN: { values: ["yes"], ignore_case: true } },
      "x-sovd2uds-lin-ecus": { LIN: { values: ["yes"], ignore_case: true } },
    },
    { wrong: { field: { SD: { values: "yes" } } } },
  ),
  row("faults.default_scope", "FaultMem", TEXT),
  row("faults.user_memory_scope", "DevelopmentFaultMemory", TEXT),
  row("faults.user_defined_dtc_clear_service", ABSENT, { wrong: [256] }),
  row("health.enabled", true, BOOL),
  row("logging.timestamp_format", "%T%.3f", TEXT),
  row("logging.log_file_config.enabled", false, { ...BOOL, flag: "--file-logging" }),
  row("logging.log_file_config.path", "/var/log/opensovd-cda", { ...TEXT, flag: "--log-file-dir" }),
  row("logging.log_file_config.name", "opensovd-cda.log", { wrong: "a/b", flag: "--log-file-name" }),
  // false truncates
  row("logging.log_file_config.append_enabled", false, { ...BOOL, ours: true }),
  row("logging.log_file_config.date_format", "%F %T%.3f", TEXT),
  row("logging.otel.enabled", false, BOOL),
  row("logging.otel.endpoint", "http://localhost:4317", TEXT),
  row("logging.dlt_tracing.enabled", true, BOOL),
  row("logging.dlt_tracing.app_id", "CDA", { wrong: "ABCDE" }),
  row("logging.dlt_tracing.app_description", "Bridges SOVD to UDS for ECU communication.", { wrong: "x".repeat(257) }),
  row("logging.tokio_tracing.server", "127.0.0.1:6669", { dead: true }),
  row("logging.tokio_tracing.retention", "1h", { dead: true }),
  row("logging.tokio_tracing.recording_path", ABSENT, { dead: true }),
  row("runtime_update_config.storage_dir", ".", TEXT),
  row("runtime_update_config.upload_body_limit_bytes", 52_428_800, NUMBER),
  row("runtime_update_config.retry_after_seconds", 1, NUMBER),
  row("runtime_update_config.init_storage_from_database_path", false, { dead: true }),
  row("strict.enabled", false, BOOL),
  row("strict.parameter_validation", false, BOOL),
  row("strict.ecu_config", false, BOOL),
  row("ecu", {}, { wrong: { FLXC1000: { com_params: { uds: { unknown: 1 } } } } }),
];

/** What stands elsewhere in this folder: communication parameters in com-params.test.ts, `[can]` in rules.test.ts. */
const ELSEWHERE = new Set(["com_params"]);

const leaves = new Map(leavesOf(SCHEMA).map(({ path, leaf }) => [pathText(path), leaf] as const));
const NO_FILE = "/";

const pathOf = (key: string): string[] => key.split(".");
const flagsOf = (argv: readonly string[]) =>
  configFromFlags(
    addConfigOptions(new Command())
      .parse([...argv], { from: "user" })
      .opts(),
  );
const problemsOf = (key: string, value: unknown): readonly string[] => {
  const tree: Tree = {};
  setAt(tree, pathOf(key), value);
  const flags = { tree, names: new Map([[key, "the test"]]) };
  return readConfig({ cwd: NO_FILE, flags }).problems.map((problem) => problem.key);
};

for (const { key, value, flag, wrong, ours, dead } of ROWS) {
  test(`key ${key}`, () => {
    const leaf: Leaf<unknown> | undefined = leaves.get(key);
    const own = ours ?? value;
    assert.deepEqual(valueAt(defaultConfig() as unknown as Tree, pathOf(key)), own, "default");
    assert.equal(leaf?.dead !== undefined, dead === true, "dead");
    assert.equal(leaf?.flag?.replace(/ <.*/, ""), flag, "flag");
    if (wrong !== undefined) {
      assert.ok(
        problemsOf(key, wrong).some((at) => at.startsWith(key)),
        `${JSON.stringify(wrong)} is refused`,
      );
    }
    if (own !== undefined && leaf !== undefined) assert.deepEqual(problemsOf(key, leaf.format?.(own) ?? own), []);
  });

  const scalar = ["string", "number", "boolean"].includes(typeof value) ? String(value) : undefined;
  if (scalar === undefined || !leaves.has(key)) continue;
  test(`variables of ${key}`, () => {
    const forms = [`CDA${key.toUpperCase()}`, `CDA_${key.toUpperCase().replaceAll(".", "__")}`];
    // a key without a table has no dot to write
    for (const name of key.includes(".") ? forms : forms.slice(1)) {
      const { config, problems, warnings } = readConfig({ cwd: NO_FILE, env: { [name]: scalar } });
      assert.deepEqual(problems, [], name);
      assert.deepEqual(
        warnings.filter(({ message }) => /unknown/.test(message)),
        [],
        name,
      );
      assert.deepEqual(valueAt(config as unknown as Tree, pathOf(key)), value, name);
    }
  });

  if (flag === undefined) continue;
  test(`flag ${flag}`, () => {
    for (const name of flag.split(", ")) {
      const { config, problems } = readConfig({ cwd: NO_FILE, ...flagsOf([name, scalar]) });
      assert.deepEqual(problems, [], name);
      assert.deepEqual(valueAt(config as unknown as Tree, pathOf(key)), value, name);
    }
  });
}

test("every key of the schema is the reference's, or listed as ours", () => {
  const known = ROWS.map(({ key }) => key);
  const foreign = [...leaves.keys()].filter((key) => {
    const above = pathOf(key).map((_, end, all) => all.slice(0, end + 1).join("."));
    return !above.some((at) => known.includes(at) || OWN.has(at) || ELSEWHERE.has(at));
  });
  assert.deepEqual(foreign, []);
});

test("a retention as the CDA's run-time writes it is no problem", () => {
  assert.deepEqual(problemsOf("logging.tokio_tracing.retention", { secs: 3_600, nanos: 0 }), []);
});
