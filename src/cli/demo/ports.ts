/** Ports that are free now. */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";

function tcpIsFree(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function udpIsFree(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.once("error", () => resolve(false));
    socket.bind({ address, port, exclusive: true }, () => socket.close(() => resolve(true)));
  });
}

/** A port that no other process has now. */
export function anyPort(address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, address, () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** `wanted` when it is free (UDP as well, if asked), else another port; `say` hears of a replacement. */
export async function freePort(
  address: string,
  wanted: number,
  what: string,
  say: (line: string) => void,
  withUdp = false,
): Promise<number> {
  const isFree = async (port: number) =>
    (await tcpIsFree(address, port)) && (!withUdp || (await udpIsFree(address, port)));
  if (await isFree(wanted)) return wanted;
  for (;;) {
    const port = await anyPort(address);
    if (!(await isFree(port))) continue;
    say(`Port ${wanted} (${what}) is taken; ${port} is used instead.`);
    return port;
  }
}
