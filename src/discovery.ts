/** Where and how gateways are looked for, as the configuration says. */
import { isIPv6 } from "node:net";
import type { Config } from "#config/types.ts";
import type { CommunicationOptions } from "#fleet/communication.ts";

export function discoveryOf({
  doip,
  discovery,
}: Config): Pick<CommunicationOptions, "discovery"> & Partial<Pick<CommunicationOptions, "discoveryIpv6">> {
  const common = {
    gatewayPort: doip.gateway_port,
    collectMs: discovery.wait_ms,
    intervalMs: discovery.interval_ms,
    maxTries: discovery.max_tries,
  };
  const ipv4 = {
    ...common,
    testerAddress: doip.tester_address,
    testerSubnet: doip.tester_subnet,
    targets: discovery.targets.filter((target) => !isIPv6(target)),
  };
  const { enabled, tester_address, subnet } = discovery.ipv6;
  if (!enabled) return { discovery: ipv4 };
  const targets = discovery.targets.filter((target) => isIPv6(target));
  const ipv6 = { ...common, testerAddress: tester_address, testerSubnet: subnet };
  return { discovery: ipv4, discoveryIpv6: targets.length === 0 ? ipv6 : { ...ipv6, targets } };
}
