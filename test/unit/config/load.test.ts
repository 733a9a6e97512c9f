import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Command } from "commander";
import { ecuConfig, risks, shardCount, storePath, strictness } from "#config/derived.ts";
import { addConfigOptions, configFromFlags } from "#config/flags.ts";
import { type ConfigInput, loadConfig, problemText, readConfig } from "#config/load.ts";
import { Fault } from "#core/errors.ts";
import { scratchFolder } from "../../fixtures/cleanup.ts";
import fc from "../../fixtures/properties.ts";

function folder(files: Readonly<Record<string, string>> = {}): string {
  const path = scratchFolder("config");
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

function fromToml(text: string, more: ConfigInput = {}) {
  return readConfig({ file: join(folder({ "a.toml": text }), "a.toml"), ...more });
}

test("without file, environment and flags the defaults hold", () => {
  const { config, problems, warnings, source } = readConfig({ cwd: folder() });
  assert.deepEqual([problems, warnings, source], [[], [], undefined]);
  assert.deepEqual(config.server, { address: "0.0.0.0", port: 20_002 });
  assert.deepEqual(config.com_params.uds.timeout_default, {
    name: "CP_P6Max",
    value: { secs: 1, nanos: 0 },
    precedence: "Database",
  });
  assert.equal(config.can, undefined);
});

test("an open port for firmware is a risk that is named, and what it has too much is refused", () => {
  const OPEN = "skybrush: whoever reaches its address may update components";
  const certificate = "[http]\ntls_certificate = 'a.pem'\ntls_key = 'b.pem'\n";
  for (const [text, risk, problems] of [
    ["", false, []],
    ["[skybrush]\nenabled = true", false, []],
    ["[skybrush]\nenabled = true\naddress = '10.0.0.1'", true, []],
    ["[skybrush]\nenabled = true\naddress = '10.0.0.1'\nauthentication = 'token'", false, []],
    [
      "[skybrush]\nenabled = true\naddress = '10.0.0.1'\n[update]\nverify = 'required'\ntrusted_keys = ['k']",
      false,
      [],
    ],
    [`${certificate}tls_ca = 'c.pem'\n[skybrush]\nenabled = true\naddress = '10.0.0.1'\ntls = true`, false, []],
    ["[skybrush]\ntls = true", false, ["skybrush.tls"]],
    ["[skybrush]\nudp = true\nauthentication = 'token'", false, ["skybrush.udp"]],
  ] as const) {
    const read = fromToml(text);
    assert.equal(risks(read.config).includes(OPEN), risk, text);
    assert.deepEqual(
      read.problems.map(({ key }) => key),
      problems,
    );
  }
});

test("certificates of gateways are of no concern to a node that speaks to none", () => {
  const isNamed = (text: string) => risks(fromToml(text).config).some((risk) => risk.startsWith("doip.tls.ca"));
  assert.deepEqual([isNamed(""), isNamed("[update]\nrole = 'secondary'")], [true, false]);
});

test("file < environment < flags, each over the defaults", () => {
  const cwd = folder({
    "opensovd-cda.toml": "[server]\nport = 1\naddress = '127.0.0.1'\n[doip]\ngateway_port = 2\n",
  });
  const env = { CDA_SERVER__PORT: "3", CDA_DOIP__GATEWAY_PORT: "4" };
  const command = addConfigOptions(new Command()).parse(["--gateway-port", "5"], { from: "user" });
  const { config, problems } = readConfig({ cwd, env, ...configFromFlags(command.opts()) });
  assert.deepEqual(problems, []);
  assert.deepEqual(config.server, { address: "127.0.0.1", port: 3 });
  assert.equal(config.doip.gateway_port, 5);
});

test("an unnamed file is found in a folder above", () => {
  const top = folder({ "opensovd-cda.toml": "flash_files_path = 'x'" });
  mkdirSync(join(top, "a", "b"), { recursive: true });
  const { config, source } = readConfig({ cwd: join(top, "a", "b") });
  assert.equal(config.flash_files_path, "x");
  assert.equal(source, join(top, "opensovd-cda.toml"));
});

const FILE_VARIABLES = ["CDA_CONFIG_FILE", "SOVD_EDGE_CONFIG_FILE"];
for (const name of FILE_VARIABLES) {
  test(`${name} names the file`, () => {
    const file = join(folder({ "b.toml": "flash_files_path = 'y'" }), "b.toml");
    assert.equal(readConfig({ env: { [name]: file } }).config.flash_files_path, "y");
  });
}

test("a named file that cannot be read is fatal", () => {
  assert.throws(
    () => loadConfig({ file: "/nowhere/at/all.toml" }),
    (error) => error instanceof Fault && error.kind === "invalidConfig" && /ENOENT/.test(error.message),
  );
});

test("a syntax error has line and column", () => {
  const { problems } = fromToml("[server]\nport = 1\nname = @\n");
  assert.deepEqual(
    problems.map(({ line, column }) => [line, column]),
    [[3, 8]],
  );
});

test("an unreadable file that was found is fatal too", () => {
  const cwd = folder({ "opensovd-cda.toml": "[server" });
  assert.equal(readConfig({ cwd }).problems.length, 1);
});

test("every problem is told at once, with key, line and column", () => {
  const { problems } = fromToml(
    [
      "[server]",
      'port = "x"',
      "[doip]",
      "  enabled = 7",
      "[com_params.uds]",
      'timeout_default = { value = { secs = 1 }, precedence = "No" }',
      "[ecu.A.com_params.doip]",
      "nonsense = 1",
    ].join("\n"),
  );
  assert.deepEqual(
    problems.map(({ key, line, column }) => [key, line, column]),
    [
      ["server.port", 2, 1],
      ["doip.enabled", 4, 3],
      ["com_params.uds.timeout_default.value", 6, 21],
      ["com_params.uds.timeout_default.precedence", 6, 43],
      ["ecu.A.com_params.doip.nonsense", 8, 1],
    ],
  );
});

test("loadConfig throws all problems as data and as lines", () => {
  const file = join(folder({ "a.toml": "[server]\nport = -1\naddress = 3\n" }), "a.toml");
  assert.throws(
    () => loadConfig({ file }),
    (error) => {
      assert(error instanceof Fault);
      const { problems } = error.details as { problems: { key: string }[] };
      assert.deepEqual(problems.map(({ key }) => key).sort(), ["server.address", "server.port"]);
      assert.match(error.message, /a\.toml:2:1: server\.port: expected an integer 0 to 65535, got "-1"/);
      return true;
    },
  );
});

test("unknown and dead keys are warned about by name", () => {
  const { problems, warnings } = fromToml(
    "[server]\nprt = 1\n[nothing]\n[flat_buf]\nmdd_decompress = true\n[database.naming_convention]\nconfiguration_service_parameter_semantic_id = 'ID'\n",
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(
    warnings.map(({ key, line }) => [key, line]),
    [
      ["server.prt", 2],
      ["database.naming_convention.configuration_service_parameter_semantic_id", 7],
      ["flat_buf.mdd_decompress", 5],
      ["nothing", 3],
    ],
  );
  assert.match(warnings[0]?.message ?? "", /did you mean port\?/);
  assert.match(warnings[1]?.message ?? "", /^has no effect: /);
});

const VARIABLES = [
  { name: "CDASERVER.PORT", text: "7", read: "server.port", value: 7 },
  { name: "CDA_SERVER__PORT", text: "0x10", read: "server.port", value: 16 },
  { name: "SOVD_EDGE_SERVER__PORT", text: "9", read: "server.port", value: 9 },
  { name: "SOVD_EDGE_DOIP__PROTOCOL_NAME", text: "auto-can", read: "doip.protocol_name", value: "auto-can" },
  {
    name: "CDA_DATABASE__EXIT_NO_DATABASE_LOADED",
    text: "true",
    read: "database.exit_no_database_loaded",
    value: true,
  },
  { name: "SOVD_EDGE_FLASH_FILES_PATH", text: "/f", read: "flash_files_path", value: "/f" },
  {
    name: "SOVD_EDGE_DISCOVERY__TARGETS",
    text: "10.0.0.1, 10.0.0.2",
    read: "discovery.targets",
    value: ["10.0.0.1", "10.0.0.2"],
  },
  {
    name: "SOVD_EDGE_FAULTS__USER_DEFINED_DTC_CLEAR_SERVICE",
    text: "[0x31, 1]",
    read: "faults.user_defined_dtc_clear_service",
    value: [0x31, 1],
  },
  {
    name: "SOVD_EDGE_COM_PARAMS__UDS__TIMEOUT_DEFAULT__VALUE",
    text: "{ secs = 2, nanos = 0 }",
    read: "com_params.uds.timeout_default.value",
    value: { secs: 2, nanos: 0 },
  },
  { name: "SOVD_EDGE_ECU__TMCC3000__PROTOCOL", text: "P", read: "ecu.TMCC3000.protocol", value: "P" },
  { name: "RUST_LOG", text: "doip=trace,debug", read: "logging.level", value: "debug" },
  { name: "LOG_LEVEL", text: "WARN", read: "logging.level", value: "warn" },
  { name: "LOG_LEVEL", text: "notice", read: "logging.level", value: "info" },
] as const;

for (const { name, text, read, value } of VARIABLES) {
  test(`environment ${name}=${text}`, () => {
    const { config, problems, warnings } = readConfig({ cwd: folder(), env: { [name]: text } });
    assert.deepEqual([problems, warnings], [[], []]);
    const found = read.split(".").reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], config);
    assert.deepEqual(found, value);
  });
}

