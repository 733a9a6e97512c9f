// `npm run pack:device [FOLDER]`: what a device needs and no more, for this machine's Node, system and libc: the bundle, and of the native
// packages only the files that load here. Proves it by starting what it packed. Ends with 1 when it is larger than a device allows.
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const TARGET = process.argv[2] ?? join(ROOT, "dist-device");
const MAX_BYTES = 35 * 1024 * 1024;
/** Packages that the bundle leaves outside; what they need in turn is found by their manifests. */
const NATIVE = ["uWebSockets.js", "lmdb", "@napi-rs/lzma", "node-unix-socket", "piscina"];
/** Carried only for tests, types and other runtimes. */
const USELESS =
  /\.(md|markdown|map|ts|mts|cts|flow|gyp|c|cc|cpp|h|hpp|mdb|txt|yml|yaml)$|(^|\/)(test|tests|docs|doc|benchmark|examples|src|dict|dependencies|\.github)(\/|$)/i;
const ABI = `abi${process.versions.modules}`;
const isMusl = process.report.getReport().header.glibcVersionRuntime === undefined;

/** Folder of an installed package as seen from another; undefined for what is not there (other platforms' builds). */
function folderOf(name, from) {
  for (let folder = from; ; folder = dirname(folder)) {
    const found = join(folder, "node_modules", name);
    if (existsSync(join(found, "package.json"))) return found;
    if (folder === dirname(folder)) return undefined;
  }
}

/** Every package that is reached from `names`. */
function closure(names, from, found = new Map()) {
  for (const name of names) {
    const folder = folderOf(name, from);
    if (folder === undefined || found.has(folder)) continue;
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
      readFileSync(join(folder, "package.json"), "utf8"),
    );
    found.set(folder, name);
    closure([...Object.keys(dependencies), ...Object.keys(optionalDependencies)], realpathSync(folder), found);
  }
  return found;
}

/** Of several builds of one addon the one for this Node and libc: its own ABI before Node-API. */
function isForeignAddon(file) {
  if (!file.endsWith(".node")) return false;
  const name = basename(file);
  const siblings = readdirSync(dirname(file)).filter((sibling) => sibling.endsWith(".node"));
  const libc = isMusl ? "musl" : "glibc";
  const fitting = siblings.filter((sibling) => !/\b(glibc|musl)\b/.test(sibling) || sibling.includes(`.${libc}.`));
  const own =
    fitting.find((sibling) => sibling.includes(`.${ABI}.`)) ?? fitting.find((sibling) => sibling.includes(".napi."));
  return own === undefined ? !fitting.includes(name) : name !== own;
}

/** Stubs of uWebSockets.js for other systems and Nodes. */
function isForeignStub(file) {
  const stub = /uws_([a-z0-9]+)_([a-z0-9]+)_(\d+)\.node\.js$/.exec(file);
  return (
    stub !== null && (stub[1] !== process.platform || stub[2] !== process.arch || stub[3] !== process.versions.modules)
  );
}

function copyPackage(folder) {
  const to = join(TARGET, relative(ROOT, folder));
  cpSync(realpathSync(folder), to, {
    recursive: true,
    filter: (file) => {
      const inside = relative(realpathSync(folder), file);
      if (inside === "" || /^licen[cs]e/i.test(basename(file))) return true;
      if (inside === "node_modules" || inside.startsWith("node_modules/")) return false;
      return !USELESS.test(inside) && !isForeignStub(file) && !isForeignAddon(file);
    },
  });
}

function bytesOf(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0);
}

const mib = (bytes) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;

execFileSync(process.execPath, [join(ROOT, "scripts/build.mjs")], { stdio: ["ignore", "ignore", "inherit"] });
rmSync(TARGET, { recursive: true, force: true });
mkdirSync(TARGET, { recursive: true });
cpSync(join(ROOT, "dist"), join(TARGET, "dist"), { recursive: true, filter: (file) => !file.endsWith(".map") });
for (const name of ["LICENSE", "config"]) {
  if (existsSync(join(ROOT, name))) cpSync(join(ROOT, name), join(TARGET, name), { recursive: true });
}
const { name, version, license, type, bin, engines } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
writeFileSync(
  join(TARGET, "package.json"),
  `${JSON.stringify({ name, version, license, type, bin, engines }, undefined, 2)}\n`,
);
const packages = closure(NATIVE, ROOT);
for (const folder of packages.keys()) copyPackage(folder);

// what was left out is not missed
const require = createRequire(join(TARGET, "package.json"));
for (const needed of ["uWebSockets.js", "lmdb", "@napi-rs/lzma", "piscina"]) require(needed);
const said = execFileSync(process.execPath, [join(TARGET, "dist/cli.js"), "--version"], { encoding: "utf8" }).trim();
if (said !== version) throw new Error(`the packed program calls itself ${said}`);

console.log(`bundle        ${mib(bytesOf(join(TARGET, "dist")))}`);
for (const [folder, packed] of packages) {
  const bytes = bytesOf(join(TARGET, relative(ROOT, folder)));
  if (bytes > 100 * 1024) console.log(`${packed.padEnd(28)} ${mib(bytes)}`);
}
const total = bytesOf(TARGET);
console.log(`${mib(total)} in ${relative(process.cwd(), TARGET) || TARGET}, allowed ${mib(MAX_BYTES)}`);
if (total > MAX_BYTES) process.exitCode = 1;
