/** What the bench measures: operations by name. */
import { fromHex } from "#core/bytes.ts";

/** Every operation returns something, so that nothing is optimised away. */
export type Rows = Readonly<Record<string, () => unknown>>;

/** Bytes of hexadecimal text. */
export function bytes(hex: string): Uint8Array {
  const found = fromHex(hex);
  if (found === undefined) throw new Error(`not hexadecimal: ${hex}`);
  return found;
}
