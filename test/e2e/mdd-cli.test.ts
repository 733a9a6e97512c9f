// The mdd commands on files: what they print, in which form, and the exit codes.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "#cli/mdd-build.ts";
import { decode, encode } from "#cli/mdd-codec.ts";
import { diff } from "#cli/mdd-diff.ts";
import { inspect } from "#cli/mdd-inspect.ts";
import { openApi } from "#cli/mdd-openapi.ts";
import { processTerminal, type Terminal } from "#cli/mdd-terminal.ts";
import { vectors } from "#cli/mdd-vectors.ts";
import { verify } from "#cli/mdd-verify.ts";
import { Fault } from "#core/errors.ts";
import { inflateChunk } from "#mdd/container/chunk.ts";
import { decodeContainer, diagnosticDescription } from "#mdd/container/decode.ts";
import { ed25519Checker } from "#mdd/container/ed25519.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { DEMO_ECUS } from "#sim/demo/vehicle.ts";
import { inflateLzma } from "#store/lzma.ts";
import { scratchFolder } from "../fixtures/cleanup.ts";

const folder = scratchFolder("mdd-cli");

interface Captured extends Terminal {
  readonly text: () => string;
}

function captured(look: Partial<Terminal> = {}): Captured {
  const parts: string[] = [];
  const keep = (text: string) => void parts.push(text);
  return {
    out: keep,
    error: keep,
    isTerminal: false,
    hasColours: false,
    columns: 80,
    ...look,
    text: () => parts.join(""),
  };
}

const path = (name: string): string => join(folder, name);
const SOURCE = demoDatabase(DEMO_ECUS[0]!);
const ECU = SOURCE.ecu_name!;
const FILE = path("demo.mdd");

writeFileSync(path("demo.json"), JSON.stringify(SOURCE));
await build(path("demo.json"), { output: FILE, compression: "lzma", created: "2026-01-01T00:00:00Z" }, captured());

const CODEC = { shape: "cda", byteFormat: "hex" } as const;
const json = (terminal: Captured) => JSON.parse(terminal.text());

test("build: JSON and a module make the same file, twice the same bytes", async () => {
  writeFileSync(
    path("demo.mjs"),
    `import { readFileSync } from "node:fs";
export const description = () => JSON.parse(readFileSync(new URL("demo.json", import.meta.url), "utf8"));`,
  );
  const options = { compression: "none", created: "2026-01-01T00:00:00Z" } as const;
  await build(path("demo.mjs"), { ...options, output: path("a.mdd") }, captured());
  await build(path("demo.mjs"), { ...options, output: path("b.mdd") }, captured());
  assert.deepEqual(readFileSync(path("a.mdd")), readFileSync(path("b.mdd")));
  assert.equal(await diff(path("a.mdd"), FILE, {}, captured()), 0);
});

test("build: TypeScript by way of tsx", async () => {
  const dsl = new URL("../../src/mdd/writer/dsl.ts", import.meta.url).href;
  writeFileSync(
    path("own.ts"),
    `import { baseVariant, diagLayer } from ${JSON.stringify(dsl)};
const name: string = "OWN";
export default { ecu_name: name, variants: [baseVariant(diagLayer(name))] };`,
  );
  await build(path("own.ts"), { output: path("own.mdd"), compression: "lzma" }, captured());
  const terminal = captured();
  await inspect(path("own.mdd"), { json: true }, terminal);
  assert.equal(json(terminal).ecuName, "OWN");
});

test("build: signs with an Ed25519 key", async () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  writeFileSync(path("key.pem"), privateKey.export({ type: "pkcs8", format: "pem" }));
  await build(
    path("demo.json"),
    { output: path("signed.mdd"), compression: "lzma", sign: path("key.pem") },
    captured(),
  );
  const chunk = diagnosticDescription(decodeContainer(readFileSync(path("signed.mdd"))));
  await inflateChunk(chunk, {
    inflate: inflateLzma,
    checkSignature: ed25519Checker([publicKey]),
    requireSignature: true,
  });
});

