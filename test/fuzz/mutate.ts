/** Small damage to bytes and text. */
import type { Random } from "./random.ts";

const EDGES = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff];
const MAX_CHANGES = 4;
const LONG_BYTES = 5_000;

type Mutation = (bytes: number[], random: Random) => number[];

const MUTATIONS: readonly Mutation[] = [
  (bytes, random) => bytes.slice(0, random.below(bytes.length + 1)),
  (bytes, random) => [...bytes, ...random.bytes(random.below(20))],
  (bytes, random) => bytes.toSpliced(random.below(bytes.length + 1), random.below(3), ...random.bytes(random.below(3))),
  (bytes, random) => bytes.with(random.below(bytes.length), random.below(256)),
  (bytes, random) => bytes.with(random.below(bytes.length), random.pick(EDGES)),
  (bytes, random) => {
    const at = random.below(bytes.length);
    return bytes.with(at, bytes[at]! ^ (1 << random.below(8)));
  },
  (bytes) => [...bytes, ...bytes],
  (bytes, random) => [...bytes, ...random.bytes(random.below(LONG_BYTES))],
];

/** Changed in one to a few places. */
export function mutated(bytes: Uint8Array, random: Random): Uint8Array {
  let changed = [...bytes];
  for (let left = 1 + random.below(MAX_CHANGES); left > 0; left--) {
    const mutation = random.pick(MUTATIONS);
    if (changed.length > 0) changed = mutation(changed, random);
  }
  return Uint8Array.from(changed);
}

const WORDS = [
  "",
  "0",
  "-1",
  "1e999",
  "18446744073709551616",
  "null",
  "true",
  "../../etc/passwd",
  "%00",
  "%2e%2e%2f",
  "%",
  "%zz",
  "%c0%af",
  "\u0000",
  "ä€😀",
  "__proto__",
  "constructor",
  "{ecu}",
  "*",
  " ",
  "a".repeat(3_000),
];

/** Text that somebody may not have thought of. */
export function odd(random: Random): string {
  return random.chance(0.8) ? random.pick(WORDS) : Buffer.from(random.bytes(random.below(30))).toString("latin1");
}

/** JSON of random shape, members partly named as an interface may expect them. */
export function oddJson(random: Random, names: readonly string[], depth = 0): unknown {
  switch (random.below(depth > 4 ? 6 : 8)) {
    case 0:
      return null;
    case 1:
      return random.chance(0.5);
    case 2:
      return random.pick([0, -1, 1, 0.5, 1e308, -0, 2 ** 53, 255, 65_536]);
    case 3:
    case 4:
    case 5:
      return odd(random);
    case 6:
      return Array.from({ length: random.below(4) }, () => oddJson(random, names, depth + 1));
    default:
      return Object.fromEntries(
        Array.from({ length: random.below(5) }, () => [
          random.chance(0.8) ? random.pick(names) : odd(random),
          oddJson(random, names, depth + 1),
        ]),
      );
  }
}
