/** A shard whose network the test plays: real databases of the demo, a clock by hand, links that answer from a script. */
import { defaultConfig } from "#config/load.ts";
import { toHex } from "#core/bytes.ts";
import { Fault, fromFaultData } from "#core/errors.ts";
import { buildCatalog } from "#ecu/catalog.ts";
import type { GatewayTransport } from "#ecu/gateway.ts";
import { loadDatabase } from "#ecu/loaded-database.ts";
import type { SendCheck } from "#ecu/send-check.ts";
import { codecOptionsOf, ecuOptionsOf, namingOf } from "#ecu/settings.ts";
import { EcuShard } from "#ecu/shard.ts";
import type {
  CatalogEntry,
  EcuAssignment,
  EcuStateWord,
  FromShard,
  GatewayMessage,
  GatewayStateMessage,
  Reply,
} from "#fleet/messages.ts";
import type { EcuData } from "#mdd/generated/description.ts";
import { writeEcuData } from "#mdd/writer/write.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { DEMO_ECUS } from "#sim/demo/vehicle.ts";
import type { LinkHandler, LinkTarget } from "#uds/transport.ts";
import { FakeLink, ManualClock, settle } from "../uds/support.ts";

/** What an ECU answers to a request, hex; undefined: silence. */
export type Script = (request: string, ecu: string) => string | undefined;

const CONFIG = defaultConfig();
export const VIN = "SCEDT26T8BD005261";
const ANSWERS: Readonly<Record<string, string>> = {
  "22F100": "62F100000101",
  "22F190": `62F190${toHex(new TextEncoder().encode(VIN))}`,
  "22D001": "62D0010096",
  "1001": "5001003201F4",
  "1003": "5003003201F4",
  "1101": "5101",
  "31011001": "71011001",
};
/** An ECU as it should be. */
export const healthy: Script = (request) => ANSWERS[request];

export class FakeGateway implements GatewayTransport {
  readonly links: FakeLink[] = [];
  readonly announced: string[] = [];
  readonly message: GatewayMessage;
  connected = false;
  closed = false;
  configured = 0;
  readonly #vehicle: FakeVehicle;
  readonly #onState: (message: GatewayStateMessage) => void;

  constructor(vehicle: FakeVehicle, message: GatewayMessage, onState: (message: GatewayStateMessage) => void) {
    this.#vehicle = vehicle;
    this.message = message;
    this.#onState = onState;
  }

  open(target: LinkTarget, handler: LinkHandler): FakeLink {
    const link = new FakeLink(target, handler, this.#vehicle.clock);
    link.connected = this.connected;
    link.onSend = (request) => {
      handler.onSent();
      handler.onAcknowledged();
      const answer = this.#vehicle.script(request, target.name);
      if (answer !== undefined) queueMicrotask(() => link.answer(answer));
    };
    this.links.push(link);
    return link;
  }

  announce({ ip }: { readonly ip: string }): void {
    this.announced.push(ip);
  }
  configure(): void {
    this.configured++;
  }

  /** The way to the ECUs opens or is lost. */
  turn(connected: boolean): void {
    this.connected = connected;
    const { logicalAddress, ip } = this.message;
    this.#onState({ type: "gatewayState", logicalAddress, connected, ip, tls: false });
    for (const link of this.links.filter(({ closed }) => !closed)) {
      if (!connected) link.disconnect();
      else {
        link.connected = true;
        link.handler.onConnectivity(true);
      }
    }
  }

  async close(): Promise<void> {
    if (this.connected) this.turn(false);
    this.closed = true;
  }

  link(name: string): FakeLink {
    return this.links.findLast((link) => link.target.name === name && !link.closed)!;
  }
}

export interface Opened {
  readonly database: string;
  readonly version: string;
  released: boolean;
}

export class FakeVehicle {
  readonly clock = new ManualClock();
  readonly posted: FromShard[] = [];
  readonly opened: Opened[] = [];
  readonly sent: number[] = [];
  readonly gateways = new Map<number, FakeGateway>();
  readonly shard: EcuShard;
  script: Script = healthy;
  #id = 0;
  #generation = 0;
  readonly #bytes = new Map<string, Uint8Array>();