test("a wrong value of a variable names the variable", () => {
  const { problems } = readConfig({ cwd: folder(), env: { CDA_SERVER__PORT: "many" } });
  assert.deepEqual(problems.map(problemText), [
    'environment CDA_SERVER__PORT: server.port: expected an integer 0 to 65535, got "many"',
  ]);
});

test("a variable that looks like ours and is none is warned about", () => {
  const { warnings } = readConfig({ cwd: folder(), env: { CDA_SERVER_PORT: "1", CDROM: "x", PATH: "y" } });
  assert.deepEqual(
    warnings.map(({ key }) => key),
    ["CDA_SERVER_PORT"],
  );
});

const FLAGS = [
  { argv: ["-d", "/m"], read: "database.path", value: "/m" },
  { argv: ["--listen-port", "0"], read: "server.port", value: 0 },
  { argv: ["-t", "127.0.0.1"], read: "doip.tester_address", value: "127.0.0.1" },
  { argv: ["--exit-no-database-loaded", "true"], read: "database.exit_no_database_loaded", value: true },
  { argv: ["--file-logging", "false"], read: "logging.log_file_config.enabled", value: false },
  {
    argv: ["--discovery-target", "10.0.0.1", "--discovery-target", "10.0.0.2"],
    read: "discovery.targets",
    value: ["10.0.0.1", "10.0.0.2"],
  },
  { argv: ["--store", "7"], read: "store.path", value: "7" },
] as const;

