import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { type BuildOptions, type BuildResult, build, type Metafile } from "esbuild";
import { scratchFolder } from "../../fixtures/cleanup.ts";

type Outputs = Metafile["outputs"];
interface Joining {
  loadedWith(outputs: Outputs, ...files: string[]): ReadonlySet<string>;
  joinChunks(parts: {
    readonly texts: ReadonlyMap<string, string>;
    readonly outputs: Outputs;
    readonly joined: ReadonlyMap<string, string>;
    readonly options: BuildOptions;
  }): Promise<BuildResult<{ metafile: true; write: false }>>;
}
const script = new URL("../../../scripts/join-chunks.mjs", import.meta.url);
const { joinChunks, loadedWith } = (await import(script.href)) as Joining;

/** Each of `both`, `mine` and `also` has other users, and so is a chunk of its own; two of them call a name the same. */
const SOURCES = {
  "main.ts": `import { seen, name as one } from "./both.ts"; import { name as two } from "./mine.ts"; import { three } from "./also.ts";
    import "./effect.ts";
    export const run = async () => { seen.push("main"); const { later } = await import("./later.ts"); later();
      const { other } = await import("./other.ts"); return { seen, names: [one, two, three, other] }; };`,
  "later.ts": `import { seen, name as one } from "./both.ts"; import { name as two } from "./mine.ts"; import "./effect.ts";
    export const later = () => seen.push("later " + one + " " + two);`,
  "other.ts": `import { three } from "./also.ts"; export const other = "other of " + three;`,
  "workers/thread.ts": `import { seen } from "../both.ts"; export const mine = seen;`,
  "both.ts": `export const seen: string[] = []; export const name = "both";`,
  "mine.ts": `export const name = "mine";`,
  "also.ts": `import { name } from "./both.ts"; export const three = "also after " + name;`,
  "effect.ts": `import { seen } from "./both.ts"; seen.push("effect");`,
};

test("chunks become two files: modules stay one each, names of the same sound stay apart, a thread loads only its own", async () => {
  const folder = scratchFolder("join");
  const write = async (path: string, text: string) => {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  };
  for (const [name, text] of Object.entries(SOURCES)) await write(join(folder, name), text);
  const options = { absWorkingDir: folder, outdir: "dist", format: "esm", write: false, metafile: true } as const;
  const split = await build({
    ...options,
    entryPoints: { main: "main.ts", "workers/thread": "workers/thread.ts" },
    bundle: true,
    splitting: true,
    sourcemap: "inline",
  });
  const { outputs } = split.metafile;
  const thread = loadedWith(outputs, "dist/workers/thread.js");
  const chunks = [...loadedWith(outputs, "dist/main.js")].filter((file) => outputs[file]?.entryPoint === undefined);
  assert.ok(chunks.length >= 3, "esbuild made no chunks to join");

  const { outputFiles, metafile } = await joinChunks({
    texts: new Map(split.outputFiles.map(({ path, text }) => [relative(folder, path), text])),
    outputs,
    joined: new Map(chunks.map((chunk) => [chunk, thread.has(chunk) ? "dist/threads.js" : "dist/server.js"])),
    options: { ...options, sourcemap: true },
  });
  for (const { path, text } of outputFiles) await write(path, text);

  const imported = (file: string) =>
    metafile.outputs[file]?.imports.filter(({ kind }) => kind === "import-statement").map(({ path }) => path) ?? [];
  assert.deepEqual(new Set(imported("dist/main.js")), new Set(["./server.js", "./threads.js"]));
  assert.deepEqual(new Set(imported("dist/server.js")), new Set(["./threads.js"]));
  assert.deepEqual(imported("dist/workers/thread.js"), ["../threads.js"]);
  assert.equal(Object.keys(metafile.outputs).filter((file) => /chunk-.*\.js$/.test(file)).length, 0);

  const { run } = (await import(pathToFileURL(join(folder, "dist/main.js")).href)) as { run(): Promise<unknown> };
  assert.deepEqual(await run(), {
    seen: ["effect", "main", "later both mine"],
    names: ["both", "mine", "also after both", "other of also after both"],
  });
  // a second import of the same file: the thread's module is the server's
  const { mine } = (await import(pathToFileURL(join(folder, "dist/workers/thread.js")).href)) as { mine: unknown };
  assert.equal(mine, ((await run()) as { seen: unknown }).seen);
  // source maps lead through both builds
  const map = outputFiles.find(({ path }) => path.endsWith("server.js.map"));
  assert.match(map?.text ?? "", /mine\.ts/);
});
