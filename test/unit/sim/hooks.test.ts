import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Ecu } from "#sim/ecu.ts";
import { hex, ManualClock, upper } from "../../e2e/simulator-support.ts";

let ecu: Ecu;
beforeEach(() => {
  const context = { clock: new ManualClock(), random: () => 0, onRequest: () => {} };
  ecu = new Ecu({ name: "E", logicalAddress: 1 }, "VIN", context);
});

const ask = (request: string) => {
  const response = ecu.receive(hex(request));
  return response === undefined ? "-" : upper(response);
};

test("an interceptor answers instead of the ECU", () => {
  ecu.intercept("a", "22 f1 90", "62 F1 90 41");
  assert.equal(ask("22F190"), "62F19041");
  assert.equal(ask("22F19000"), "7F2231");
  assert.equal(ask("22F186"), "62F18601");
});

const PATTERNS = [
  { request: "10[]", hits: ["1003", "10"], misses: ["1103"] },
  { request: "22F1(86|90)", hits: ["22F186", "22F190"], misses: ["22F100"] },
  { request: "[]", hits: ["22F186", "3E80"], misses: [] },
];
for (const { request, hits, misses } of PATTERNS) {
  test(`pattern ${request} is matched against the whole request`, () => {
    ecu.intercept("a", request, "7F1022");
    for (const hit of hits) assert.equal(ask(hit), "7F1022", hit);
    for (const miss of misses) assert.notEqual(ask(miss), "7F1022", miss);
  });
}

test("a blank response is silence, a malformed one NRC 0x10, and both use up the count", () => {
  ecu.intercept("silent", "22F186", " ", 1);
  ecu.intercept("bad", "22F190", "6", 1);
  assert.equal(ask("22F186"), "-");
  assert.equal(ask("22F186"), "62F18601");
  assert.equal(ask("22F190"), "7F2210");
  assert.equal(ask("22F190"), "62F19056494E");
});

test("the first interceptor installed wins; the same name replaces", () => {
  ecu.intercept("a", "22F186", "01");
  ecu.intercept("b", "22F186", "02");
  assert.equal(ask("22F186"), "01");
  ecu.intercept("a", "22F186", "03");
  assert.equal(ask("22F186"), "02");
  ecu.removeInterceptor("b");
  assert.equal(ask("22F186"), "03");
});

test("consumed requests are recorded only by a recorder that stands before the interceptor", () => {
  ecu.intercept("a", "22F186", "01");
  ecu.startRecording();
  ask("22F186");
  ask("3E80");
  assert.deepEqual(ecu.recorded, ["3E80"]);
  ecu.intercept("a", "22F186", "01");
  ask("22F186");
  assert.deepEqual(ecu.recorded, ["3E80", "22F186"]);
});

test("a record stays after stopping and goes on after starting again", () => {
  ecu.startRecording();
  ecu.startRecording();
  ask("1001");
  ecu.stopRecording();
  ask("1003");
  ecu.startRecording();
  ecu.receiveWhileBusy(hex("3E00"));
  assert.deepEqual(ecu.recorded, ["1001", "3E00"]);
});

test("reset takes everything back", () => {
  ecu.misbehaviour = { silent: {} };
  ecu.intercept("a", "[]", "01");
  ecu.startRecording();
  ecu.receive(hex("1003"));
  ecu.reset();
  assert.equal(ask("22F186"), "62F18601");
  assert.equal(ecu.misbehaviour, undefined);
  assert.deepEqual(ecu.recorded, []);
});
