/** How an update looks on a terminal, whatever its size. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { Client } from "#cli/update-client.ts";
import { follow, painter, progressLines } from "#cli/update-progress.ts";
import { Fault } from "#core/errors.ts";
import { cleanup } from "../../fixtures/cleanup.ts";

const view = (progress: number, entities: readonly string[] = ["compute"]) => ({
  phase: "execute",
  status: "inProgress",
  progress,
  subprogress: entities.map((entity) => ({ entity, status: "inProgress", progress, step: "relay" })),
});

/** What a terminal gets for these statuses. */
function painted(more: object, ...statuses: ReturnType<typeof view>[]): string[] {
  const written: string[] = [];
  const output = { isTTY: true, columns: 100, rows: 24, write: (text: string) => written.push(text), ...more };
  const paint = painter(output);
  for (const status of statuses) paint(status);
  return written;
}

test("on a terminal the bars stay in place", () => {
  const written = painted({}, view(25), view(50));
  assert.equal(progressLines(view(50))[1], `compute [${"#".repeat(14)}${"-".repeat(14)}]  50 %  inProgress: relay`);
  assert.ok(!written[0]?.startsWith("\u001b[2A"));
  assert.ok(written[1]?.startsWith("\u001b[2A\u001b[2K"), "two lines up, each wiped");
});

test("an error of several lines, or with codes for the terminal, is one line of plain text", () => {
  const error = { message: "exit 1:\n\u001b[2Jno space\tleft" };
  const subprogress = [{ entity: "compute\u0007", status: "failed", error }];
  const [, line] = progressLines({ ...view(0), subprogress });
  assert.equal(line, `compute  [${"-".repeat(28)}]   0 %  failed: exit 1: [2Jno space left`);
});

test("no line is wider than the terminal: the bar gives way, then the words, then the name", () => {
  for (const [columns, expected] of [
    [100, `compute_primary [${"#".repeat(14)}${"-".repeat(14)}]  50 %  inProgress: relay`],
    [65, "compute_primary [#######------]  50 %  inProgress: relay"],
    [50, "compute_primary  50 %  inProgress: relay"],
    [30, "compute_  50 %  inProgress: r"],
    [18, "compute_  50 %  i"],
  ] as const) {
    assert.equal(progressLines(view(50, ["compute_primary"]), columns)[1], expected);
  }
  for (let columns = 1; columns < 120; columns++) {
    for (const line of progressLines(view(50, ["a", "sensor_fusion_of_the_left_side"]), columns)) {
      assert.ok(line.length <= Math.max(1, columns - 1));
    }
  }
});

test("a terminal that changes its width gets the bars anew, and one that is low only what it can show", () => {
  let columns = 100;
  const resized = {
    get columns() {
      return columns;
    },
  };
  const written: string[] = [];
  const paint = painter(
    Object.defineProperties(
      { isTTY: true, write: (text: string) => written.push(text) },
      Object.getOwnPropertyDescriptors(resized),
    ) as never,
  );
  paint(view(10));
  columns = 60;
  paint(view(20));
  paint(view(30));
  assert.ok(!written[1]?.startsWith("\u001b[2A"));
  assert.ok(written[2]?.startsWith("\u001b[2A"));
  const low = painted({ rows: 4 }, view(10, ["a", "b", "c", "d"]), view(20, ["a", "b", "c", "d"]));
  const shown = low[1]?.split("\n").map((line) => line.slice(-4));
  assert.equal(shown?.length, 4, "three lines, and what wipes the rest");
  assert.equal(shown?.[2], "more");
  const unsized = painted({ rows: 0, columns: 0 }, view(10));
  assert.deepEqual(unsized, painted({ columns: 80 }, view(10)), "a terminal that was told no size");
});

/** A server that says these things, one at each question; numbers: it is silent for so many. */
function server(...says: readonly (ReturnType<typeof view> | { status: string; phase: string } | number)[]): Client {
  const answers = says.flatMap((each) =>
    typeof each === "number" ? Array.from({ length: each }, () => undefined) : [each],
  );
  return {
    json: async () => {
      const next = answers.shift();
      if (next === undefined) throw new Fault("notResponding", "connection refused");
      return next as never;
    },
    upload: () => Promise.reject(new Error("nothing is uploaded")),
  };
}

test("a server that starts anew is waited for, one that stays away is not", async (t) => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  cleanup(t, () => mock.timers.reset());
  const over = { phase: "execute", status: "completed" };
  for (const [client, lost] of [
    [server(view(10), 100, over), false],
    [server(view(10), 1_000), true],
  ] as const) {
    const written: string[] = [];
    let ended: unknown;
    const output = { write: (text: string) => written.push(text) };
    const whole = follow(client, "u", output, "new").then(
      () => {
        ended = "well";
      },
      (error: unknown) => {
        ended = error;
      },
    );
    while (ended === undefined) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      mock.timers.tick(250);
    }
    await whole;
    if (lost) assert.ok(ended instanceof Fault && ended.kind === "notResponding");
    else assert.equal(ended, "well");
  }
});
