/** The status of an update, once or as server-sent events. */

import type { Updates } from "#update/software/updates.ts";
import type { Watcher } from "#update/software/watchers.ts";
import type { AnswerEvents } from "./route.ts";

/** Clients of ros2_medkit read `error` as plain text; they come by its base path. */
const MEDKIT_BASE = "/api/v1";

export function isMedkit(base: string): boolean {
  return base === MEDKIT_BASE;
}

/**
 * Events of a status: the present one at once, then each change; a client that is slow misses what lies between and gets the latest.
 * The last event of an update that is over is `end`.
 */
export function statusEvents(updates: Updates, id: string, medkit: boolean): AnswerEvents {
  let stop: (() => void) | undefined;
  let write: ((text: string) => boolean) | undefined;
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
    const text = eventOf(updates, id, medkit);
    if (text === sent) return;
    sent = text;
    taken = write(text);
  };
  const watcher: Watcher = { changed: tell };
  // a client too many is refused before the head is out
  stop = updates.watch(id, watcher);
  return {
    open(writer) {
      write = writer;
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

function eventOf(updates: Updates, id: string, medkit: boolean): string {
  try {
    const status = updates.status(id, medkit);
    return `event: ${updates.isOver(id) ? "end" : "status"}\ndata: ${JSON.stringify(status)}\n\n`;
  } catch {
    return `event: end\ndata: {}\n\n`;
  }
}
