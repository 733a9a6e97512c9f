/**
 * Works on a store until it is killed: `child.ts FOLDER SEED DONE OPERATIONS [STEP COUNT]`. On starting it proves that the store is
 * exactly what it was after `DONE` acknowledged operations, or after the one that was under way as well; then it goes on.
 * It writes a line for each event: `opening`, `ready N`, `ack N`, `failed TEXT`. With a step it kills itself at the `COUNT`th time it comes by.
 */
import { writeSync } from "node:fs";
import { modelAfter, openSound, progressOf } from "./inspect.ts";
import { operationAt } from "./model.ts";

const [folder = "", seedText, doneText, operationsText, step, countText] = process.argv.slice(2);
const seed = Number(seedText);
let remaining = Number(countText);

function crashPoint(name: string): void {
  if (name === step && --remaining === 0) process.kill(process.pid, "SIGKILL");
}

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

try {
  say("opening");
  const opened = await openSound(folder, crashPoint);
  const done = Number(doneText);
  let index = progressOf(opened, seed, [done, done + 1]);
  let model = modelAfter(seed, index);
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
  await opened.store.close();
} catch (error) {
  say(`failed ${error instanceof Error ? error.stack : String(error)}`);
  process.exitCode = 1;
}
