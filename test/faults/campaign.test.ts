/** A few campaigns between killed processes; `campaign-run.ts --runs 200` is the long way. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runCampaigns } from "./campaign-run.ts";

test("processes killed and links cut at random: all new or all old, none stuck", async () => {
  const runs = 4;
  const tally = await runCampaigns(runs, 20_261_121, () => undefined);
  assert.equal(tally.allNew + tally.allOld, runs);
});
