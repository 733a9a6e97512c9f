import assert from "node:assert/strict";
import test from "node:test";
import { StandingCalls } from "#fleet/standing.ts";

test("what begins stands until it ends, the newest wins, everything else is forgotten at once", () => {
  const standing = new StandingCalls();
  const now = () => [...standing].map(({ entity, call, args }) => `${entity} ${call} ${JSON.stringify(args)}`);
  standing.note("engine", "dataRead", {});
  assert.deepEqual(now(), []);
  standing.note("engine", "lockAcquired", {});
  standing.note("everyone", "groupLockAcquired", {});
  standing.note("engine", "comParamsOverride", { overrides: { CP_P6Max: "1" } });
  standing.note("engine", "comParamsOverride", { overrides: { CP_P6Max: "2" } });
  assert.deepEqual(now(), [
    "engine lockAcquired {}",
    "everyone groupLockAcquired {}",
    'engine comParamsOverride {"overrides":{"CP_P6Max":"2"}}',
  ]);
  standing.note("body", "lockReleased", {});
  standing.note("engine", "lockReleased", {});
  standing.note("everyone", "groupLockReleased", {});
  standing.note("engine", "comParamsOverride", { overrides: null });
  assert.deepEqual(now(), []);
});
