/** What differs between IPv4 and IPv6 where entities are found and spoken to (ISO 13400-2 clause 7, ISO 13400-3). */
import type { SocketOptions } from "node:dgram";
import { BlockList, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import { ANY_ADDRESS, BROADCAST, sameSubnet } from "./ipv4.ts";

export interface AddressFamily {
  readonly socket: SocketOptions;
  readonly anyAddress: string;
  /** A tester's address that stands for any. */
  readonly placeholder: string;
  /** Whether `ip` counts for this tester. */
  isNear(ip: string, testerAddress: string, subnet: string): boolean;
  /** Where to ask for entities when nobody says. Read at each request: interfaces come and go. */
  targets(): readonly string[];
}

export const IPV4: AddressFamily = {
  socket: { type: "udp4", reuseAddr: true },
  anyAddress: ANY_ADDRESS,
  placeholder: "127.0.0.1",
  isNear: (ip, testerAddress, mask) => sameSubnet(ip, testerAddress, mask),
  targets: () => [BROADCAST],
};

/** All nodes of one link. There is no address that reaches the nodes of all links. */
const ALL_NODES = "ff02::1";

export const IPV6: AddressFamily = {
  socket: { type: "udp6", ipv6Only: true, reuseAddr: true },
  anyAddress: "::",
  placeholder: "::1",
  isNear: (ip, _testerAddress, prefix) => inPrefix(ip, prefix),
  targets: () => linkLocalInterfaces().map((name) => `${ALL_NODES}%${name}`),
};

/** Whether an IPv6 address, with or without its zone, lies in a prefix such as `fe80::/10`. False when one of them is none. */
export function inPrefix(ip: string, prefix: string): boolean {
  const [net = "", bits = ""] = prefix.split("/");
  const address = withoutZone(ip);
  if (!isIPv6(net) || !isIPv6(address) || !/^\d{1,3}$/.test(bits) || Number(bits) > 128) return false;
  const list = new BlockList();
  list.addSubnet(withoutZone(net), Number(bits), "ipv6");
  return list.check(address, "ipv6");
}

function withoutZone(ip: string): string {
  return ip.split("%")[0]!;
}

function linkLocalInterfaces(): string[] {
  return Object.entries(networkInterfaces())
    .filter(([, addresses]) =>
      addresses?.some(
        ({ family, address, internal }) => family === "IPv6" && !internal && inPrefix(address, "fe80::/10"),
      ),
    )
    .map(([name]) => name);
}
