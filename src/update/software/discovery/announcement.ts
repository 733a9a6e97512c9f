/** What nodes say of themselves by multicast DNS (RFC 6763). All of it comes from anyone in the network. */
import { BlockList, isIP, isIPv4 } from "node:net";

/** `_sovd._tcp`. */
export const SERVICE_TYPE = "sovd";
/** ISO 17978-3. */
const SOVD_VERSION = "1.0";
/** One string of a TXT record (RFC 6763 clause 6.1). */
const MAX_TXT_BYTES = 255;
const MAX_ADDRESSES = 16;

/** A service as the network says it: nothing of it is checked. */
export interface RawService {
  readonly name?: unknown;
  readonly port?: unknown;
  readonly txt?: unknown;
  readonly addresses?: unknown;
  /** Address the announcement came from. */
  readonly sender?: unknown;
}

export interface AnnouncedNode {
  /** Lower case. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly tls: boolean;
  /** Base path, "" for none. */
  readonly path: string;
  readonly role: string;
}

export interface OwnNode {
  readonly name: string;
  readonly port: number;
  readonly tls: boolean;
  readonly path: string;
  readonly role: string;
  readonly components: readonly string[];
}

/** The host that a node's name stands for, also in its certificate. */
export function hostOf(name: string): string {
  return `${name}.local`;
}

/** TXT of our own announcement; as many component ids as one string holds. */
export function txtOf({ name, port, tls, path, role, components }: OwnNode): Readonly<Record<string, string>> {
  return {
    sovdVersion: SOVD_VERSION,
    path,
    tls: tls ? "1" : "0",
    accessurl: `${tls ? "https" : "http"}://${hostOf(name)}:${port}${path}`,
    role,
    components: fitting(components, MAX_TXT_BYTES - "components=".length),
  };
}

function fitting(names: readonly string[], maxBytes: number): string {
  let text = "";
  for (const name of names) {
    const longer = text === "" ? name : `${text},${name}`;
    if (Buffer.byteLength(longer) > maxBytes) break;
    text = longer;
  }
  return text;
}

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]{1,64}){0,8}$/;

/** A node out of what the network says; undefined when it is none that could be asked. Never throws. */
export function readService(service: RawService, allows: (address: string) => boolean): AnnouncedNode | undefined {
  const name = nodeName(service.name);
  const { port } = service;
  const txt = recordOf(service.txt);
  const { path = "", tls, role } = txt;
  if (name === undefined || typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65_535)
    return undefined;
  if (typeof path !== "string" || typeof role !== "string" || role.length > 32) return undefined;
  const base = path.replace(/\/$/, "");
  const address = addressOf(service, allows);
  if (!PATH.test(base) || address === undefined) return undefined;
  return { name, address, port, tls: tls === "1" || tls === "true", path: base, role };
}

/** The name of a node as it is compared; undefined when it is not a host name without a dot. */
export function nodeName(name: unknown): string | undefined {
  if (typeof name !== "string" || name.length > 63) return undefined;
  const lower = name.toLowerCase();
  return NAME.test(lower) ? lower : undefined;
}

/** Where the node spoke from, if it says that it lives there: of several interfaces this one reaches us. */
function addressOf({ addresses, sender }: RawService, allows: (address: string) => boolean): string | undefined {
  const said = (Array.isArray(addresses) ? addresses.slice(0, MAX_ADDRESSES) : []).filter(
    (address): address is string => typeof address === "string" && isIP(address) !== 0 && allows(address),
  );
  const from = typeof sender === "string" && isIP(sender) !== 0 && allows(sender) ? sender : undefined;
  if (from !== undefined && (said.length === 0 || said.includes(from))) return from;
  return said.find((address) => isIPv4(address)) ?? said[0];
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/** Whether an address may be a node's. Without subnets: any that one host has and that is not this host. */
export function allowing(subnets: readonly string[]): (address: string) => boolean {
  const wanted = subnets.length > 0;
  const prefixes = wanted ? subnets : NOT_A_NODE;
  // one list each: a list of both takes an IPv4 address for the IPv6 one it maps to
  const lists = { ipv4: listOf(prefixes, "ipv4"), ipv6: listOf(prefixes, "ipv6") };
  return (address) => {
    const family = familyOf(address);
    return lists[family].check(address, family) === wanted;
  };
}

/** Loopback, unspecified, multicast, broadcast, mapped; link-local addresses of IPv6 mean nothing without their zone. */
const NOT_A_NODE = ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/127", "::ffff:0:0/96", "fe80::/10", "ff00::/8"];

function listOf(prefixes: readonly string[], family: "ipv4" | "ipv6"): BlockList {
  const list = new BlockList();
  for (const prefix of prefixes) {
    const [net = "", bits] = prefix.split("/");
    if (familyOf(net) === family) list.addSubnet(net, Number(bits), family);
  }
  return list;
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIPv4(address) ? "ipv4" : "ipv6";
}
