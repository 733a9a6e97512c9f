/** IPv4 addresses as numbers, for the subnet filter. */

export const BROADCAST = "255.255.255.255";
export const ANY_ADDRESS = "0.0.0.0";

/** Unsigned 32 bits of dotted text; undefined when it is not an IPv4 address. */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

/** Whether both addresses lie in one subnet of `mask`. False when one of the three is no IPv4 address. */
export function sameSubnet(a: string, b: string, mask: string): boolean {
  const [x, y, bits] = [parseIpv4(a), parseIpv4(b), parseIpv4(mask)];
  if (x === undefined || y === undefined || bits === undefined) return false;
  return ((x ^ y) & bits) === 0;
}
