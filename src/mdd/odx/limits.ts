/** Bounds on what an untrusted ODX set may ask of us. */
export interface OdxLimits {
  /** Of the archive, or of a folder. */
  readonly maxFiles: number;
  /** Of one file, uncompressed. */
  readonly maxFileBytes: number;
  /** Of all files together, uncompressed. */
  readonly maxTotalBytes: number;
  /** Uncompressed by compressed size, asked only of files above `ratioFromBytes`. */
  readonly maxRatio: number;
  readonly ratioFromBytes: number;
  /** Elements within elements; ODX nests about 25 deep, special data groups may add to it. */
  readonly maxDepth: number;
  readonly maxElements: number;
  /** Of one piece of text, one tag or one comment. */
  readonly maxTextBytes: number;
  /** Objects that refer to each other one within the other (DOPs, layers, com params). */
  readonly maxNesting: number;
  /** Entries that the report keeps; further ones are counted. */
  readonly maxReportEntries: number;
}

const MIB = 1024 * 1024;

export const DEFAULT_ODX_LIMITS: OdxLimits = {
  maxFiles: 4096,
  maxFileBytes: 1024 * MIB,
  maxTotalBytes: 4096 * MIB,
  maxRatio: 400,
  ratioFromBytes: 16 * MIB,
  maxDepth: 128,
  maxElements: 30_000_000,
  maxTextBytes: MIB,
  maxNesting: 100,
  maxReportEntries: 10_000,
};
