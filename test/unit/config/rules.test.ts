import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "smol-toml";
import { type Findings, resolve } from "#config/resolve.ts";
import { checkRules } from "#config/rules.ts";
import { SCHEMA } from "#config/schema.ts";
import { pathText, type Tree } from "#config/tree.ts";

/** Keys that the rules object to. */
function objections(toml: string, can = false): string[] {
  const findings: Findings = { problems: [], warnings: [] };
  const config = resolve(SCHEMA, parse(toml) as Tree, findings);
  assert.deepEqual(findings.problems, []);
  return checkRules(config, { can }).map(({ path }) => pathText(path));
}

const NAMING = "[database.naming_convention]";
const MAPPED = "[can]\ninterface = 'can0'\n[[can.ecu_mappings]]\necu_name = 'A'\nrequest_id = 1\nresponse_id = 2\n";

const CASES: { name: string; toml: string; keys: string[]; can?: boolean }[] = [
  { name: "defaults", toml: "", keys: [] },
  {
    name: "suffix with a trailing blank",
    toml: `${NAMING}\nlong_name_affixes = [" read "]`,
    keys: ["database.naming_convention.long_name_affixes"],
  },
  { name: "suffix with a leading blank", toml: `${NAMING}\nlong_name_affixes = [" read"]`, keys: [] },
  {
    name: "prefix with a leading blank",
    toml: `${NAMING}\nshort_name_affix_position = "Prefix"\nshort_name_affixes = [" x"]`,
    keys: ["database.naming_convention.short_name_affixes"],
  },
  {
    name: "service affix",
    toml: '[database.naming_convention.service_affixes]\n0x22 = ["Suffix", ["x "]]',
    keys: ["database.naming_convention.service_affixes.0x22"],
  },
  {
    name: "action affix",
    toml: "[database.naming_convention.action_affixes]\nstop = '_S '",
    keys: ["database.naming_convention.action_affixes.stop"],
  },
  {
    name: "tester address",
    toml: "[doip]\ntester_address = 'x'\ntester_subnet = '1'",
    keys: ["doip.tester_address", "doip.tester_subnet"],
  },
  { name: "IPv6 tester", toml: "[doip]\ntester_address = 'fe80::1'", keys: [] },
  {
    name: "ports and times",
    toml: "[doip]\ngateway_port = 0\ntls_port = 0\nsend_timeout_ms = 0",
    keys: ["doip.gateway_port", "doip.tls_port", "doip.send_timeout_ms"],
  },
  {
    name: "alive interval",
    toml: "[doip]\nalive_check_interval_secs = 4294967296",
    keys: ["doip.alive_check_interval_secs"],
  },
  {
    name: "neither transport; DoIP's own rules rest",
    toml: "[doip]\nenabled = false\ntester_address = 'x'",
    keys: ["doip.enabled"],
  },
  {
    name: "neither transport, on a node that installs updates on itself",
    toml: "[doip]\nenabled = false\n[update.targets.self]\nprovider = 'slot'\nfolder = '/slots'",
    keys: [],
  },
  {
    name: "neither transport, and updates are off",
    toml: "[doip]\nenabled = false\n[update]\nenabled = false\n[update.targets.self]\nprovider = 'slot'\nfolder = '/slots'",
    keys: ["doip.enabled"],
  },
  { name: "CAN in a build without", toml: "[can]\ninterface = 'can0'", keys: ["can"] },
  {
    name: "CAN alone in a build with it",
    toml: "[doip]\nenabled = false\n[can]\ninterface = 'can0'",
    keys: [],
    can: true,
  },
  { name: "CAN without interface", toml: "[can]", keys: ["can.interface"], can: true },
  {
    name: "CAN equal identifiers",
    toml: "[can]\ninterface = 'c'\n[[can.ecu_mappings]]\necu_name = 'A'\nrequest_id = 1\nresponse_id = 1",
    keys: ["can.ecu_mappings[0].response_id"],
    can: true,
  },
  {
    name: "CAN names and pairs twice",
    toml: `${MAPPED}[[can.ecu_mappings]]\necu_name = 'a'\nrequest_id = 1\nresponse_id = 2`,
    keys: ["can.ecu_mappings[1].ecu_name", "can.ecu_mappings[1].request_id"],
    can: true,
  },
  {
    name: "override to disabled DoIP",
    toml: "[doip]\nenabled = false\n[can]\ninterface = 'c'\n[[can.transport_overrides]]\necu_name = 'A'\ntransport = 'DoIP'",
    keys: ["can.transport_overrides[0].transport"],
    can: true,
  },
  {
    name: "odd probe",
    toml: "[can]\ninterface = 'c'\n[[can.probe_fallbacks]]\npayload_hex = '3E0'",
    keys: ["can.probe_fallbacks[0].payload_hex"],
    can: true,
  },
  { name: "server address", toml: "[server]\naddress = 'localhost'", keys: ["server.address"] },
  { name: "TLS certificate without key", toml: "[http]\ntls_certificate = 'c'", keys: ["http.tls_certificate"] },
  { name: "client CA without certificate", toml: "[http]\ntls_ca = 'c'", keys: ["http.tls_ca"] },
  {
    name: "base paths",
    toml: "[http]\nbase_paths = ['/a', 'b', '/a', '/c/']",
    keys: ["http.base_paths[1]", "http.base_paths[2]", "http.base_paths[3]"],
  },
  { name: "no base path", toml: "[http]\nbase_paths = []", keys: ["http.base_paths"] },
  {
    name: "TLS versions",
    toml: "[doip.tls]\nmin_version = 'TLSv1.3'\nmax_version = 'TLSv1.2'",
    keys: ["doip.tls.max_version"],
  },
  {
    name: "discovery targets",
    toml: "[discovery]\ntargets = ['1.2.3.4', '1.2.3.4:7', 'host']",
    keys: ["discovery.targets[1]", "discovery.targets[2]"],
  },
  { name: "jwt without key", toml: "[security]\nmode = 'jwt'", keys: ["security.mode"] },
  { name: "jwt with a short secret", toml: "[security]\nmode = 'jwt'\nsecret = 'short'", keys: ["security.secret"] },
  {
    name: "jwt over plain http",
    toml: "[security]\nmode = 'jwt'\njwks_url = 'http://idp.example/k'",
    keys: ["security.jwks_url"],
  },
  { name: "jwt from this machine", toml: "[security]\nmode = 'jwt'\njwks_url = 'http://127.0.0.1:1/k'", keys: [] },
  {
    name: "two asymmetric sources",
    toml: "[security]\nmode = 'jwt'\npublic_key = 'a'\njwks_url = 'https://a/k'",
    keys: ["security.jwks_url"],
  },
  { name: "plugin without module", toml: "[security]\nmode = 'plugin'", keys: ["security.plugin"] },
  {
    name: "signatures without keys",
    toml: "[update]\nverify = 'required'\nsecondaries = ['x']",
    keys: ["update.verify", "update.secondaries[0]"],
  },
  {
    name: "a primary whose verdict may come after its secondaries gave up",
    toml: "[update]\nrole = 'primary'\nexecute_timeout_ms = 1000\ncommit_timeout_ms = 500\nverdict_timeout_ms = 1499",
    keys: ["update.verdict_timeout_ms"],
  },
  {
    name: "a primary whose verdict comes in time",
    toml: "[update]\nrole = 'primary'\nexecute_timeout_ms = 1000\ncommit_timeout_ms = 500\nverdict_timeout_ms = 1500",
    keys: [],
  },
  {
    name: "announced nodes of a primary without any proof",
    toml: "[update]\nrole = 'primary'\n[update.mdns]\nbrowse = true\nnodes = ['camera', 'a b', 'x@y']\nsubnets = ['10.0.0.0/33', 'fd00::/8']\ninterface = '10.2.1'",
    keys: ["update.mdns.nodes[1]", "update.mdns.nodes[2]", "update.mdns.subnets[0]", "update.mdns.interface"],
  },
  {
    name: "a secondary that looks for secondaries",
    toml: "[update]\nrole = 'secondary'\n[update.mdns]\nbrowse = true",
    keys: ["update.mdns.browse", "update.mdns.browse"],
  },
  {
    name: "announced nodes, one with its address",
    toml: "[update]\nrole = 'primary'\n[update.mdns]\nbrowse = true\nnodes = ['camera@10.2.0.7']\ninterface = 'eth0'",
    keys: [],
  },
  {
    name: "mapped larger than store",
    toml: "[store.max_bytes]\ndatabases = 16777216",
    keys: ["store.max_mapped_bytes"],
  },
  {
    name: "log name with folder",
    toml: "[logging.log_file_config]\nname = 'a/b'",
    keys: ["logging.log_file_config.name"],
  },
];

for (const { name, toml, keys, can } of CASES) {
  test(`rules: ${name}`, () => assert.deepEqual(objections(toml, can), keys));
}
