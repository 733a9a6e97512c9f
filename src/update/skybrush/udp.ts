/**
 * Flockwave over UDP: one message a datagram. Who has sent one is told what concerns it until it has been silent for a minute; `SYS-PING`
 * keeps it known. Senders can be forged, and a datagram is lost without a word.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { TimerHandle } from "#core/time.ts";
import { readText } from "./envelope.ts";
import type { Session } from "./hub.ts";
import { actorOf, type Listener, type ListenOptions, portFault } from "./listener.ts";

interface Peer {
  readonly session: Session;
  timer: TimerHandle;
}

const SILENCE_MS = 60_000;
const MAX_DATAGRAM_BYTES = 65_507;

/** Listens. @throws Fault misconfigured */
export async function listenUdp(options: ListenOptions): Promise<Listener> {
  const { clock, rate, address, port, maxClients, onProblem } = options;
  const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
  await new Promise<void>((resolve, reject) => {
    const refuse = (error: Error) => reject(portFault(port, address, error));
    socket.once("error", refuse);
    socket.bind(port, address, () => {
      socket.off("error", refuse);
      resolve();
    });
  });
  /** The longest silent first. */
  const peers = new Map<string, Peer>();
  const forget = (key: string) => {
    const peer = peers.get(key);
    if (peer === undefined) return;
    clock.clearTimeout(peer.timer);
    peers.delete(key);
    peer.session.close();
  };
  socket.on("error", (problem) => onProblem(problem, "udp"));
  socket.on("message", (bytes, from) => {
    // nobody is at port 0, and sending there throws
    if (from.port === 0) return;
    const verdict = rate.judge(actorOf(from.address));
    if (verdict === "drop") return;
    const incoming = readText(bytes.toString("utf8"));
    if (incoming.kind === "bad") return;
    const key = `${from.address} ${from.port}`;
    const known = peers.get(key);
    if (verdict === "refuse") {
      known?.session.refuse(incoming, rate.reason);
      return;
    }
    if (known === undefined && peers.size >= maxClients) forget(peers.keys().next().value ?? "");
    if (known !== undefined) clock.clearTimeout(known.timer);
    peers.delete(key);
    const session = known?.session ?? open(socket, from, options);
    peers.set(key, { session, timer: clock.setTimeout(() => forget(key), SILENCE_MS) });
    session.receive(incoming);
  });
  return {
    port: socket.address().port,
    close: () =>
      new Promise((resolve) => {
        for (const key of [...peers.keys()]) forget(key);
        socket.close(() => resolve());
      }),
  };
}

function open(socket: Socket, { address, port }: RemoteInfo, { hub, onProblem }: ListenOptions): Session {
  const where = actorOf(address);
  return hub.connect(where, (message) => {
    const bytes = Buffer.from(JSON.stringify(message));
    if (bytes.byteLength > MAX_DATAGRAM_BYTES) onProblem("An answer is too long for a datagram", where);
    else socket.send(bytes, port, address, (problem) => problem && onProblem(problem, where));
  });
}
