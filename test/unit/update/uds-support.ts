/** An ECU that is flashed by a recipe, and what goes over the wire then. */
import { Fault } from "#core/errors.ts";
import { systemClock } from "#core/time.ts";
import type { Fleet } from "#fleet/api.ts";
import { createMemoryStorage } from "#store/memory-storage.ts";
import { Bulk } from "#update/software/bulk/bulk.ts";
import { StorageBulkWriter } from "#update/software/bulk/writer.ts";
import type { UpdateJob } from "#update/software/provider.ts";
import { type UdsFlashOptions, UdsFlashProvider, type UdsTarget } from "#update/software/providers/uds-flash.ts";
import { checkedRecipe } from "#update/software/providers/uds-recipe.ts";
import { jobOf } from "./job-support.ts";

export const IMAGE = Buffer.alloc(1 << 20, "0123456789abcdef");
export const MAX_BLOCK = 0x1002;

type Disturb = (request: Uint8Array, count: number) => Uint8Array | Fault | undefined;

/** An ECU of one memory that keeps what it took; the link to it, and the group it belongs to. */
export class Ecu {
  readonly memory = Buffer.alloc(2 << 20);
  /** Hex of requests other than blocks, calls of groups, keep-alives. */
  readonly log: string[] = [];
  readonly counters: number[] = [];
  /** An answer or a fault in place of the ECU's, after it has done the work if `afterwards`. */
  disturb: Disturb = () => undefined;
  afterwards = false;
  #address = 0;
  #count = 0;

  readonly fleet = {
    ecus: ["bcm", "tcu"].map((id) => ({ id, groups: ["all"], gatewayAddress: 1 })),
    ecu: (name: string) => ({ name: name.toUpperCase(), state: "Online" }),
    group: (name: string) => name,
    call: async (ecu: string, call: string, args: { request: Uint8Array }) => {
      if (call === "flashService") return { body: this.#flash(ecu, args.request) };
      if (call !== "detect") this.log.push(`${ecu} ${call}`);
      return {};
    },
    callGroup: async (group: string, call: string, args: { mode?: string; value?: string }) => {
      this.log.push(args.mode === undefined ? `${group} ${call}` : `${group} ${args.mode} ${args.value}`);
      return { outcome: { results: { bcm: "{}" }, errors: [] } };
    },
  } as unknown as Fleet;

  #flash(ecu: string, request: Uint8Array): Uint8Array {
    if (request[0] !== 0x36) this.log.push(`${ecu === "BCM" ? "" : `${ecu} `}${Buffer.from(request).toString("hex")}`);
    const disturbed = this.disturb(request, this.#count++);
    const answer = disturbed === undefined || this.afterwards ? this.#answer(request) : disturbed;
    if (disturbed instanceof Fault) throw disturbed;
    return disturbed ?? (answer as Uint8Array);
  }

  #answer(request: Uint8Array): Uint8Array {
    const sid = request[0]!;
    if (sid === 0x27 && request[1] === 0x07) return Uint8Array.of(0x67, 0x07, 1, 2);
    if (sid === 0x34) {
      this.#address = Buffer.from(request).readUInt32BE(3);
      this.counters.length = 0;
      return Uint8Array.of(0x74, 0x20, MAX_BLOCK >> 8, MAX_BLOCK & 0xff);
    }
    if (sid !== 0x36) return Uint8Array.of(sid + 0x40, ...request.subarray(1, 4));
    const counter = request[1]!;
    if (counter !== this.counters.at(-1)) {
      if (counter !== ((this.counters.at(-1) ?? 0) + 1) % 256) return Uint8Array.of(0x7f, 0x36, 0x73);
      this.memory.set(request.subarray(2), this.#address);
      this.#address += request.length - 2;
      this.counters.push(counter);
    }
    return Uint8Array.of(0x76, counter);
  }
}

export const STEPS = [
  { group: "all", mode: "dtcsetting", value: "off" },
  { request: "10 02" },
  { security: 7 },
  { name: "erase", request: "31 01 FF 00", skip_on_resume: true },
  { name: "transfer", download: { address: 0, max_block_bytes: MAX_BLOCK, resumable: true }, timeout_ms: 5_000 },
  { name: "check", request: "31 01 FF 01" },
  { request: "11 01" },
  { detect: true },
  { group: "all", mode: "dtcsetting", value: "on", always: true },
];

interface Made {
  readonly provider: UdsFlashProvider;
  readonly bulk: Bulk;
}

/** `more`: of the recipe; `known`: what is known of the ECU otherwise. */
export function provider(
  ecu: Ecu,
  steps: readonly object[] = STEPS,
  more: object = {},
  known: Partial<UdsTarget> & Pick<UdsFlashOptions, "hold"> = {},
): Made {
  const recipe = checkedRecipe({ ...more, step: steps }, "test");
  const storage = createMemoryStorage({ maxMappedBytes: 4 << 20, maxBytes: 16 << 20 });
  const bulk = new Bulk(storage, new StorageBulkWriter(storage, { maxBytes: 4 << 20, maxFiles: 4 }));
  const { hold, ...rest } = known;
  const target = { recipe, keyOfSeed: (seed: Uint8Array) => seed, hardwareId: undefined, serial: undefined, ...rest };
  const { fleet } = ecu;
  return {
    provider: new UdsFlashProvider({
      targets: { bcm: target },
      fleet,
      bulk,
      clock: systemClock,
      ...(hold && { hold }),
    }),
    bulk,
  };
}

export const bcmJob = (notes = new Map<string, string>(), image = IMAGE): UpdateJob => jobOf(image, {}, notes);