const REFUSED: readonly (readonly [of: string, file: string, content: string, RegExp])[] = [
  ["no JSON", "broken.json", "{", /^broken\.json: .*JSON/],
  ["no description", "other.json", "[]", /^other\.json: no description/],
  [
    "a field that the schema does not have",
    "field.json",
    `{"ecu_name":"X","colour":1}`,
    /^field\.json: EcuData\.colour/,
  ],
  ["a module that fails", "fails.mjs", "throw new Error('by design')", /fails\.mjs: by design/],
  [
    "a missing name in compact form",
    "compact.json",
    `{"ecu_name":"X","dops":{},"layers":{},"variants":[{"name":"X","base":true}]}`,
    /^compact\.json: source: no layer named X/,
  ],
];

for (const [of, name, content, message] of REFUSED)
  test(`build: ${of} is refused and nothing written`, async () => {
    writeFileSync(path(name), content);
    const output = path("never.mdd");
    await assert.rejects(build(path(name), { output, compression: "none" }, captured()), (error) => {
      assert.ok(error instanceof Fault, String(error));
      assert.match(error.message, message);
      return true;
    });
    assert.throws(() => readFileSync(output));
  });

/** ESC, digits in brackets, m: a change of colour. */
const ESCAPE = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, "g");

test("inspect: tree in a pipe, aligned and coloured on a terminal", async () => {
  const pipe = captured();
  await inspect(FILE, {}, pipe);
  assert.match(pipe.text(), new RegExp(`^${ECU} revision 1\\.0\\.0\n`));
  assert.match(pipe.text(), /base variant/);
  assert.match(pipe.text(), /DID_RQ\tCODED_CONST\t= 0x/);
  assert.ok(!pipe.text().includes("\u001b"));
  const terminal = captured({ isTerminal: true, hasColours: true });
  await inspect(FILE, {}, terminal);
  assert.ok(terminal.text().includes("\u001b["));
  assert.ok(!terminal.text().includes("\t"));
  const plain = terminal.text().replaceAll(ESCAPE, "").split("\n");
  assert.ok(plain.filter((line) => line.startsWith("      ")).every((line) => line.length <= 80));
});

test("inspect: one service of one variant, and who is not there", async () => {
  const terminal = captured();
  await inspect(FILE, { service: "hardreset", variant: `${ECU}_series` }, terminal);
  assert.match(terminal.text(), /76543210\n\s+0 {2}aaaaaaaa {2}a SID_RQ\n\s+1 {2}bbbbbbbb {2}b SUBFUNCTION_RQ/);
  await assert.rejects(inspect(FILE, { service: "nothing" }, captured()), /demo\.mdd: no service 'nothing'/);
  await assert.rejects(inspect(FILE, { variant: "nobody" }, captured()), /demo\.mdd: no variant 'nobody'; there are: /);
});

test("colours heed NO_COLOR", () => {
  assert.equal(processTerminal({ NO_COLOR: "1" }).hasColours, false);
});

test("verify: exit code and findings of each file", async () => {
  const terminal = captured();
  const bytes = Buffer.from(readFileSync(FILE));
  bytes[bytes.length - 40]! ^= 0xff;
  writeFileSync(path("damaged.mdd"), bytes);
  assert.equal(await verify([FILE], {}, captured()), 0);
  assert.equal(await verify([FILE, path("damaged.mdd"), path("absent.mdd")], { json: true }, terminal), 1);
  const { ok, files } = json(terminal);
  assert.equal(ok, false);
  assert.deepEqual(
    files.map((file: { ok: boolean }) => file.ok),
    [true, false, false],
  );
  assert.match(files[2].findings[0].message, /no such file/);
});

test("verify: limits come from options", async () => {
  const terminal = captured();
  assert.equal(await verify([FILE], { maxChunkBytes: 100 }, terminal), 1);
  assert.match(terminal.text(), /exceed the limit of 100/);
  assert.equal(await verify([FILE], { maxDepth: 3 }, captured()), 1);
  assert.equal(await verify([FILE], { maxFileBytes: 10 }, captured()), 1);
});

test("diff: exit code 1 and what changed", async () => {
  writeFileSync(path("next.json"), JSON.stringify({ ...SOURCE, revision: "1.0.1" }));
  await build(path("next.json"), { output: path("next.mdd"), compression: "none" }, captured());
  const terminal = captured();
  assert.equal(await diff(FILE, path("next.mdd"), { json: true }, terminal), 1);
  assert.deepEqual(json(terminal).changes, [
    { change: "changed", kind: "revision", place: "", from: "1.0.0", to: "1.0.1" },
  ]);
});

