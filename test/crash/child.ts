/**
 * Works on a store until it is killed: `child.ts FOLDER SEED DONE OPERATIONS [STEP COUNT]`. On starting it proves that the store is
 * exactly what it was after `DONE` acknowledged operations, or after the one that was under way as well; then it goes on.
 * It writes a line for each event: `opening`, `ready N`, `ack N`, `failed TEXT`. With a step it kills itself at the `COUNT`th time it comes by.
 */
import { writeSync } from "node:fs";
import { openStore } from "#store/environments.ts";
import { createLmdbPersistence } from "#store/lmdb-persistence.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import { checkStore } from "#store/maintenance.ts";
import { compare, type Model, type OpenedStore, operationAt } from "./model.ts";

const [folder = "", seedText, doneText, operationsText, step, countText] = process.argv.slice(2);
const seed = Number(seedText);
const done = Number(doneText);
let remaining = Number(countText);

function crashPoint(name: string): void {
  if (name === step && --remaining === 0) process.kill(process.pid, "SIGKILL");
}

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

function modelAfter(operations: number): Model {
  let model: Model = { persisted: new Map() };
  for (let index = 0; index < operations; index++) model = operationAt(seed, index, model).model(model);
  return model;
}

/** How many operations the store has seen: those acknowledged, or one more. */
function progressOf(opened: OpenedStore): number {
  try {
    compare(opened, modelAfter(done));
    return done;
  } catch (before) {
    try {
      compare(opened, modelAfter(done + 1));
      return done + 1;
    } catch (after) {
      throw new Error(`neither before (${(before as Error).message}) nor after (${(after as Error).message})`);
    }
  }
}

try {
  const MIB = 1 << 20;
  say("opening");
  const store = await openStore({ folder, maxBytes: { databases: 256 * MIB, state: 16 * MIB, bulk: 16 * MIB } });
  const { problems } = checkStore(store);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  const opened = {
    storage: createLmdbStorage(store.databases, { maxMappedBytes: 64 * MIB, crashPoint }),
    persistence: createLmdbPersistence(store.state),
  };
  let index = progressOf(opened);
  let model = modelAfter(index);
  say(`ready ${index}`);
  for (const end = index + Number(operationsText); index < end; index++) {
    const operation = operationAt(seed, index, model);
    const running = operation.run(opened);
    crashPoint("operation.sent");
    await running;
    crashPoint("operation.done");
    model = operation.model(model);
    say(`ack ${index + 1}`);
  }
  await store.close();
} catch (error) {
  say(`failed ${error instanceof Error ? error.stack : String(error)}`);
  process.exitCode = 1;
}
