/** The one place where a shard's gateway becomes a DoIP connection. Another transport gets a file like this one. */
import { readFileSync } from "node:fs";
import type { Config } from "#config/types.ts";
import { networkClock } from "#core/time.ts";
import type { TlsSettings } from "#doip/tls.ts";
import type { FromShard, GatewayMessage, GatewayStateMessage } from "#fleet/messages.ts";
import type { ComParams } from "#uds/com-params.ts";
import { doipTransport } from "#uds/over-doip.ts";
import type { GatewayTransport } from "./gateway.ts";

export interface DoipGatewayOptions {
  readonly config: Config;
  readonly tls: TlsSettings;
  onState(message: GatewayStateMessage): void;
  post(message: FromShard): void;
}

/** Nothing connects before `announce`. */
export function connectGateway(
  message: GatewayMessage,
  params: ComParams,
  options: DoipGatewayOptions,
): GatewayTransport {
  const { doip, discovery, limits } = options.config;
  const { logicalAddress, furtherAction } = message;
  const transport = doipTransport({
    params,
    gatewayAddress: logicalAddress,
    ip: message.ip,
    version: doip.protocol_version ?? message.version,
    ...(furtherAction === undefined ? {} : { furtherAction }),
    port: doip.gateway_port,
    tlsPort: doip.tls_port,
    testerIp: doip.tester_address,
    testerIpv6: discovery.ipv6.tester_address,
    clock: networkClock,
    tls: options.tls,
    sendTimeoutMs: doip.send_timeout_ms,
    acknowledge: doip.send_diagnostic_message_ack,
    aliveIntervalMs: doip.alive_check_interval_secs * 1_000,
    maxPayloadBytes: limits.doip_message_bytes,
    maxQueuedBytes: limits.gateway_queue_bytes,
    events: {
      onConnectivity: (connected, { ip, tls }) =>
        options.onState({ type: "gatewayState", logicalAddress, connected, ip, tls }),
      onLog: (level, text, fields) => options.post({ type: "log", level, scope: "doip", message: text, fields }),
    },
  });
  return {
    open: (target, handler) => transport.open(target, handler),
    announce: ({ ip, version, furtherAction: wanted }) =>
      transport.announce(ip, doip.protocol_version ?? version, wanted),
    configure: (changed) => transport.configure(changed),
    close: () => transport.close(),
  };
}

/** TLS to gateways. Reads the PEM files. @throws when one cannot be read */
export function tlsSettingsOf({ doip }: Config): TlsSettings {
  const { ca, certificate, key, ciphers, min_version, max_version } = doip.tls;
  return {
    ...(ca === undefined ? {} : { ca: readFileSync(ca, "utf8") }),
    ...(certificate === undefined ? {} : { cert: readFileSync(certificate, "utf8") }),
    ...(key === undefined ? {} : { key: readFileSync(key, "utf8") }),
    ...(ciphers === undefined ? {} : { ciphers }),
    minVersion: min_version,
    maxVersion: max_version,
  };
}
