import { PRODUCT, VERSION } from "#core/version.ts";
import type { ConvertOptions } from "./convert.ts";

/** Metadata of a converted file, in the order converters write them. `created`: ISO 8601; readers know our files by `converter`. */
export function converterMetadata(source: string, created: string, options: ConvertOptions): Record<string, string> {
  return {
    created,
    source,
    options: JSON.stringify(optionsText(options)),
    converter: `${PRODUCT} ${VERSION}`,
    // what this one does to chunks (compression, hash before it) is what we do
    plugins: "compression@0.1.0",
  };
}

/** Options that differ from their defaults. */
function optionsText({ isLenient, includeJobs, partialJobs = [], withAudiences = [] }: ConvertOptions): object {
  return {
    ...(isLenient === true && { lenient: true }),
    ...(includeJobs === true && { includeJobFiles: true }),
    ...(partialJobs.length > 0 && {
      partialJobFiles: partialJobs.map(({ patterns: [jobFilePattern, includePattern] }) => ({
        jobFilePattern,
        includePattern,
      })),
    }),
    ...(withAudiences.length > 0 && { withAudiences }),
  };
}
