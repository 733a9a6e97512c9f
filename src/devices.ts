/** Protocols that bring software to devices, beside SOVD: what `main` starts and ends. */
import type { Config } from "#config/types.ts";
import { systemClock } from "#core/time.ts";
import type { Authenticator } from "#security/authenticator.ts";
import type { Route } from "#sovd/route.ts";
import type { Persistence } from "#store/persistence.ts";
import type { Log } from "#telemetry/logger.ts";
import type { Ajour } from "#update/ajour/create.ts";
import type { Authenticate } from "#update/skybrush/access.ts";
import type { Skybrush } from "#update/skybrush/create.ts";
import type { Bulk } from "#update/software/bulk/bulk.ts";
import type { CreateProvider } from "#update/software/provider.ts";
import type { Updates } from "#update/software/updates.ts";

export interface DevicesParts {
  readonly config: Config;
  readonly persistence: Persistence;
  readonly bulk: Bulk;
  readonly authenticator: Authenticator;
  readonly log: Log;
}

/** Ports that are listened on; 0: none. */
export interface DevicePorts {
  readonly coap: number;
  readonly skybrushTcp: number;
  readonly skybrushUdp: number;
  readonly skybrushWebSocket: number;
}

export interface Devices {
  /** Update providers by kind, for the software update. */
  readonly providers: Readonly<Record<string, CreateProvider>>;
  readonly routes: readonly Route[];
  /** Opens what is beside the server's own port; `updates`: where uploads go. @throws Fault */
  start(updates: Updates | undefined): Promise<DevicePorts>;
  close(): Promise<void>;
}

/** Nothing is opened before `start`, and what is not configured does not load. @throws Fault misconfigured */
export async function createDevices(parts: DevicesParts): Promise<Devices> {
  const { update } = parts.config;
  const ajour = update.ajour.enabled && update.enabled ? await ajourOf(parts) : undefined;
  const routes = ajour === undefined ? [] : await ajourRoutesOf(ajour, update.ajour);
  let skybrush: Skybrush | undefined;
  return {
    providers: ajour === undefined ? {} : { ajour: ajour.provider },
    routes,
    async start(updates) {
      const coap = (await ajour?.start())?.coapPort ?? 0;
      skybrush = parts.config.skybrush.enabled && updates !== undefined ? await skybrushOf(parts, updates) : undefined;
      const { tcpPort = 0, udpPort = 0, webSocketPort = 0 } = skybrush ?? {};
      const ports = { coap, skybrushTcp: tcpPort, skybrushUdp: udpPort, skybrushWebSocket: webSocketPort };
      const open = Object.entries(ports).filter(([, port]) => port !== 0);
      if (open.length > 0) parts.log.scope("devices").info(Object.fromEntries(open), "listening");
      return ports;
    },
    async close() {
      await skybrush?.close();
      await ajour?.close();
    },
  };
}

async function ajourOf({ config, persistence, bulk, log }: DevicesParts): Promise<Ajour> {
  const { createAjour } = await import("#update/ajour/create.ts");
  const onProblem = (error: unknown, where: string) =>
    log.scope("ajour").warn({ error, where }, "a device or a source of firmware");
  return createAjour({ config, clock: systemClock, persistence, bulk, onProblem });
}

async function ajourRoutesOf(ajour: Ajour, config: Config["update"]["ajour"]): Promise<readonly Route[]> {
  const { http, ttn, timeout_ms: timeoutMs } = config;
  const { ajourDeviceRoutes } = await import("#sovd/ajour-devices.ts");
  const endpoint = http ? (await import("#sovd/ajour.ts")).ajourRoutes(ajour) : [];
  const webhook = ttn && (await import("#sovd/ajour-ttn.ts")).ajourTtnRoutes(ajour, { ...ttn, timeoutMs });
  return [...endpoint, ...(webhook ?? []), ...ajourDeviceRoutes(ajour)];
}

async function skybrushOf({ config, authenticator, log }: DevicesParts, updates: Updates): Promise<Skybrush> {
  const { startSkybrush } = await import("#update/skybrush/create.ts");
  const onProblem = (error: unknown, where: string) => log.scope("skybrush").warn({ error, where }, "a client");
  const authenticate: Authenticate = async (token) => {
    const claims = await authenticator.verify(`Bearer ${token}`);
    return {
      user: claims.sub,
      async mayUpdate(id, targets, action) {
        await authenticator.validateUpdate?.(claims, { kind: "software", id, targets, action });
      },
    };
  };
  return startSkybrush({ config, clock: systemClock, updates, authenticate, onProblem });
}
