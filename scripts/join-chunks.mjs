// Joins chunks of a split bundle to few files: each file and each import of one costs the start some tenths of a millisecond, and so many
// that V8 optimises Node's own path functions in it (3 MB of the compiler's pages).
import { posix } from "node:path";
import { build } from "esbuild";

const { dirname, join, relative } = posix;
const SPLIT = "split";
const JOINED = "joined";

/** Import path as seen from a file. */
function pathFrom(file, target) {
  const path = relative(dirname(file), target);
  return path.startsWith(".") ? path : `./${path}`;
}

/** Names under which a joined file gives what its chunks give: two of them may use the same one. */
function namesOf(chunks, outputs) {
  const taken = new Set();
  const unused = (name) => {
    let free = name;
    for (let n = 2; taken.has(free); n++) free = `${name}_${n}`;
    taken.add(free);
    return free;
  };
  return new Map(chunks.map((chunk) => [chunk, outputs[chunk].exports.map((name) => [name, unused(name)])]));
}

/** All that a file loads with itself. */
export function loadedWith(outputs, ...files) {
  const found = new Set();
  const visit = (file) => {
    if (found.has(file) || outputs[file] === undefined) return;
    found.add(file);
    for (const { path, kind } of outputs[file].imports) if (kind === "import-statement") visit(path);
  };
  files.forEach(visit);
  return found;
}

/**
 * `texts`: the files of a first, split build by name, source maps within; `outputs`: its metafile's; `joined`: chunk → file that it goes to, in
 * the chunks' folder. Chunks that go to one file, and what they import, must not import each other in a circle of files. Returns esbuild's result.
 */
export function joinChunks({ texts, outputs, joined, options }) {
  const files = [...new Set(joined.values())];
  const chunksOf = (file) => [...joined.keys()].filter((chunk) => joined.get(chunk) === file);
  const names = new Map(files.flatMap((file) => [...namesOf(chunksOf(file), outputs)]));
  const reExport = (chunk, from, inside) => {
    const list = names.get(chunk).map(([name, outer]) => (inside ? `${name} as ${outer}` : `${outer} as ${name}`));
    return list.length === 0 ? `import "${from}";` : `export { ${list.join(", ")} } from "${from}";`;
  };
  const plugin = {
    name: "join-chunks",
    setup({ onLoad, onResolve }) {
      onResolve({ filter: /.*/ }, ({ path, kind, importer, namespace }) => {
        if (kind === "entry-point") return { path, namespace: SPLIT };
        if (namespace !== SPLIT || kind === "dynamic-import" || !path.startsWith(".")) return { path, external: true };
        const chunk = join(dirname(importer), path);
        const file = joined.get(chunk);
        if (file === undefined) return { path, external: true };
        if (file === (joined.get(importer) ?? importer)) return { path: chunk, namespace: SPLIT };
        return {
          path: `${chunk} from ${dirname(importer)}`,
          namespace: JOINED,
          pluginData: { chunk, from: pathFrom(importer, file) },
        };
      });
      onLoad({ filter: /.*/, namespace: SPLIT }, ({ path }) => ({
        contents:
          texts.get(path) ??
          chunksOf(path)
            .map((chunk) => reExport(chunk, pathFrom(path, chunk), true))
            .join("\n"),
      }));
      onLoad({ filter: /.*/, namespace: JOINED }, ({ pluginData: { chunk, from } }) => ({
        contents: reExport(chunk, from, false),
      }));
    },
  };
  const entries = [...files, ...[...texts.keys()].filter((file) => !joined.has(file))];
  const name = (file) => relative(options.outdir, file).slice(0, -".js".length);
  return build({
    ...options,
    entryPoints: Object.fromEntries(entries.map((file) => [name(file), file])),
    bundle: true,
    plugins: [plugin],
  });
}
