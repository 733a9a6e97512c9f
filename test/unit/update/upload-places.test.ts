/** Places for uploads: of all clients, and of one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Places } from "#update/software/bulk/places.ts";

/** Uploads that last until they are ended. */
function clients(places: Places) {
  const ends: (() => void)[] = [];
  const begin = (client: string) => places.hold(client, () => new Promise<void>((resolve) => ends.push(resolve)));
  return { begin, ends };
}

test("each client has its part, all have theirs, and what ended is free again", async () => {
  const places = new Places(5, 3);
  const { begin, ends } = clients(places);
  const underWay = [begin("a"), begin("a"), begin("a")];
  const beyond = /beside 3 others of the same client \(update\.parallel_uploads_per_client\)/;
  await assert.rejects(begin("a"), { kind: "tooManyRequests", message: beyond });
  underWay.push(begin("b"), begin("c"));
  await assert.rejects(begin("c"), { kind: "overloaded", message: /beside 5 others \(update\.parallel_uploads\)/ });
  assert.equal(places.refused, 2);
  ends[0]?.();
  await underWay[0];
  underWay.push(begin("c"));
  for (const end of ends) end();
  await Promise.all(underWay);
  await Promise.all(["a", "a", "a", "b", "b"].map((client) => places.hold(client, async () => undefined)));
  await assert.rejects(
    places.hold("a", () => Promise.reject(new Error("cut"))),
    /cut/,
  );
  await places.hold("a", async () => undefined);
});

for (const [all, half] of [
  [2, 1],
  [3, 2],
  [16, 8],
] as const) {
  test(`of ${all} places one client has ${half}, where nothing else is said`, async () => {
    const { begin, ends } = clients(new Places(all));
    const underWay = Array.from({ length: half }, () => begin("a"));
    await assert.rejects(begin("a"), { kind: "tooManyRequests" });
    for (const end of ends) end();
    await Promise.all(underWay);
  });
}
