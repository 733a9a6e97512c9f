/** What stands in the way of a change of databases, and routes in a program that has none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SovdOptions } from "#sovd/context.ts";
import { requireQuiet } from "#sovd/database-update.ts";
import { V, type Vehicle, vehicle } from "./harness.ts";

const START = { fileId: "f", path: "/f", blockSequenceCounter: 1, blockSize: 10, offset: 0, length: 1 };

function transfer(car: Vehicle, status: "running" | "finished"): void {
  const { id } = car.context.transfers.create("flxc1000", "FLXC1000", "me", START);
  car.fleet.transfers.set("FLXC1000", {
    type: "transfer",
    ecu: "FLXC1000",
    id,
    fileId: "f",
    status,
    acknowledgedBytes: 0,
    blockSize: 10,
    nextBlockSequenceCounter: 1,
  });
}

const ROWS: readonly [
  name: string,
  prepare: (car: Vehicle) => void,
  refusal: RegExp | undefined,
  options?: Partial<SovdOptions>,
][] = [
  ["nothing", () => undefined, undefined],
  ["the vehicle's lock", (car) => car.context.locks.acquire("vehicle", "", "me", 9), undefined],
  ["a component's lock", (car) => car.context.locks.acquire("ecu", "flxc1000", "me", 9), /^Lock Conflict: /],
  ["a group's lock", (car) => car.context.locks.acquire("group", "all", "other", 9), /^Lock Conflict: /],
  ["communication parameters", (car) => car.context.comParams.create("flxc1000"), /^Operations in progress: /],
  ["an operation", (car) => car.context.executions.reserve("components/flxc1000", "x", "me"), /^Operations in/],
  ["a group's operation", (car) => car.context.executions.reserve("functionalgroups/all", "x", "me"), /^Operations in/],
  ["a transfer", (car) => transfer(car, "running"), /^Operations in/],
  ["a finished transfer", (car) => transfer(car, "finished"), /^Operations in/],
  ["a finished transfer, let pass", (car) => transfer(car, "finished"), undefined, { finishedTransfersBlock: false }],
  ["a transfer, finished ones let pass", (car) => transfer(car, "running"), /^Oper/, { finishedTransfersBlock: false }],
];
for (const [name, prepare, refusal, options] of ROWS) {
  test(`an update beside ${name}`, () => {
    const car = vehicle(options);
    prepare(car);
    if (refusal === undefined) requireQuiet(car.context);
    else assert.throws(() => requireQuiet(car.context), { kind: "conflict", message: refusal });
    car.context.close();
  });
}

test("a program without an update says so", async () => {
  const { status, json } = await vehicle().request("GET", `${V}/apps/sovd2uds/bulk-data/runtimefiles-current`);
  assert.equal(status, 500);
  assert.equal(json.error_code, "sovd-server-misconfigured");
});
