/**
 * The recommended cases of the transport facts (chapter 7), by number and clause, with the tests that cover each: a clause whose test
 * was renamed or dropped fails here, and so does a case of the facts that has no row.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

const FACTS = new URL("../../../../shared/facts/transport.md", import.meta.url);
const TESTS = new URL("../../", import.meta.url);

/** File below `test/` and the beginning of a test's title, `…` for what is filled in. */
type Covering = readonly [file: string, title: string];
type Clauses = Readonly<Record<string, readonly Covering[]>>;

const DISCOVERY = "unit/doip/discovery.test.ts";
const CONNECTION = "unit/doip/connection.test.ts";
const FRAMING = "unit/doip/framing.test.ts";
const CLIENT = "unit/uds/client.test.ts";
const FUNCTIONAL = "unit/uds/functional.test.ts";
const MATCH = "unit/uds/match.test.ts";
const EFFECTS = "unit/ecu/com-param-effects.test.ts";
const SHARD = "unit/ecu/shard.test.ts";
const LIFE = "unit/ecu/life.test.ts";
const FLASH = "unit/ecu/flash-transfer.test.ts";
const FAULTS = "faults/ecu.test.ts";
const OVERLOAD = "faults/overload.test.ts";
const TOPOLOGY = "faults/topology.test.ts";
const PROCESS = "faults/process.test.ts";
const LOCKS = "e2e/locks.test.ts";
const RESOURCES = "e2e/resources.test.ts";
const REAL = "e2e/real-vehicle.test.ts";

const CASES: Readonly<Record<number, Clauses>> = {
  1: {
    "FF 00 on the wire": [[DISCOVERY, "discovery: asks with FF 00"]],
    "version of the announcement on TCP": [
      [CONNECTION, "connection: activates routing with the tester's address, in the version of the announcement"],
      [CONNECTION, "connection: keeps the protocol version that it began with"],
    ],
    "32 and 33 bytes": [[DISCOVERY, "discovery: asks with FF 00, tells and collects what answers; 32 and 33 bytes"]],
    garbage: [[DISCOVERY, "discovery: other subnets, own echoes and garbage"]],
    IPv6: [
      [DISCOVERY, "discovery on IPv6: asks an entity on ::1"],
      ["e2e/ipv6.test.ts", "one gateway on IPv4, one on IPv6"],
      ["e2e/ipv6.test.ts", "all nodes of a link are asked"],
    ],
    "wrong subnet": [[DISCOVERY, "discovery: other subnets"]],
    "unknown address": [
      [TOPOLOGY, "a gateway comes late, goes, and comes back elsewhere; one never comes; one nobody"],
    ],
    "duplicate announcement, flood": [[DISCOVERY, "discovery: the window is fixed, however much comes; the same"]],
  },
  2: {
    "before, after, never, new address": [[TOPOLOGY, "a gateway comes late, goes, and comes back elsewhere"]],
    "two entities on one address": [[TOPOLOGY, "all entities on one address"]],
    "ECU behind a gateway, gateway without database": [[TOPOLOGY, "a gateway without a database of its own"]],
    "forced gateway address": [
      [REAL, "five ECUs are online with their variants"],
      ["unit/mdd/query-com-params.test.ts", "precedence: …"],
    ],
  },
  3: {
    "every code": [
      [CONNECTION, "connection: activation code 0x… is success"],
      [CONNECTION, "connection: activation code 0x… is a refusal"],
    ],
    "no answer, close during activation": [[CONNECTION, "connection: no activation response in time, close during"]],
    "another message first": [[CONNECTION, "connection: an alive check request before the activation response"]],
    "0x07 with TLS": [
      [CONNECTION, "connection: code 0x07 leads to TLS"],
      [CONNECTION, "connection: with its CA the certificate is verified"],
      [CONNECTION, "connection: a certificate of another CA is refused"],
      [CONNECTION, "connection: a closed TLS port is a failed attempt"],
      [TOPOLOGY, "a gateway that demands TLS"],
    ],
    "central security": [[TOPOLOGY, "a gateway that announces central security and"]],
  },
  4: {
    "bytewise, coalesced": [
      [FRAMING, "framer: byte by byte"],
      [FRAMING, "framer: ACK and response in one segment"],
      [FAULTS, "bytes one by one, several messages at a time"],
    ],
    "oversize, wrong inverse, unknown type": [
      [FRAMING, "framer: …, whole and bytewise"],
      [CONNECTION, "connection: malformed bytes are refused with a NACK"],
    ],
  },
  5: {
    "no acknowledgement": [
      [FAULTS, "an acknowledgement …: the answer stands for it"],
      [FAULTS, "no acknowledgement and no answer"],
      [CONNECTION, "connection: a missing ACK can be tolerated"],
    ],
    "late, with echo, wrong echo, after the answer": [
      [FAULTS, "an acknowledgement … changes nothing"],
      [FAULTS, "an acknowledgement …: the answer stands for it"],
      [CONNECTION, "connection: ACK …"],
      [CONNECTION, "connection: an answer that overtakes its ACK counts as one"],
    ],
    "NACK 02 to 08 with retry counts": [
      [CONNECTION, "connection: NACK 0x0…: repeated only by its own code's count"],
      [FAULTS, "a NACK of the gateway is told"],
    ],
    "generic NACK": [[CONNECTION, "connection: a generic NACK fails the only request"]],
    "functional acknowledgement": [[CONNECTION, "connection: the ACK of a functional request may come from the"]],
  },
  6: {
    "0x78 below and above its completion time": [[FAULTS, "0x78 holds the request open, beyond its completion time"]],
    "0x21 and 0x94, policies": [
      [FAULTS, "an ECU that is … is asked again"],
      [CLIENT, "client: … Disabled hands"],
      [CLIENT, "client: … ContinueUnlimited goes on"],
    ],
    "pending for another service": [[FAULTS, "0x78 holds the request open"]],
    "wrong identifier, wrong service": [[FAULTS, "an answer that is …"]],
    "late answer of the request before": [
      [FAULTS, "a doubled and a late answer do not become the next request's"],
      [CLIENT, "client: a late answer to the request before"],
    ],
    "routine with bit 7": [[MATCH, "match: … / …"]],
  },
  7: {
    "exactly 1 + N sends, one window apart": [[FAULTS, "a silent ECU is asked 1 + N times"]],
  },
  8: {
    "two ECUs side by side, two requests in turn": [[FAULTS, "requests to one ECU wait for each other, those to two"]],
    "wait for the turn is limited": [
      [CLIENT, "client: 10 s without a turn is a Timeout"],
      [OVERLOAD, "a full queue refuses at once; who waits too long gets 504"],
    ],
  },
  9: {
    "/disconnect and hard reset under a lock": [
      [LOCKS, "a lost connection: the keep-alive goes on when it is back"],
      [LOCKS, "a hard reset of some seconds under a lock"],
    ],
    "attempts exhausted, then an announcement": [[TOPOLOGY, "a gateway that stayed away longer than it was tried"]],
    "frozen peer": [
      [PROCESS, "a gateway's process is stopped with its sockets open"],
      [FAULTS, "a frozen gateway is found out and left"],
    ],
    "entity that closes idle connections": [[FAULTS, "a gateway that closes an idle connection"]],
    "alive check of the entity": [[FAULTS, "an alive check of the gateway is answered in time"]],
  },
  10: {
    "every row of the states": [
      [LIFE, "… and …: …"],
      [LIFE, "the rows cover every pair of the table"],
    ],
    duplicates: [[REAL, "which of two databases speaks follows the ECU: APPLICATION2, APPLICATION3, APPLICATION"]],
    fallback: [[SHARD, "no variant fits: NoVariantDetected without the fallback, the base variant with it"]],
    "silent behind a living gateway": [
      [SHARD, "silence makes an ECU Disconnected"],
      [SHARD, "an ECU that was silent for … ms behind a living gateway"],
    ],
    "coalesced detection": [[SHARD, "triggers of detection come together"]],
  },
  11: {
    "S3 with and without keep-alive": [[LOCKS, "S3: the locked ECU stays in its session"]],
    "expiry timers": [
      [SHARD, "a mode's end: the default is asked for, once"],
      [RESOURCES, "modes: session with an end"],
    ],
  },
  12: {
    "more than 255 blocks": [
      [REAL, "flash: request, transfer of more blocks than the counter has numbers"],
      [FLASH, "the counter runs from 0xFF to 0x00"],
    ],
    "0x73 aborts": [[FLASH, "… ends the transfer"]],
    "0x78, lost answer": [[TOPOLOGY, "a transfer, block 2 meets …"]],
    "connection lost in the middle": [[TOPOLOGY, "a transfer whose connection breaks is aborted"]],
    "two blocks prepared": [[FLASH, "while a block is on its way the next two are read"]],
  },
};

