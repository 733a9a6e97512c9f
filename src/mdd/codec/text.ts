/** Character encodings of A_ASCIISTRING, A_UTF8STRING and A_UNICODE2STRING (ISO 22901-1 §7.3.6.2.3). */
import { isUtf8 } from "node:buffer";

export const TextEncoding = { ISO_8859_1: 0, ISO_8859_2: 1, WINDOWS_1252: 2, UTF_8: 3, UCS_2: 4, UCS_2_LE: 5 } as const;
export type TextEncoding = (typeof TextEncoding)[keyof typeof TextEncoding];

/** Upper halves of the code pages that differ from ISO 8859-1, from `first` on; below it they agree. */
const CODE_PAGES: Partial<Record<TextEncoding, { readonly first: number; readonly characters: string }>> = {
  [TextEncoding.ISO_8859_2]: {
    first: 0xa0,
    characters:
      "\u00a0Ą˘Ł¤ĽŚ§¨ŠŞŤŹ\u00adŽŻ°ą˛ł´ľśˇ¸šşťź˝žżŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢßŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙",
  },
  [TextEncoding.WINDOWS_1252]: {
    first: 0x80,
    characters: "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ",
  },
};

const LONE_SURROGATE = /\p{Surrogate}/u;
const utf8Decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const utf8Encoder = new TextEncoder();

/** Bytes of one code unit. */
export function unitBytes(encoding: TextEncoding): number {
  return encoding >= TextEncoding.UCS_2 ? 2 : 1;
}

/** What is wrong with bytes as text, or empty. */
export function textProblem(bytes: Uint8Array, start: number, length: number, encoding: TextEncoding): string {
  if (encoding >= TextEncoding.UCS_2) return length % 2 === 0 ? "" : "odd number of bytes in a UCS-2 text";
  if (encoding === TextEncoding.UTF_8 && !isUtf8(bytes.subarray(start, start + length)))
    return "invalid UTF-8 sequence";
  return "";
}

/** UTF-16 code unit of one byte of a single-byte encoding. */
export function codeOfByte(byte: number, encoding: TextEncoding): number {
  const page = CODE_PAGES[encoding];
  if (page === undefined || byte < page.first || byte - page.first >= page.characters.length) return byte;
  return page.characters.charCodeAt(byte - page.first);
}

/** Text of bytes; `textProblem` must have found nothing. */
export function decodeText(bytes: Uint8Array, start: number, length: number, encoding: TextEncoding): string {
  if (encoding === TextEncoding.UTF_8) return utf8Decoder.decode(bytes.subarray(start, start + length));
  let text = "";
  if (encoding >= TextEncoding.UCS_2) {
    const high = encoding === TextEncoding.UCS_2 ? 0 : 1;
    for (let i = start; i + 1 < start + length; i += 2)
      text += String.fromCharCode((bytes[i + high]! << 8) | bytes[i + 1 - high]!);
    return text;
  }
  for (let i = start; i < start + length; i++) text += String.fromCharCode(codeOfByte(bytes[i]!, encoding));
  return text;
}

/** Bytes of text; undefined when a character does not exist in the encoding. */
export function encodeText(text: string, encoding: TextEncoding): Uint8Array | undefined {
  if (encoding === TextEncoding.UTF_8) return LONE_SURROGATE.test(text) ? undefined : utf8Encoder.encode(text);
  return encoding >= TextEncoding.UCS_2 ? encodeUcs2(text, encoding) : encodeSingleByte(text, encoding);
}

function encodeUcs2(text: string, encoding: TextEncoding): Uint8Array {
  const high = encoding === TextEncoding.UCS_2 ? 0 : 1;
  const bytes = new Uint8Array(2 * text.length);
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    bytes[2 * i + high] = unit >> 8;
    bytes[2 * i + 1 - high] = unit & 0xff;
  }
  return bytes;
}

function encodeSingleByte(text: string, encoding: TextEncoding): Uint8Array | undefined {
  const page = CODE_PAGES[encoding];
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    const inPage = page === undefined ? -1 : page.characters.indexOf(text[i]!);
    const byte = inPage < 0 ? unit : page!.first + inPage;
    if (byte > 0xff || codeOfByte(byte, encoding) !== unit) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}
