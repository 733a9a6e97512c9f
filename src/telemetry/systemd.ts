/** What systemd is told (sd_notify(3)): ready, alive, stopping. Does nothing when nobody listens. */
import { reasonOf } from "#core/errors.ts";
import type { Health, HealthStatus } from "./health.ts";

export interface Notifier {
  /** Says that the configuration is read anew, and that this has ended. Nothing before the program is ready. */
  reloading(): void;
  reloaded(): void;
  /** Says that the program ends on purpose; the watchdog is no longer fed. */
  stopping(): void;
  /** Ends the notices without a word. */
  close(): void;
}

export interface NotifyChannel {
  send(text: string, done?: () => void): void;
  close(): void;
}

export interface NotifierOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Default: datagrams to `NOTIFY_SOCKET`. */
  readonly channel?: NotifyChannel;
  readonly onProblem?: (message: string) => void;
}

/** What systemd's view depends on. */
export interface Standing {
  /** The part `main`: it alone says whether the program serves. */
  readonly main: HealthStatus | undefined;
  /** All parts, folded. */
  readonly whole: HealthStatus;
}

/**
 * Notices for a change. Ready follows `main`, so that a start without a database or with a deferred discovery is no
 * start that never ends; the watchdog follows the whole, and only from Up: what was Failed from the start no restart mends.
 */
export function noticesFor(before: Standing, now: Standing): readonly string[] {
  const notices: string[] = [];
  if (before.main !== "Up" && now.main === "Up") notices.push("READY=1");
  if (before.whole === "Up" && now.whole === "Failed") notices.push("WATCHDOG=trigger");
  return notices;
}

/** Period of the watchdog's feeding, ms: half of what systemd allows. Undefined when this process is not watched. */
export function watchdogPeriodMs(env: Readonly<Record<string, string | undefined>>, pid: number): number | undefined {
  const micros = Number(env.WATCHDOG_USEC);
  const isMeant = env.WATCHDOG_PID === undefined || Number(env.WATCHDOG_PID) === pid;
  return isMeant && Number.isInteger(micros) && micros > 0 ? Math.max(1, micros / 2_000) : undefined;
}

/** Follows `health` and tells systemd. Undefined when the environment names no socket. */
export async function startNotifier(health: Health, options: NotifierOptions = {}): Promise<Notifier | undefined> {
  const env = options.env ?? process.env;
  const path = env.NOTIFY_SOCKET;
  if (path === undefined || path === "") return undefined;
  const channel = options.channel ?? (await openSocket(path, options.onProblem ?? (() => {})));
  if (channel === undefined) return undefined;

  let before: Standing = { main: undefined, whole: "Starting" };
  let isGivenUp = false;
  const look = () => {
    const { status, components } = health.snapshot();
    const now = { main: components.find(({ name }) => name === "main")?.status, whole: status };
    for (const notice of noticesFor(before, now)) channel.send(`${notice}\nSTATUS=${status}`);
    isGivenUp = status === "Failed" && (isGivenUp || before.whole === "Up");
    before = now;
  };
  const leave = health.onChange(look);
  look();
  // a timer of the main thread's loop: when the loop hangs, so does the feeding
  const periodMs = watchdogPeriodMs(env, process.pid);
  const feed = () => isGivenUp || channel.send("WATCHDOG=1");
  const timer = periodMs === undefined ? undefined : setInterval(feed, periodMs);
  timer?.unref();
  const rest = () => {
    leave();
    clearInterval(timer);
  };
  return {
    reloading() {
      if (before.main === "Up") channel.send(`RELOADING=1\nMONOTONIC_USEC=${monotonicUsec()}`);
    },
    reloaded() {
      if (before.main === "Up") channel.send(`READY=1\nSTATUS=${health.snapshot().status}`);
    },
    close() {
      rest();
      channel.close();
    },
    stopping() {
      rest();
      channel.send("STOPPING=1", () => channel.close());
    },
  };
}

/** CLOCK_MONOTONIC in microseconds: tells systemd which `READY=1` answers its reload. */
function monotonicUsec(): bigint {
  return process.hrtime.bigint() / 1_000n;
}

/** Node has no datagram sockets of the file system; the package that has them is optional. The socket keeps the process alive. */
async function openSocket(path: string, onProblem: (message: string) => void): Promise<NotifyChannel | undefined> {
  try {
    const { DgramSocket } = await import("node-unix-socket");
    const socket = new DgramSocket();
    socket.on("error", (error: Error) => onProblem(`systemd cannot be told: ${error.message}`));
    const address = path.startsWith("@") ? `\0${path.slice(1)}` : path;
    return {
      send(text, done) {
        const bytes = Buffer.from(text);
        socket.sendTo(bytes, 0, bytes.length, address, (error) => {
          if (error instanceof Error) onProblem(`systemd cannot be told: ${error.message}`);
          done?.();
        });
      },
      close: () => socket.close(),
    };
  } catch (error) {
    onProblem(`NOTIFY_SOCKET is set, and node-unix-socket does not load: ${reasonOf(error)}`);
    return undefined;
  }
}