/** Beside the numbered cases: what the chapter says of several gateways, and of the parameters. */
const MORE: Clauses = {
  "a functional request goes once to each gateway, each ECU has its result": [
    [RESOURCES, "functional group: data, operations and modes of every ECU in one answer"],
    [RESOURCES, "functional group: one silent and one refusing ECU stand as errors beside the others"],
    [FUNCTIONAL, "functional: 0x78 keeps one member's window open"],
  ],
  "every communication parameter": [[EFFECTS, "…: …"]],
  "a worker that runs out of memory": [[PROCESS, "a worker that runs out of memory"]],
};

const titles = new Map<string, readonly string[]>();

function titlesOf(file: string): readonly string[] {
  const known = titles.get(file);
  if (known !== undefined) return known;
  const source = readFileSync(new URL(file, TESTS), "utf8");
  const found = [...source.matchAll(/\btest\(\s*(?:"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/g)];
  const all = found.map(([, plain, template]) => (plain ?? template ?? "").replace(/\$\{[^}]*\}/g, "…"));
  titles.set(file, all);
  return all;
}

function check(clauses: Clauses): void {
  for (const [clause, tests] of Object.entries(clauses)) {
    assert.ok(tests.length > 0, `${clause} has no test`);
    for (const [file, title] of tests) {
      assert.ok(
        titlesOf(file).some((candidate) => candidate.startsWith(title)),
        `${clause}: no test in ${file} begins with ${JSON.stringify(title)}`,
      );
    }
  }
}

for (const [number, clauses] of Object.entries(CASES)) {
  test(`transport case ${number}: every clause has its test`, () => check(clauses));
}
test("transport, beside the cases: every clause has its test", () => check(MORE));

test("the cases are those of the facts", { skip: !existsSync(FACTS) && "the shared facts are not here" }, () => {
  const [, chapter = ""] = readFileSync(FACTS, "utf8").split(/^# 7\. /m);
  const numbers = [...chapter.split(/^# /m)[0]!.matchAll(/^(\d+)\. /gm)].map(([, number]) => number);
  assert.ok(numbers.length >= 12);
  assert.deepEqual(Object.keys(CASES), numbers);
});
