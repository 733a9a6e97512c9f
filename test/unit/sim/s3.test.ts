import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Ecu } from "#sim/ecu.ts";
import { hex, ManualClock, upper } from "../../e2e/simulator-support.ts";

let clock: ManualClock;
let ecu: Ecu;

beforeEach(() => {
  clock = new ManualClock();
  ecu = new Ecu({ name: "E", logicalAddress: 1 }, "VIN", { clock, random: () => 0, onRequest: () => {} });
});

const ask = (request: string) => upper(ecu.receive(hex(request)) ?? new Uint8Array());

test("no timer runs in the default session", () => {
  ask("22F190");
  ask("1001");
  assert.equal(clock.pending, 0);
});

test("requests keep the session, silence of five seconds ends it; security stays", () => {
  ask("1002");
  ask("2705");
  ask("27060D0E0F1011121314");
  clock.advance(4_000);
  ask("3E80");
  clock.advance(4_999);
  assert.equal(ecu.state.sessionState, "PROGRAMMING");
  clock.advance(1);
  assert.equal(ecu.state.sessionState, "DEFAULT");
  assert.equal(ecu.state.variant, "APPLICATION");
  assert.equal(ecu.state.securityAccess, "LEVEL_05");
  assert.equal(clock.pending, 0);
});

test("a request costs no new timer", () => {
  ask("1003");
  for (let i = 0; i < 1_000; i++) ask("3E00");
  assert.equal(clock.pending, 1);
});

test("leaving the session by 10 01 or 11 01 ends S3", () => {
  for (const leave of ["1001", "1101"]) {
    ask("1002");
    ask(leave);
    const { variant } = ecu.state;
    clock.advance(60_000);
    assert.equal(ecu.state.variant, variant);
    assert.equal(clock.pending, 0);
  }
});

test("a session entered anew after leaving has its full five seconds", () => {
  ask("1003");
  clock.advance(3_000);
  ask("1001");
  clock.advance(1_000);
  ask("1003");
  clock.advance(4_999);
  assert.equal(ecu.state.sessionState, "EXTENDED");
  clock.advance(1);
  assert.equal(ecu.state.sessionState, "DEFAULT");
});

test("a request that finds the ECU busy keeps the session too", () => {
  ask("1003");
  clock.advance(4_000);
  assert.equal(upper(ecu.receiveWhileBusy(hex("22F190"))), "7F2221");
  clock.advance(4_000);
  assert.equal(ecu.state.sessionState, "EXTENDED");
});

test("an ECU that is away takes requests and does nothing", () => {
  ecu.goAway(2);
  assert.equal(ask("1003"), "");
  assert.equal(ecu.state.sessionState, "DEFAULT");
  clock.advance(2_000);
  assert.equal(ask("1003"), "5003003201F4");
});
