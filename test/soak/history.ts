/** What the simulated ECUs held when: a read must give a value that stood while the read was under way. */
import { toHex } from "#core/bytes.ts";
import type { RunningVehicle } from "#sim/vehicle.ts";

interface Entry {
  readonly value: string;
  /** `performance.now()`. */
  readonly fromMs: number;
}

const MAX_ENTRIES = 500;

export class History {
  readonly #entries = new Map<string, Entry[]>();

  /** Watches a data identifier of every named ECU from now on. */
  watch(vehicle: RunningVehicle, ecus: readonly string[], did: number): void {
    for (const name of ecus) {
      const datum = vehicle.ecu(name).state.data.get(did)!;
      let current = datum.value;
      this.#note(name, did, current);
      Object.defineProperty(datum, "value", {
        get: () => current,
        set: (value: Uint8Array<ArrayBuffer>) => {
          current = value;
          this.#note(name, did, value);
        },
      });
    }
  }

  /** Values in hex that the ECU held at some time since `sinceMs`. */
  since(ecu: string, did: number, sinceMs: number): ReadonlySet<string> {
    const entries = this.#entries.get(`${ecu} ${did}`)!;
    const first = entries.findLastIndex(({ fromMs }) => fromMs <= sinceMs);
    return new Set(entries.slice(Math.max(first, 0)).map(({ value }) => value));
  }

  #note(ecu: string, did: number, value: Uint8Array): void {
    const key = `${ecu} ${did}`;
    const entries = this.#entries.get(key) ?? [];
    entries.push({ value: toHex(value), fromMs: performance.now() });
    if (entries.length > MAX_ENTRIES) entries.splice(0, entries.length - MAX_ENTRIES);
    this.#entries.set(key, entries);
  }
}
