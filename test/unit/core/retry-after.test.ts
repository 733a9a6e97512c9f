/** `Retry-After` (RFC 9110, 10.2.3). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { retryAfterMs } from "#core/retry-after.ts";

const NOW_MS = Date.parse("Fri, 31 Dec 1999 23:59:00 GMT");

for (const [status, said, ms] of [
  [503, "120", 120_000],
  [429, " 1 ", 1_000],
  [503, "0", 100],
  // the RFC's own example
  [503, "Fri, 31 Dec 1999 23:59:59 GMT", 59_000],
  [503, "Fri, 31 Dec 1999 23:00:00 GMT", 100],
  [503, undefined, undefined],
  [503, "", undefined],
  [503, "-1 soon", undefined],
  [404, "120", undefined],
  [200, "1", undefined],
] as const) {
  test(`${status} ${said}: ${ms}`, () => {
    assert.equal(retryAfterMs(status, said === undefined ? {} : { "retry-after": said }, NOW_MS), ms);
  });
}
