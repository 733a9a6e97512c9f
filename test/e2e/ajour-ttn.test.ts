/** LoRaWAN devices behind The Things Stack: uplinks by its webhook, commands by its downlinks, to that server and no other. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type AjourLink, createFlash } from "#sim/ajour-device.ts";
import { serveHttp } from "../fixtures/http-server.ts";
import { image, startDevice, startNode } from "./ajour-support.ts";

const WEBHOOK = { name: "ttn", password: "of the webhook" };
const PATH = "/api/v3/as/applications/app1/webhooks/edge/devices/bms-1/down/replace";

/** What of The Things Stack takes downlinks. */
async function startStack(t: TestContext) {
  const seen: { path: string; authorization: string | undefined; f_port: number; priority: string }[] = [];
  let waiting: ((payload: Uint8Array) => void) | undefined;
  const host = await serveHttp(t, async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const { downlinks } = JSON.parse(text) as {
      downlinks: { f_port: number; frm_payload: string; priority: string }[];
    };
    const [{ f_port, frm_payload, priority }] = downlinks as [(typeof downlinks)[number]];
    seen.push({ path: request.url ?? "", authorization: request.headers.authorization, f_port, priority });
    response.end("{}");
    waiting?.(Buffer.from(frm_payload, "base64"));
  });
  const url = `http://${host}`;
  return {
    url,
    seen,
    downlink: () =>
      new Promise<Uint8Array>((resolve) => {
        waiting = resolve;
      }),
  };
}

test("a LoRaWAN device is updated by the webhook of The Things Stack", async (t) => {
  const stack = await startStack(t);
  const node = await startNode(t, {
    update: {
      ajour: {
        ttn: { url: stack.url, max_block_bytes: 180 },
        devices: {
          "bms-1": { component: "bms", gateways: [WEBHOOK.name] },
          [WEBHOOK.name]: { password: WEBHOOK.password },
          stranger: {},
        },
      },
    },
  });
  const basic = `Basic ${Buffer.from(`${WEBHOOK.name}:${WEBHOOK.password}`).toString("base64")}`;
  const post = (event: object, more: Readonly<Record<string, string>> = {}) =>
    fetch(`${node.origin}/ttn/v3`, {
      method: "POST",
      headers: {
        authorization: basic,
        "content-type": "application/json",
        "x-downlink-apikey": "NNSXS.KEY",
        "x-downlink-replace": `${stack.url}${PATH}`,
        ...more,
      },
      body: JSON.stringify(event),
    });
  const uplink = (report: Uint8Array, f_port = 223, device_id = "bms-1") => ({
    end_device_ids: { device_id, application_ids: { application_id: "app1" } },
    uplink_message: { f_port, f_cnt: 1, frm_payload: Buffer.from(report).toString("base64") },
  });
  const link: AjourLink = {
    async ask(report) {
      const downlink = stack.downlink();
      const answer = await post(uplink(report));
      if (answer.status !== 202) throw new Error(`${answer.status} ${await answer.text()}`);
      return downlink;
    },
    async close() {},
  };
  const { device, events } = startDevice(t, createFlash("1.0"), { link, blockBytes: 1_000 });
  const firmware = image(5_000);
  assert.equal((await node.update(firmware, "1.1"))["x-state"], "completed");
  assert.deepEqual(device.flash.active.image, Buffer.from(firmware));
  assert.equal(events.filter(({ type }) => type === "block").length, Math.ceil(5_000 / 180));
  const [first] = stack.seen;
  assert.deepEqual(first, { path: PATH, authorization: "Bearer NNSXS.KEY", f_port: 223, priority: "NORMAL" });
  await device.stop();

  const report = Buffer.from("a1004131", "hex");
  const before = stack.seen.length;
  for (const [what, event, more, status] of [
    ["another port", uplink(report, 1), {}, 202],
    ["a join", { end_device_ids: { device_id: "bms-1" }, join_accept: {} }, {}, 202],
    ["no password", uplink(report), { authorization: "" }, 401],
    ["a device of another gateway", uplink(report, 223, "stranger"), {}, 403],
    ["no payload", { ...uplink(report), uplink_message: { f_port: 223 } }, {}, 400],
    ["garbage", uplink(Buffer.from("garbage")), {}, 400],
    ["answers to another server", uplink(report), { "x-downlink-replace": "http://127.0.0.2:1/x" }, 403],
    [
      "answers to another device",
      uplink(report),
      { "x-downlink-replace": stack.url + PATH.replace("bms-1", "bms-2") },
      403,
    ],
    ["another call of that server", uplink(report), { "x-downlink-replace": `${stack.url}/api/v3/users` }, 403],
    ["answers to nowhere", uplink(report), { "x-downlink-replace": "" }, 403],
  ] as const) {
    const answer = await post(event, more);
    assert.equal(answer.status, status, `${what}: ${await answer.text()}`);
  }
  assert.equal(stack.seen.length, before);
});
