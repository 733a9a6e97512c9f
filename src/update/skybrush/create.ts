/** Puts the Flockwave service together, as the configuration says. */
import type { Config } from "#config/types.ts";
import type { Clock } from "#core/time.ts";
import type { Updates } from "../software/updates.ts";
import { Hub } from "./hub.ts";
import type { Listener } from "./listener.ts";
import { listenTcp } from "./tcp.ts";
import { UpdatesPort } from "./updates-port.ts";
import { listenWebSocket } from "./websocket.ts";

export interface SkybrushParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly updates: Updates;
  readonly onProblem: (problem: unknown, where: string) => void;
}

export interface Skybrush {
  /** 0: not listened on. */
  readonly tcpPort: number;
  readonly webSocketPort: number;
  close(): Promise<void>;
}

/** Room for what stands around a blob. */
const ENVELOPE_BYTES = 64 << 10;
const SECOND_MS = 1_000;

/** @throws Fault misconfigured when a port cannot be had */
export async function startSkybrush({ config, clock, updates, onProblem }: SkybrushParts): Promise<Skybrush> {
  const { skybrush } = config;
  const targets = Object.entries(config.update.targets);
  const components = Object.fromEntries(targets.map(([id, { provider }]) => [id.toLowerCase(), provider]));
  const port = new UpdatesPort({ updates, components, targets: skybrush.targets });
  await port.sweep();
  const hub = new Hub({
    port,
    clock,
    timeoutMs: skybrush.timeout_secs * SECOND_MS,
    keepMs: skybrush.keep_results_secs * SECOND_MS,
    maxOperations: skybrush.max_operations,
    maxBlobBytes: skybrush.max_blob_bytes,
    maxPending: skybrush.max_pending,
    maxPendingBytes: skybrush.max_pending_bytes,
    onProblem,
  });
  const common = {
    hub,
    address: skybrush.address,
    maxMessageBytes: Math.ceil(skybrush.max_blob_bytes / 3) * 4 + ENVELOPE_BYTES,
    maxClients: skybrush.max_clients,
    onProblem,
  };
  const tcp = skybrush.tcp ? await listenTcp({ ...common, port: skybrush.tcp_port }) : undefined;
  let webSocket: Listener | undefined;
  try {
    const { websocket_port: ownPort, origins } = skybrush;
    if (skybrush.websocket) webSocket = await listenWebSocket({ ...common, port: ownPort, clock, origins });
  } catch (error) {
    await tcp?.close();
    throw error;
  }
  return {
    tcpPort: tcp?.port ?? 0,
    webSocketPort: webSocket?.port ?? 0,
    async close() {
      await Promise.all([tcp?.close(), webSocket?.close()]);
      hub.close();
    },
  };
}
