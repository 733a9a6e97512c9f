import { lzma } from "@napi-rs/lzma";

/**
 * Decodes an LZMA-alone stream on libuv's pool. The header must declare the uncompressed size: that bounds what the
 * decoder writes. Rejects when the stream is damaged or its content has another length.
 */
export function inflateLzma(lzmaAlone: Uint8Array): Promise<Uint8Array> {
  return lzma.decompress(lzmaAlone);
}

/** The same in the calling thread, at its priority: for one that has nothing else to do. */
export async function inflateLzmaHere(lzmaAlone: Uint8Array): Promise<Uint8Array> {
  return lzma.decompressSync(lzmaAlone);
}

/** Encodes as LZMA alone (8 MiB dictionary, unknown size with end mark: the header converters write). */
export function deflateLzma(bytes: Uint8Array): Promise<Uint8Array> {
  return lzma.compress(bytes);
}
