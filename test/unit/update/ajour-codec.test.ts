/**
 * Vectors: `ajour-vectors.json`, made with the crate `embedded-update` 0.12 (`drogue-ajour-protocol` 0.6 encodes the same), beside
 * the odd inputs that its decoder takes or refuses.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Fault } from "#core/errors.ts";
import {
  type Command,
  decodeCommand,
  decodeStatus,
  encodeCommand,
  encodeStatus,
  readStatus,
  type Status,
} from "#update/ajour/codec.ts";
import fc from "../../fixtures/properties.ts";

const PATH = fileURLToPath(new URL("../../../../shared/facts/ajour-vectors.json", import.meta.url));
const skip = existsSync(PATH) ? false : "needs ../shared/facts, which is not there";

interface Outcome {
  readonly ok: boolean;
  readonly debug?: string;
}
interface Vectors {
  readonly vectors: readonly {
    readonly name: string;
    readonly direction: string;
    readonly cbor_named: string;
    readonly cbor_packed: string;
    readonly ciborium: string;
    readonly value: Record<string, unknown>;
  }[];
  readonly decode_acceptance_by_real_decoder: readonly {
    readonly case: string;
    readonly hex: string;
    readonly type: "Status" | "Command";
    readonly result: Outcome & { readonly from_slice?: Outcome };
  }[];
  readonly json_status_acceptance_serde_json: readonly {
    readonly case: string;
    readonly text: string;
    readonly result: Outcome;
  }[];
}

const vectors = skip ? undefined : (JSON.parse(readFileSync(PATH, "utf8")) as Vectors);
const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));
const shown = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

test("every message of the crate, in every form", { skip }, async (t) => {
  for (const vector of vectors!.vectors) {
    await t.test(vector.name, () => {
      const isStatus = vector.direction === "device->server";
      const value = isStatus ? statusOf(vector.value) : commandOf(vector.value);
      for (const form of [vector.cbor_named, vector.cbor_packed, vector.ciborium]) {
        assert.deepEqual(plain(isStatus ? decodeStatus(hex(form)) : decodeCommand(hex(form))), plain(value));
      }
      for (const [encoding, form] of [
        ["named", vector.cbor_named],
        ["packed", vector.cbor_packed],
      ] as const) {
        const bytes = isStatus ? encodeStatus(value as Status, encoding) : encodeCommand(value as Command, encoding);
        assert.equal(shown(bytes), form);
      }
    });
  }
});

test("odd messages are taken and refused as by the crate", { skip }, async (t) => {
  for (const { case: name, hex: text, type, result } of vectors!.decode_acceptance_by_real_decoder) {
    await t.test(`${type}: ${name}`, () => {
      const decode = () => (type === "Status" ? decodeStatus(hex(text)) : decodeCommand(hex(text)));
      const { ok, debug } = result.from_slice ?? result;
      if (!ok) {
        assert.throws(decode, (error) => error instanceof Fault && error.kind === "invalidData");
        return;
      }
      const decoded = decode();
      assert.equal(type === "Status" ? statusDebug(decoded as Status) : commandDebug(decoded as Command), debug);
    });
  }
});

test("JSON statuses", { skip }, async (t) => {
  // the crate borrows text from its input and so cannot undo an escape; and it starts over where the description's name is used
  const escaped = "JSON version with escape";
  const described = "JSON status with README key 'status'";
  for (const { case: name, text, result } of vectors!.json_status_acceptance_serde_json) {
    await t.test(name, () => {
      const bytes = Buffer.from(text);
      if (name === escaped) assert.equal(Buffer.from(readStatus(bytes).version).toString(), "0.1.0");
      else if (name === described) assert.equal(updateDebug(readStatus(bytes).update), 'Some(("302e312e31", 512))');
      else if (!result.ok) assert.throws(() => readStatus(bytes), Fault);
      else {
        const { version, update } = readStatus(bytes);
        assert.equal(`version=${shown(version)} update=${updateDebug(update)}`, result.debug);
      }
    });
  }
});

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const maybe = fc.option(u32, { nil: undefined });
const bytes = fc.uint8Array({ maxLength: 40 });
const encoding = fc.constantFrom("named" as const, "packed" as const);
const status: fc.Arbitrary<Status> = fc.record({
  version: bytes,
  mtu: maybe,
  correlationId: maybe,
  update: fc.option(fc.record({ version: bytes, offset: u32 }), { nil: undefined }),
});
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ type: fc.constant("wait" as const), correlationId: maybe, pollS: maybe }),
  fc.record({ type: fc.constant("sync" as const), version: bytes, correlationId: maybe, pollS: maybe }),
  fc.record({ type: fc.constant("write" as const), version: bytes, correlationId: maybe, offset: u32, data: bytes }),
  fc.record({ type: fc.constant("swap" as const), version: bytes, correlationId: maybe, checksum: bytes }),
);

test("what is encoded is decoded again", () => {
  fc.assert(fc.property(status, encoding, (value, form) => same(decodeStatus(encodeStatus(value, form)), value)));
  fc.assert(fc.property(command, encoding, (value, form) => same(decodeCommand(encodeCommand(value, form)), value)));
});

test("garbage is refused with a fault and nothing else", () => {
  const decoders = [decodeStatus, decodeCommand, readStatus];
  const cut = fc
    .tuple(command, encoding, fc.nat(200), fc.uint8Array({ maxLength: 4 }))
    .map(([value, form, at, more]) => {
      const good = encodeCommand(value, form);
      return new Uint8Array([...good.subarray(0, at), ...more]);
    });
  const json = fc.json().map((text) => new Uint8Array(Buffer.from(text)));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), cut, json), (input) => {
      for (const decode of decoders) {
        try {
          decode(input);
        } catch (error) {
          assert.ok(error instanceof Fault, String(error));
        }
      }
    }),
    { numRuns: 2_000 },
  );
});

test("lengths that the message does not hold and deep nesting end at once", () => {
  const refused = [
    "bbffffffffffffffff", // map of 2^64-1 entries
    "9b00000000ffffffff",
    `a263666f6f${"81".repeat(1_000)}00`,
    "a163666f6fff", // a break in the place of a value
    "a1677665727369",
  ];
  for (const text of refused) assert.throws(() => decodeStatus(hex(text)), Fault, text);
});

function same(actual: Status | Command, expected: Status | Command): void {
  assert.deepEqual(plain(actual), plain(expected));
}

/** Without absent members, bytes as hex. */
function plain(value: object): object {
  return JSON.parse(JSON.stringify(value, (_, item) => (item instanceof Uint8Array ? `h'${shown(item)}'` : item)));
}

