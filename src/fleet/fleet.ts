import { Fault, toFaultData } from "#core/errors.ts";
import type { CallOptions, EcuView, Fleet, GatewayView } from "./api.ts";
import { DESCRIPTION_CALLS } from "./call-kinds.ts";
import { selectEcus, selectGroups } from "./catalog.ts";
import { SeenGateways } from "./gateways.ts";
import { mergeOutcomes, type ShardAnswer } from "./group.ts";
import type {
  BrokenDatabase,
  Catalog,
  CatalogEntry,
  DatabaseReference,
  EcuCallName,
  EcuCalls,
  EcuStateMessage,
  EcuStateWord,
  FromShard,
  GatewayMessage,
  GroupCallName,
  GroupCalls,
  GroupOutcome,
  Reply,
  TransferMessage,
} from "./messages.ts";
import { METADATA_CALLS } from "./messages.ts";
import { type OpenCallLimits, OpenCalls } from "./open-calls.ts";
import type { FleetOptions } from "./options.ts";
import { place, placementKey } from "./placement.ts";
import { assignmentOf, type EcuRecord } from "./record.ts";
import { Shard } from "./shard.ts";
import { StandingCalls } from "./standing.ts";

/** The ECUs of the vehicle and the worker threads that speak with them. Lives on the main thread. */
export class VehicleFleet implements Fleet {
  readonly #options: FleetOptions;
  readonly #shards: Shard[];
  readonly #placed = new Map<string, number>();
  readonly #records = new Map<string, EcuRecord>();
  readonly #gateways = new SeenGateways();
  readonly #transfers = new Map<string, TransferMessage>();
  readonly #standing = new StandingCalls();
  readonly #listeners = new Set<() => void>();
  readonly #ecuListeners = new Set<(ecu: EcuView) => void>();
  #ecus: readonly EcuView[] = [];
  #groups: readonly string[] = [];
  #aliases: ReadonlyMap<string, string> = new Map();
  #description: DatabaseReference | undefined;
  #catalog: Catalog | undefined;
  #broken: readonly BrokenDatabase[] = [];
  #assigned = new Map<number, { generation: number; resolve: () => void }>();
  #failed = new Map<string, string>();
  readonly #openLimits: OpenCallLimits;
  ready = false;

