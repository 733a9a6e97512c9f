/** Files of an upload, however it is cut into chunks; broken forms end in a fault and leave no reader waiting. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gathered } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import { databaseKey, dispositionName } from "#update/file-names.ts";
import { takeFile } from "#update/software/bulk/form-file.ts";
import { takeParts } from "#update/upload-parts.ts";
import fc from "../../fixtures/properties.ts";

const HEADERS = { contentType: "multipart/form-data; boundary=b", contentDisposition: "" };

function form(files: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(files).map(
    ([name, content]) => `--b\r\nContent-Disposition: form-data; name="f"; filename="${name}"\r\n\r\n${content}\r\n`,
  );
  return Buffer.from(`${parts.join("")}--b--\r\n`);
}

async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function taken(source: AsyncIterable<Uint8Array>, headers = HEADERS): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  await takeParts(source, headers, async (key, content) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of content) chunks.push(chunk);
    files[key] = Buffer.concat(chunks).toString("latin1");
  });
  return files;
}

test("files come out the same however the body is cut", async () => {
  const text = fc.string({ unit: "binary-ascii", maxLength: 200 }).filter((content) => !content.includes("--b"));
  await fc.assert(
    fc.asyncProperty(text, text, fc.integer({ min: 1, max: 64 }), async (first, second, size) => {
      const files = { "a.mdd": first, "b.mdd": second };
      assert.deepEqual(await taken(cut(form(files), size)), files);
    }),
    { numRuns: 100 },
  );
});

test("a form cut off anywhere is refused", async () => {
  const whole = form({ "a.mdd": "content", "b.mdd": "more" });
  for (let length = 0; length < whole.length - 4; length++) {
    await assert.rejects(taken(cut(whole.subarray(0, length), 7)), { name: "Fault" }, `${length} bytes`);
  }
});

test("garbage never hangs and never throws anything but a fault", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      await assert.rejects(taken(cut(bytes, 50)), (error) => error instanceof Fault);
    }),
    { numRuns: 100 },
  );
});

test("what the source or the taker throws is what comes out", async () => {
  const whole = form({ "a.mdd": "x".repeat(100_000), "b.mdd": "y" });
  const full = new Fault("noSpaceLeft", "full");
  await assert.rejects(
    takeParts(cut(whole, 1_000), HEADERS, async () => {
      throw full;
    }),
    full,
  );
  async function* broken() {
    yield whole.subarray(0, 500);
    throw new Fault("requestTimeout", "late");
  }
  await assert.rejects(taken(broken()), { kind: "requestTimeout" });
});

test("the one file of bulk data: a second is left out, none is refused, what its taker throws comes out", async () => {
  const one = (bytes: Uint8Array) =>
    takeFile(HEADERS.contentType, cut(bytes, 9), async ({ name, chunks }) => {
      const parts = await gathered(chunks, 100_000, () => new Error("too long"));
      return `${name}: ${parts}`;
    });
  assert.equal(await one(form({ "a b.bin": "first", "c.bin": "second" })), "a b.bin: first");
  await assert.rejects(one(form({})), { kind: "badRequest", message: "The form has no file" });
  const whole = form({ "a.bin": "content" });
  await assert.rejects(one(whole.subarray(0, whole.length - 12)), {
    kind: "badRequest",
    message: /^The form is broken/,
  });
  await assert.rejects(one(form({ "a.bin": "x".repeat(100_001) })), /too long/);
});

const NAMES: readonly [header: string, name: string | undefined][] = [
  ['attachment; filename="a b.mdd"', "a b.mdd"],
  ["attachment; filename=a.mdd", "a.mdd"],
  ['form-data; name="x"; FILENAME="q\\"uote.mdd"', 'q"uote.mdd'],
  ["filename=a.mdd", undefined],
  ["attachment; filename*=UTF-8''a.mdd", undefined],
  ['attachment; filename=""', undefined],
  ["", undefined],
];
for (const [header, name] of NAMES) {
  test(`Content-Disposition ${header || "(none)"}`, () => {
    if (name === undefined) assert.throws(() => dispositionName(header), { kind: "badRequest" });
    else assert.equal(dispositionName(header), name);
  });
}

test("a key is a plain name in lower case, or there is none", () => {
  assert.equal(databaseKey("FLXC 1000.MDD"), "flxc 1000.mdd");
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), (name) => {
      try {
        const key = databaseKey(name);
        assert.match(key, /^[^/\\\p{Cc}]+\.mdd$/u);
        assert.ok(Buffer.byteLength(key) <= 255);
      } catch (error) {
        assert.ok(error instanceof Fault && error.kind === "invalidData", String(error));
      }
    }),
  );
});
