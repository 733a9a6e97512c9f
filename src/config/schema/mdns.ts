/** `[update.mdns]`: nodes that find each other by multicast DNS. */
import { atLeast, bool, optional, pattern, text, textList } from "../leaf.ts";
import { section } from "../node.ts";

export const MDNS = section("Nodes that find each other by multicast DNS (optional package `bonjour-service`).", {
  announce: bool(false, "Announce this server as `_sovd._tcp.local`."),
  browse: bool(false, "A primary looks for announced secondaries, beside `secondaries`."),
  name: pattern(
    "a host name without a dot",
    /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)?$/iu,
    "",
    "Name that is announced; its certificate is for `<name>.local`. Empty: `component`, without one the host name.",
  ),
  interface: optional(
    text(
      "",
      "IPv4 address of the interface to use; or its name, such as `eth0`, for IPv6 (`ff02::fb`) there. Absent: IPv4, by the default route.",
      { example: "10.2.1.1" },
    ),
  ),
  nodes: textList(
    [],
    "Nodes that may join: `name` by its certificate, `name@address` at this address also without one. Empty: each with a certificate.",
  ),
  subnets: textList([], "Subnets such as `10.2.0.0/16` that announced addresses must lie in; empty: any but loopback."),
  max_nodes: atLeast(1, 16, "Announced nodes that join; further ones are not asked."),
  interval_ms: atLeast(1_000, 60_000, "Period of questions to the network; who misses three in a row is gone."),
});
