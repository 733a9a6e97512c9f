/** What must hold between keys, once each value is right by itself. */
import { isIP, isIPv4, isIPv6 } from "node:net";
import type { Finding } from "./resolve.ts";
import type { ServiceAffixes } from "./schema/database.ts";
import type { Path } from "./tree.ts";
import type { Config } from "./types.ts";

/** What this build can do. */
export interface Features {
  readonly can: boolean;
}
export const FEATURES: Features = { can: false };

type Rule = (config: Config, features: Features) => Iterable<Finding>;

const finding = (key: string | Path, message: string): Finding => ({
  path: typeof key === "string" ? key.split(".") : key,
  message,
});

function* affixes(config: Config): Iterable<Finding> {
  const naming = config.database.naming_convention;
  const at = ["database", "naming_convention"];
  const action = naming.action_affixes;
  const lists: [Path, ServiceAffixes][] = [
    [
      [...at, "short_name_affixes"],
      [naming.short_name_affix_position, naming.short_name_affixes],
    ],
    [
      [...at, "long_name_affixes"],
      [naming.long_name_affix_position, naming.long_name_affixes],
    ],
    ...Object.entries(naming.service_affixes).map(([sid, entry]): [Path, ServiceAffixes] => [
      [...at, "service_affixes", sid],
      entry,
    ]),
    ...(["read", "write", "start", "stop", "request_results"] as const).map((name): [Path, ServiceAffixes] => [
      [...at, "action_affixes", name],
      [action.position, [action[name]]],
    ]),
  ];
  for (const [path, [position, texts]] of lists) {
    for (const text of texts) {
      if (position === "Prefix" && /^\s/.test(text))
        yield finding(path, `prefix ${JSON.stringify(text)} begins with a blank`);
      if (position === "Suffix" && /\s$/.test(text))
        yield finding(path, `suffix ${JSON.stringify(text)} ends with a blank`);
    }
  }
}

function* doip({ doip }: Config): Iterable<Finding> {
  if (!doip.enabled) return;
  for (const key of ["tester_address", "tester_subnet"] as const) {
    if (isIP(doip[key]) === 0) yield finding(["doip", key], `expected an IP address, got ${JSON.stringify(doip[key])}`);
  }
  for (const key of ["gateway_port", "tls_port", "send_timeout_ms"] as const) {
    if (doip[key] === 0) yield finding(["doip", key], "must be greater than 0");
  }
  if (doip.alive_check_interval_secs >= 2 ** 32)
    yield finding("doip.alive_check_interval_secs", "must be less than 2^32");
  yield* pair("doip.tls", "certificate", doip.tls.certificate, "key", doip.tls.key);
  if (doip.tls.min_version > doip.tls.max_version) yield finding("doip.tls.max_version", "is lower than min_version");
}

/** A node that hands updates on, takes them, or installs them on itself may stand without ECUs of its own. */
function* transports({ doip, can, update }: Config, features: Features): Iterable<Finding> {
  if (can !== undefined && !features.can) yield finding("can", "this build speaks DoIP only; remove the section");
  const hasTargets = Object.keys(update.targets).length > 0;
  const alone = !update.enabled || (update.role === "standalone" && !hasTargets);
  if (alone && can === undefined && !doip.enabled) yield finding("doip.enabled", "neither DoIP nor CAN is configured");
}

