/** Values that come as text, from the environment and the command line. */
import { parse } from "smol-toml";
import type { Leaf } from "./node.ts";

/**
 * The first reading of the text that the key accepts: as it stands, as a TOML value, as a list with commas. When none fits the
 * text itself is returned, so that the check names it.
 */
export function fromText(leaf: Leaf<unknown>, text: string): unknown {
  const readings = [() => text, () => parse(`value = ${text}`).value, () => text.split(",").map((item) => item.trim())];
  for (const reading of readings) {
    try {
      const value = reading();
      leaf.parse(value);
      return value;
    } catch {
      // another reading may fit
    }
  }
  return text;
}
