/** Writes server-sent events: an answer that lasts until one side ends it, with a sign of life where nothing else is said. */
import type { Clock, TimerHandle } from "#core/time.ts";
import type { AnswerEvents } from "#sovd/route.ts";
import { writeHead } from "./respond.ts";
import type { Sending } from "./stream-answer.ts";
import type { HttpResponse } from "./uws.ts";

export interface EventAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly contentType?: string;
  readonly events: AnswerEvents;
}

export interface EventOptions {
  readonly clock: Clock;
  /** Silence after which a comment is sent, so that whoever stands between keeps the connection and a dead client is found. */
  readonly heartbeatMs: number;
}

/** A comment; clients pass it over. */
const HEARTBEAT = ":\n\n";
/** A client that has taken nothing for so many heartbeats is let go. */
const MAX_STALLED = 4;

/** Events on their way: `stop` must be called when the client is gone, `end` ends the answer. */
export interface EventSending extends Sending {
  end(): void;
}

/** To be called uncorked. `onDone` is called once, when the answer was ended by `end` or its maker. */
export function writeEvents(
  res: HttpResponse,
  answer: EventAnswer,
  { clock, heartbeatMs }: EventOptions,
  onDone: () => void,
): EventSending {
  const { events } = answer;
  let open = true;
  let begun = false;
  let taken = true;
  let stalled = 0;
  let timer: TimerHandle | undefined;
  const stop = (): void => {
    if (!open) return;
    open = false;
    if (timer !== undefined) clock.clearTimeout(timer);
    events.close();
  };
  const end = (): void => {
    if (!open) return;
    stop();
    // asked to close, uWebSockets.js would leave out the last chunk, and clients would see a broken answer
    res.cork(() => res.end());
    onDone();
  };
  const write = (text: string): boolean => {
    if (!open) return true;
    begun = true;
    res.cork(() => {
      taken = res.write(text);
    });
    rest();
    return taken;
  };
  const rest = (): void => {
    if (timer !== undefined) clock.clearTimeout(timer);
    timer = clock.setTimeout(beat, heartbeatMs);
  };
  const beat = (): void => {
    if (taken) {
      stalled = 0;
      write(HEARTBEAT);
    } else if (++stalled >= MAX_STALLED) res.close();
    else rest();
  };
  res.onWritable(() => {
    taken = true;
    if (open) events.onDrain();
    return true;
  });
  res.cork(() => writeHead(res, answer));
  events.open(write, end);
  // the head goes with the first bytes: a client would not see for a while that it is heard
  if (!begun) write(HEARTBEAT);
  return { stop, end };
}
