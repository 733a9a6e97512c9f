/** Which diagnostic ACK or NACK belongs to which request (ISO 13400-2 clause 9.4). */
import type { Acknowledgement } from "./codec.ts";

/** Whether the echoed bytes are the request or its beginning. An empty echo fits every request. */
export function echoFits(request: Uint8Array, echo: Uint8Array): boolean {
  if (echo.length > request.length) return false;
  for (let i = 0; i < echo.length; i++) if (echo[i] !== request[i]) return false;
  return true;
}

interface Waiting {
  readonly functional: boolean;
  readonly awaitsAck: boolean;
  readonly request: Uint8Array;
}

/**
 * The waiting request that an acknowledgement belongs to. It names the address that the request went to; some gateways answer for a
 * functional address with their own, so the one functional request in flight is the second choice.
 */
export function findAcknowledged<T extends Waiting>(
  channels: ReadonlyMap<number, T>,
  ack: Acknowledgement,
): T | undefined {
  const named = channels.get(ack.sourceAddress);
  if (named?.awaitsAck === true) return echoFits(named.request, ack.echo) ? named : undefined;
  let found: T | undefined;
  for (const channel of channels.values()) {
    if (!channel.functional || !channel.awaitsAck || !echoFits(channel.request, ack.echo)) continue;
    if (found !== undefined) return undefined;
    found = channel;
  }
  return found;
}
