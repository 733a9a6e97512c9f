/** Proof that a process has loaded no native addon. */

/** Addons in this process: shared objects that Node loaded through `require` or `process.dlopen`. */
export function nativeAddons(): string[] {
  const report = process.report.getReport() as { sharedObjects?: unknown };
  const objects = Array.isArray(report.sharedObjects) ? report.sharedObjects : [];
  return objects.filter((path): path is string => typeof path === "string" && path.endsWith(".node"));
}
