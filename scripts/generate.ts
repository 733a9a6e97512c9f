/**
 * Writes the generated files; `--check` compares instead and names what differs. Generated files are committed: they are the public
 * face of the program, and a change of them shows in review. To add one, add a row.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

interface Generator {
  /** The module that makes the text, and its function without arguments. */
  readonly from: string;
  readonly make: string;
  /** Where the text goes, from the project's root; without it `make` returns path → text. */
  readonly path?: string;
}

const GENERATORS: readonly Generator[] = [
  { path: "config/sample.toml", from: "src/config/render.ts", make: "sampleToml" },
  { path: "docs/config.md", from: "src/config/docs.ts", make: "configMarkdown" },
  { path: "docs/compatibility.md", from: "src/sovd/compatibility.ts", make: "renderCompatibility" },
  { path: "docs/openapi.json", from: "scripts/openapi.ts", make: "openApiJson" },
  { path: "docs/errors.md", from: "scripts/errors-doc.ts", make: "errorsMarkdown" },
  { from: "scripts/generate-mdd.ts", make: "mddFiles" },
];

const at = (path: string) => new URL(`../${path}`, import.meta.url);

/** Path → text of every generated file. */
async function generateAll(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const { path, from, make } of GENERATORS) {
    const made = await call<string | Readonly<Record<string, string>>>(from, make);
    const entries = typeof made === "string" ? [[path ?? from, made] as const] : Object.entries(made);
    for (const [file, text] of entries) files.set(file, text);
  }
  return files;
}

async function call<T>(module: string, name: string): Promise<T> {
  const exports: Record<string, unknown> = await import(at(module).href);
  const make = exports[name];
  if (typeof make !== "function") throw new Error(`${module} does not export ${name}()`);
  return make();
}

function isUnchanged(path: string, text: string): boolean {
  return existsSync(at(path)) && readFileSync(at(path), "utf8") === text;
}

const files = await generateAll();
const changed = [...files].filter(([path, text]) => !isUnchanged(path, text));
if (process.argv.includes("--check")) {
  for (const [path] of changed) console.error(`${path} is not what its source says; run npm run generate`);
  if (changed.length > 0) process.exitCode = 1;
} else {
  for (const [path, text] of changed) {
    mkdirSync(dirname(fileURLToPath(at(path))), { recursive: true });
    writeFileSync(at(path), text);
    console.log(`wrote ${path}`);
  }
}
console.log(`${files.size} generated files, ${changed.length} changed`);
