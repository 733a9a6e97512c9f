/** Checks stores that something was done to: sound, exactly at one of the numbers of operations, and able to take another one. */
import { answerChecks } from "./image-checks.ts";
import { modelAfter, openSound, progressOf, requireSound } from "./inspect.ts";
import { compare, operationAt } from "./model.ts";

await answerChecks(async (folder, seed, candidates) => {
  const opened = await openSound(folder);
  try {
    const index = progressOf(opened, seed, candidates);
    const model = modelAfter(seed, index);
    // free pages that are not free would show only now
    const operation = operationAt(seed, index, model);
    await operation.run(opened);
    compare(opened, operation.model(model));
    requireSound(opened.store);
    return index;
  } finally {
    await opened.store.close();
  }
});
