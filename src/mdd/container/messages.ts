/** Protobuf messages of the container (package `fileformat`) as data: what decoder and encoder interpret. */

export const MAGIC: Uint8Array = new TextEncoder().encode("MDD version 0      \0");

/** Chunk types; an open enum, numbers above 1024 are vendors'. */
export const CHUNK_TYPE = {
  diagnosticDescription: 0,
  codeFile: 1,
  codeFilePartial: 2,
  embeddedFile: 3,
  vendorSpecific: 1024,
} as const;

/** The one signature algorithm converters write: an integrity hash without key over the chunk before compression. */
export const SHA512_UNCOMPRESSED = "sha512_uncompressed";

export interface Signature {
  readonly algorithm: string;
  readonly keyIdentifier?: Uint8Array;
  readonly metadata: ReadonlyMap<string, string>;
  readonly signature: Uint8Array;
  readonly certificates: readonly Uint8Array[];
  readonly unknown: readonly Uint8Array[];
}

export interface Encryption {
  readonly encryptionAlgorithm: string;
  readonly keyIdentifier?: Uint8Array;
  readonly certificates: readonly Uint8Array[];
  readonly unknown: readonly Uint8Array[];
}

export interface Chunk {
  readonly type: number;
  readonly name?: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly signatures: readonly Signature[];
  /** Only `lzma` (any case) is known; absent means stored. */
  readonly compressionAlgorithm?: string;
  readonly uncompressedSize?: number;
  readonly encryption?: Encryption;
  /** A view into the file, as stored. */
  readonly data?: Uint8Array;
  /** Of the uncompressed content. */
  readonly mimeType?: string;
  readonly unknown: readonly Uint8Array[];
}

export interface MddContainer {
  /** Date of the container format, not of the content. */
  readonly version: string;
  readonly featureFlags: readonly number[];
  readonly ecuName: string;
  readonly revision?: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly chunks: readonly Chunk[];
  readonly chunksSignature?: Signature;
  /** Fields that this version does not know, tag included, kept so that a rewriter loses nothing. */
  readonly unknown: readonly Uint8Array[];
}

/** `implicit` fields have proto3's implicit presence: the zero value is not written and reads when absent. */
export type Presence = "implicit" | "optional" | "repeated";
export type WireType = "varint" | "string" | "bytes" | "map" | MessageSpec;

export interface FieldSpec {
  readonly no: number;
  readonly name: string;
  readonly type: WireType;
  readonly presence: Presence;
}

export interface MessageSpec {
  readonly name: string;
  /** Ascending by number: the order in which a canonical writer emits them. */
  readonly fields: readonly FieldSpec[];
}

const field = (no: number, name: string, type: WireType, presence: Presence = "optional"): FieldSpec => ({
  no,
  name,
  type,
  presence,
});

const SIGNATURE: MessageSpec = {
  name: "Signature",
  fields: [
    field(1, "algorithm", "string", "implicit"),
    field(2, "keyIdentifier", "bytes"),
    field(3, "metadata", "map", "repeated"),
    field(4, "signature", "bytes", "implicit"),
    field(5, "certificates", "bytes", "repeated"),
  ],
};

const ENCRYPTION: MessageSpec = {
  name: "Encryption",
  fields: [
    field(1, "encryptionAlgorithm", "string", "implicit"),
    field(2, "keyIdentifier", "bytes"),
    field(3, "certificates", "bytes", "repeated"),
  ],
};

const CHUNK: MessageSpec = {
  name: "Chunk",
  fields: [
    field(1, "type", "varint", "implicit"),
    field(2, "name", "string"),
    field(3, "metadata", "map", "repeated"),
    field(4, "signatures", SIGNATURE, "repeated"),
    field(5, "compressionAlgorithm", "string"),
    field(6, "uncompressedSize", "varint"),
    field(7, "encryption", ENCRYPTION),
    field(8, "data", "bytes"),
    field(9, "mimeType", "string"),
  ],
};

export const MDD_FILE: MessageSpec = {
  name: "MDDFile",
  fields: [
    field(1, "version", "string", "implicit"),
    field(2, "featureFlags", "varint", "repeated"),
    field(3, "ecuName", "string", "implicit"),
    field(4, "revision", "string"),
    field(5, "metadata", "map", "repeated"),
    field(6, "chunks", CHUNK, "repeated"),
    field(7, "chunksSignature", SIGNATURE),
  ],
};

/** Wire types of protobuf. */
export const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

export function wireTypeOf(type: WireType): number {
  return type === "varint" ? WIRE.varint : WIRE.bytes;
}
