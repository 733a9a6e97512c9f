import { createHash } from "node:crypto";
import { Fault } from "#core/errors.ts";
import { sha256Hex } from "./record.ts";
import { CHUNK_BYTES, type Content, type PartInfo } from "./storage.ts";

const HASH_BYTES = 32;

interface Pieces {
  /** The content cut into pieces of 1 MiB, the last one shorter; each a buffer of its own, or a part of what was there at once. */
  iterate(): AsyncGenerator<Uint8Array, void, undefined>;
  /** Size and hash of what was iterated. */
  result(): { size: number; sha256: string };
}

/** Content as pieces of the size streamed values are stored in; needs no more memory than one of them. */
export function pieces(content: Content): Pieces {
  const hash = createHash("sha256");
  let size = 0;

  async function* iterate(): AsyncGenerator<Uint8Array, void, undefined> {
    if (content instanceof Uint8Array) {
      hash.update(content);
      size = content.length;
      for (let at = 0; at < size; at += CHUNK_BYTES) yield content.subarray(at, at + CHUNK_BYTES);
      return;
    }
    let piece = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    let filled = 0;
    for await (const part of content) {
      hash.update(part);
      size += part.length;
      for (let at = 0; at < part.length; ) {
        const take = Math.min(CHUNK_BYTES - filled, part.length - at);
        piece.set(part.subarray(at, at + take), filled);
        filled += take;
        at += take;
        if (filled < CHUNK_BYTES) continue;
        yield piece;
        piece = Buffer.allocUnsafeSlow(CHUNK_BYTES);
        filled = 0;
      }
    }
    if (filled > 0) yield piece.subarray(0, filled);
  }

  return { iterate, result: () => ({ size, sha256: hash.digest("hex") }) };
}

/** The whole content contiguous, with its hash; `noSpaceLeft` when it is longer than a mapped value may be. */
export async function stagedMapped(content: Content, maxBytes: number): Promise<{ bytes: Uint8Array; sha256: string }> {
  const bytes = content instanceof Uint8Array ? content : await gather(content, maxBytes);
  if (bytes.length > maxBytes) throw tooLong(maxBytes);
  return { bytes, sha256: sha256Hex(bytes) };
}

async function gather(content: Exclude<Content, Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of content) {
    size += part.length;
    if (size > maxBytes) throw tooLong(maxBytes);
    parts.push(Buffer.from(part));
  }
  return Buffer.concat(parts, size);
}

function tooLong(maxBytes: number): Fault {
  return new Fault("noSpaceLeft", `The value is longer than the ${maxBytes} bytes a mapped value may have`, {
    maxBytes,
  });
}

/** Room for any chunk as stored. */
export const STORED_CHUNK_BYTES = HASH_BYTES + CHUNK_BYTES;

/** A chunk as stored: its SHA-256, then its bytes. Takes the room in `target`. */
export function encodeChunk(bytes: Uint8Array, target = Buffer.allocUnsafeSlow(HASH_BYTES + bytes.length)): Buffer {
  createHash("sha256").update(bytes).digest().copy(target);
  target.set(bytes, HASH_BYTES);
  return target.subarray(0, HASH_BYTES + bytes.length);
}

/** The bytes of a stored chunk; `corruption` when they do not fit their hash. */
export function decodeChunk(stored: Uint8Array, label: string): Uint8Array {
  const bytes = stored.subarray(HASH_BYTES);
  const hash = createHash("sha256").update(bytes).digest();
  if (!hash.equals(stored.subarray(0, HASH_BYTES))) throw new Fault("corruption", `${label} does not match its hash`);
  return bytes;
}

/** Throws `corruption` when bytes do not have the hash they should. */
export function verifyBytes(expected: PartInfo, bytes: Uint8Array): void {
  if (sha256Hex(bytes) !== expected.sha256) throw mismatch(expected);
}

export function mismatch({ sha256 }: PartInfo): Fault {
  return new Fault("corruption", `Value ${sha256} does not match its hash`, { sha256 });
}

/** Copies what fits from `offset` on; returns how many bytes. */
export function copyInto(target: Uint8Array, source: Uint8Array, offset: number): number {
  const part = source.subarray(offset, offset + target.length);
  target.set(part);
  return part.length;
}
