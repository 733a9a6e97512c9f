/** The examples of the seed's text, word for word: each request gets the answer that stands below it. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock } from "#core/time.ts";
import { Budget } from "#update/skybrush/budget.ts";
import { type Body, readMessage } from "#update/skybrush/envelope.ts";
import { Hub } from "#update/skybrush/hub.ts";
import { cleanup } from "../../fixtures/cleanup.ts";

const SEEDS = fileURLToPath(new URL("../../../../shared/seeds/", import.meta.url));
const FILE = existsSync(SEEDS) ? readdirSync(SEEDS).find((name) => name.startsWith("003")) : undefined;
const TARGET = "io.skybrush.server.virtual_uav.firmware";

/** Bodies of the examples, in their order: request, answer, request, … */
function examples(): Body[] {
  const text = readFileSync(SEEDS + FILE, "utf8");
  return [...text.matchAll(/^Example (?:request|response)\s+(\{.*?^\})/gms)].map(
    ([, json]) => JSON.parse(json!) as Body,
  );
}

test("the examples of the seed", { skip: FILE === undefined && "the seeds are not here" }, async (t) => {
  const bodies = examples();
  assert.equal(bodies.length, 8);
  for (let i = 0; i < bodies.length; i += 2) {
    const [request, expected] = [bodies[i]!, bodies[i + 1]!];
    // only the upload's example has an object that the target is not for
    const unsupported = request.type === "FW-UPLOAD" ? ["17"] : [];
    const received: { readonly body: Body }[] = [];
    const hub = new Hub({
      port: {
        objects: () => ["1", "17", "31"],
        targets: () => [{ id: TARGET, name: "Firmware for virtual UAVs" }],
        supports: (object) => !unsupported.includes(object),
        register: async ({ object, blob }) => {
          assert.equal(Buffer.from(blob).toString(), "Nobody expects the Spanish inquisition!");
          return object;
        },
        start: async () => undefined,
        state: () => ({ state: "done" }),
        watch: () => () => undefined,
        cancel: async () => undefined,
        forget: async () => undefined,
      },
      clock: systemClock,
      timeoutMs: 60_000,
      keepMs: 60_000,
      maxOperations: 4,
      maxBlobBytes: 1_000,
      maxPending: 4,
      budget: new Budget(1_000),
      authenticate: undefined,
      ports: () => ({}),
      nowMs: () => 0,
      onProblem: (problem) => assert.fail(String(problem)),
    });
    cleanup(t, () => hub.close());
    const session = hub.connect("test", (message) => received.push(message as { body: Body }));
    session.receive(readMessage({ "$fw.version": "1.0", id: "q1", body: request }));
    await new Promise<void>((resolve) => setImmediate(resolve));
    const answer = received[0]!.body;
    if (request.type !== "FW-UPLOAD") {
      assert.deepEqual(answer, expected);
      continue;
    }
    const { receipt, ...rest } = answer;
    const { receipt: shown, ...others } = expected;
    assert.deepEqual(rest, others);
    assert.deepEqual(Object.keys(receipt as object), Object.keys(shown as object));
    const id = (receipt as Record<string, string>)["1"];
    assert.deepEqual(received.at(-1)?.body, { type: "ASYNC-RESP", id, result: true });
  }
});
