import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { toHex } from "#core/bytes.ts";
import { UdsClient } from "#uds/client.ts";
import { DEFAULT_COM_PARAMS } from "#uds/com-params.ts";
import { functionalRequest } from "#uds/functional.ts";
import { doipTransport } from "#uds/over-doip.ts";
import { cleanup } from "../../fixtures/cleanup.ts";
import { ack, answer, Entity } from "../doip/entity.ts";
import { hex, Mailbox, ManualClock, outcome } from "./support.ts";

const PARAMS = {
  ...DEFAULT_COM_PARAMS,
  doip: {
    ...DEFAULT_COM_PARAMS.doip,
    logicalTesterAddress: 0x0e00,
    logicalGatewayAddress: 0x1000,
    logicalFunctionalAddress: 0xffff,
  },
};

/** Nobody is late here: time stands still. */
async function gateway(t: TestContext) {
  const clock = new ManualClock();
  const entity = await Entity.start(t);
  const transport = doipTransport({
    params: PARAMS,
    gatewayAddress: 0x1000,
    ip: "127.0.0.1",
    version: 2,
    port: entity.port,
    tlsPort: entity.port,
    testerIp: "127.0.0.1",
    clock,
  });
  cleanup(t, () => transport.close());
  const open = (name: string, logicalEcuAddress: number, addressing: "physical" | "functional" = "physical") => {
    const up = new Mailbox<boolean>();
    const client = new UdsClient({
      transport,
      target: { name, addressing, params: { ...PARAMS, doip: { ...PARAMS.doip, logicalEcuAddress } } },
      clock,
      onConnectivity: (connected) => up.push(connected),
    });
    return { client, up };
  };
  return { entity, transport, open };
}

/** Requests to FLXC1000 with one final answer, as the original simulator gave them. */
function recorded(): { name: string; request: string; response: string }[] {
  const file = new URL("../../../../shared/facts/sim-vectors.tsv", import.meta.url);
  if (!existsSync(file)) return [];
  const rows = readFileSync(file, "utf8")
    .split("\n")
    .map((line) => line.split("\t"));
  return rows.flatMap(([name, ecu, request, answers]) => {
    const match = /^8002\/1000>0E00\/00 8001\/1000>0E00\/([0-9A-F]+)$/.exec(answers ?? "");
    if (ecu !== "FLXC1000" || match === null || !/^(?:[0-9A-F]{2})+$/.test(request ?? "")) return [];
    return [{ name: name!, request: request!, response: match[1]! }];
  });
}

const VECTORS = recorded();
test("over DoIP: recorded requests get their recorded answers", {
  skip: VECTORS.length === 0 && "no recorded vectors here",
}, async (t) => {
  const { entity, transport, open } = await gateway(t);
  const { client, up } = open("FLXC1000", 0x1000);
  transport.announce("127.0.0.1", 2);
  assert.equal(await up.next(), true);
  assert.ok(VECTORS.length > 100);
  let current = "";
  entity.script = (message, say) => {
    if (message.kind !== "diagnosticMessage") return undefined;
    say(ack(0x1000), answer(0x1000, hex(current)));
    return true;
  };
  for (const { name, request, response } of VECTORS) {
    // Codes that are handled below the caller, and requests whose answers nobody awaits.
    if (/^7F..(?:21|78|94)/.test(response) || /^(?:10|11|19|27|28|29|2C|31|3E|85)[89A-F]/.test(request)) continue;
    current = response;
    assert.equal(await outcome(client.request(hex(request))), response, name);
  }
});

test("over DoIP: one functional request, answers of several ECUs, side by side with physical ones", async (t) => {
  const { entity, transport, open } = await gateway(t);
  const ecus = [open("FLXC1000", 0x1000), open("TMC1001", 0x1001)];
  const group = open("group", 0x1000, "functional");
  transport.announce("127.0.0.1", 2);
  for (const { up } of [...ecus, group]) assert.equal(await up.next(), true);
  entity.script = (message, say) => {
    if (message.kind !== "diagnosticMessage") return undefined;
    say(ack(message.targetAddress));
    if (message.targetAddress === 0xffff)
      say(answer(0x1000, hex("7F2278")), answer(0x1001, hex("62F10002")), answer(0x1000, hex("62F10001")));
    else say(answer(message.targetAddress, hex("7E00")));
    return true;
  };
  const [functional, ...physical] = await Promise.all([
    functionalRequest({
      group: group.client,
      members: ecus.map(({ client }) => client),
      request: hex("22F100"),
      params: PARAMS.uds,
    }),
    ...ecus.map(({ client }) => client.request(hex("3E00"))),
  ]);
  assert.deepEqual(
    functional.map((result) => result instanceof Uint8Array && toHex(result)),
    ["62F10001", "62F10002"],
  );
  assert.deepEqual(
    physical.map((response) => toHex(response)),
    ["7E00", "7E00"],
  );
});

test("over DoIP: before the gateway has spoken an ECU is offline", async (t) => {
  const { open } = await gateway(t);
  const { client } = open("FLXC1000", 0x1000);
  assert.equal(await outcome(client.request(hex("3E00"))), "ecuOffline Ecu FLXC1000 offline");
});
