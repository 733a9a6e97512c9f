/** What goes wrong while clients work: gateways that leave, connections that drop, workers that die, ECUs that dawdle. */
import type { EcuMisbehaviour } from "#sim/misbehaviour.ts";
import type { Harness } from "../e2e/harness.ts";
import type { Random } from "../fuzz/random.ts";

/** After the last ECU is back, answers that were under way may still fail. */
const GRACE_MS = 3_000;
/** Longer than half of what the server waits for an acknowledgement. */
const STALL_MS = 500;
const WATCH_MS = 50;
const BACK_TIMEOUT_MS = 60_000;

/** Slows an ECU down or makes it ask for patience: no caller may notice. */
const TRANSPARENT: readonly EcuMisbehaviour[] = [
  { nrc: { code: 0x21, times: 2 } },
  { pending: { count: 3, intervalMs: 20, times: 4 } },
  { delay: { kind: "uniform", minMs: 1, maxMs: 40 } },
  { frame: { kind: "doubled", times: 3 } },
  { stray: { uds: "7F2278", times: 2 } },
  { ack: "echo" },
  { ackDelayMs: 20 },
];

type Disturbance = (harness: Harness, random: Random) => Promise<unknown> | unknown;

const DISTURBANCES: Readonly<Record<string, Disturbance>> = {
  disconnect: ({ vehicle }) => vehicle.disconnect(),
  gatewayLeaves: ({ vehicle }, random) => random.pick(vehicle.endpoints).goAway(1 + random.below(4)),
  workerDies: ({ server }, random) => random.pick(server.fleet.shards).kill(),
  answersLost: ({ vehicle }, random) => {
    // The repeated request may be one that an ECU takes only once, so a caller may notice.
    const { entities } = random.pick(vehicle.endpoints);
    for (const ecu of entities.flatMap(({ ecus }) => ecus)) ecu.misbehaviour = { frame: { kind: "lost", times: 2 } };
  },
  garbage: ({ vehicle }, random) => {
    for (const connection of random.pick(vehicle.endpoints).connections)
      connection.sendRaw(Buffer.from(random.bytes(40)));
  },
};

export class Disturber {
  readonly counts: Record<string, number> = {};
  readonly #harness: Harness;
  readonly #ecus: readonly string[];
  readonly #random: Random;
  /** Since when things are well; infinite while they are not. */
  #wellSinceMs = 0;

  constructor(harness: Harness, ecus: readonly string[], random: Random) {
    this.#harness = harness;
    this.#ecus = ecus;
    this.#random = random;
  }

  /** Whether a call that began then may blame a disturbance. */
  excuses(sinceMs: number): boolean {
    return sinceMs < this.#wellSinceMs;
  }

  /**
   * Watches for times in which this process itself did not run: vehicle and clients live in it, and to the server such a time is a
   * vehicle that fell silent. Returns the way to end it.
   */
  watchStalls(): () => void {
    let lastMs = performance.now();
    const timer = setInterval(() => {
      const nowMs = performance.now();
      if (nowMs - lastMs > STALL_MS) {
        this.#count("stall");
        this.#wellSinceMs = Math.max(this.#wellSinceMs, nowMs + GRACE_MS);
      }
      lastMs = nowMs;
    }, WATCH_MS);
    return () => clearInterval(timer);
  }

  /** Nobody may notice. */
  dawdle(): void {
    const ecu = this.#harness.vehicle.ecu(this.#random.pick(this.#ecus));
    ecu.misbehaviour = structuredClone(this.#random.pick(TRANSPARENT));
    this.#count("dawdle");
  }

  /** Disturbs, and resolves when every ECU is back. Throws when one stays away. */
  async disturb(): Promise<void> {
    const name = this.#random.pick(Object.keys(DISTURBANCES));
    this.#count(name);
    if (process.env.SOVD_TEST_LOG !== undefined) process.stdout.write(`disturbed: ${name}\n`);
    this.#wellSinceMs = Number.POSITIVE_INFINITY;
    await DISTURBANCES[name]!(this.#harness, this.#random);
    await new Promise((resolve) => setTimeout(resolve, GRACE_MS));
    await this.back(name);
    this.#wellSinceMs = performance.now() + GRACE_MS;
  }

  /** Resolves when every ECU answers. */
  async back(after: string): Promise<void> {
    const endMs = performance.now() + BACK_TIMEOUT_MS;
    for (;;) {
      const away: string[] = [];
      for (const ecu of this.#ecus) {
        const { status } = await this.#harness.http.get(`/components/${ecu}/data/vin`);
        if (status !== 200 || this.#harness.state(ecu) !== "Online")
          away.push(`${ecu} ${status} ${this.#harness.state(ecu)}`);
      }
      if (away.length === 0) return;
      if (performance.now() > endMs) throw new Error(`not back after ${after}: ${away.join(", ")}`);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  /** Everybody behaves again. */
  calm(): void {
    for (const name of this.#ecus) this.#harness.vehicle.ecu(name).misbehaviour = undefined;
  }

  #count(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }
}