function statusOf(value: Record<string, unknown>): Status {
  const update = value.update as { version_hex: string; offset: number } | null;
  return {
    version: hex(value.version_hex as string),
    mtu: (value.mtu as number | null) ?? undefined,
    correlationId: (value.correlation_id as number | null) ?? undefined,
    update: update === null ? undefined : { version: hex(update.version_hex), offset: update.offset },
  };
}

function commandOf(value: Record<string, unknown>): Command {
  const [[name, fields]] = Object.entries(value) as [[string, Record<string, unknown>]];
  const optional = (field: string) => (fields[field] as number | null) ?? undefined;
  const common = { type: name.toLowerCase(), correlationId: optional("correlation_id") };
  const own: Record<string, unknown> = {};
  if ("version_hex" in fields) own.version = hex(fields.version_hex as string);
  if ("data_hex" in fields) own.data = hex(fields.data_hex as string);
  if ("checksum_hex" in fields) own.checksum = hex(fields.checksum_hex as string);
  if ("offset" in fields) own.offset = fields.offset;
  if ("poll" in fields) own.pollS = optional("poll");
  return { ...common, ...own } as Command;
}

const option = (value: number | undefined): string => (value === undefined ? "None" : `Some(${value})`);
const updateDebug = (update: Status["update"]): string =>
  update === undefined ? "None" : `Some(("${shown(update.version)}", ${update.offset}))`;

function statusDebug({ version, mtu, correlationId, update }: Status): string {
  const cid = `cid=${option(correlationId)}`;
  return `version=${shown(version)} mtu=${option(mtu)} ${cid} update=${updateDebug(update)}`;
}

function commandDebug(command: Command): string {
  const { type, correlationId } = command;
  assert.ok(type === "wait" || type === "sync", "the taken odd commands are of these two");
  const version = type === "sync" ? `version: [${[...command.version].join(", ")}], ` : "";
  const name = type === "sync" ? "Sync" : "Wait";
  return `${name} { ${version}correlation_id: ${option(correlationId)}, poll: ${option(command.pollS)} }`;
}
