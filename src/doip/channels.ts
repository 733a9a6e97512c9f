/** The channels of a connection: which of them a message is for. */
import { formatAddress, hexByte } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import { Channel, type ChannelHandler, type ChannelHost, type ChannelOptions } from "./channel.ts";
import type { Acknowledgement } from "./codec.ts";

export class Channels {
  readonly #byAddress = new Map<number, Channel>();

  /** Throws `Fault` when the address is already in use: requests to one address share one queue. */
  open(host: ChannelHost, handler: ChannelHandler, options: ChannelOptions): Channel {
    if (this.#byAddress.has(options.targetAddress)) {
      throw new Fault("internal", `${options.name}: address ${formatAddress(options.targetAddress)} is already in use`);
    }
    const channel = new Channel(host, handler, options);
    this.#byAddress.set(options.targetAddress, channel);
    return channel;
  }

  release(channel: Channel): void {
    if (this.#byAddress.get(channel.targetAddress) === channel) this.#byAddress.delete(channel.targetAddress);
  }

  /** UDS bytes from an address. False: nobody waits for them. */
  deliver(sourceAddress: number, uds: Uint8Array): boolean {
    return this.#byAddress.get(sourceAddress)?.deliver(uds) === true;
  }

  /**
   * Hands an acknowledgement to the request that it belongs to. It names the address that the request went to; some gateways answer
   * for a functional address with their own, so the one functional request in flight is the second choice. False: nobody's.
   */
  acknowledge(ack: Acknowledgement): boolean {
    const named = this.#byAddress.get(ack.sourceAddress);
    const channel =
      named?.awaitsAck === true ? named : this.#only((candidate) => candidate.functional && fits(candidate, ack));
    if (channel === undefined || !fits(channel, ack)) return false;
    channel.acknowledge(ack);
    return true;
  }

  /** A generic NACK names no request: it fails the one that waits for its acknowledgement, if there is just one. */
  refuse(code: number): void {
    this.#only((channel) => channel.awaitsAck)?.fail(
      new Fault("sendFailed", `Sending message failed: generic NACK 0x${hexByte(code)}`, { code }),
    );
  }

  onRoom(): void {
    for (const channel of this.#byAddress.values()) channel.onRoom();
  }

  /** All open requests fail before anyone hears that the way is gone. */
  onConnectivity(connected: boolean): void {
    const channels = [...this.#byAddress.values()];
    if (!connected) for (const channel of channels) channel.fail(channel.offline());
    for (const channel of channels) channel.onConnectivity(connected);
  }

  #only(wanted: (channel: Channel) => boolean): Channel | undefined {
    let found: Channel | undefined;
    for (const channel of this.#byAddress.values()) {
      if (!wanted(channel)) continue;
      if (found !== undefined) return undefined;
      found = channel;
    }
    return found;
  }
}

/** Whether the echo is the waiting request or its beginning. An empty echo fits every request. */
function fits(channel: Channel, ack: Acknowledgement): boolean {
  return channel.awaitsAck && ack.echo.every((byte, at) => byte === channel.request[at]);
}
