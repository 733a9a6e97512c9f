/** Broadcasts to and from DoIP entities that are bound to an address of their own. */
import { createSocket, type SocketOptions } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import { isLoopback } from "#core/loopback.ts";
import type { Endpoint } from "./endpoint.ts";

const LIMITED_BROADCAST = "255.255.255.255";
const LOOPBACK_BROADCAST = "127.255.255.255";
const ANY = "0.0.0.0";
const ALL_NODES = "ff02::1";

/**
 * Where an entity of this address announces itself; the limited broadcast does not exist on loopback, and nothing does on that of
 * IPv6 but the entity's own address. All nodes of IPv6 are those of one link, which the zone of the address names.
 */
export function broadcastAddress(address: string): string {
  if (!isIPv6(address)) return isLoopback(address) ? LOOPBACK_BROADCAST : LIMITED_BROADCAST;
  if (address === "::1") return address;
  const zone = address.indexOf("%");
  return zone < 0 ? ALL_NODES : `${ALL_NODES}${address.slice(zone)}`;
}

/**
 * Opens sockets that hear broadcasts for entities on addresses of their own (on Linux their sockets do not); returns what closes
 * them. On loopback only the broadcast address itself is bound, so that a tester on the same host and port keeps its datagrams.
 */
export async function hearBroadcasts(endpoints: readonly Endpoint[]): Promise<() => Promise<void>> {
  const ipv4 = endpoints.filter(({ address }) => address !== ANY && !isIPv6(address));
  const ipv6 = endpoints.filter(({ address }) => isIPv6(address) && address !== "::" && address !== "::1");
  const onLoopback = ipv4.every(({ address }) => isLoopback(address));
  const closers = [
    await hear(ipv4, { type: "udp4", reuseAddr: true }, onLoopback ? LOOPBACK_BROADCAST : ANY),
    // every node of a link belongs to its group, so a socket on any address hears it
    await hear(ipv6, { type: "udp6", reuseAddr: true, ipv6Only: true }, "::"),
  ];
  return async () => {
    await Promise.all(closers.map((close) => close()));
  };
}

async function hear(bound: readonly Endpoint[], options: SocketOptions, address: string): Promise<() => Promise<void>> {
  const [first] = bound;
  if (first === undefined) return async () => {};
  const socket = createSocket(options);
  socket.on("message", (bytes, from) => {
    for (const endpoint of bound) endpoint.receiveDatagram(bytes, { address: from.address, port: from.port });
  });
  socket.bind(first.port, address);
  await once(socket, "listening");
  socket.on("error", (error) => first.events.emit({ kind: "failed", entity: first.name, error }));
  return () => new Promise((resolve) => socket.close(() => resolve()));
}
