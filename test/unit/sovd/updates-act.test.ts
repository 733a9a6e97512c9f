/** Acting on updates, and long walks over what is on record of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { Fault } from "#core/errors.ts";
import type { SovdContext } from "#sovd/context.ts";
import { inTurns } from "#sovd/in-turns.ts";
import type { AnyRequest } from "#sovd/route.ts";
import { act } from "#sovd/updates.ts";

test("a refusal that cannot be put on record is still told as what it is", async () => {
  const full = new Fault("noSpaceLeft", "the disk is full");
  const problems: unknown[] = [];
  const context = {
    softwareUpdates: {
      record: () => ({ members: [] }),
      refused: async () => {
        throw full;
      },
    },
    authenticator: {},
    onProblem: (problem: unknown) => problems.push(problem),
  } as unknown as SovdContext;
  const refused = new Fault("conflict", "not now");
  const work = async () => {
    throw refused;
  };
  await assert.rejects(act({ owner: "me" } as AnyRequest, context, "prepare", "fw", work), refused);
  assert.deepEqual(problems, [full]);
});

test("a long walk lets others have their turn, and leaves nothing out", async () => {
  const items = Array.from({ length: 1_000 }, (_, i) => i);
  const walked: number[] = [];
  let turns = 0;
  let over = false;
  const others = (async () => {
    while (!over) {
      await setImmediate();
      turns++;
    }
  })();
  for await (const item of inTurns(items)) walked.push(item);
  over = true;
  await others;
  assert.deepEqual(walked, items);
  assert.ok(turns > 3, `${turns} turns`);
});