  constructor(
    options: { readonly fallbackToBase?: boolean; readonly isStrict?: boolean; readonly sendCheck?: SendCheck } = {},
  ) {
    this.shard = new EcuShard({
      sendCheck: options.sendCheck,
      clock: this.clock,
      options: { ...ecuOptionsOf(CONFIG), isStrict: options.isStrict ?? false },
      fallbackToBase: options.fallbackToBase ?? true,
      maxQueued: 8,
      maxWaitMs: 10_000,
      open: ({ database, version, converter }) => {
        const opened = { database, version, released: false };
        this.opened.push(opened);
        const bytes = this.#bytes.get(`${database} ${version}`);
        if (bytes === undefined) throw new Fault("keyNotFound", database);
        const mapped = {
          bytes,
          release: () => {
            opened.released = true;
          },
        };
        return loadDatabase(mapped, version, {
          naming: namingOf(CONFIG),
          codec: codecOptionsOf(CONFIG, converter),
          maxPlans: 100,
          maxPlanBytes: 1_000_000,
        });
      },
      connect: (message, _params, onState) => {
        const gateway = new FakeGateway(this, message, onState);
        this.gateways.set(message.logicalAddress, gateway);
        return gateway;
      },
      post: (message) => this.posted.push(message),
      markSent: (id) => this.sent.push(id),
    });
  }

  /** What the jobs thread would say of these databases. */
  catalog(databases: Readonly<Record<string, EcuData>>, version = "1"): readonly CatalogEntry[] {
    const stored = Object.entries(databases).map(([database, description]) => {
      const bytes = writeEcuData(description);
      this.#bytes.set(`${database} ${version}`, bytes);
      return { database, version, converter: undefined, bytes };
    });
    const { entries, broken } = buildCatalog(stored, CONFIG);
    if (broken.length > 0) throw new Error(JSON.stringify(broken));
    return entries;
  }

  /** Hands the shard its ECUs. */
  assign(entries: readonly CatalogEntry[]): void {
    const description = entries.find(({ functional }) => functional);
    this.shard.receive({
      type: "assign",
      generation: ++this.#generation,
      ecus: entries.filter(({ functional }) => !functional) as readonly EcuAssignment[],
      ...(description === undefined ? {} : { functionalDescription: description }),
      groups: description?.groups ?? [],
    });
  }

  announce(logicalAddress: number, ip = "10.0.0.1"): FakeGateway {
    this.shard.receive({ type: "gateway", logicalAddress, ip, version: 2 });
    return this.gateways.get(logicalAddress)!;
  }

  /** A gateway speaks, its connection comes up, detection has run. */
  async connect(logicalAddress: number): Promise<FakeGateway> {
    const gateway = this.announce(logicalAddress);
    gateway.turn(true);
    await this.quiet();
    return gateway;
  }

  /** Everything that needs no time has happened. */
  async quiet(): Promise<void> {
    for (let i = 0; i < 10; i++) await settle();
  }

  call(
    entity: string,
    call: string,
    args: object,
    deadlineMs = this.clock.now() + 60_000,
  ): Promise<Reply> & { id: number } {
    const id = ++this.#id;
    this.shard.receive({ type: "call", id, entity, call: call as "dataRead", args, deadlineMs });
    return Object.assign(this.#reply(id), { id });
  }

  async #reply(id: number): Promise<Reply> {
    for (;;) {
      const message = this.posted.find((posted) => posted.type === "reply" && posted.id === id);
      if (message?.type === "reply") {
        if (message.reply !== undefined) return message.reply;
        throw fromFaultData(message.fault!);
      }
      await settle();
    }
  }

  read(entity: string, service = "serviceinterval"): ReturnType<FakeVehicle["call"]> {
    return this.call(entity, "dataRead", { service });
  }

  /** States an ECU was told to be in, oldest first. */
  states(ecu: string): readonly EcuStateWord[] {
    return this.posted.flatMap((message) => (message.type === "ecu" && message.name === ecu ? [message.state] : []));
  }
  state(ecu: string): EcuStateWord | undefined {
    return this.states(ecu).at(-1);
  }
  logs(): readonly string[] {
    return this.posted.flatMap((message) => (message.type === "log" ? [message.message] : []));
  }
}

/** The demo's description of one ECU. */
export function description(name: string, change: (data: EcuData) => EcuData = (data) => data): EcuData {
  return change(demoDatabase(DEMO_ECUS.find((ecu) => ecu.name === name)!));
}

export function text(reply: Reply): string {
  return new TextDecoder().decode(reply.body);
}
