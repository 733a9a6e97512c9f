/** Long walks on the main thread. */
import { setImmediate } from "node:timers/promises";

const ITEMS_PER_TURN = 128;

/** The same items; what is long is no reason for others to wait. */
export async function* inTurns<T>(items: Iterable<T>): AsyncGenerator<T, void, undefined> {
  let left = ITEMS_PER_TURN;
  for (const item of items) {
    yield item;
    if (--left > 0) continue;
    left = ITEMS_PER_TURN;
    await setImmediate();
  }
}
