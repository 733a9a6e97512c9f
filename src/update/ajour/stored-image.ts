/** An image as a record of the store: versions are bytes of any kind, and so stand there as hex. */
import type { Image } from "./next.ts";

export interface StoredImage {
  readonly version: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

export function storedImage({ version, sizeBytes, sha256 }: Image): StoredImage {
  return { version: Buffer.from(version).toString("hex"), sizeBytes, sha256 };
}

export function imageOf({ version, sizeBytes, sha256 }: StoredImage): Image {
  return { version: new Uint8Array(Buffer.from(version, "hex")), sizeBytes, sha256 };
}
