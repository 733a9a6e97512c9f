import type { GatewayView } from "./api.ts";
import type { GatewayMessage } from "./messages.ts";
import type { EcuRecord } from "./record.ts";

interface SeenGateway {
  message: GatewayMessage;
  connected: boolean;
}

/** Where DoIP entities were last seen, by logical address, and whether their shard has a connection to them. */
export class SeenGateways {
  readonly #seen = new Map<number, SeenGateway>();

  note(message: GatewayMessage): void {
    const known = this.#seen.get(message.logicalAddress);
    if (known === undefined) this.#seen.set(message.logicalAddress, { message, connected: false });
    else known.message = message;
  }

  setConnected(logicalAddress: number, connected: boolean): void {
    const gateway = this.#seen.get(logicalAddress);
    if (gateway !== undefined) gateway.connected = connected;
  }

  /** Takes those that `are` for not connected. */
  disconnect(are: (logicalAddress: number) => boolean): void {
    for (const [address, gateway] of this.#seen) if (are(address)) gateway.connected = false;
  }

  /** What those last said that nobody has a connection to. */
  *unconnected(): Iterable<GatewayMessage> {
    for (const { message, connected } of this.#seen.values()) if (!connected) yield message;
  }

  /** Gateways that databases name; one is called after the ECU that has its address, else after the first behind it. */
  views(records: Iterable<EcuRecord>): readonly GatewayView[] {
    const views = new Map<number, GatewayView>();
    for (const record of records) {
      const logicalAddress = record.assignment.gatewayAddress;
      if (logicalAddress === undefined) continue;
      const isGateway = record.assignment.ecuAddress === logicalAddress && record.state !== "Duplicate";
      if (views.has(logicalAddress) && !isGateway) continue;
      const seen = this.#seen.get(logicalAddress);
      const name = isGateway ? record.name : (views.get(logicalAddress)?.name ?? record.name);
      views.set(logicalAddress, { name, logicalAddress, ip: seen?.message.ip, connected: seen?.connected ?? false });
    }
    return [...views.values()];
  }
}
