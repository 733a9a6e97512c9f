/** The simulator against what was recorded from the CDA's own test simulator, over real sockets. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { defaultEntities } from "#sim/vehicle.default.ts";
import { type RunningVehicle, startVehicle } from "#sim/vehicle.ts";
import { cleanup } from "../fixtures/cleanup.ts";
import { ManualClock, RawTester, RawUdp } from "./simulator-support.ts";

const VECTORS = new URL("../../../shared/facts/sim-vectors.tsv", import.meta.url);
const ADDRESSES = ["127.0.2.1", "127.0.2.2", "127.0.2.3", "127.0.2.4", "127.0.2.5"];
/** By another program over the data of block_1 and block_2. */
const SHA1_OF_BOTH_BLOCKS = "D9 10 96 23 03 38 8D 5A AD 20 07 F9 90 C5 F7 0E 2C B2 B8 2F";

/** Where we differ on purpose: case (with `#` and the row of that name where a case has several) → our answer, and why. */
const DIFFERENCES: Readonly<Record<string, { readonly ours: string; readonly why: string }>> = {
  "diag_empty_uds#2": { ours: "0000/04 closed", why: "no UDS byte: invalid payload length, ISO 13400-2 table 19" },
  "unknown_type#2": { ours: "0000/01", why: "unknown payload type is refused, the socket stays" },
  wrong_inverse: { ours: "0000/00 closed", why: "the NACK tells the tester why" },
  "too_long#2": { ours: "0000/02", why: "too large is refused and skipped, the socket stays" },
  coalesced_volatile: {
    ours: "0006/0E0010001000000000 8002/1000>0E00/00 8001/1000>0E00/7E00",
    why: "messages of one connection are handled in order",
  },
  block_2: { ours: "8002/1000>0E00/00 8001/1000>0E00/760202", why: "the block counter advances" },
  block_empty: {
    ours: "8002/1000>0E00/00 8001/1000>0E00/7F3673",
    why: "01 is neither the next block nor the last one",
  },
  "downloads#1": {
    ours: '200 {"transfers":[{"addressAndLengthIdentifier":68,"memoryAddress":"00 00 10 00","memorySize":"00 00 01 00","isActive":true,"dataTransferCount":0}]}',
    why: "memorySize is stored",
  },
  "downloads#2": {
    ours: '200 {"transfers":[{"addressAndLengthIdentifier":68,"memoryAddress":"00 00 10 00","memorySize":"00 00 01 00","isActive":true,"dataTransferCount":2}]}',
    why: "memorySize is stored; a repeated block is not counted twice",
  },
  "downloads#3": {
    ours: `200 {"transfers":[{"addressAndLengthIdentifier":68,"memoryAddress":"00 00 10 00","memorySize":"00 00 01 00","isActive":false,"dataTransferCount":2,"checksum":"${SHA1_OF_BOTH_BLOCKS}"}]}`,
    why: "the checksum is that of all blocks",
  },
};

interface Row {
  readonly name: string;
  readonly target: string;
  readonly request: string;
  readonly expected: string;
}

function sections(): Map<string, Row[]> {
  const found = new Map<string, Row[]>();
  let rows: Row[] = [];
  const seen = new Map<string, number>();
  for (const line of readFileSync(VECTORS, "utf8").split("\n")) {
    if (line.startsWith("#")) {
      rows = [];
      found.set(line.slice(1).trim(), rows);
    } else if (line !== "") {
      const [name, target, request, recorded] = line.split("\t") as [string, string, string, string];
      const count = (seen.get(name) ?? 0) + 1;
      seen.set(name, count);
      const difference = DIFFERENCES[`${name}#${count}`] ?? DIFFERENCES[name];
      rows.push({ name, target, request, expected: difference?.ours ?? recorded });
    }
  }
  return found;
}

/** One run of a section: connections by entity, the row before for cases of several rows. */
interface Run {
  readonly vehicle: RunningVehicle;
  readonly clock: ManualClock;
  readonly udp: RawUdp;
  readonly testers: Map<string, RawTester>;
  raw: { readonly name: string; readonly tester: RawTester } | undefined;
}

async function replay(run: Run, row: Row): Promise<void> {
  const label = `${row.name}: ${row.request.slice(0, 60)}`;
  const waitS = /^after_(\d+)s/.exec(row.name)?.[1];
  if (waitS !== undefined) run.clock.advance(Number(waitS) * 1000 - run.clock.now());
  if (row.request.startsWith("UDP ")) assert.equal(await overUdp(run, row), row.expected, label);
  else if (row.request.startsWith("DOIP ")) assert.equal(await overDoip(run, row), row.expected, label);
  else if (row.request.startsWith("HTTP ")) await overHttp(run, row, label);
  else if (row.request === "-") assert.equal(await connectionState(run, row), row.expected, label);
  else if (!/read_F199|read_F19B/.test(row.name)) assert.equal(await overUds(run, row), row.expected, label);
}