for (const { argv, read, value } of FLAGS) {
  test(`flags ${argv.join(" ")}`, () => {
    const command = addConfigOptions(new Command()).parse([...argv], { from: "user" });
    const { config, problems } = readConfig({ cwd: folder(), ...configFromFlags(command.opts()) });
    assert.deepEqual(problems, []);
    const found = read.split(".").reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], config);
    assert.deepEqual(found, value);
  });
}

test("a wrong flag names the flag", () => {
  const command = addConfigOptions(new Command()).parse(["--listen-port", "99999"], { from: "user" });
  const { problems } = readConfig({ cwd: folder(), ...configFromFlags(command.opts()) });
  assert.equal(problems[0]?.source, "flag --listen-port");
});

test("--config names the file", () => {
  const file = join(folder({ "c.toml": "flash_files_path = 'z'" }), "c.toml");
  const command = addConfigOptions(new Command()).parse(["-c", file], { from: "user" });
  assert.equal(readConfig(configFromFlags(command.opts())).config.flash_files_path, "z");
});

test("maps add to their defaults, lists replace theirs", () => {
  const { config } = fromToml(
    [
      "[components.additional_fields.mine.SD]",
      'values = ["a"]',
      "[database.naming_convention]",
      'short_name_affixes = ["_x"]',
      "[database.naming_convention.service_affixes]",
      '"133" = ["Suffix", ["_y"]]',
    ].join("\n"),
  );
  assert.deepEqual(Object.keys(config.components.additional_fields), [
    "x-sovd2uds-can-ecus",
    "x-sovd2uds-lin-ecus",
    "mine",
  ]);
  assert.deepEqual(config.database.naming_convention.short_name_affixes, ["_x"]);
  assert.deepEqual(
    Object.keys(config.database.naming_convention.service_affixes).sort(),
    ["0x31", "0x85", "133"].sort(),
  );
});

