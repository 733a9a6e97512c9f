// `npm run build`: one bundle per entry in dist/. Native addons stay outside, and so does Piscina, which starts a file of its own.
import { chmodSync, existsSync, readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const EXTERNAL = ["uWebSockets.js", "lmdb", "@napi-rs/lzma", "node-unix-socket", "msgpackr-extract", "piscina"];

// CommonJS packages inside an ES module still call these
const SHIM = [
  'import { createRequire as __createRequire } from "node:module";',
  'import { fileURLToPath as __fileURLToPath } from "node:url";',
  'import { dirname as __dirnameOf } from "node:path";',
  "const require = __createRequire(import.meta.url);",
  "const __filename = __fileURLToPath(import.meta.url);",
  "const __dirname = __dirnameOf(__filename);",
].join("\n");

const workers = existsSync(`${ROOT}/workers`)
  ? readdirSync(`${ROOT}/workers`).filter((file) => file.endsWith(".ts"))
  : [];
const entryPoints = {
  cli: "src/cli/main.ts",
  ...Object.fromEntries(workers.map((file) => [`workers/${file.slice(0, -".ts".length)}`, `workers/${file}`])),
};

rmSync(`${ROOT}/dist`, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: ROOT,
  entryPoints,
  outdir: "dist",
  bundle: true,
  // shared chunks: what loads lazily in the source loads lazily in the bundle. They lie beside cli.js, where fleet/entries.ts counts on them
  splitting: true,
  chunkNames: "[name]-[hash]",
  platform: "node",
  target: "node20",
  format: "esm",
  sourcemap: true,
  metafile: true,
  legalComments: "linked",
  external: EXTERNAL,
  banner: { js: SHIM },
  logLevel: "warning",
});
chmodSync(`${ROOT}/dist/cli.js`, 0o755);
for (const [file, { entryPoint }] of Object.entries(metafile.outputs)) {
  if (entryPoint !== undefined) console.log(`${file} from ${entryPoint}`);
}
const bytes = Object.entries(metafile.outputs).reduce(
  (sum, [file, { bytes }]) => sum + (file.endsWith(".js") ? bytes : 0),
  0,
);
console.log(`${(bytes / 1024).toFixed(0)} KiB of code`);
