/** Sections of our own: other protocols that bring software to devices. */
import { atLeast, bool, choice, optional, path, text, textList, u16, u32 } from "../leaf.ts";
import { mapOf, optionalSection, section } from "../node.ts";

const OCI = optionalSection("An OCI registry: one layer of octets, the tag is the version.", {
  image: text("", "`[host/]repository[:tag][@sha256:…]`.", { example: "ghcr.io/acme/bms-app:1.5.0" }),
  pull: choice(
    ["Always", "IfNotPresent"],
    "IfNotPresent",
    "`Always` looks the tag up again after `refresh_secs`; `IfNotPresent` once.",
  ),
  platform: optional(
    text("", "`os/architecture[/variant]`: which image of an index that has several.", { example: "linux/arm/v7" }),
  ),
});

const FIRMWARE = optionalSection("Firmware that is wanted, from one of these.", {
  oci: OCI,
  container: { ...OCI, doc: "The same as `oci`." },
  hawkbit: optionalSection("Eclipse hawkBit.", {
    controller: text("", "Controller id.", { example: "bms-17" }),
    authorization: optional(
      text("", "The controller's own `TargetToken …`; absent: the server's.", {
        secret: true,
        example: "TargetToken …",
      }),
    ),
  }),
  file: optionalSection("Bulk data of this node: `<name>.bin` and `<name>.json` with `version`, `checksum`, `size`.", {
    name: text("", "Name without ending.", { example: "bms-app" }),
    component: text("", "Component that holds the files.", { example: "compute" }),
    category: text("firmware", "Category of bulk data that holds them."),
  }),
});

const password = () => optional(text("", "Password of its devices, or of the device.", { secret: true, example: "…" }));

/** Devices that fetch their firmware by the drogue-ajour protocol. */
export const AJOUR = section("Embedded devices that fetch their firmware by the drogue-ajour protocol.", {
  enabled: bool(false, "Whether devices are answered."),
  http: bool(true, "`POST /v1/dfu` on the server's own port."),
  authentication: choice(
    ["password", "none"],
    "password",
    "`password`: HTTP and CoAP devices prove who they are. `none`: names are believed. On MQTT the broker vouches.",
  ),
  default_application: text("default", "Application of a device that names none."),
  poll_secs: atLeast(1, 300, "Pause of a device that has nothing to do."),
  gate_poll_secs: atLeast(1, 5, "Pause of a device in the middle of an update that has to wait."),
  default_block_bytes: atLeast(16, 512, "Block of a device that names no size."),
  min_block_bytes: atLeast(1, 16, "Devices that want smaller blocks are told to wait."),
  max_block_bytes: atLeast(16, 65_535, "Largest block, whatever a device wants."),
  offline_secs: atLeast(1, 900, "A device silent for longer cannot be updated."),
  max_refusals: atLeast(
    1,
    3,
    "How often a device may drop an image it was told to swap to before its update has failed.",
  ),
  max_devices: atLeast(1, 1_000, "Devices whose last report is kept."),
  max_reports_per_second: atLeast(
    1,
    1_000,
    "Reports of one device, and as many at once; more get 429 with Retry-After, over CoAP 4.29, over MQTT no answer.",
  ),
  cached_mib: atLeast(1, 8, "Parts of images kept in memory."),
  refresh_secs: atLeast(1, 300, "Age at which a source of firmware is asked again."),
  retry_secs: atLeast(1, 30, "Pause before a source that failed is asked again."),
  timeout_ms: atLeast(100, 10_000, "Longest wait for a source's answer to begin."),
  default_registry: text("registry-1.docker.io", "Registry of images that name none."),
  registries: mapOf(
    "host",
    "Registries that want a password, or have no TLS.",
    section("A registry, by host and port.", {
      username: optional(text("", "User name.", { example: "edge" })),
      password: optional(text("", "Password or token.", { secret: true, example: "…" })),
      plain_http: bool(false, "Without TLS."),
    }),
  ),
  hawkbit: optionalSection("The hawkBit server of firmware by `hawkbit`.", {
    url: text("", "Its URL, without the path of the API.", { example: "https://hawkbit.example" }),
    tenant: text("DEFAULT", "Tenant."),
    authorization: text("", "`TargetToken …` or `GatewayToken …`.", { secret: true, example: "GatewayToken …" }),
    confirmation: choice(
      ["leave", "confirmed", "denied"],
      "leave",
      "What is said to deployments that want a confirmation; `leave`: nothing, somebody else does.",
    ),
  }),
  mqtt: optionalSection("A broker that devices speak to: `dfu/<device>`, answered on `command/inbox/<device>/dfu`.", {
    url: text("", "Its URL.", { example: "mqtts://broker.example" }),
    version: choice(
      ["3.1.1", "5"],
      "3.1.1",
      "Version of MQTT that is spoken with the broker; devices may speak another.",
    ),
    username: optional(text("", "User name.", { example: "edge" })),
    password: optional(text("", "Password.", { secret: true, example: "…" })),
    client_id: optional(text("", "Client id.", { example: "sovd-edge" })),
    ca: optional(path("", "PEM file of the CA of the broker.", { example: "broker-ca.pem" })),
    devices: bool(true, "Devices speak to this broker themselves."),
    bare_device: optional(
      text("", "The one device that publishes to the bare topic `dfu`; answered on `command/inbox//dfu`.", {
        example: "gateway-1",
      }),
    ),
    drogue_applications: textList([], "Applications of a Drogue Cloud whose events and commands go over this broker."),
    shared_group: text("", "Group of a shared subscription to those events; empty: not shared."),
  }),
  coap: optionalSection("CoAP over UDP: `POST /v1/dfu`. Without DTLS: for private links.", {
    address: text("127.0.0.1", "Address to listen on."),
    port: u16(5_683, "Port; 0: any."),
    max_block_bytes: atLeast(16, 960, "Largest block; above 960 it no longer goes in one message."),
    max_amplification: optional(
      u32(
        3,
        "Bytes that go out for each that comes in, to an address that has not been proved by the option Echo (RFC 9175): blocks are shorter until then. 0: as many as there are. Absent: 3 where devices give no password and others reach the address, else 0.",
      ),
    ),
  }),
  ttn: optionalSection("LoRaWAN by The Things Stack: its webhook calls `POST /ttn/v3`, as a gateway of its devices.", {
    url: text("", "The server that downlinks are sent to, and no other.", {
      example: "https://eu1.cloud.thethings.network",
    }),
    api_key: optional(
      text("", "Its key for downlinks; absent: what the webhook sends along.", { secret: true, example: "NNSXS.…" }),
    ),
    max_block_bytes: atLeast(16, 180, "Largest block: a downlink has up to 222 bytes, at low data rates 51."),
  }),
  applications: mapOf(
    "application",
    "What devices of an application have in common.",
    section("An application.", { password: password(), firmware: FIRMWARE }),
  ),
  devices: mapOf(
    "device",
    "Single devices; what they have goes before what their application has.",
    section("A device.", {
      application: text("default", "Its application."),
      component: optional(text("", "Component it is, for campaigns; its target names `ajour`.", { example: "bms" })),
      password: password(),
      gateways: textList([], "Devices that may speak for it."),
      firmware: FIRMWARE,
    }),
  ),
});

