/** Compiled plans of one database version, least recently used ones dropped first. */
import type { ServicePlan } from "./plan.ts";

/** Plans hold texts and trouble codes of the database, so a few large services can outweigh many small ones. */
const DEFAULT_MAX_BYTES = 32 << 20;

/** Rough sizes of what plans consist of, measured as heap growth over the plans of the sample databases. */
const BYTES = { plan: 3000, step: 800, scalar: 700, scale: 800, dtc: 200, row: 300, other: 500 } as const;

/** Approximate heap bytes of a plan. */
export function planBytes({ pool, responses, request }: ServicePlan): number {
  const lists = [...responses.map((m) => m.list), ...pool.structures.map((s) => s.list)];
  if (request !== undefined) lists.push(request.list);
  let bytes = BYTES.plan;
  for (const list of lists) bytes += list.steps.length * BYTES.step;
  for (const { compu } of pool.scalars)
    bytes += BYTES.scalar + (compu.scales.length + compu.inverseScales.length) * BYTES.scale;
  for (const dtc of pool.dtcs) bytes += dtc.byCode.size * BYTES.dtc;
  for (const table of pool.tables) bytes += table.rows.length * BYTES.row;
  return bytes + (pool.fields.length + pool.muxes.length + pool.envDescs.length) * BYTES.other;
}

/** What all caches of this thread have done: in steady state nothing is compiled. */
export const planTotals = { compiled: 0 };

export class PlanCache {
  /** In order of use, latest last. */
  private readonly plans = new Map<number, { readonly plan: ServicePlan; readonly bytes: number }>();
  private readonly maxPlans: number;
  private readonly maxBytes: number;
  private bytes = 0;

  constructor(maxPlans: number, maxBytes = DEFAULT_MAX_BYTES) {
    this.maxPlans = Math.max(1, maxPlans);
    this.maxBytes = maxBytes;
  }

  get size(): number {
    return this.plans.size;
  }

  /** Approximate bytes of the plans kept. */
  get byteSize(): number {
    return this.bytes;
  }

  /** The plan of the service whose table lies at `table`, compiled when it is not there. The latest plan is kept whatever its size. */
  get(table: number, compile: (table: number) => ServicePlan): ServicePlan {
    const known = this.plans.get(table);
    if (known !== undefined) {
      this.plans.delete(table);
      this.plans.set(table, known);
      return known.plan;
    }
    const plan = compile(table);
    planTotals.compiled++;
    const bytes = planBytes(plan);
    this.plans.set(table, { plan, bytes });
    this.bytes += bytes;
    this.trim();
    return plan;
  }

  clear(): void {
    this.plans.clear();
    this.bytes = 0;
  }

  private trim(): void {
    for (const [table, { bytes }] of this.plans) {
      if (this.plans.size === 1 || (this.plans.size <= this.maxPlans && this.bytes <= this.maxBytes)) return;
      this.plans.delete(table);
      this.bytes -= bytes;
    }
  }
}
