/** Bounds on what an untrusted container may ask of us. */
export interface ContainerLimits {
  readonly maxFileBytes: number;
  readonly maxChunks: number;
  /** Of one map. */
  readonly maxMetadataEntries: number;
  /** List and map entries, chunks and unknown fields of the whole file together. */
  readonly maxEntries: number;
  /** Of one chunk, uncompressed. */
  readonly maxChunkBytes: number;
  readonly maxDictionaryBytes: number;
  /** Uncompressed by compressed size, asked only of chunks above `ratioFromBytes`. */
  readonly maxRatio: number;
  readonly ratioFromBytes: number;
}

const MIB = 1024 * 1024;

export const DEFAULT_LIMITS: ContainerLimits = {
  maxFileBytes: 256 * MIB,
  maxChunks: 4096,
  maxMetadataEntries: 1024,
  maxEntries: 65_536,
  maxChunkBytes: 512 * MIB,
  maxDictionaryBytes: 64 * MIB,
  maxRatio: 1000,
  ratioFromBytes: 16 * MIB,
};