function* can({ doip, can }: Config): Iterable<Finding> {
  if (can === undefined) return;
  if (can.interface === undefined) yield finding("can.interface", "is required");
  const names = new Set<string>();
  const pairs = new Set<string>();
  for (const [index, { ecu_name, request_id, response_id }] of can.ecu_mappings.entries()) {
    const at = ["can", "ecu_mappings", index];
    if (request_id === response_id) yield finding([...at, "response_id"], "equals request_id");
    if (names.has(ecu_name.toLowerCase())) yield finding([...at, "ecu_name"], `${ecu_name} is mapped twice`);
    if (pairs.has(`${request_id}/${response_id}`))
      yield finding([...at, "request_id"], "the pair of identifiers is used twice");
    names.add(ecu_name.toLowerCase());
    pairs.add(`${request_id}/${response_id}`);
  }
  for (const [index, { transport }] of can.transport_overrides.entries()) {
    if (transport.toLowerCase() === "doip" && !doip.enabled) {
      yield finding(["can", "transport_overrides", index, "transport"], "DoIP is disabled");
    }
  }
  for (const [index, { payload_hex }] of can.probe_fallbacks.entries()) {
    if (!/^(?:[0-9a-f]{2})+$/i.test(payload_hex)) {
      yield finding(["can", "probe_fallbacks", index, "payload_hex"], "expected an even number of hex digits");
    }
  }
}

function* server({ server, http }: Config): Iterable<Finding> {
  if (isIP(server.address) === 0) yield finding("server.address", "expected an IP address");
  yield* pair("http", "tls_certificate", http.tls_certificate, "tls_key", http.tls_key);
  if (http.tls_ca !== undefined && http.tls_certificate === undefined)
    yield finding("http.tls_ca", "needs tls_certificate");
  if (http.base_paths.length === 0) yield finding("http.base_paths", "needs at least one path");
  for (const [index, path] of http.base_paths.entries()) {
    if (!/^(?:\/[A-Za-z0-9._~-]+)+$/.test(path))
      yield finding(["http", "base_paths", index], "expected a path like /sovd/v1");
    if (http.base_paths.indexOf(path) !== index) yield finding(["http", "base_paths", index], "stands twice");
  }
}

function* skybrush({ skybrush, http }: Config): Iterable<Finding> {
  if (skybrush.tls && http.tls_certificate === undefined) yield finding("skybrush.tls", "needs http.tls_certificate");
  if (skybrush.udp && (skybrush.tls || skybrush.authentication !== "none"))
    yield finding("skybrush.udp", "has neither tls nor authentication");
}

function* discovery({ discovery }: Config): Iterable<Finding> {
  for (const [index, target] of discovery.targets.entries()) {
    if (isIPv4(target) || (discovery.ipv6.enabled && isIPv6(target))) continue;
    const family = isIPv6(target) ? "an IPv4 address (discovery.ipv6.enabled is false)" : "an IP address";
    yield finding(["discovery", "targets", index], `expected ${family}, got ${JSON.stringify(target)}`);
  }
  const { tester_address, subnet } = discovery.ipv6;
  if (!isIPv6(tester_address)) {
    yield finding("discovery.ipv6.tester_address", `expected an IPv6 address, got ${JSON.stringify(tester_address)}`);
  }
  if (!isIpv6Prefix(subnet)) {
    yield finding("discovery.ipv6.subnet", `expected a prefix such as fe80::/10, got ${JSON.stringify(subnet)}`);
  }
}

function isIpv6Prefix(text: string): boolean {
  const [net = "", bits = ""] = text.split("/");
  return isIPv6(net) && /^\d{1,3}$/.test(bits) && Number(bits) <= 128 && text.split("/").length === 2;
}

const SHORTEST_SECRET = 32;

function* security({ security }: Config): Iterable<Finding> {
  if (security.mode === "plugin" && security.plugin === undefined)
    yield finding("security.plugin", "is required by mode plugin");
  if (security.mode !== "jwt") return;
  if (security.secret === undefined && security.public_key === undefined && security.jwks_url === undefined) {
    yield finding("security.mode", "jwt needs one of secret, public_key, jwks_url");
  }
  if (security.public_key !== undefined && security.jwks_url !== undefined) {
    yield finding("security.jwks_url", "stands beside public_key; give one of them");
  }
  if (security.secret !== undefined && Buffer.byteLength(security.secret) < SHORTEST_SECRET) {
    yield finding("security.secret", `needs at least ${SHORTEST_SECRET} bytes`);
  }
  if (security.jwks_url !== undefined && !isTrustworthy(security.jwks_url)) {
    yield finding("security.jwks_url", "expected an https URL, or http to this machine");
  }
}

