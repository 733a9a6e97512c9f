/** Manifests of images, and what signs them. */
import { createHash, type KeyObject, sign } from "node:crypto";
import { createReadStream } from "node:fs";
import { Fault, reasonOf } from "#core/errors.ts";
import { canonical } from "#update/software/canonical.ts";
import type { Json } from "./update-client.ts";
import { wrongUsage } from "./usage.ts";

/** Ed25519 over the canonical text, base64. */
export function signatureOf(manifest: Json, key: KeyObject): string {
  return sign(null, Buffer.from(canonical(manifest)), key).toString("base64");
}

/** SHA-256 in lower-case hex, and the length. @throws Fault badRequest */
export async function measure(file: string): Promise<{ readonly sha256: string; readonly length: number }> {
  const hash = createHash("sha256");
  let length = 0;
  try {
    for await (const chunk of createReadStream(file)) {
      hash.update(chunk as Uint8Array);
      length += (chunk as Uint8Array).byteLength;
    }
  } catch (error) {
    throw new Fault("badRequest", `${file}: ${reasonOf(error)}`, undefined, error);
  }
  return { sha256: hash.digest("hex"), length };
}

/** Names with commas between. @throws Fault badRequest */
export function listOf(components: string): string[] {
  const names = components.split(",").map((name) => name.trim());
  if (names.includes("")) throw wrongUsage(`--components ${components}: a name is missing`);
  return names;
}

/** An id of an update, from a file's name. */
export function plainId(name: string): string {
  return name.replace(/[^A-Za-z0-9._-]/g, "-");
}
