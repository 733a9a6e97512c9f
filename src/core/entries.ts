/**
 * The files that threads and child processes start with: `workers/NAME.ts` in the source tree, `dist/workers/NAME.js` after the build,
 * where this code lies in `dist` itself or in an entry of `dist/workers`. `scripts/build.mjs` makes that layout.
 */
export function entryFile(name: string, here: string = import.meta.url): URL {
  if (here.endsWith(".ts")) return new URL(`../../workers/${name}.ts`, here);
  return new URL(`${/\/workers\/[^/]+$/.test(here) ? "." : "./workers"}/${name}.js`, here);
}
