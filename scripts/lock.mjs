// npm drops an optional platform package from the lock when the registry it asks does not carry it, and `npm ci` then calls
// lock and manifest out of step. An entry that names the package and its platform makes `npm ci` skip it by platform instead.
// Run after every change of dependencies (`npm run lock`); `--check` only says whether something is missing.
import { readFileSync, writeFileSync } from "node:fs";

const LOCK = new URL("../package-lock.json", import.meta.url);
const OS_WORDS = new Map([
  ["linux", "linux"],
  ["darwin", "darwin"],
  ["win32", "win32"],
  ["windows", "win32"],
  ["freebsd", "freebsd"],
  ["openbsd", "openbsd"],
  ["netbsd", "netbsd"],
  ["android", "android"],
  ["sunos", "sunos"],
  ["aix", "aix"],
  ["openharmony", "openharmony"],
]);
const CPU_WORDS = new Map([
  ["x64", "x64"],
  ["arm64", "arm64"],
  ["arm", "arm"],
  ["ia32", "ia32"],
  ["ppc64", "ppc64"],
  ["s390x", "s390x"],
  ["riscv64", "riscv64"],
  ["loong64", "loong64"],
  ["mips64el", "mips64el"],
  ["universal", "x64"],
]);

/** Platform words in a package's name; `none` where it names no platform, so that no machine ever installs it. */
function platformOf(name) {
  const words = name.split(/[-/@.]/);
  const pick = (table) => words.map((word) => table.get(word)).find((found) => found !== undefined) ?? "none";
  return { os: [pick(OS_WORDS)], cpu: [pick(CPU_WORDS)] };
}

const lock = JSON.parse(readFileSync(LOCK, "utf8"));
const missing = [];
for (const entry of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`;
    if (lock.packages[key] !== undefined) continue;
    missing.push(name);
    lock.packages[key] = { version: String(version).replace(/^[\^~]/, ""), optional: true, ...platformOf(name) };
  }
}
if (process.argv.includes("--check")) {
  if (missing.length > 0) {
    console.error(
      `package-lock.json lacks ${missing.length} optional packages: ${missing.join(", ")}; run npm run lock`,
    );
    process.exit(1);
  }
} else {
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  writeFileSync(LOCK, `${JSON.stringify(lock, null, 2)}\n`);
  console.log(`package-lock.json: ${missing.length} optional packages added`);
}
