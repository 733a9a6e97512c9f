import assert from "node:assert/strict";
import { test } from "node:test";
import { reportHtml } from "#bench/report.ts";
import { FIGURES, type Round, ratioOf, spreadOf } from "#bench/summary.ts";
import { textOf } from "#bench/table.ts";

const round = (requestsPerS: number): Round => ({
  requestsPerS,
  percentilesMs: [1, 2, 3, 4],
  maxMs: 5,
  answered: 10,
  refused: 0,
  refusedP99Ms: 0,
  errors: {},
  unsent: 0,
  clientBusy: 0.5,
});

test("spread: the median of an even number lies between", () => {
  assert.deepEqual(spreadOf([4, 1, 3, 2]), { min: 1, median: 2.5, max: 4 });
  assert.deepEqual(spreadOf([7]), { min: 7, median: 7, max: 7 });
});

test("a ratio is taken round by round, so a slow minute of the machine cancels out", () => {
  const [rate, , , , , cpu] = FIGURES;
  assert.deepEqual(ratioOf([round(100), round(10)], [round(200), round(20)], rate!), {
    min: 0.5,
    median: 0.5,
    max: 0.5,
  });
  assert.equal(ratioOf([round(100)], [round(0)], rate!), undefined);
  assert.equal(ratioOf([round(100)], [round(100)], cpu!), undefined);
});

test("table and report name servers, figures, errors and a generator at its limit", () => {
  const busy = { ...round(50), clientBusy: 0.99, errors: { "HTTP 503": 3 } };
  const measurements = [{ connections: 8, rounds: [[round(100)], [busy]] }];
  const text = textOf(["ours", "<theirs>"], measurements);
  assert.match(text, /8 connections/);
  assert.match(text, /HTTP 503 × 3/);
  assert.match(text, /ours ÷ <theirs> +2\.00/);
  assert.match(text, /99 % of a core/);
  const html = reportHtml({ title: "a & b", facts: { node: "v20" }, names: ["ours", "<theirs>"], measurements });
  assert.match(html, /<title>a &amp; b<\/title>/);
  assert(!html.includes("<theirs>"));
  assert.match(html, /<svg/);
});
