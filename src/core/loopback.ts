/** Whether an address, of either family, is of this machine alone: nobody outside can reach it, nor send from it. */
export function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}
