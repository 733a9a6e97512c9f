// The properties of codec.test.ts over 100 000 cases each: `node --import tsx test/fuzz/codec-nightly.ts [runs] [seed]`.
import { check, PROPERTIES } from "./codec-properties.ts";

const runs = Number(process.argv[2] ?? 100_000);
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);

for (const [name, property] of Object.entries(PROPERTIES)) {
  console.log(`${name}: ${runs} cases, seed ${seed}`);
  check(property, runs, seed);
}
console.log("all hold");
