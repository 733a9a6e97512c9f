import type { KeyObject } from "node:crypto";
import { createHash, sign, verify } from "node:crypto";
import type { CheckSignature } from "./chunk.ts";
import type { Signature } from "./messages.ts";

/** Our own detached signature of a chunk. */
export const ED25519_CHUNK = "ed25519_chunk";

/**
 * What is signed: type, name and SHA-512 of the uncompressed content, so that neither content nor its place can be swapped and
 * recompression keeps the signature valid.
 */
function statement(type: number, name: string | undefined, sha512: Uint8Array): Uint8Array {
  const text = JSON.stringify([ED25519_CHUNK, type, name ?? null, Buffer.from(sha512).toString("hex")]);
  return new TextEncoder().encode(text);
}

/** Key identifier of a public key: SHA-256 of its SubjectPublicKeyInfo. */
export function keyIdentifier(publicKey: KeyObject): Uint8Array {
  return createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest();
}

/** Signs a chunk's identity and content hash with an Ed25519 private key; `publicKey` names it for the reader. */
export function signChunk(
  chunk: { readonly type: number; readonly name?: string },
  sha512: Uint8Array,
  keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject },
): Signature {
  return {
    algorithm: ED25519_CHUNK,
    keyIdentifier: keyIdentifier(keys.publicKey),
    metadata: new Map(),
    signature: sign(null, statement(chunk.type, chunk.name, sha512), keys.privateKey),
    certificates: [],
    unknown: [],
  };
}

/** A checker that trusts these Ed25519 public keys; signatures of other keys or algorithms are unknown to it. */
export function ed25519Checker(trusted: readonly KeyObject[]): CheckSignature {
  const keys = new Map(trusted.map((key) => [Buffer.from(keyIdentifier(key)).toString("hex"), key]));
  return ({ signature, chunk, sha512 }) => {
    if (signature.algorithm !== ED25519_CHUNK) return "unknown";
    const key = keys.get(Buffer.from(signature.keyIdentifier ?? []).toString("hex"));
    if (key === undefined) return "unknown";
    return verify(null, statement(chunk.type, chunk.name, sha512), key, signature.signature) ? "good" : "bad";
  };
}
