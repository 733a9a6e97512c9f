/** Puts discovery together as the configuration says: configured servers, announced ones, and our own announcement. */
import { hostname } from "node:os";
import type { Config } from "#config/types.ts";
import type { Clock } from "#core/time.ts";
import type { TlsFiles } from "#update/software/providers/secondary-client.ts";
import { Discovery } from "./discovery.ts";
import type { MdnsPort, OpenMdns } from "./mdns.ts";
import type { AnnouncedNodes } from "./nodes.ts";

export interface DiscoveryParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly tls: TlsFiles | undefined;
  /** Components that this node stands for. */
  readonly components: readonly string[];
  readonly log: (level: "info" | "warn", message: string, fields: Readonly<Record<string, unknown>>) => void;
  readonly open?: OpenMdns | undefined;
}

export interface NodeDiscovery {
  readonly discovery: Discovery;
  /** Begins to look for announced nodes. */
  start(): void;
  /** Says where this server is, if the configuration wants that. */
  announce(port: number): void;
  /** Says goodbye and looks no more. */
  withdraw(): Promise<void>;
}

const ASK_TIMEOUT_MS = 10_000;
/** What is listened to between two questions, as a multiple of the nodes that may join. */
const HEARD_PER_NODE = 8;

/** @throws Fault misconfigured when multicast DNS is wanted and its package is absent */
export async function createDiscovery(parts: DiscoveryParts): Promise<NodeDiscovery> {
  const { config, tls, components, log } = parts;
  const { update, http } = config;
  const { announce, browse, interface: own, max_nodes } = update.mdns;
  const mdns =
    announce || browse
      ? await (parts.open ?? (await import("./mdns.ts")).openMdns)({
          interface: own,
          maxServices: HEARD_PER_NODE * max_nodes,
          onProblem: (problem) => log("warn", "multicast DNS", { problem }),
        })
      : undefined;
  const nodes: AnnouncedNodes | undefined =
    browse && mdns !== undefined ? await nodesOf(parts, mdns, () => discovery) : undefined;
  const discovery: Discovery = new Discovery({
    urls: update.secondaries,
    token: update.token,
    tls,
    log: (message, fields) => log("warn", message, fields),
    announced: nodes,
  });
  let closing: Promise<void> | undefined;
  return {
    discovery,
    start: () => nodes?.start(),
    announce(port) {
      if (!announce) return;
      const secure = http.tls_certificate !== undefined && http.tls_key !== undefined;
      const path = (http.base_paths[0] ?? "").replace(/\/$/, "");
      const node = { name: ownName(update), port, tls: secure, path, role: update.role, components };
      mdns?.announce(node);
      log("info", "announced", { node: node.name, port });
    },
    withdraw() {
      nodes?.stop();
      closing ??= mdns?.close() ?? Promise.resolve();
      return closing;
    },
  };
}

async function nodesOf({ config, clock, tls, log }: DiscoveryParts, mdns: MdnsPort, discovery: () => Discovery) {
  const { AnnouncedNodes } = await import("./nodes.ts");
  const { update } = config;
  const targets = Object.values(update.targets).flatMap(({ url }) => url ?? []);
  return new AnnouncedNodes({
    mdns,
    clock,
    intervalMs: update.mdns.interval_ms,
    ownName: ownName(update),
    fixed: [...update.secondaries, ...targets].filter((url) => URL.canParse(url)),
    nodes: update.mdns.nodes,
    subnets: update.mdns.subnets,
    mutualTls: tls?.ca !== undefined && tls.cert !== undefined,
    maxNodes: update.mdns.max_nodes,
    onJoin: (url) => void discovery().join(url, AbortSignal.timeout(ASK_TIMEOUT_MS)),
    onLeave: (url) => discovery().leave(url),
    log: (message, fields) => log("info", message, fields),
  });
}

const MAX_LABEL = 63;

/** A DNS label (RFC 1035 clause 2.3.1) out of what the node is called. */
function ownName({ mdns, component }: Config["update"]): string {
  const name = [mdns.name, component, hostname().split(".")[0] ?? ""].find((text) => text !== "") ?? "";
  const label = name
    .toLowerCase()
    .replace(/[^a-z0-9-]/g, "-")
    .slice(0, MAX_LABEL);
  return label.replace(/^-+|-+$/g, "") || "sovd-edge";
}
