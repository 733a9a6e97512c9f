/** The vehicle side: DoIP, discovery, when communication begins, CAN. */
import { atLeast, bool, choice, optional, path, text, textList, u16, u32, u64 } from "../leaf.ts";
import { listOf, optionalSection, section } from "../node.ts";

const TLS_VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;

const tls = section("TLS to gateways that ask for it (ISO 13400-2, routing activation code 0x07).", {
  ca: optional(
    path("", "PEM file of the CAs of gateways. Without it any certificate is accepted, with a warning.", {
      example: "gateways.pem",
    }),
  ),
  certificate: optional(path("", "PEM file of the tester's certificate.", { example: "tester.pem" })),
  key: optional(path("", "PEM file of the tester's private key.", { example: "tester.key" })),
  ciphers: optional(text("", "Cipher list in OpenSSL's form.", { example: "ECDHE-ECDSA-AES128-GCM-SHA256" })),
  min_version: choice(TLS_VERSIONS, "TLSv1.2", "Lowest TLS version."),
  max_version: choice(TLS_VERSIONS, "TLSv1.3", "Highest TLS version."),
});

export const DOIP = section("DoIP (ISO 13400-2).", {
  enabled: bool(true, "Whether ECUs are reached over DoIP."),
  tester_address: text("10.2.1.240", "IP address of this tester; 127.0.0.1 listens on all interfaces.", {
    flag: "-t, --tester-address <ip>",
  }),
  tester_subnet: text("255.255.0.0", "Net mask: gateways outside the tester's net are ignored.", {
    flag: "--tester-subnet <mask>",
  }),
  gateway_port: u16(13_400, "UDP and TCP port of gateways.", { flag: "--gateway-port <port>" }),
  tls_port: u16(3_496, "TCP port of gateways for TLS."),
  send_timeout_ms: u64(1_000, "Longest time for handing a message to the socket."),
  send_diagnostic_message_ack: bool(true, "Acknowledge diagnostic messages of ECUs."),
  alive_check_interval_secs: u64(1_800, "Silence on a connection after which it is checked; 0 never."),
  protocol_name: text(
    "UDS_Ethernet_DoIP_DOBT",
    "Protocol of the databases whose communication parameters are used, in any case; `auto-can` takes the first CAN protocol.",
    { flag: "--protocol-name <name>" },
  ),
  protocol_version: optional(
    choice(
      [1, 2, 3, 4],
      2,
      "Protocol version in DoIP headers, 1 = 2010, 2 = 2012, 3 = 2019, 4 = 2025; absent: the one the entity announces.",
      { example: 2 },
    ),
  ),
  tls,
});

const ipv6 = section("Gateways on IPv6, beside those on IPv4.", {
  enabled: bool(false, "Whether gateways are looked for, heard and spoken to over IPv6."),
  tester_address: text("::", "IPv6 address of this tester, link-local ones with zone (`fe80::1%eth0`); `::` any."),
  subnet: text("fe80::/10", "Prefix: gateways outside of it are ignored; `::/0` takes all."),
});

export const DISCOVERY = section("Search for DoIP gateways.", {
  targets: textList(
    ["255.255.255.255"],
    "Addresses that vehicle identification requests go to, at `doip.gateway_port`. With IPv6 enabled and none of its addresses here: `ff02::1` on every interface.",
    {
      flag: "--discovery-target <address...>",
    },
  ),
  wait_ms: atLeast(1, 1_000, "How long answers to a request are collected."),
  interval_ms: atLeast(1, 10_000, "Pause before the request is repeated while a gateway is missing."),
  max_tries: u32(3, "How often the request is sent."),
  ipv6,
});

export const COMMUNICATION = section("When communication with the vehicle begins.", {
  init_mode: choice(
    ["always", "on-demand", "plugin"],
    "always",
    "`always`: at start. `on-demand`: with the first request to an ECU. `plugin`: when a plugin triggers it.",
  ),
});

const mapping = section("One ECU on CAN.", {
  ecu_name: text("", "Name of the ECU.", { example: "FLXC1000" }),
  request_id: u32(0, "CAN identifier of requests.", { example: 0x7e0 }),
  response_id: u32(0, "CAN identifier of answers.", { example: 0x7e8 }),
});
const override = section("One ECU with a fixed transport.", {
  ecu_name: text("", "Name of the ECU.", { example: "FLXC1000" }),
  transport: choice(["doip", "Doip", "DoIP", "DOIP", "can", "Can", "CAN"], "doip", "Transport of the ECU."),
});
const probe = section("One more request that tells whether an ECU is there.", {
  name: optional(text("", "Name in the log.", { example: "tester present" })),
  payload_hex: text("3E00", "Bytes of the request, hex."),
});

export const CAN = optionalSection("UDS on CAN. This build speaks DoIP only and refuses to start with this section.", {
  interface: optional(
    text("", "`can0`, `rawcan:<interface>` or `socketcand:<host>:<port>:<bus>`; required.", { example: "can0" }),
  ),
  ecu_mappings: listOf("CAN identifiers of ECUs.", mapping),
  transport_overrides: listOf("ECUs with a fixed transport.", override),
  response_timeout_ms: u64(5_000, "Longest wait for an answer."),
  probe_timeout_ms: u64(100, "Longest wait for the answer to a probe."),
  probe_retry_delay_ms: u64(100, "Pause before a probe is repeated."),
  probe_retries: u32(0, "Repeats of a probe."),
  keepalive_interval_ms: u64(0, "Period of keep-alive requests; 0 none."),
  default_probes: bool(true, "Use the built-in probes."),
  probe_fallbacks: listOf("Further probes.", probe),
});