  constructor(options: FleetOptions) {
    this.#options = options;
    const max = options.maxOpenPerEcu ?? Number.POSITIVE_INFINITY;
    this.#openLimits = { max, maxOverloaded: Math.min(max, options.maxOpenPerOverloadedEcu ?? max) };
    this.#shards = Array.from(
      { length: options.shards },
      (_, index) =>
        new Shard({
          index,
          entry: options.entry,
          config: options.shardConfig,
          clock: options.clock,
          restartDelayMs: options.restartDelayMs,
          ...(options.resourceLimits === undefined ? {} : { resourceLimits: options.resourceLimits }),
          ...(options.maxInFlightPerShard === undefined ? {} : { maxInFlight: options.maxInFlightPerShard }),
          onEvent: (shard, message) => this.#event(shard, message),
          onStarted: (shard) => this.#brief(shard),
          onDied: (shard, death) => this.#shardDied(shard, death),
        }),
    );
  }

  /** From now on requests are taken. */
  setReady(): void {
    this.ready = true;
    this.#changed();
  }

  /** Key of the ECU's database in the store's current set. */
  databaseOf(ecu: string): string | undefined {
    return this.#records.get(ecu)?.assignment.database;
  }

  /** Hash of the ECU's description in force. */
  versionOf(ecu: string): string | undefined {
    return this.#records.get(ecu)?.assignment.version;
  }

  /** Calls that the shards have not answered yet. */
  get inFlight(): number {
    return this.#shards.reduce((sum, shard) => sum + shard.inFlight, 0);
  }

  /** Calls to each ECU, by its id: under way, and refused so far. */
  *ecuLoads(): Iterable<{ readonly id: string; readonly open: number; readonly refused: number }> {
    for (const { id, calls } of this.#records.values()) yield { id, open: calls.open, refused: calls.refused };
  }

  /** Has the ECU's database opened by its shard, which does so at first use. @throws Fault when it does not open */
  async probe(ecu: string): Promise<void> {
    await this.call(ecu, "jobList", {});
  }

  /** The worker that speaks with an ECU. */
  shardOf(ecu: string): Shard | undefined {
    return this.#records.get(ecu.toLowerCase())?.shard;
  }

  get shards(): readonly Shard[] {
    return this.#shards;
  }
  get ecus(): readonly EcuView[] {
    return this.#ecus;
  }
  get groups(): readonly string[] {
    return this.#groups;
  }
  group(name: string): string | undefined {
    const full = this.#aliases.get(name) ?? name;
    return this.#groups.includes(full) ? full : undefined;
  }
  /** Databases that are not in use, with the reason: broken files, rejected duplicates, those a shard could not open. */
  get broken(): readonly BrokenDatabase[] {
    const failed = [...this.#failed].map(([file, problem]) => ({ file, problem }));
    return [...this.#broken, ...failed];
  }
  get generation(): number {
    return this.#catalog?.generation ?? 0;
  }

  get gateways(): readonly GatewayView[] {
    return this.#gateways.views(this.#records.values());
  }

  ecu(name: string): EcuView | undefined {
    return this.#records.get(name) ?? this.#records.get(name.toLowerCase());
  }

  transfer(ecu: string): TransferMessage | undefined {
    return this.#transfers.get(ecu.toLowerCase());
  }
  forgetTransfer(ecu: string): void {
    this.#transfers.delete(ecu.toLowerCase());
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Called on every change of one ECU's state. */
  onEcu(listener: (ecu: EcuView) => void): () => void {
    this.#ecuListeners.add(listener);
    return () => this.#ecuListeners.delete(listener);
  }

  start(): void {
    for (const shard of this.#shards) shard.start();
  }

  /** Ends every shard: sessions and keep-alives first, then sockets, then threads. */
  async stop(): Promise<void> {
    await Promise.all(this.#shards.map((shard) => shard.stop()));
  }

  /**
   * Puts a set of databases in force and resolves when every shard has taken it. ECUs whose database did not change keep their
   * connection and session; requests that are under way end on the database they began with.
   */
  async load(catalog: Catalog): Promise<void> {
    const { ecus, rejected } = selectEcus(catalog.entries);
    const { description, groups, aliases } = selectGroups(
      catalog.entries,
      this.#options.functionalDescription,
      this.#options.enabledGroups,
    );
    this.#catalog = catalog;
    this.#description = description;
    this.#groups = groups;
    this.#aliases = aliases;
    this.#broken = [...catalog.broken, ...rejected];
    this.#failed = new Map();
    place(ecus, this.#shards.length, this.#placed);
    this.#renew(ecus);
    await Promise.all(this.#shards.filter((shard) => shard.alive).map((shard) => this.#assign(shard)));
    this.#forgetGateways();
    for (const shard of this.#shards) this.#showGateways(shard);
    this.#changed();
  }

  /** A DoIP entity spoke. Unknown logical addresses are the caller's to log: false. */
  announce(message: GatewayMessage): boolean {
    const shard = this.#shardOfGateway(message.logicalAddress);
    if (shard === undefined) return false;
    this.#gateways.note(message);
    shard.send(message);
    return true;
  }

  /** Gateways that databases name and that no one has connected to. */
  get missingGateways(): readonly number[] {
    return this.gateways.filter((gateway) => !gateway.connected).map((gateway) => gateway.logicalAddress);
  }

  call<K extends EcuCallName>(ecu: string, call: K, args: EcuCalls[K], options?: CallOptions): Promise<Reply> {
    const record = this.#records.get(ecu) ?? this.#records.get(ecu.toLowerCase());
    if (record === undefined) return Promise.reject(new Fault("notFound", `Not found: ECU ${ecu}`));
    this.#standing.note(record.id, call, args);
    const deadlineMs = this.#deadline(options);
    if (METADATA_CALLS.has(call)) return record.shard.call(record.name, call, args, deadlineMs, options);
    const { calls } = record;
    if (!calls.enter()) return refuse(record);
    const wait = this.#options.gate?.();
    const ended = () => calls.leave();
    const ask = () => record.shard.call(record.name, call, args, deadlineMs, options, ended);
    if (wait === undefined) return ask();
    return wait.then(ask, (error: unknown) => {
      ended();
      throw error;
    });
  }

  async callGroup<K extends GroupCallName>(
    group: string,
    call: K,
    args: GroupCalls[K],
    options?: CallOptions,
  ): Promise<Reply & { readonly outcome: GroupOutcome }> {
    const name = this.group(group.toLowerCase());
    if (name === undefined) throw new Fault("notFound", `Not found: functional group ${group}`);
    this.#standing.note(name, call, args);
    const deadlineMs = this.#deadline(options);
    if (!DESCRIPTION_CALLS.has(call)) await this.#options.gate?.();
    const asked = DESCRIPTION_CALLS.has(call) ? [this.#anyShard()] : this.#shardsOfGroup(name);
    const answers = await Promise.all(
      asked.map(async (shard): Promise<ShardAnswer> => {
        const members = this.#membersOn(shard, name);
        try {
          return { members, reply: await shard.call(name, call, args, deadlineMs, options) };
        } catch (error) {
          return { members, fault: toFaultData(error) };
        }
      }),
    );
    return mergeOutcomes(answers);
  }

  #deadline(options: CallOptions | undefined): number {
    return options?.deadlineMs ?? this.#options.clock.now() + this.#options.requestTimeoutMs;
  }

  #anyShard(): Shard {
    return this.#shards.find((shard) => shard.alive) ?? this.#shards[0]!;
  }

  /** Shards with members of the group; a group without members is still answered by one, so that an unknown service is named. */
  #shardsOfGroup(group: string): readonly Shard[] {
    const shards = this.#shards.filter((shard) => this.#membersOn(shard, group).length > 0);
    return shards.length > 0 ? shards : [this.#anyShard()];
  }

  #membersOn(shard: Shard, group: string): readonly string[] {
    const members: string[] = [];
    for (const record of this.#records.values()) {
      if (record.shard === shard && record.groups.includes(group)) members.push(record.id);
    }
    return members;
  }

  #shardOfGateway(logicalAddress: number): Shard | undefined {
    const index = this.#placed.get(`gateway:${logicalAddress}`);
    return index === undefined ? undefined : this.#shards[index];
  }

  #renew(entries: readonly CatalogEntry[]): void {
    const before = new Map(this.#records);
    this.#records.clear();
    for (const entry of entries) {
      const id = entry.name.toLowerCase();
      const old = before.get(id);
      const kept = old !== undefined && old.assignment.version === entry.version ? old : undefined;
      this.#records.set(id, {
        name: entry.name,
        id,
        revision: entry.revision,
        state: kept?.state ?? "Offline",
        variant: kept?.variant,
        isBaseVariant: kept?.isBaseVariant ?? false,
        logicalAddress: entry.ecuAddress ?? 0,
        gatewayAddress: entry.gatewayAddress ?? 0,
        protocol: entry.protocol ?? this.#options.protocolName,
        groups: entry.groups,
        fields: entry.fields,
        shard: this.#shards[this.#placed.get(placementKey(entry))!]!,
        assignment: assignmentOf(entry),
        calls: new OpenCalls(this.#openLimits, this.#options.clock, old?.calls.refused),
        busy: undefined,
      });
    }
    this.#ecus = [...this.#records.values()];
  }

  /** Sends a shard its ECUs; resolves when it has taken them (or died, and will be briefed anew). */
  #assign(shard: Shard): Promise<void> {
    const generation = this.#catalog?.generation ?? 0;
    return new Promise((resolve) => {
      this.#assigned.get(shard.index)?.resolve();
      this.#assigned.set(shard.index, { generation, resolve });
      shard.send({
        type: "assign",
        generation,
        ecus: [...this.#records.values()].filter((record) => record.shard === shard).map((record) => record.assignment),
        ...(this.#description === undefined ? {} : { functionalDescription: this.#description }),
        groups: this.#groups,
      });
    });
  }

  /** A thread that starts knows nothing: its ECUs, and where their gateways were last seen. */
  #brief(shard: Shard): void {
    if (this.#catalog === undefined) return;
    void this.#assign(shard);
    for (const { entity, call, args } of this.#standing) {
      const record = this.#records.get(entity);
      if (record === undefined ? !this.#groups.includes(entity) : record.shard !== shard) continue;
      // Its effect is what counts; if the thread dies again, it is told again.
      shard.call(record?.name ?? entity, call, args, this.#deadline(undefined)).catch(() => {});
    }
    this.#showGateways(shard);
  }

  /** Where the gateways were last seen that the shard has no connection to. */
  #showGateways(shard: Shard): void {
    for (const message of this.#gateways.unconnected()) {
      if (this.#shardOfGateway(message.logicalAddress) === shard) shard.send(message);
    }
  }

  /** A gateway that no database names any more is not connected; where it was stays known. */
  #forgetGateways(): void {
    const named = new Set([...this.#records.values()].map((record) => record.gatewayAddress));
    this.#gateways.disconnect((address) => !named.has(address));
  }

  #shardDied(shard: Shard, death: { error: Error; calls: readonly string[]; deathsInAMinute: number }): void {
    this.#assigned.get(shard.index)?.resolve();
    for (const record of this.#records.values()) {
      if (record.shard === shard) this.#setState(record, { state: "Offline", isBaseVariant: false });
    }
    this.#gateways.disconnect((address) => this.#shardOfGateway(address) === shard);
    for (const [ecu, transfer] of this.#transfers) {
      if (this.#records.get(ecu)?.shard !== shard || transfer.status === "finished") continue;
      this.#transfers.set(ecu, { ...transfer, status: "aborted", error: "the worker was lost" });
    }
    this.#options.onLog({
      type: "log",
      level: "error",
      scope: "fleet",
      message: `worker ${shard.index} died: ${death.error.message}`,
      fields: { calls: death.calls, deathsInAMinute: death.deathsInAMinute },
    });
    this.#options.onShardDied(shard.index, death.deathsInAMinute);
    this.#changed();
  }

  #event(shard: Shard, message: FromShard): void {
    switch (message.type) {
      case "ecu":
        this.#ecuEvent(shard, message);
        return;
      case "gatewayState":
        this.#gateways.setConnected(message.logicalAddress, message.connected);
        this.#changed();
        return;
      case "transfer":
        this.#transfers.set(message.ecu.toLowerCase(), message);
        return;
      case "log":
        this.#options.onLog(message);
        return;
      case "assigned":
        for (const [name, problem] of Object.entries(message.failed)) this.#failed.set(name, problem);
        if (this.#assigned.get(shard.index)?.generation === message.generation) {
          this.#assigned.get(shard.index)?.resolve();
        }
        return;
      case "reply":
        return;
    }
  }

  /** Another set may have put the ECU behind a gateway of another shard: what its former one said before it knew counts no more. */
  #ecuEvent(shard: Shard, message: EcuStateMessage): void {
    const record = this.#records.get(message.name.toLowerCase());
    if (record?.shard !== shard) return;
    this.#setState(record, message);
    this.#changed();
  }

  #setState(record: EcuRecord, now: { state: EcuStateWord; variant?: string; isBaseVariant: boolean }): void {
    record.state = now.state;
    record.variant = now.variant;
    record.isBaseVariant = now.isBaseVariant;
    for (const listener of this.#ecuListeners) listener(record);
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Before the port is crossed, with one fault for all: under overload refusals outnumber answers, and a stack costs more than both. */
function refuse(record: EcuRecord): Promise<never> {
  record.busy ??= new Fault("overloaded", `Too many requests are waiting for ${record.name}`);
  return Promise.reject(record.busy);
}
