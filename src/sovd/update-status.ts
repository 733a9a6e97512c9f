/** The status of an update, once or as server-sent events. */

import type { FaultData } from "#core/errors.ts";
import type { Updates } from "#update/software/updates.ts";
import type { StatusBody } from "#update/software/views/status.ts";
import { errorObjectAt } from "./errors.ts";
import type { AnswerEvents } from "./route.ts";

/** Clients of ros2_medkit read `error` as plain text; they come by its base path. */
const MEDKIT_BASE = "/api/v1";
/** Pause of a client before it comes again, milliseconds. */
const RETRY = "retry: 2000\n";

/** The status as clients of a base path read it. @throws Fault notFound */
export function statusAt(base: string, updates: Updates, id: string): StatusBody {
  // the message names the step that was refused, which the text of a negative response does not
  const shape = (fault: FaultData) => ({ ...errorObjectAt(base, fault), message: fault.message });
  return updates.status(id, base === MEDKIT_BASE, shape);
}

/** Whether a client that names the last event it got has seen the end: then it need not come again. @throws Fault notFound */
export function sawTheEnd(updates: Updates, id: string, lastEventId: string): boolean {
  return updates.isOver(id) && lastEventId === eventId(updates, id);
}

/**
 * Events of a status: the present one at once, then each change; a client that is slow misses what lies between and gets the latest.
 * The last event of an update that is over is `end`, and with it the answer ends.
 */
export function statusEvents(updates: Updates, id: string, base: string): AnswerEvents {
  let stop: (() => void) | undefined;
  let write: ((text: string) => boolean) | undefined;
  let end: () => void;
  let taken = true;
  let dirty = false;
  let sent = "";
  const tell = (): void => {
    if (write === undefined) return;
    if (!taken) {
      dirty = true;
      return;
    }
    dirty = false;
    const { text, last } = eventOf(updates, id, base);
    if (text === sent) return;
    taken = write(sent === "" ? RETRY + text : text);
    sent = text;
    if (last) end();
  };
  // a client too many is refused before the head is out
  stop = updates.watch(id, { changed: tell });
  return {
    open(writer, ender) {
      write = writer;
      end = ender;
      tell();
    },
    onDrain() {
      taken = true;
      if (dirty) tell();
    },
    close() {
      write = undefined;
      stop?.();
      stop = undefined;
    },
  };
}

/** Grows with each transition; progress between two does not change it. */
function eventId(updates: Updates, id: string): string {
  return String(updates.record(id).auditSeq);
}

function eventOf(updates: Updates, id: string, base: string): { readonly text: string; readonly last: boolean } {
  try {
    const last = updates.isOver(id);
    const data = JSON.stringify(statusAt(base, updates, id));
    return { text: `id: ${eventId(updates, id)}\nevent: ${last ? "end" : "status"}\ndata: ${data}\n\n`, last };
  } catch {
    // deleted meanwhile
    return { text: "event: end\ndata: {}\n\n", last: true };
  }
}
