/** Times the stages of calls in a shard, around what it is made of: the shard itself knows nothing of it. */
import type { Clock } from "#core/time.ts";
import type { CallMessage, FromShard } from "#fleet/messages.ts";
import type { StageTimes } from "#telemetry/stages.ts";
import type { LinkHandler } from "#uds/transport.ts";
import type { GatewayTransport } from "./gateway.ts";
import type { ShardEnvironment } from "./shard.ts";

interface Course {
  receivedMs: number;
  sentMs: number;
  answeredMs: number;
}

/** A link knows the call whose frame went out on it last. */
interface Wire {
  call: number;
}

export interface ShardStages {
  /** To be told of each call before the shard is. */
  received(call: CallMessage): void;
  /** The shard's environment, watched. */
  watched(environment: ShardEnvironment): ShardEnvironment;
}

/** `patienceMs`: how long before its deadline a request of the HTTP side began. */
export function watchShard(times: StageTimes, clock: Clock, patienceMs: number): ShardStages {
  const courses = new Map<number, Course>();
  let sending: Wire | undefined;

  const sent = (id: number): void => {
    const course = courses.get(id);
    if (sending !== undefined) sending.call = id;
    if (course === undefined || course.sentMs > 0) return;
    course.sentMs = clock.now();
    times.record("prepare", course.sentMs - course.receivedMs);
  };
  const answered = (wire: Wire): void => {
    const course = courses.get(wire.call);
    if (course !== undefined) course.answeredMs = clock.now();
  };
  const replied = (id: number): void => {
    const course = courses.get(id);
    courses.delete(id);
    if (course === undefined || course.answeredMs === 0) return;
    times.record("exchange", course.answeredMs - course.sentMs);
    times.record("decode", clock.now() - course.answeredMs);
  };
  const watchedHandler = (handler: LinkHandler): LinkHandler => {
    const wire: Wire = { call: -1 };
    return {
      onSent: () => {
        sending = wire;
        handler.onSent();
        sending = undefined;
      },
      onAcknowledged: () => handler.onAcknowledged(),
      onResponse: (response) => {
        answered(wire);
        handler.onResponse(response);
      },
      onFailed: (fault) => handler.onFailed(fault),
      onConnectivity: (connected) => handler.onConnectivity(connected),
    };
  };
  const watchedTransport = (transport: GatewayTransport): GatewayTransport => ({
    open: (target, handler) => transport.open(target, watchedHandler(handler)),
    announce: (message) => transport.announce(message),
    configure: (params) => transport.configure(params),
    close: () => transport.close(),
  });
  return {
    received: ({ id, deadlineMs }) => {
      const receivedMs = clock.now();
      courses.set(id, { receivedMs, sentMs: 0, answeredMs: 0 });
      times.record("arrive", receivedMs - (deadlineMs - patienceMs));
    },
    watched: (environment) => ({
      ...environment,
      connect: (...args) => watchedTransport(environment.connect(...args)),
      markSent: (id) => {
        sent(id);
        environment.markSent(id);
      },
      post: (message: FromShard) => {
        if (message.type === "reply") replied(message.id);
        if (message.type === "stats")
          environment.post({ ...message, stats: { ...message.stats, stages: times.figures() } });
        else environment.post(message);
      },
    }),
  };
}
