import assert from "node:assert/strict";
import { test } from "node:test";
import { optionalPackage } from "#core/optional-package.ts";

test("what is there is given; what is not, or does not load, is named with what wants it", async () => {
  assert.equal(await optionalPackage("fine", "a.key", async () => 4), 4);
  const absent = optionalPackage("no-such-package", "a.key", () => import("no-such-package" as string));
  const message = /^a\.key needs the package no-such-package, which is not installed: /;
  await assert.rejects(absent, { kind: "misconfigured", message });
  const broken = optionalPackage("broken", "a.key", () => Promise.reject(new Error("no such ABI")));
  const why = "a.key needs the package broken, which does not load: no such ABI";
  await assert.rejects(broken, { kind: "misconfigured", message: why });
});