test("decode and encode are inverse", async () => {
  const encoded = captured();
  await encode(FILE, undefined, { ...CODEC, service: "HardReset" }, encoded);
  assert.equal(encoded.text(), "11 01\n");
  const request = captured();
  await decode(FILE, { ...CODEC, hex: encoded.text() }, request);
  assert.deepEqual([json(request).service, json(request).type], ["HardReset", "request"]);
  const answer = captured();
  await decode(FILE, { ...CODEC, hex: "0x7F,0x11,0x22", request: "1101" }, answer);
  assert.deepEqual([json(answer).type, json(answer).nrc.code], ["negative response", 0x22]);
  await assert.rejects(encode(FILE, "[]", { ...CODEC, service: "HardReset" }, captured()), /a JSON object is expected/);
  await assert.rejects(decode(FILE, { ...CODEC, hex: "1" }, captured()), /--hex: '1' is no hex/);
});

/** Every `$ref` of a document leads somewhere. */
function references(value: unknown, root: unknown): void {
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    if (key !== "$ref") references(inner, root);
    else
      assert.ok(
        (inner as string)
          .slice(2)
          .split("/")
          .reduce((at, name) => (at as Record<string, unknown>)?.[name], root),
        `${inner} leads nowhere`,
      );
  }
}

test("openapi: resources of the ECU with the schemas of its database", async () => {
  const terminal = captured();
  await openApi(FILE, { basePath: "/vehicle/v15", shape: "cda" }, terminal);
  const document = json(terminal);
  assert.equal(document.openapi, "3.1.0");
  const root = `/vehicle/v15/components/${ECU.toLowerCase()}`;
  for (const resource of [
    "data",
    "configurations",
    "operations",
    "modes",
    "faults",
    "modes/session",
    "operations/calibrate/executions/{execution-id}",
  ])
    assert.ok(document.paths[`${root}/${resource}`], resource);
  references(document, document);
  for (const [name, path] of Object.entries<Record<string, { responses?: object }>>(document.paths))
    for (const [method, { responses }] of Object.entries(path))
      if (method !== "parameters") assert.ok(responses, `${method} ${name}`);
  await openApi(FILE, { basePath: "", shape: "iso", output: path("api.json"), variant: `${ECU}_Series` }, captured());
  assert.ok(JSON.parse(readFileSync(path("api.json"), "utf8")).paths[`/components/${ECU.toLowerCase()}/data`]);
});

test("vectors: differences, count and exit code", async () => {
  const vector = {
    id: 1,
    mdd: "demo.mdd",
    op: "encode_request",
    service: { name: "HardReset", type: "Modes", lookup_name: "HardReset" },
  };
  const other = { ...vector, id: 2, cda: { hex: "1103" }, recommended: { hex: "1101" } };
  const lost = { ...vector, id: 3, mdd: "../../absent.mdd", cda: { hex: "1101" } };
  writeFileSync(path("vectors.json"), JSON.stringify({ vectors: [{ ...vector, cda: { hex: "1101" } }, other, lost] }));
  const terminal = captured();
  assert.equal(await vectors(path("vectors.json"), {}, terminal), 1);
  assert.match(terminal.text(), /failed 3 .*\n {2}absent\.mdd: not in .*\n2 passed, 1 failed\n$/);
  const cda = captured();
  await vectors(path("vectors.json"), { asCda: true }, cda);
  assert.match(cda.text(), /failed 2 .*\n {2}1101 instead of 1103\n/);
});

test("the commands are in the program, with exit codes of their own", () => {
  const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
  const run = (...args: readonly string[]) =>
    spawnSync(process.execPath, ["--import", "tsx", main, "mdd", ...args], { encoding: "utf8" });
  const help = run("--help");
  for (const name of ["inspect", "verify", "diff", "decode", "encode", "build", "convert", "openapi", "vectors"])
    assert.match(help.stdout, new RegExp(`\n  ${name} `));
  assert.equal(run("verify", path("absent.mdd")).status, 1);
  const trouble = run("diff", FILE, path("absent.mdd"));
  assert.equal(trouble.stderr, `${path("absent.mdd")}: no such file\n`);
  assert.equal(trouble.status, 2);
});
