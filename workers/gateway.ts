/** Piscina entry of a shard: one long task that lives as long as the thread. */
import type { MessagePort } from "node:worker_threads";
import { storePath } from "#config/derived.ts";
import type { Config } from "#config/types.ts";
import { Fault } from "#core/errors.ts";
import { networkClock, systemClock } from "#core/time.ts";
import { connectGateway, tlsSettingsOf } from "#ecu/doip-gateway.ts";
import { loadDatabase } from "#ecu/loaded-database.ts";
import { createSendCheck, loadSafetyPlugins } from "#ecu/send-check.ts";
import { codecOptionsOf, ecuOptionsOf, namingOf } from "#ecu/settings.ts";
import { EcuShard, type ShardEnvironment } from "#ecu/shard.ts";
import { watchShard } from "#ecu/stage-times.ts";
import type { CallMessage, DatabaseReference, FromShard, ToShard } from "#fleet/messages.ts";
import { type CallPacket, ReplyPacker, unpackCalls } from "#fleet/packets.ts";
import { openDatabasesReader } from "#store/databases-reader.ts";
import { StageTimes } from "#telemetry/stages.ts";

/** Compiled services per database; the cache is bounded in bytes as well. */
const MAX_PLANS_PER_DATABASE = 512;

/** Smaller bodies are cloned, which costs less than a change of owner. */
const MAX_CLONED_BYTES = 4_096;

export interface ShardTask {
  readonly port: MessagePort;
  readonly config: Config;
  readonly index: number;
  /** Slot `id % length` holds the id of the call whose frame went out. */
  readonly sent: Int32Array;
}

/** Runs until main says stop (or goes away). */
export default async function run({ port, config, sent }: ShardTask): Promise<void> {
  const plugins = await loadSafetyPlugins(config.plugins.modules);
  const reader = await openDatabasesReader(storePath(config));
  const naming = namingOf(config);
  const mappedVersion = ({ database, version }: DatabaseReference) => {
    try {
      return reader.mapVersion(version);
    } catch (error) {
      if (!(error instanceof Fault && error.kind === "keyNotFound")) throw error;
      throw new Fault("notReady", `The diagnostic database ${database} is being replaced`);
    }
  };
  const open = (reference: DatabaseReference) => {
    const mapped = mappedVersion(reference);
    return loadDatabase(mapped, reference.version, {
      naming,
      codec: codecOptionsOf(config, reference.converter),
      maxPlans: MAX_PLANS_PER_DATABASE,
      maxPlanBytes: config.limits.plan_cache_bytes,
    });
  };
  const replies = new ReplyPacker();
  const flush = () => {
    if (!replies.isEmpty) port.postMessage(replies.take());
  };
  const post = (message: FromShard) => {
    if (message.type === "reply" && message.reply !== undefined) {
      const first = replies.isEmpty;
      if (replies.add(message.id, message.reply)) {
        if (first) setImmediate(flush);
        return;
      }
    }
    // in order: what is told of an ECU must not overtake the reply before it
    flush();
    const body = message.type === "reply" ? message.reply?.body : undefined;
    if (body === undefined || body.byteLength <= MAX_CLONED_BYTES) port.postMessage(message);
    else port.postMessage(message, [body.buffer as ArrayBuffer]);
  };
  const tls = tlsSettingsOf(config);
  const stages = config.process.stage_timing
    ? watchShard(new StageTimes(), systemClock, config.http.request_timeout_ms)
    : undefined;
  const environment: ShardEnvironment = {
    clock: networkClock,
    options: ecuOptionsOf(config),
    fallbackToBase: config.database.fallback_to_base_variant,
    maxQueued: config.limits.ecu_queue_length,
    maxWaitMs: config.limits.ecu_queue_wait_ms,
    sendCheck: createSendCheck(plugins, (message) => post({ type: "log", level: "error", scope: "plugins", message })),
    open,
    connect: (message, params, onState) => connectGateway(message, params, { config, tls, onState, post }),
    post,
    markSent: (id) => Atomics.store(sent, id % sent.length, id),
  };
  const shard = new EcuShard(stages?.watched(environment) ?? environment);
  const receive = (call: CallMessage) => {
    stages?.received(call);
    shard.receive(call);
  };
  await new Promise<void>((resolve) => {
    port.on("message", (message: ToShard | CallPacket) => {
      if (!("type" in message)) unpackCalls(message, receive);
      else if (message.type === "stop") resolve();
      else shard.receive(message);
    });
    port.on("close", resolve);
  });
  await shard.stop();
  await reader.close();
  flush();
  port.close();
}