/** Ground control of drones and what speaks like it. */
export const SKYBRUSH = section(
  "Firmware updates by the Flockwave protocol (Skybrush): messages `FW-*` and `ASYNC-*`.",
  {
    enabled: bool(false, "Whether clients are answered."),
    address: text("127.0.0.1", "Address to listen on."),
    authentication: choice(
      ["none", "token"],
      "none",
      "`token`: clients show a token of `[security]` before anything but `SYS-*`. `none`: for private links.",
    ),
    tls: bool(false, "TCP and WebSocket with `http.tls_certificate` and `http.tls_key`; `http.tls_ca` as there."),
    tcp: bool(true, "JSON by lines over TCP."),
    tcp_port: u16(5_001, "Its port; 0: any."),
    udp: bool(false, "JSON by datagrams. Senders can be forged: neither `authentication` nor `tls` is possible."),
    udp_port: u16(5_001, "Its port; 0: any."),
    websocket: bool(true, "WebSocket, plain and Socket.IO, and `POST /api/v1`."),
    websocket_port: u16(5_000, "Its port; 0: any."),
    origins: textList(
      [],
      "`Origin` of web pages that may connect; programs name none, or where they connect to, and always may.",
    ),
    max_blob_bytes: atLeast(1, 16_777_216, "Largest image of an upload."),
    max_clients: atLeast(1, 16, "Open connections; more are closed at once."),
    max_operations: atLeast(1, 256, "Uploads under way and results kept."),
    max_pending: atLeast(1, 1_000, "Messages of one connection that are being taken."),
    max_messages_per_second: atLeast(
      1,
      100,
      "Messages of one address, and requests to the HTTP port; `max_pending` at once after a silence. More get `ACK-NAK`, and the connection is closed when that does not help.",
    ),
    max_pending_bytes: atLeast(
      1,
      67_108_864,
      "Messages of all connections that are on their way or being taken, bytes.",
    ),
    timeout_secs: atLeast(1, 90, "Time without progress after which a client is told that an operation timed out."),
    keep_results_secs: u32(300, "How long the result of an operation is kept."),
    targets: mapOf(
      "target",
      "Names of firmware update targets. Without any, each kind of update provider is one.",
      section("A firmware update target.", {
        name: text("", "Name for people."),
        provider: text("", "Kind of the update provider of its objects.", { example: "ajour" }),
      }),
    ),
  },
);
