/** Broadcasts to and from DoIP entities that are bound to an address of their own. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import type { Endpoint } from "./endpoint.ts";

const LIMITED_BROADCAST = "255.255.255.255";
const LOOPBACK_BROADCAST = "127.255.255.255";
const ANY = "0.0.0.0";

/** Where an entity of this address announces itself; the limited broadcast does not exist on loopback. */
export function broadcastAddress(address: string): string {
  return isLoopback(address) ? LOOPBACK_BROADCAST : LIMITED_BROADCAST;
}

/**
 * Opens a socket that hears broadcasts for entities on IPv4 addresses of their own (on Linux their sockets do not); returns what
 * closes it. On loopback only the broadcast address itself is bound, so that a tester on the same host and port keeps its datagrams.
 */
export async function hearBroadcasts(endpoints: readonly Endpoint[]): Promise<() => Promise<void>> {
  const bound = endpoints.filter(({ address }) => address !== ANY && !address.includes(":"));
  const [first] = bound;
  if (first === undefined) return async () => {};
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  socket.on("message", (bytes, { address, port }) => {
    for (const endpoint of bound) endpoint.receiveDatagram(bytes, { address, port });
  });
  socket.bind(first.port, bound.every(({ address }) => isLoopback(address)) ? LOOPBACK_BROADCAST : ANY);
  await once(socket, "listening");
  socket.on("error", (error) => first.events.emit({ kind: "failed", entity: first.name, error }));
  return () => new Promise((resolve) => socket.close(() => resolve()));
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.");
}
