// `npm run build`: one bundle per entry in dist/. Native addons stay outside, and so does Piscina, which starts a file of its own.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { joinChunks, loadedWith } from "./join-chunks.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const EXTERNAL = ["uWebSockets.js", "@napi-rs/lzma", "node-unix-socket", "msgpackr-extract", "piscina"];

// CommonJS packages inside an ES module still call these; on the first line, so that source maps keep their lines
const SHIM = [
  'import { createRequire as __createRequire } from "node:module";',
  'import { fileURLToPath as __fileURLToPath } from "node:url";',
  'import { dirname as __dirnameOf } from "node:path";',
  "const require = __createRequire(import.meta.url);",
  "const __filename = __fileURLToPath(import.meta.url);",
  "const __dirname = __dirnameOf(__filename);",
].join("");
const CALLS_SHIM = /\b(?:require|__filename|__dirname)\b/;

const workers = existsSync(`${ROOT}/workers`)
  ? readdirSync(`${ROOT}/workers`).filter((file) => file.endsWith(".ts"))
  : [];
const entryPoints = {
  cli: "src/cli/main.ts",
  ...Object.fromEntries(workers.map((file) => [`workers/${file.slice(0, -".ts".length)}`, `workers/${file}`])),
};

const require = createRequire(import.meta.url);

/**
 * The names that `import()` of a CommonJS package gives in Node; undefined for any other package. esbuild alone gives `default` only, and
 * who takes a name gets undefined.
 */
async function namesOf(name) {
  const all = await import(name);
  let whole;
  try {
    whole = require(name);
  } catch {
    return undefined;
  }
  if (all.default !== whole) return undefined;
  return Object.keys(all).filter((key) => key !== "default" && key !== "module.exports");
}

const lazyPackages = {
  name: "lazy-packages",
  setup(build) {
    build.onResolve({ filter: /^[@a-z]/ }, async ({ path, kind }) => {
      if (kind !== "dynamic-import" || EXTERNAL.includes(path) || path.startsWith("node:")) return undefined;
      const names = await namesOf(path);
      return names === undefined ? undefined : { path, namespace: "lazy-package", pluginData: names };
    });
    build.onLoad({ filter: /.*/, namespace: "lazy-package" }, ({ path, pluginData: names }) => ({
      contents: `const all = require("${path}"); export const { ${names.join(", ")} } = all; export default all;`,
      resolveDir: ROOT,
    }));
  },
};

/** An `import` of node:crypto reads all its names, and one of them loads all of WebCrypto: 7 ms of each start. `require` does not. */
const crypto = {
  name: "crypto",
  setup(build) {
    build.onResolve({ filter: /^node:crypto$/ }, ({ path, kind }) =>
      kind === "require-call" ? undefined : { path, namespace: "crypto" },
    );
    build.onLoad({ filter: /.*/, namespace: "crypto" }, () => ({
      contents: 'module.exports = require("node:crypto");',
    }));
  },
};

/**
 * LMDB's JavaScript, twelve files of five packages, comes along; its addon stays where npm put it, and is looked for from there. The addon of
 * its MessagePack does not load: our records are bytes.
 */
const lmdb = {
  name: "lmdb",
  setup(build) {
    const file = require.resolve("lmdb");
    build.onResolve({ filter: /^lmdb$/ }, ({ kind }) =>
      kind === "require-resolve" ? { external: true } : { path: file },
    );
    build.onLoad({ filter: /[\\/]lmdb[\\/]dist[\\/]index\.cjs$/ }, () => ({
      contents: readFileSync(file, "utf8").replaceAll("__filename", 'require.resolve("lmdb")'),
    }));
  },
};

const options = {
  absWorkingDir: ROOT,
  outdir: "dist",
  platform: "node",
  target: "node20",
  format: "esm",
  metafile: true,
  // no comments: one letter outside Latin-1 in them, and the engine keeps the whole file with two bytes per letter
  minifyWhitespace: true,
  lineLimit: 120,
  write: false,
  logLevel: "warning",
};
const split = await build({
  ...options,
  entryPoints,
  bundle: true,
  // shared chunks: what loads lazily in the source loads lazily in the bundle. They lie beside cli.js, where fleet/entries.ts counts on them
  splitting: true,
  chunkNames: "[name]-[hash]",
  sourcemap: "inline",
  legalComments: "inline",
  external: EXTERNAL,
  define: { "process.env.MSGPACKR_NATIVE_ACCELERATION_DISABLED": '"true"' },
  plugins: [lazyPackages, crypto, lmdb],
});

/** The server's chunks that are always loaded, by file: what its threads load too, what other commands load too, and the rest. */
function serversChunks({ outputs }) {
  const entries = Object.entries(outputs).filter(([, { entryPoint }]) => entryPoint !== undefined);
  const named = (wanted) => entries.filter(([, { entryPoint }]) => wanted.test(entryPoint)).map(([file]) => file);
  const server = loadedWith(outputs, ...named(/^src\/cli\/(main|serve)\.ts$/));
  const threads = loadedWith(outputs, ...named(/^workers\//));
  // the demo is a server itself
  const commands = loadedWith(outputs, ...named(/^src\/cli\/(?!serve|demo)/));
  const fileOf = (chunk) => (threads.has(chunk) ? "threads" : commands.has(chunk) ? "commands" : "server");
  const chunks = [...server].filter((file) => outputs[file].entryPoint === undefined);
  return new Map(chunks.map((chunk) => [chunk, `dist/${fileOf(chunk)}.js`]));
}

rmSync(`${ROOT}/dist`, { recursive: true, force: true });
const { metafile, outputFiles } = await joinChunks({
  texts: new Map(split.outputFiles.map(({ path, text }) => [relative(ROOT, path), text])),
  outputs: split.metafile.outputs,
  joined: serversChunks(split.metafile),
  // the first build has warned of what is not a package's own
  options: { ...options, sourcemap: true, legalComments: "linked", logLevel: "error" },
});
for (const { path, text } of outputFiles) {
  mkdirSync(dirname(path), { recursive: true });
  // where it is not needed it would cost each chunk a millisecond of the start
  writeFileSync(path, path.endsWith(".js") && CALLS_SHIM.test(text) ? SHIM + text : text);
}
chmodSync(`${ROOT}/dist/cli.js`, 0o755);
for (const [file, { entryPoint }] of Object.entries(split.metafile.outputs)) {
  if (entryPoint !== undefined) console.log(`${file} from ${entryPoint}`);
}
const bytes = Object.entries(metafile.outputs).reduce(
  (sum, [file, { bytes }]) => sum + (file.endsWith(".js") ? bytes : 0),
  0,
);
console.log(`${(bytes / 1024).toFixed(0)} KiB of code`);
