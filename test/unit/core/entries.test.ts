import assert from "node:assert/strict";
import { test } from "node:test";
import { entryFile } from "#core/entries.ts";

const PLACES = [
  { here: "file:///p/src/core/entries.ts", file: "file:///p/workers/gateway.ts" },
  { here: "file:///p/dist/cli.js", file: "file:///p/dist/workers/gateway.js" },
  { here: "file:///p/dist/chunk-fleet-ABC.js", file: "file:///p/dist/workers/gateway.js" },
  { here: "file:///p/workers/x/dist/cli.js", file: "file:///p/workers/x/dist/workers/gateway.js" },
  { here: "file:///p/dist/workers/jobs.js", file: "file:///p/dist/workers/gateway.js" },
];
for (const { here, file } of PLACES) {
  test(`the entry seen from ${here}`, () => assert.equal(entryFile("gateway", here).href, file));
}