/** Keys may come over TLS, or from this very machine. */
function isTrustworthy(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return protocol === "https:" || (protocol === "http:" && ["localhost", "127.0.0.1", "[::1]"].includes(hostname));
}

function* update({ update }: Config): Iterable<Finding> {
  for (const key of ["verify", "verify_databases"] as const) {
    const root = key === "verify" ? update.trusted_root : undefined;
    if (update[key] === "required" && update.trusted_keys.length === 0 && root === undefined) {
      yield finding(
        ["update", key],
        key === "verify" ? "required needs trusted_keys or trusted_root" : "required needs trusted_keys",
      );
    }
  }
  const verdictMs = update.execute_timeout_ms + update.commit_timeout_ms;
  if (update.role === "primary" && update.verdict_timeout_ms < verdictMs) {
    const message = `is less than execute_timeout_ms and commit_timeout_ms together (${verdictMs}): secondaries would go back before a verdict reaches them`;
    yield finding("update.verdict_timeout_ms", message);
  }
  for (const [index, url] of update.secondaries.entries()) {
    if (!URL.canParse(url)) yield finding(["update", "secondaries", index], "expected a URL");
  }
  yield* mdns(update);
}

/** A name, or a name and where it lives. */
const MDNS_NODE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:@(?<address>.+))?$/iu;

/** Of Linux: 15 characters. */
const INTERFACE = /^[a-z][\w.-]{0,14}$/iu;

function* mdns({ mdns, role, tls_ca, tls_certificate }: Config["update"]): Iterable<Finding> {
  const { browse, nodes, subnets, interface: own } = mdns;
  for (const [index, node] of nodes.entries()) {
    const match = MDNS_NODE.exec(node);
    const { address } = match?.groups ?? {};
    if (match === null || (address !== undefined && isIP(address) === 0))
      yield finding(["update", "mdns", "nodes", index], "expected name or name@address");
  }
  for (const [index, subnet] of subnets.entries()) {
    if (!isPrefix(subnet)) yield finding(["update", "mdns", "subnets", index], "expected a subnet such as 10.2.0.0/16");
  }
  if (own !== undefined && !isIPv4(own) && !INTERFACE.test(own))
    yield finding("update.mdns.interface", "expected an IPv4 address or the name of an interface");
  if (!browse) return;
  if (role !== "primary") yield finding("update.mdns.browse", "is for role primary");
  const mutualTls = tls_ca !== undefined && tls_certificate !== undefined;
  if (!mutualTls && !nodes.some((node) => node.includes("@")))
    yield finding("update.mdns.browse", "needs tls_ca and tls_certificate, or nodes of the form name@address");
}

function isPrefix(text: string): boolean {
  const [net = "", bits = "", ...more] = text.split("/");
  return more.length === 0 && isIPv4(net) ? /^\d{1,2}$/.test(bits) && Number(bits) <= 32 : isIpv6Prefix(text);
}

function* store({ store, logging }: Config): Iterable<Finding> {
  if (store.max_mapped_bytes > store.max_bytes.databases)
    yield finding("store.max_mapped_bytes", "is larger than max_bytes.databases");
  if (/[/\\\0]/.test(logging.log_file_config.name))
    yield finding("logging.log_file_config.name", "expected a file name");
}

function* pair(table: string, one: string, first: unknown, other: string, second: unknown): Iterable<Finding> {
  if ((first === undefined) === (second === undefined)) return;
  const [given, missing] = first === undefined ? [other, one] : [one, other];
  yield finding(`${table}.${given}`, `needs ${missing}`);
}

const RULES: readonly Rule[] = [affixes, doip, transports, can, server, skybrush, discovery, security, update, store];

/** Everything that does not hold, all at once. */
export function checkRules(config: Config, features: Features = FEATURES): Finding[] {
  return RULES.flatMap((rule) => [...rule(config, features)]);
}
