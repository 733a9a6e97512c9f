/** Executions: the table of states, and the life of one over HTTP. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import type { OperationFacts } from "#fleet/messages.ts";
import {
  EXECUTION_TRANSITIONS,
  type ExecutionInput,
  ExecutionRegistry,
  type ExecutionState,
  nextExecution,
} from "#sovd/executions.ts";
import { reply, type TestAnswer, V, type Vehicle, vehicle } from "./harness.ts";

const STATES = Object.keys(EXECUTION_TRANSITIONS) as ExecutionState[];
const INPUTS: ExecutionInput[] = ["started", "refused", "results", "stopped", "forced"];
const ASYNC: OperationFacts = { asynchronous: true, hasStop: true, hasResults: true };
const PATH = `${V}/components/flxc1000/operations/op/executions`;

test("every state is reached from the start, every state but the end can be left, stray inputs change nothing", () => {
  const reached = new Set<ExecutionState>(["starting"]);
  for (const from of reached) for (const input of INPUTS) reached.add(nextExecution(from, input));
  assert.deepEqual([...reached].sort(), [...STATES].sort());
  for (const state of STATES) {
    const known = Object.keys(EXECUTION_TRANSITIONS[state]);
    assert.equal(known.length === 0, state === "gone");
    for (const input of INPUTS) if (!known.includes(input)) assert.equal(nextExecution(state, input), state);
  }
});

test("a start reserves its place, and a failed one frees it", () => {
  const registry = new ExecutionRegistry(2);
  const first = registry.reserve("components/a", "op", "me");
  assert.throws(() => registry.reserve("components/a", "op", "me"), {
    kind: "conflict",
    message: "An execution for operation 'op' is already in progress",
  });
  registry.reserve("components/b", "op", "me").free();
  first.free();
  assert.equal(registry.running, 0);
  registry.reserve("components/a", "op", "me").start(ASYNC, "{}");
  assert.equal(registry.running, 1);
});

test("ended executions are kept up to a number, the oldest goes first", () => {
  const registry = new ExecutionRegistry(2);
  const ids = [1, 2, 3].map(() => {
    const execution = registry.reserve("components/a", "op", "me").start(ASYNC, "{}");
    registry.apply(execution, "results");
    return execution.id;
  });
  assert.deepEqual(
    registry.list("components/a", "op").map(({ id }) => id),
    ids.slice(1),
  );
  registry.retain(() => false);
  assert.equal(registry.list("components/a", "op").length, 0);
});

async function locked(script: Parameters<typeof scriptOf>[0] = {}): Promise<Vehicle> {
  const car = vehicle();
  car.fleet.script = scriptOf(script);
  await car.request("POST", `${V}/components/flxc1000/locks`, { json: { lock_expiration: 60 } });
  return car;
}

function scriptOf(one: { facts?: Partial<OperationFacts>; results?: object; stop?: () => object; start?: object }) {
  return ({ call }: { call: string }) => {
    const operation = { ...ASYNC, ...one.facts };
    if (call === "operationStart" || call === "operationInfo") return reply(one.start ?? {}, { meta: { operation } });
    if (call === "operationResults") return reply(one.results ?? { parameters: { r: 1 } });
    if (call === "operationStop") return reply(one.stop?.() ?? {});
    return undefined;
  };
}

const start = (car: Vehicle, json: unknown = {}, path = PATH): Promise<TestAnswer> =>
  car.request("POST", path, { json });

test("synchronous: the worker's answer, nothing kept", async () => {
  const car = await locked({ facts: { asynchronous: false }, start: { parameters: { a: 1 } } });
  const answer = await start(car);
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.json, { parameters: { a: 1 } });
  assert.deepEqual((await car.request("GET", PATH)).json, { items: [] });
});

test("asynchronous: start, conflict, results, stored results, a second run, stop", async () => {
  const car = await locked({ start: { s: 7 } });
  const first = await start(car);
  assert.equal(first.status, 202);
  assert.deepEqual(first.json, { id: first.json.id, status: "running", parameters: { s: 7 } });
  assert.equal(first.headers.Location, `http://car:20002${PATH}/${first.json.id}`);
  assert.equal((await start(car)).status, 409);
  assert.deepEqual((await car.request("GET", PATH)).json, { items: [{ id: first.json.id }] });

  const one = `${PATH}/${first.json.id}`;
  const completed = { status: "completed", capability: "execute", parameters: { r: 1 } };
  assert.deepEqual((await car.request("GET", one)).json, completed);
  const asked = car.fleet.calls.length;
  assert.deepEqual((await car.request("GET", one)).json, completed);
  assert.equal(car.fleet.calls.length, asked + 1, "a routine tells its progress as often as it is asked");

  const second = await start(car);
  assert.equal(second.status, 202);
  assert.deepEqual((await car.request("GET", one)).json, completed);
  assert.equal(car.fleet.calls.length, asked + 2, "results of an earlier run are not asked for again");
  assert.equal((await car.request("DELETE", one)).status, 204);
  assert.ok(!car.fleet.names.includes("operationStop"), "a stop would hit the second run");
  assert.equal((await car.request("DELETE", `${PATH}/${second.json.id}`)).status, 204);
  assert.ok(car.fleet.names.includes("operationStop"));
  assert.equal((await car.request("GET", one)).status, 404);
});

test("a stop that says something is 200", async () => {
  const car = await locked({ stop: () => ({ parameters: { x: 1 } }) });
  const { json } = await start(car);
  const answer = await car.request("DELETE", `${PATH}/${json.id}`);
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.json, { status: "stopped", capability: "execute", parameters: { x: 1 } });
});

test("a refused stop keeps the execution unless forced", async () => {
  const car = await locked({
    stop: () => {
      throw new Fault("ecuRefused", "no", { nrc: 0x22, sid: 0x31 });
    },
  });
  const { json } = await start(car);
  const one = `${PATH}/${json.id}`;
  assert.equal((await car.request("DELETE", one)).status, 502);
  assert.equal((await car.request("GET", PATH)).json.items.length, 1);
  assert.equal((await car.request("DELETE", `${one}?X-SOVD2UDS-force=true`)).status, 204);
  assert.equal((await car.request("GET", PATH)).json.items.length, 0);
});

test("without a service for results 404, without one for stop the entry just goes", async () => {
  const car = await locked({ facts: { hasStop: false, hasResults: false } });
  const { json } = await start(car);
  assert.equal((await car.request("GET", `${PATH}/${json.id}`)).status, 404);
  assert.equal((await car.request("DELETE", `${PATH}/${json.id}`)).status, 204);
  assert.ok(!car.fleet.names.includes("operationStop"));
});

test("a second request for the same execution meanwhile is 409", async () => {
  const car = await locked();
  const { json } = await start(car);
  const plain = car.fleet.call.bind(car.fleet);
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  car.fleet.call = async (...args) => {
    await held;
    return plain(...args);
  };
  const first = car.request("GET", `${PATH}/${json.id}`);
  const second = await car.request("GET", `${PATH}/${json.id}`);
  assert.equal(second.status, 409);
  release();
  assert.equal((await first).status, 200);
});

test("suppressService keeps an execution without a word to the ECU", async () => {
  const car = await locked();
  const quiet = "?x-sovd2uds-suppressService=true";
  const { status, json } = await start(car, {}, PATH + quiet);
  assert.equal(status, 202);
  assert.deepEqual((await car.request("GET", `${PATH}/${json.id}${quiet}`)).json.status, "running");
  assert.equal((await car.request("DELETE", `${PATH}/${json.id}${quiet}`)).status, 204);
  assert.deepEqual(car.fleet.names, ["lockAcquired", "operationInfo"]);
});

test("a timeout of the caller shortens the deadline", async () => {
  const car = await locked();
  const deadlines: (number | undefined)[] = [];
  const plain = car.fleet.call.bind(car.fleet);
  car.fleet.call = async (entity: string, call: string, args: unknown, options?: { deadlineMs?: number }) => {
    deadlines.push(options?.deadlineMs);
    return plain(entity, call, args);
  };
  const { json } = await start(car, { timeout: 5 });
  await car.request("DELETE", `${PATH}/${json.id}`);
  await start(car, { timeout: 4_000 });
  assert.deepEqual(deadlines, [5_000, 30_000, 30_000]);
});

test("ids that are no UUID are 400", async () => {
  const car = await locked();
  assert.equal((await car.request("GET", `${PATH}/nope`)).status, 400);
  assert.equal((await car.request("DELETE", `${V}/components/flxc1000/operations/comparam/executions/1`)).status, 400);
});

test("communication parameters: one execution per component, overrides come and go", async () => {
  const car = vehicle();
  const path = `${V}/components/flxc1000/operations/comparam/executions`;
  car.fleet.script = ({ call }) => (call === "comParams" ? reply({ CP_X: { value: "1", unit: null } }) : undefined);
  const first = await car.request("POST", path, { as: null, json: { parameters: { CP_X: "1" } } });
  assert.deepEqual(first.json, { id: first.json.id, status: "running" });
  assert.equal(first.headers.Location, `http://car:20002${path}/${first.json.id}`);
  assert.equal((await car.request("POST", path, { as: null })).status, 409);
  const one = `${path}/${first.json.id}`;
  assert.deepEqual((await car.request("GET", one)).json, {
    capability: "execute",
    parameters: { CP_X: { value: "1", unit: null } },
    status: "running",
  });
  assert.equal((await car.request("PUT", one, { json: { parameters: { CP_Y: { value: "2" } } } })).status, 202);
  assert.equal((await car.request("DELETE", one)).status, 204);
  const overrides = car.fleet.calls
    .filter(({ call }) => call === "comParamsOverride")
    .map(({ args }) => args.overrides);
  assert.deepEqual(overrides, [{ CP_X: "1" }, { CP_Y: { value: "2" } }, null]);
  assert.deepEqual((await car.request("GET", path)).json, { items: [] });
});
