// Damage for databases: to the bytes of containers and FlatBuffers, and to descriptions, whose result always verifies.
import type { EcuData } from "#mdd/generated/description.ts";

/** A source of numbers that a seed determines (mulberry32). */
export interface Random {
  /** Whole number below `n`. */
  below(n: number): number;
  pick<T>(list: readonly T[]): T;
}

export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  const below = (n: number) => next() % Math.max(1, n);
  return { below, pick: (list) => list[below(list.length)]! };
}

const BYTES = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff];
const NUMBERS = [0, 1, 2, 4, 8, 255, 256, 0x7fff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff];

type Mutation = (bytes: Uint8Array, random: Random) => Uint8Array;

const inPlace =
  (change: (bytes: Uint8Array, at: number, random: Random) => void): Mutation =>
  (bytes, random) => {
    change(bytes, random.below(bytes.length), random);
    return bytes;
  };

const setWord = (bytes: Uint8Array, at: number, value: number) => {
  const place = at & ~3;
  if (place + 4 <= bytes.length) new DataView(bytes.buffer, bytes.byteOffset).setUint32(place, value, true);
};
const wordAt = (bytes: Uint8Array, at: number) =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(Math.min(at & ~3, bytes.length - 4), true);

const MUTATIONS: readonly Mutation[] = [
  inPlace((bytes, at, random) => {
    bytes[at] = random.below(256);
  }),
  inPlace((bytes, at, random) => {
    bytes[at] = random.pick(BYTES);
  }),
  inPlace((bytes, at, random) => {
    bytes[at]! ^= 1 << random.below(8);
  }),
  inPlace((bytes, at, random) => setWord(bytes, at, random.pick(NUMBERS))),
  inPlace((bytes, at, random) => setWord(bytes, at, wordAt(bytes, at) + (random.below(64) - 32) * 4)),
  // a reference that leads where another one leads
  inPlace((bytes, at, random) => {
    const other = random.below(bytes.length) & ~3;
    setWord(bytes, at, wordAt(bytes, other) + other - (at & ~3));
  }),
  inPlace((bytes, at, random) => bytes.copyWithin(at, random.below(bytes.length), random.below(bytes.length))),
  (bytes, random) => bytes.slice(0, random.below(bytes.length)),
  (bytes, random) => {
    const at = random.below(bytes.length);
    const inserted = Array.from({ length: 1 + random.below(16) }, () => random.below(256));
    return Uint8Array.from([...bytes.subarray(0, at), ...inserted, ...bytes.subarray(at)]);
  },
];

/** A damaged copy; `sameLength` leaves out what moves everything behind it. */
export function mutateBytes(bytes: Uint8Array, random: Random, sameLength: boolean): Uint8Array {
  const usable = sameLength ? MUTATIONS.slice(0, 7) : MUTATIONS;
  let copy = Uint8Array.from(bytes);
  for (let n = 1 + random.below(4); n > 0 && copy.length >= 8; n--)
    copy = random.pick(usable)(copy, random) as typeof copy;
  return copy;
}

const TEXTS = [
  "",
  "0",
  "-1",
  "255",
  "1e400",
  "NaN",
  "0x10",
  "\u0000",
  "\ud800",
  "ZERO",
  "__proto__",
  "constructor",
  "x".repeat(300),
];

interface Slot {
  readonly holder: Record<string, unknown>;
  readonly key: string;
}

/** A copy of a description in which some values, texts and references are others; sharing is kept. */
export function mutateDescription(description: EcuData, random: Random): EcuData {
  const copy = structuredClone(description);
  const slots: Slot[] = [];
  collect(copy as Record<string, unknown>, slots, new Set());
  for (let n = 1 + random.below(5); n > 0; n--) {
    const { holder, key } = random.pick(slots);
    const value = holder[key];
    if (typeof value === "number") holder[key] = random.pick([...NUMBERS.slice(0, 10), value + 1]);
    else if (typeof value === "boolean") holder[key] = !value;
    else if (typeof value === "string") mutateText(holder, key, slots, random);
    else if (random.below(4) === 0 && !Array.isArray(holder)) delete holder[key];
    else exchange(holder, key, slots, random);
  }
  return copy;
}

function collect(holder: Record<string, unknown>, slots: Slot[], seen: Set<object>): void {
  if (seen.has(holder)) return;
  seen.add(holder);
  for (const [key, value] of Object.entries(holder)) {
    slots.push({ holder, key });
    if (typeof value === "object" && value !== null) collect(value as Record<string, unknown>, slots, seen);
  }
}

/** Names of members and types stay what the schema knows of that field. */
function mutateText(holder: Record<string, unknown>, key: string, slots: readonly Slot[], random: Random): void {
  const others = slots.filter((slot) => slot.key === key && typeof slot.holder[key] === "string");
  const isFree = /name|value|text|sn$|_ref$|^vt|^key$|encoding|version|revision/.test(key);
  if (/_type$/.test(key) && /specific|ref_|reference|diag_comm|sd_or/.test(key)) return;
  holder[key] = isFree && random.below(2) === 0 ? random.pick(TEXTS) : random.pick(others).holder[key];
}

/** Puts an object or list where another of the same field stands; that may make a circle. */
function exchange(holder: Record<string, unknown>, key: string, slots: readonly Slot[], random: Random): void {
  const others = slots.filter((slot) => slot.key === key && Array.isArray(slot.holder) === Array.isArray(holder));
  const other = random.pick(others).holder;
  if (other[`${key}_type`] !== holder[`${key}_type`]) holder[`${key}_type`] = other[`${key}_type`];
  holder[key] = other[key];
}
