import type { KeyObject } from "node:crypto";
import { createHash } from "node:crypto";
import { signChunk } from "../container/ed25519.ts";
import { encodeContainer } from "../container/encode.ts";
import type { Chunk, Signature } from "../container/messages.ts";
import { CHUNK_TYPE, SHA512_UNCOMPRESSED } from "../container/messages.ts";
import type { EcuData } from "../generated/description.ts";
import { writeEcuData } from "./write.ts";

/** Format date that converters write into the container. */
const CONTAINER_VERSION = "2025-05-21";

/** Encoder of LZMA-alone streams, injected because this layer loads no native code. */
export type Deflate = (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;

export interface SigningKeys {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** A chunk before compression. */
export interface PlainChunk {
  readonly type: number;
  readonly name?: string;
  readonly mimeType?: string;
  readonly metadata?: ReadonlyMap<string, string>;
  readonly content: Uint8Array;
}

export interface PackOptions {
  /** Absent: chunks are stored as they are. */
  readonly deflate?: Deflate;
  /** Ed25519 keys; absent: only the integrity hash. */
  readonly signingKeys?: SigningKeys;
}

export interface MddOptions extends PackOptions {
  readonly description: EcuData;
  /** Of the container, in this order; a reproducible file fixes `created`. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Code and embedded files, behind the database. */
  readonly chunks?: readonly PlainChunk[];
}

/** A chunk as stored: compressed when that is asked for, with the SHA-512 of its content and, with keys, a signature. */
export async function packChunk(plain: PlainChunk, { deflate, signingKeys }: PackOptions = {}): Promise<Chunk> {
  const { content, metadata = new Map(), ...rest } = plain;
  const sha512 = createHash("sha512").update(content).digest();
  const hash = {
    algorithm: SHA512_UNCOMPRESSED,
    metadata: new Map(),
    signature: sha512,
    certificates: [],
    unknown: [],
  };
  const signatures: Signature[] = signingKeys ? [hash, signChunk(plain, sha512, signingKeys)] : [hash];
  const common = { ...rest, metadata, signatures, unknown: [] };
  if (deflate === undefined) return { ...common, data: content };
  const data = await deflate(content);
  return { ...common, compressionAlgorithm: "lzma", uncompressedSize: content.length, data };
}

/** A whole MDD file: the database of a description as first chunk, then the others. */
export async function writeMdd(options: MddOptions): Promise<Uint8Array> {
  const { description, metadata = {}, chunks = [] } = options;
  const { ecu_name: ecuName = "", revision } = description;
  const database = { type: CHUNK_TYPE.diagnosticDescription, name: ecuName, content: writeEcuData(description) };
  const packed: Chunk[] = [];
  for (const chunk of [database, ...chunks]) packed.push(await packChunk(chunk, options));
  return encodeContainer({
    version: CONTAINER_VERSION,
    featureFlags: [],
    ecuName,
    ...(revision !== undefined && { revision }),
    metadata: new Map(Object.entries(metadata)),
    chunks: packed,
    unknown: [],
  });
}
