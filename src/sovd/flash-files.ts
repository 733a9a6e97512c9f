/** Files that may be flashed: a folder scanned on demand, with ids made from relative paths. */
import { readdir, stat } from "node:fs/promises";
import { basename, join, relative, resolve } from "node:path";

export interface FlashFile {
  readonly id: string;
  /** File name without folders. */
  readonly name: string;
  /** Path below the folder. */
  readonly originalPath: string;
  /** Absolute path. */
  readonly path: string;
  readonly sizeBytes: number;
}

export interface FlashFiles {
  /** All files, by path. */
  list(): Promise<readonly FlashFile[]>;
  /** Current facts of one file; undefined when it is not there. */
  find(id: string): Promise<FlashFile | undefined>;
}

export interface FlashFilesOptions {
  readonly folder: string;
  readonly maxFiles: number;
  readonly maxDepth: number;
}

/** Files below `folder`. Symbolic links are skipped; what cannot be read counts as empty. */
export function createFlashFiles(options: FlashFilesOptions): FlashFiles {
  const list = async (): Promise<readonly FlashFile[]> => {
    const folder = resolve(options.folder);
    const paths: string[] = [];
    await collect(folder, options.maxDepth, options.maxFiles, paths);
    paths.sort();
    const sizes = await Promise.all(paths.map(sizeOf));
    const taken = new Set<string>();
    return paths.map((path, i) => {
      const originalPath = relative(folder, path);
      return { id: uniqueId(originalPath, taken), name: basename(path), originalPath, path, sizeBytes: sizes[i]! };
    });
  };
  return { list, find: async (id) => (await list()).find((file) => file.id === id) };
}

async function collect(folder: string, depth: number, maxFiles: number, paths: string[]): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (paths.length >= maxFiles) return;
    const path = join(folder, entry.name);
    if (entry.isFile()) paths.push(path);
    else if (entry.isDirectory() && depth > 0) await collect(path, depth - 1, maxFiles, paths);
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch {
    return 0;
  }
}

/** Every character outside `[A-Za-z0-9_]` becomes `_`; a path that collides with an earlier one gets a number. */
function uniqueId(originalPath: string, taken: Set<string>): string {
  const plain = originalPath.replace(/[^A-Za-z0-9_]/gu, "_");
  let id = plain;
  for (let n = 2; taken.has(id); n++) id = `${plain}_${n}`;
  taken.add(id);
  return id;
}
