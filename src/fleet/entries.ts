/** URL of a worker entry: TypeScript beside the sources, JavaScript beside the bundle. */
export function workerEntry(name: "gateway" | "jobs" | "uploads"): string {
  const here = import.meta.url;
  const path = here.endsWith(".ts") ? `../../workers/${name}.ts` : `./workers/${name}.js`;
  return new URL(path, here).href;
}
