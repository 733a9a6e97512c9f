import { createHash } from "node:crypto";
import { Fault } from "#core/errors.ts";

/** What a small record may hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json | undefined };

const HASH_BYTES = 32;

/**
 * A small record as stored: SHA-256 over key and text, then the JSON text. LMDB has no page checksums, and a hash over the key as
 * well finds a record that turns up under a foreign key.
 */
export function encodeRecord(key: string, value: Json): Buffer {
  const text = Buffer.from(JSON.stringify(value));
  return Buffer.concat([hashOf(key, text), text]);
}

/** The record of stored bytes; throws `corruption` naming the key when the hash does not fit. */
export function decodeRecord<T>(key: string, stored: Uint8Array): T {
  const text = stored.subarray(HASH_BYTES);
  if (stored.length < HASH_BYTES || !hashOf(key, text).equals(stored.subarray(0, HASH_BYTES)))
    throw new Fault("corruption", `record "${key}" does not match its hash`, { key });
  return JSON.parse(Buffer.from(text.buffer, text.byteOffset, text.length).toString()) as T;
}

function hashOf(key: string, text: Uint8Array): Buffer {
  return createHash("sha256").update(key).update("\0").update(text).digest();
}

/** SHA-256 of bytes as lower-case hex. */
export function sha256Hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
