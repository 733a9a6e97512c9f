import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build, type Metafile } from "esbuild";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const SERVE = "src/cli/serve.ts";

/** What a node without a vehicle, or any node before it is asked for it, must not load; with what belongs to it. */
const LATER: readonly [what: string, files: RegExp][] = [
  ["DoIP", /^src\/doip\//],
  // the convention of names is a table, and a default of the configuration
  [
    "databases and ECUs",
    /^(src\/(mdd\/(?!query\/naming-convention)|ecu\/|sim\/)|node_modules\/(flatbuffers|saxes|fflate)\/)/,
  ],
  ["device protocols", /^(src\/update\/(ajour|skybrush)\/|node_modules\/(cborg|coap|mqtt|ws)\/)/],
  ["flashing", /^src\/update\/software\/providers\/uds-/],
  ["tokens' signatures", /^node_modules\/jose\//],
  ["the HTTP client", /^node_modules\/undici\//],
  ["Prometheus' text format", /^node_modules\/prom-client\//],
  ["TypeBox's type engine", /^node_modules\/typebox\/build\/(type|value|compile)\//],
  ["TUF", /^(node_modules\/@tufjs\/|src\/update\/software\/trust\/tuf)/],
  ["signed heads of the audit", /^src\/update\/software\/journal\/heads/],
  [
    "multicast DNS",
    /^(node_modules\/(bonjour-service|multicast-dns)|src\/update\/software\/discovery\/(mdns|nodes|announcement))/,
  ],
  ["forms", /^node_modules\/@fastify\/busboy\//],
];
/** Without comments. What is loaded costs time and memory whether it is used or not. */
const MOST_BYTES = 820_000;

/** What is loaded with the entry: files with their bytes in the bundle. */
function loadedWith({ outputs }: Metafile, entry: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  const visited = new Set<string>();
  const visit = (name: string): void => {
    const output = outputs[name];
    if (output === undefined || visited.has(name)) return;
    visited.add(name);
    for (const [file, { bytesInOutput }] of Object.entries(output.inputs)) found.set(file, bytesInOutput);
    for (const { path, kind } of output.imports) if (kind === "import-statement") visit(path);
  };
  visit(Object.keys(outputs).find((name) => outputs[name]?.entryPoint === entry) ?? "");
  return found;
}

const { metafile } = await build({
  absWorkingDir: ROOT,
  entryPoints: [SERVE, "workers/gateway.ts", "workers/uploads.ts"],
  outdir: "dist",
  bundle: true,
  splitting: true,
  platform: "node",
  format: "esm",
  minifyWhitespace: true,
  metafile: true,
  write: false,
  external: ["*.node", "uWebSockets.js", "lmdb", "@napi-rs/lzma", "node-unix-socket", "piscina"],
  logLevel: "silent",
});
const loaded = loadedWith(metafile, SERVE);

test("the server's own files are among those it loads at its start", () => {
  for (const file of ["src/main.ts", "src/http/server.ts", "src/core/validate.ts"]) assert.ok(loaded.has(file), file);
});

for (const [what, files] of LATER) {
  test(`not loaded before the port is open: ${what}`, () => {
    assert.deepEqual(
      [...loaded.keys()].filter((file) => files.test(file)),
      [],
    );
    assert.ok(
      Object.keys(metafile.inputs).some((file) => files.test(file)),
      "nothing of it is in the bundle: the row has no sense",
    );
  });
}

test(`at most ${MOST_BYTES} bytes of code are loaded before the port is open`, () => {
  const bytes = [...loaded.values()].reduce((sum, one) => sum + one, 0);
  assert.ok(bytes <= MOST_BYTES, `${bytes} bytes`);
});
