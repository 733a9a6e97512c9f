/** Where the time of requests goes, stage by stage, while `process.stage_timing` is on. Off, nobody makes one of these. */
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";

/**
 * The way of a request, in its order. `arrive`: from its first byte to the shard (accept, auth, handle and the port). `prepare`: plan,
 * encoding and queue, until its frame is out. `exchange`: until the answer is there. `decode`: until the reply is handed to the port.
 * `write`: its bytes to the socket. `request`: all of it; what the others leave is the way back.
 */
export const STAGES = [
  "accept",
  "auth",
  "handle",
  "arrive",
  "prepare",
  "exchange",
  "decode",
  "write",
  "request",
] as const;
export type Stage = (typeof STAGES)[number];

/** Figures of the stages that were recorded in a thread. */
export type StageFigures = Partial<Record<Stage, StageFigure>>;

/** What was recorded of a stage since the start. */
export interface StageFigure {
  readonly count: number;
  readonly sumUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

const NS_PER_MS = 1e6;
const NS_PER_US = 1e3;

export class StageTimes {
  readonly #histograms = new Map<Stage, { readonly histogram: RecordableHistogram; sumNs: number }>();

  /** Records a stage that took so long. */
  record(stage: Stage, durationMs: number): void {
    let entry = this.#histograms.get(stage);
    if (entry === undefined) {
      entry = { histogram: createHistogram(), sumNs: 0 };
      this.#histograms.set(stage, entry);
    }
    const ns = Math.max(1, Math.round(durationMs * NS_PER_MS));
    entry.histogram.record(ns);
    entry.sumNs += ns;
  }

  /** Runs `work` and records how long it took until it returned. */
  time<T>(stage: Stage, work: () => T): T {
    const began = performance.now();
    try {
      return work();
    } finally {
      this.record(stage, performance.now() - began);
    }
  }

  /** All stages that were recorded here. */
  figures(): StageFigures {
    const figures: Partial<Record<Stage, StageFigure>> = {};
    for (const [stage, { histogram, sumNs }] of this.#histograms) {
      figures[stage] = {
        count: histogram.count,
        sumUs: sumNs / NS_PER_US,
        p50Us: histogram.percentile(50) / NS_PER_US,
        p99Us: histogram.percentile(99) / NS_PER_US,
      };
    }
    return figures;
  }
}
