/** Events of The Things Stack's webhook: reports are read as they were sent, and nothing else does harm. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "#core/errors.ts";
import { parseObject } from "#update/ajour/download.ts";
import { readUplink } from "#update/ajour/ttn.ts";
import fc from "../../fixtures/properties.ts";

const FIRMWARE_PORT = 223;

const read = (bytes: Uint8Array) => readUplink(parseObject(bytes, "The event"));
const isInvalid = (error: unknown) => error instanceof Fault && error.kind === "invalidData";

test("a report is read as the device sent it, whatever else the event says", () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1 }),
      fc.uint8Array({ maxLength: 242 }),
      fc.dictionary(fc.string(), fc.jsonValue()),
      (device, message, more) => {
        const uplink_message = { ...more, f_port: FIRMWARE_PORT, frm_payload: Buffer.from(message).toString("base64") };
        const event = { ...more, end_device_ids: { device_id: device }, uplink_message };
        const uplink = read(Buffer.from(JSON.stringify(event)));
        assert.equal(uplink?.device, device);
        assert.deepEqual(new Uint8Array(uplink.message), message);
      },
    ),
  );
});

test("any other event is none of ours, or refused as such", () => {
  const any = fc.jsonValue();
  const almost = fc.record(
    {
      end_device_ids: fc.oneof(any, fc.record({ device_id: any })),
      uplink_message: fc.oneof(any, fc.record({ f_port: fc.constantFrom(FIRMWARE_PORT, 1, "223"), frm_payload: any })),
    },
    { requiredKeys: [] },
  );
  const text = fc.oneof(any, almost).map((value) => new Uint8Array(Buffer.from(JSON.stringify(value))));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), text), (bytes) => {
      try {
        const uplink = read(bytes);
        assert.ok(uplink === undefined || typeof uplink.device === "string");
      } catch (error) {
        assert.ok(isInvalid(error), String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});
