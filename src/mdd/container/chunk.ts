import { createHash, timingSafeEqual } from "node:crypto";
import { Fault, reasonOf } from "#core/errors.ts";
import type { ContainerLimits } from "./limits.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { readLzmaHeader, withDeclaredSize } from "./lzma.ts";
import type { Chunk, Encryption, Signature } from "./messages.ts";
import { SHA512_UNCOMPRESSED } from "./messages.ts";

/** Decoder of LZMA-alone streams, injected because this layer loads no native code. The header holds `uncompressedBytes`. */
export type Inflate = (lzmaAlone: Uint8Array, uncompressedBytes: number) => Uint8Array | Promise<Uint8Array>;

/** Key provider: returns the stored bytes of an encrypted chunk in the clear. */
export type Decrypt = (data: Uint8Array, encryption: Encryption, chunk: Chunk) => Uint8Array | Promise<Uint8Array>;

/** A signature of an algorithm other than the built-in hash, with what it may cover. */
export interface SignedContent {
  readonly signature: Signature;
  readonly chunk: Chunk;
  /** SHA-512 of the content before compression. */
  readonly sha512: Uint8Array;
}
/** `unknown`: not an algorithm or key of the checker; `bad` refuses the chunk. */
export type SignatureVerdict = "good" | "bad" | "unknown";
export type CheckSignature = (signed: SignedContent) => SignatureVerdict | Promise<SignatureVerdict>;

export interface InflateOptions {
  readonly inflate: Inflate;
  readonly limits?: Partial<ContainerLimits>;
  readonly decrypt?: Decrypt;
  /** Compare the chunk's `sha512_uncompressed` (default true). */
  readonly checkHash?: boolean;
  readonly checkSignature?: CheckSignature;
  /** Refuse a chunk without any signature that `checkSignature` finds good (default false). */
  readonly requireSignature?: boolean;
}

/**
 * Content of a chunk: decrypted, decompressed, its length, hash and signatures checked. A stored chunk is returned as the view
 * it is. Throws `Fault("invalidContainer")` naming the chunk.
 */
export async function inflateChunk(chunk: Chunk, options: InflateOptions): Promise<Uint8Array> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const content = await decompress(chunk, await storedData(chunk, options), limits, options.inflate);
  if (chunk.uncompressedSize !== undefined && content.length !== chunk.uncompressedSize) {
    throw broken(chunk, `${content.length} bytes instead of ${chunk.uncompressedSize}`);
  }
  await checkSignatures(chunk, content, options);
  return content;
}

async function storedData(chunk: Chunk, { decrypt }: InflateOptions): Promise<Uint8Array> {
  const data = chunk.data ?? new Uint8Array();
  if (chunk.encryption === undefined) return data;
  if (decrypt === undefined)
    throw broken(chunk, `encrypted (${chunk.encryption.encryptionAlgorithm}), no key provider`);
  return decrypt(data, chunk.encryption, chunk);
}

async function decompress(
  chunk: Chunk,
  data: Uint8Array,
  limits: ContainerLimits,
  inflate: Inflate,
): Promise<Uint8Array> {
  const algorithm = chunk.compressionAlgorithm;
  if (algorithm === undefined) return data;
  if (algorithm.toLowerCase() !== "lzma") throw broken(chunk, `unsupported compression algorithm ${algorithm}`);
  const header = readLzmaHeader(data, limits);
  const bytes = chunk.uncompressedSize ?? header.uncompressedBytes;
  if (bytes === undefined) throw broken(chunk, "compressed without a declared size");
  if (header.uncompressedBytes !== undefined && header.uncompressedBytes !== bytes) {
    throw broken(chunk, `stream declares ${header.uncompressedBytes} bytes, the container ${bytes}`);
  }
  checkBudget(chunk, bytes, data.length, limits);
  return runInflate(
    chunk,
    header.uncompressedBytes === undefined ? withDeclaredSize(data, bytes) : data,
    bytes,
    inflate,
  );
}

function checkBudget(chunk: Chunk, bytes: number, storedBytes: number, limits: ContainerLimits): void {
  if (bytes > limits.maxChunkBytes) throw broken(chunk, `${bytes} bytes exceed the limit of ${limits.maxChunkBytes}`);
  if (bytes > limits.ratioFromBytes && bytes > storedBytes * limits.maxRatio) {
    throw broken(chunk, `${storedBytes} bytes claim to hold ${bytes}`);
  }
}

async function runInflate(chunk: Chunk, stream: Uint8Array, bytes: number, inflate: Inflate): Promise<Uint8Array> {
  let content: Uint8Array;
  try {
    content = await inflate(stream, bytes);
  } catch (error) {
    throw broken(chunk, `does not decompress: ${reasonOf(error)}`, error);
  }
  if (content.length !== bytes) throw broken(chunk, `decompresses to ${content.length} bytes instead of ${bytes}`);
  return content;
}

async function checkSignatures(chunk: Chunk, content: Uint8Array, options: InflateOptions): Promise<void> {
  const { checkHash = true, checkSignature, requireSignature = false } = options;
  if (requireSignature && checkSignature === undefined)
    throw broken(chunk, "signature required, but none can be checked");
  const hashes = checkHash ? chunk.signatures.filter(({ algorithm }) => algorithm === SHA512_UNCOMPRESSED) : [];
  if (hashes.length === 0 && checkSignature === undefined) return;
  const sha512 = createHash("sha512").update(content).digest();
  for (const { signature } of hashes) {
    if (signature.length !== sha512.length || !timingSafeEqual(signature, sha512))
      throw broken(chunk, "SHA-512 differs");
  }
  if (checkSignature === undefined) return;
  let good = 0;
  for (const signature of chunk.signatures.filter(({ algorithm }) => algorithm !== SHA512_UNCOMPRESSED)) {
    const verdict = await checkSignature({ signature, chunk, sha512 });
    if (verdict === "bad") throw broken(chunk, `signature ${signature.algorithm} is wrong`);
    if (verdict === "good") good++;
  }
  if (requireSignature && good === 0) throw broken(chunk, "no trusted signature");
}

function broken(chunk: Chunk, what: string, cause?: unknown): Fault {
  const { type, name } = chunk;
  return new Fault(
    "invalidContainer",
    `chunk ${name ?? ""} of type ${type}: ${what}`,
    { type, name: name ?? null },
    cause,
  );
}