test("an ECU overrides only what it names", () => {
  const { config, problems } = fromToml(
    "[ecu.TMCC3000]\nignore_protocol = true\n[ecu.TMCC3000.com_params.doip.logical_gateway_address]\nvalue = 0x3000\nprecedence = 'Config'\n",
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(ecuConfig(config, "tmcc3000"), {
    ignore_protocol: true,
    protocol: undefined,
    com_params: { doip: { logical_gateway_address: { value: 0x3000, precedence: "Config" } } },
  });
  assert.equal(ecuConfig(config, "other"), undefined);
});

test("hostile key names stay plain keys", () => {
  const { config } = fromToml('[ecu.__proto__]\nprotocol = "x"\n[ecu.constructor]\nprotocol = "y"\n');
  assert.deepEqual(Object.keys(config.ecu), ["__proto__", "constructor"]);
  assert.equal(({} as Record<string, unknown>).protocol, undefined);
});

test("64-bit values larger than exact ones are cut", () => {
  const { config, problems } = fromToml("[flat_buf]\nmax_apparent_size = 9223372036854775807\n");
  assert.deepEqual(problems, []);
  assert.equal(config.flat_buf.max_apparent_size, Number.MAX_SAFE_INTEGER);
});

test("values that follow from others", () => {
  const { config } = fromToml(
    "[runtime_update_config]\nstorage_dir = '/var/x'\n[strict]\nenabled = true\n[shards]\nworkers = 7\n",
  );
  assert.equal(storePath(config), "/var/x/.sovd-edge");
  assert.equal(shardCount(config), 7);
  assert.deepEqual(strictness(config), { parameterValidation: true, ecuConfig: true });
  const plain = fromToml("[store]\npath = '/s'").config;
  assert.equal(storePath(plain), "/s");
  assert(shardCount(plain) >= 1 && shardCount(plain) <= 2);
});

test("a configuration of the CDA loads unchanged", (t) => {
  const file = new URL("../../../../shared/mdd/opensovd-cda.toml", import.meta.url);
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return t.skip("the shared databases are not here");
  }
  const { config, problems, warnings } = fromToml(text);
  assert.deepEqual([problems, warnings], [[], []]);
  assert.equal(config.com_params.doip.logical_functional_address.value, 0xffff);
  assert.deepEqual(config.com_params.doip.connection_retry_delay.value, { secs: 1, nanos: 0 });
  assert.equal(config.ecu.HOVR4000?.com_params.doip?.logical_gateway_address?.value, 0x4000);
});

test("any file gives a configuration or problems, and never throws", () => {
  const path = join(folder(), "any.toml");
  const line = fc.oneof(
    fc.string({ maxLength: 20 }),
    fc.constantFrom(
      "[server]",
      "[ecu.A]",
      "[ecu.A.com_params.uds]",
      "[[can.ecu_mappings]]",
      "[com_params.doip.retry_period]",
      "[data]",
    ),
    fc
      .tuple(
        fc.constantFrom("port", "value", "precedence", "ecu_name", "categories", "protocol", "[x]", "a.b"),
        fc.constantFrom(
          "1",
          "-1",
          "1.5",
          "'x'",
          "[]",
          "{}",
          "{ secs = 1 }",
          "true",
          "1979-05-27",
          "9223372036854775807",
        ),
      )
      .map(([key, value]) => `${key} = ${value}`),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), (lines) => {
      writeFileSync(path, lines.join("\n"));
      const { config, problems } = readConfig({ file: path });
      if (problems.length === 0) assert.equal(typeof config.server.port, "number");
      for (const { message } of problems) assert.notEqual(message, "");
    }),
    { numRuns: 300 },
  );
});
