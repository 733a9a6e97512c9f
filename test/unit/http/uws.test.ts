/** Loading the addon, and what is said when there is none that fits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loadUws } from "#http/uws.ts";

test("the installed package loads and knows both kinds of app", () => {
  const uws = loadUws(16_384);
  assert.equal(typeof uws.App, "function");
  assert.equal(typeof uws.SSLApp, "function");
});

test("without a build that fits the message names this machine, what to install and what was tried", () => {
  assert.throws(
    () => loadUws(16_384, ["no-such-addon"]),
    (error: Error & { kind?: string }) => {
      assert.equal(error.kind, "misconfigured");
      assert.match(error.message, new RegExp(`Node ${process.versions.node}`));
      assert.match(error.message, /npm:@uwsjs\/core@20\.51\.4/);
      assert.match(error.message, /no-such-addon: Cannot find module/);
      return true;
    },
  );
});
