/** Puts the Flockwave service together, as the configuration says. */
import { readFileSync } from "node:fs";
import type { Config } from "#config/types.ts";
import { Fault, reasonOf } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import type { Updates } from "#update/software/updates.ts";
import type { Authenticate } from "./access.ts";
import { Budget } from "./budget.ts";
import { Hub } from "./hub.ts";
import type { Listener, ListenOptions } from "./listener.ts";
import { Rate } from "./rate.ts";
import { listenTcp } from "./tcp.ts";
import { listenUdp } from "./udp.ts";
import { UpdatesPort } from "./updates-port.ts";
import { listenWebSocket } from "./websocket.ts";

export interface SkybrushParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly updates: Updates;
  /** For clients that must say who they are. */
  readonly authenticate: Authenticate;
  readonly onProblem: (problem: unknown, where: string) => void;
}

export interface Skybrush {
  /** 0: not listened on. */
  readonly tcpPort: number;
  readonly udpPort: number;
  readonly webSocketPort: number;
  close(): Promise<void>;
}

/** Room for what stands around a blob. */
const ENVELOPE_BYTES = 64 << 10;
const SECOND_MS = 1_000;

/** @throws Fault misconfigured when a port cannot be had */
export async function startSkybrush(parts: SkybrushParts): Promise<Skybrush> {
  const { config, clock, updates, onProblem } = parts;
  const { skybrush } = config;
  const targets = Object.entries(config.update.targets);
  const components = Object.fromEntries(targets.map(([id, { provider }]) => [id.toLowerCase(), provider]));
  const port = new UpdatesPort({ updates, components, targets: skybrush.targets, onProblem });
  await port.sweep();
  const budget = new Budget(skybrush.max_pending_bytes);
  const listeners = new Map<string, Listener>();
  const hub = new Hub({
    port,
    clock,
    budget,
    timeoutMs: skybrush.timeout_secs * SECOND_MS,
    keepMs: skybrush.keep_results_secs * SECOND_MS,
    maxOperations: skybrush.max_operations,
    maxBlobBytes: skybrush.max_blob_bytes,
    maxPending: skybrush.max_pending,
    authenticate: skybrush.authentication === "token" ? parts.authenticate : undefined,
    ports: () => Object.fromEntries([...listeners].map(([name, listener]) => [name, listener.port])),
    nowMs: Date.now,
    onProblem,
  });
  const common = {
    hub,
    rate: new Rate(skybrush.max_messages_per_second, skybrush.max_pending, clock),
    clock,
    budget,
    address: skybrush.address,
    messageTimeoutMs: config.update.upload_timeout_ms,
    maxMessageBytes: Math.ceil(skybrush.max_blob_bytes / 3) * 4 + ENVELOPE_BYTES,
    maxClients: skybrush.max_clients,
    tls: skybrush.tls ? tlsOf(config) : undefined,
    onProblem,
  };
  const close = async () => {
    await Promise.all([...listeners.values()].map((listener) => listener.close()));
    hub.close();
  };
  const { origins } = skybrush;
  const wanted: readonly [name: string, wanted: boolean, listen: () => Promise<Listener>][] = [
    ["tcp", skybrush.tcp, () => listenTcp({ ...common, port: skybrush.tcp_port })],
    ["udp", skybrush.udp, () => listenUdp({ ...common, port: skybrush.udp_port })],
    ["http", skybrush.websocket, () => listenWebSocket({ ...common, port: skybrush.websocket_port, origins })],
  ];
  try {
    for (const [name, is, listen] of wanted) if (is) listeners.set(name, await listen());
  } catch (error) {
    await close();
    throw error;
  }
  const portOf = (name: string) => listeners.get(name)?.port ?? 0;
  return { tcpPort: portOf("tcp"), udpPort: portOf("udp"), webSocketPort: portOf("http"), close };
}

/** The certificate of the server itself, and whose clients it takes. @throws Fault invalidConfig */
function tlsOf({ http }: Config): ListenOptions["tls"] {
  try {
    const { tls_certificate: certificate, tls_key: key, tls_ca: ca } = http;
    const own = { cert: readFileSync(certificate ?? ""), key: readFileSync(key ?? "") };
    return ca === undefined ? { ...own, requestCert: false } : { ...own, ca: readFileSync(ca), requestCert: true };
  } catch (error) {
    throw new Fault("invalidConfig", `skybrush.tls: ${reasonOf(error)}`, undefined, error);
  }
}
