/**
 * What the verifier remembers of tables and lists already found good, by offset: sharing then costs nothing, so the walk is
 * linear in the file although unfolding it may be exponential. One byte each for code and height per four bytes of file; the
 * rare place read under two shapes goes to a map.
 */
export interface Memory {
  readonly codes: Uint8Array;
  readonly heights: Uint8Array;
  /** Apparent bytes below each place; only kept when they are limited. */
  readonly sizes: Float64Array | undefined;
  readonly clashes: Map<number, { height: number; size: number }>;
}

/** Bounds the map: no writer reads one place under many shapes. */
const MAX_CLASHES = 100_000;
export const MAX_HEIGHT = 255;

export function createMemory(bytes: number, withSizes: boolean): Memory {
  const places = Math.ceil(bytes / 4);
  return {
    codes: new Uint8Array(places),
    heights: new Uint8Array(places),
    sizes: withSizes ? new Float64Array(places) : undefined,
    clashes: new Map(),
  };
}

/** Height remembered for a place (tables below and including it), -1 when it was not yet seen under this code. */
export function recallHeight(memory: Memory, offset: number, code: number): number {
  const place = offset >>> 2;
  if (memory.codes[place] === code) return memory.heights[place]!;
  return memory.clashes.size === 0 ? -1 : (memory.clashes.get(offset * 256 + code)?.height ?? -1);
}

export function recallSize(memory: Memory, offset: number, code: number): number {
  const place = offset >>> 2;
  if (memory.codes[place] === code) return memory.sizes?.[place] ?? 0;
  return memory.clashes.get(offset * 256 + code)?.size ?? 0;
}

/** False when too many places are read under several shapes. */
export function remember(memory: Memory, offset: number, code: number, height: number, size: number): boolean {
  const place = offset >>> 2;
  if (memory.codes[place] !== 0) {
    memory.clashes.set(offset * 256 + code, { height, size });
    return memory.clashes.size <= MAX_CLASHES;
  }
  memory.codes[place] = code;
  memory.heights[place] = height;
  if (memory.sizes !== undefined) memory.sizes[place] = size;
  return true;
}
