const HEX: readonly string[] = Array.from({ length: 256 }, (_, value) =>
  value.toString(16).padStart(2, "0").toUpperCase(),
);

/** Two upper-case hex digits of a byte. */
export function hexByte(value: number): string {
  return HEX[value & 0xff] as string;
}

/** Upper-case hex of bytes, `separator` between them (default none). */
export function toHex(bytes: Uint8Array, separator = ""): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += i === 0 ? HEX[bytes[i]!] : separator + HEX[bytes[i]!];
  return text;
}

/** Bytes of hex text; blanks are ignored. Undefined when a digit is foreign or one is left over. */
export function fromHex(text: string): Uint8Array | undefined {
  const digits = text.replace(/\s+/g, "");
  if (digits.length % 2 !== 0 || /[^0-9a-fA-F]/.test(digits)) return undefined;
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** A logical address as text: `0x` and at least four lower-case hex digits. */
export function formatAddress(address: number): string {
  return `0x${address.toString(16).padStart(4, "0")}`;
}

/** All that comes, as one. Ends with the error of `tooLong` as soon as more than `maxBytes` have come. */
export async function gathered(
  parts: AsyncIterable<Uint8Array>,
  maxBytes: number,
  tooLong: () => Error,
): Promise<Buffer> {
  const kept: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of parts) {
    bytes += part.byteLength;
    if (bytes > maxBytes) throw tooLong();
    kept.push(part);
  }
  return Buffer.concat(kept, bytes);
}