function endpointOf(run: Run, target: string): { address: string; port: number } {
  const byAddress = run.vehicle.entities.find(({ logicalAddress }) => logicalAddress === Number.parseInt(target, 16));
  return run.vehicle.endpoint(byAddress?.name ?? (target === "functional" ? "FLXC1000" : target));
}

async function overUdp(run: Run, { target, request }: Row): Promise<string> {
  const { address, port } = endpointOf(run, target);
  run.udp.send(request.slice(4), port, address);
  // The power mode answer behind it proves silence.
  const FENCE = "4004/00";
  run.udp.send("02FD400300000000", port, address);
  const answer = await run.udp.next();
  if (answer === FENCE && !request.startsWith("UDP 02FD4003")) return "-";
  assert.equal(await run.udp.next(), FENCE);
  return `${answer} (version 02)`;
}

async function overDoip(run: Run, { name, target, request, expected }: Row): Promise<string> {
  if (run.raw?.name !== name) {
    run.raw?.tester.close();
    const { address, port } = endpointOf(run, target);
    run.raw = { name, tester: await RawTester.open(port, address) };
  }
  const { tester } = run.raw;
  const bytes = request.slice(5);
  tester.send(bytes);
  const length = Number.parseInt(bytes.slice(8, 16), 16);
  if (bytes.startsWith("02FD0005") && bytes.length < 16) return "-";
  if (bytes.length / 2 - 8 < length) return (await tester.take(expected.split(" ").length)).join(" ");
  const frames = bytes.startsWith("02FD0007") ? [await tester.next()] : [];
  frames.push(...(await tester.untilQuiet()));
  return frames.length === 0 ? "-" : frames.join(" ");
}

async function overUds(run: Run, { target, request }: Row): Promise<string> {
  const { address, port } = endpointOf(run, target);
  let tester = run.testers.get(address);
  if (tester === undefined || tester.socket.destroyed) {
    tester = await RawTester.activated(port, address);
    run.testers.set(address, tester);
  }
  const logicalAddress = target === "functional" ? 0xffff : run.vehicle.ecu(target).logicalAddress;
  return (await tester.exchange(logicalAddress.toString(16).toUpperCase().padStart(4, "0"), request)).join(" ");
}

async function overHttp(run: Run, { name, request, expected }: Row, label: string): Promise<void> {
  const [, method, path, body] = /^HTTP (\S+) (\S+)(?: (.*))?$/s.exec(request)!;
  const contentType = name === "state_bad_type" ? "text/plain" : "application/json";
  const response = await fetch(`http://127.0.0.1:${run.vehicle.controlPort}${path}`, {
    method: method!,
    headers: { "content-type": contentType },
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  if (name === "keys_volatile") {
    assert.equal(Object.keys(JSON.parse(text).keys[0]).sort().join(), expected);
    return;
  }
  const [, status, json] = /^(\d{3})?\s*(.*)$/s.exec(expected)!;
  if (status !== undefined) assert.equal(response.status, Number(status), label);
  if (json === "") assert.equal(text, "", label);
  else if (name !== "disconnect_volatile") assert.deepEqual(JSON.parse(text), JSON.parse(json!), label);
}

async function connectionState(run: Run, { name, target }: Row): Promise<string> {
  if (name !== "connect_during_reset_volatile") {
    const { address } = endpointOf(run, target);
    return (await run.testers.get(address)?.next()) ?? "never opened";
  }
  const { address, port } = endpointOf(run, target);
  const refused = await new Promise<string>((resolve) => {
    connect(port, address)
      .once("connect", () => resolve("connected"))
      .once("error", () => resolve("refused"));
  });
  const back = run.vehicle.events.next("listening");
  run.clock.advance(2_000);
  await back;
  return refused;
}

async function open(t: TestContext): Promise<Run> {
  const clock = new ManualClock();
  const entities = defaultEntities(ADDRESSES, 0);
  const vehicle = await startVehicle({ entities, controlPort: 0, announce: false, clock });
  const udp = await RawUdp.open();
  const run: Run = { vehicle, clock, udp, testers: new Map(), raw: undefined };
  cleanup(t, async () => {
    udp.close();
    run.raw?.tester.close();
    for (const tester of run.testers.values()) tester.close();
    await vehicle.close();
  });
  return run;
}

test("recorded vectors", {
  skip: existsSync(VECTORS) ? false : "recorded vectors are not here: ../shared is absent",
}, async (t) => {
  const found = sections();
  assert.ok(found.size > 10);
  for (const [section, rows] of found) {
    await t.test(section, async (t) => {
      const run = await open(t);
      // Its connection must be there before /disconnect takes it away.
      if (section === "disconnect") await overUds(run, { name: "", target: "FLXC1000", request: "3E00", expected: "" });
      for (const row of rows) await replay(run, row);
    });
  }
});
