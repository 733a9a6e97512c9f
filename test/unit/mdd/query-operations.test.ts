/** Which operation a path means (sovd-api.md §8.1): its id in any case, else an unambiguous beginning of a start service. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { resolveOperation } from "#mdd/query/describe.ts";
import { baseVariant } from "#mdd/query/layers.ts";
import { serviceIndex } from "#mdd/query/service-index.ts";
import { diagLayer, routineService, baseVariant as variant } from "#mdd/writer/dsl.ts";
import { open } from "./query-build.ts";

const services = [
  routineService("Erase_Start", 1, 0x1000),
  routineService("Probe_Start_Long", 1, 0x1001),
  routineService("Twin_Start_A", 1, 0x1002),
  routineService("Twin_Start_B", 1, 0x1003),
];
const database = open({ variants: [variant(diagLayer("TEST", { services }))] });
const index = serviceIndex(database, baseVariant(database)!);

const FOUND: readonly [id: string, operation: string][] = [
  ["erase", "Erase"],
  ["ERASE", "Erase"],
  ["probe", "Probe_Start_Long"],
  ["probe_start_long", "Probe_Start_Long"],
];
for (const [id, operation] of FOUND) {
  test(`operation ${id}`, () => assert.equal(resolveOperation(index, database.naming, id).id, operation));
}

const REFUSED: readonly [id: string, kind: string][] = [
  ["eras", "notFound"],
  ["twin", "invalidParameter"],
  ["erase/x", "badRequest"],
];
for (const [id, kind] of REFUSED) {
  test(`operation ${id} is refused: ${kind}`, () => {
    const refused = (error: unknown) => error instanceof Fault && error.kind === kind;
    assert.throws(() => resolveOperation(index, database.naming, id), refused);
  });
}
