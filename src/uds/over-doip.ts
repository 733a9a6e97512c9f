/** UDS over the DoIP connection to one gateway: addresses and timings of a link come from its communication parameters. */
import type { Channel, ChannelTiming } from "#doip/channel.ts";
import { DoipConnection } from "#doip/connection.ts";
import type { ConnectionOptions, ConnectionTiming } from "#doip/connection-options.ts";
import type { ComParams, DoipParams } from "./com-params.ts";
import { answersService } from "./match.ts";
import type { Link, LinkHandler, LinkTarget, Transport } from "./transport.ts";

export interface DoipTransportOptions extends Omit<ConnectionOptions, "answers" | "timing" | "testerAddress"> {
  /** Parameters of the gateway's own ECU: tester address and the timings of the connection. */
  readonly params: ComParams;
}

export interface DoipTransport extends Transport {
  /** The connection itself: its state, counters and address. */
  readonly connection: DoipConnection;
  /** The gateway spoke: connects, goes on at the new address, or makes sure that the connection still stands. */
  announce(ip: string, version: number, furtherAction?: number): void;
  configure(params: ComParams): void;
}

/** The links to all ECUs behind one gateway. Nothing connects before `announce()`, `connection.open()` or the first request. */
export function doipTransport({ params, ...options }: DoipTransportOptions): DoipTransport {
  const connection = new DoipConnection({
    ...options,
    testerAddress: params.doip.logicalTesterAddress,
    timing: connectionTiming(params.doip),
    answers: answersService,
  });
  return {
    connection,
    announce: (ip, version, furtherAction) => connection.announce(ip, version, furtherAction),
    open: (target, handler) => openLink(connection, target, handler),
    configure: (changed) => connection.setTiming(connectionTiming(changed.doip)),
    close: () => connection.close(),
  };
}

function openLink(connection: DoipConnection, target: LinkTarget, handler: LinkHandler): Link {
  const { doip } = target.params;
  const functional = target.addressing === "functional";
  const channel = connection.channel(handler, {
    name: target.name,
    functional,
    targetAddress: functional ? doip.logicalFunctionalAddress : doip.logicalEcuAddress,
    timing: channelTiming(doip),
  });
  return linkOver(channel);
}

/** What a client of UDS sees of a channel. */
export function linkOver(channel: Channel): Link {
  return {
    get connected() {
      return channel.connected;
    },
    get waits() {
      return channel.waits;
    },
    send: (request, deadlineMs) => channel.send(request, deadlineMs),
    listen: (request) => channel.listen(request),
    finish: () => channel.finish(),
    configure: (params) => channel.setTiming(channelTiming(params.doip)),
    close: () => channel.close(),
  };
}

function connectionTiming(doip: DoipParams): ConnectionTiming {
  return {
    connectTimeoutMs: doip.connectionTimeoutMs,
    activationTimeoutMs: doip.routingActivationTimeoutMs,
    retryDelayMs: doip.connectionRetryDelayMs,
    retryAttempts: doip.connectionRetryAttempts,
  };
}

function channelTiming(doip: DoipParams): ChannelTiming {
  return {
    ackTimeoutMs: doip.diagnosticAckTimeoutMs,
    nackRetries: doip.nackNumberOfRetries,
    retryPeriodMs: doip.retryPeriodMs,
    sendRetries: doip.repeatReqCountTrans,
  };
}
