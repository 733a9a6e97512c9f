import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Fault } from "#core/errors.ts";
import type { Reply, ToShard } from "#fleet/messages.ts";
import { Shard } from "#fleet/shard.ts";
import fc from "../../fixtures/properties.ts";
import { PATIENT } from "./patient-clock.ts";
import type { Order } from "./played-shard.ts";

const MAX_IN_FLIGHT = 4;

let shard: Shard;
let onStarted = () => {};

before(() => {
  shard = new Shard({
    index: 0,
    entry: new URL("./played-shard.ts", import.meta.url).href,
    config: {},
    clock: PATIENT,
    maxInFlight: MAX_IN_FLIGHT,
    restartDelayMs: 0,
    onEvent: () => {},
    onStarted: () => onStarted(),
    onDied: () => {},
  });
  shard.start();
});
after(() => shard.stop());

const say = (order: Order) => shard.send(order as unknown as ToShard);

let tokens = 0;

/** A call and all that became of it. */
class Watched {
  readonly token = ++tokens;
  readonly controller = new AbortController();
  isMarked = false;
  isAnswered = false;
  ends = 0;
  result: Reply | Fault | undefined;
  readonly settled: Promise<void>;

  constructor() {
    const ended = () => {
      assert.equal(this.result, undefined, "the end is told before the promise settles");
      this.ends++;
    };
    const options = { signal: this.controller.signal };
    this.settled = shard.call("ECU", "dataRead", { token: this.token }, 0, options, ended).then(
      (reply) => {
        this.result = reply;
      },
      (error: unknown) => {
        assert.ok(error instanceof Fault);
        this.result = error;
      },
    );
  }

  check(): void {
    assert.equal(this.ends, 1, "the end is told once");
    const { result } = this;
    if (!(result instanceof Fault)) {
      assert.equal(new TextDecoder().decode(result?.body), String(this.token), "its own reply");
      assert.ok(this.isAnswered);
    } else if (result.kind === "notResponding")
      assert.deepEqual([result.message, this.isAnswered], [String(this.token), true]);
    else if (result.kind === "workerLost")
      assert.equal(result.details?.sent, this.isMarked, "whether its frame was sent");
    else assert.equal(result.kind, "overloaded");
  }
}

/** Everything said so far has been heard, and everything answered has arrived. */
async function heard(): Promise<void> {
  assert.ok((await shard.stats()) !== undefined);
}

async function died(): Promise<void> {
  const again = new Promise<void>((resolve) => {
    onStarted = resolve;
  });
  say({ type: "die" });
  await again;
}

const nth = fc.nat({ max: 5 });
const step = fc.oneof(
  { weight: 8, arbitrary: fc.constant({ do: "call" } as const) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("answer" as const),
      nth,
      how: fc.constantFrom("packed" as const, "alone" as const, "fault" as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("sent" as const), nth }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("cancel" as const), nth }) },
  { weight: 3, arbitrary: fc.constant({ do: "hear" } as const) },
  { weight: 1, arbitrary: fc.constant({ do: "die" } as const) },
);

test("whatever becomes of calls, each ends once and with its own reply, and its slot is free again", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: "max" }), async (steps) => {
      const calls: Watched[] = [];
      const chosen = (index: number) => calls.at(-1 - index);
      for (const each of steps) {
        switch (each.do) {
          case "call":
            calls.push(new Watched());
            break;
          // also to one that has been answered, refused or lost: a second reply, when its slot serves another call
          case "answer": {
            const call = chosen(each.nth);
            if (call === undefined) break;
            call.isAnswered = true;
            say({ type: "answer", token: call.token, how: each.how });
            break;
          }
          case "sent": {
            const call = chosen(each.nth);
            if (call === undefined || call.result !== undefined) break;
            call.isMarked = true;
            say({ type: "sent", token: call.token });
            break;
          }
          case "cancel":
            chosen(each.nth)?.controller.abort();
            break;
          case "hear":
            await heard();
            break;
          case "die":
            await died();
        }
        assert.ok(shard.inFlight <= MAX_IN_FLIGHT);
      }
      for (const { token } of calls) say({ type: "answer", token, how: "packed" });
      for (const call of calls) call.isAnswered = true;
      await heard();
      await Promise.all(calls.map(({ settled }) => settled));
      for (const call of calls) call.check();
      assert.equal(shard.inFlight, 0);
    }),
    { numRuns: 30 },
  );
});

test("a signal that serves many calls is let go with each of them, and one that is aborted takes its call back", async (t) => {
  const controller = new AbortController();
  const add = t.mock.method(controller.signal, "addEventListener");
  const remove = t.mock.method(controller.signal, "removeEventListener");
  const call = async () => {
    const token = ++tokens;
    const reply = shard.call("ECU", "dataRead", { token }, 0, { signal: controller.signal });
    say({ type: "answer", token, how: "alone" });
    return reply;
  };
  for (let i = 0; i < 3; i++) await call();
  assert.deepEqual([add.mock.callCount(), remove.mock.callCount()], [3, 3]);
  const taken = t.mock.method(shard, "send");
  controller.abort();
  assert.equal(taken.mock.callCount(), 0, "nobody is left to be taken back");
  await call();
  assert.deepEqual(
    taken.mock.calls.map(({ arguments: [message] }) => message.type),
    ["cancel", "answer"],
  );
});
