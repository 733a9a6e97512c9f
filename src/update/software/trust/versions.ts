/**
 * Order of two versions as people write them: runs of digits as numbers, the rest as text. A pre-release (`-rc1`) comes before its
 * release, build data (`+…`) does not count. Total: any two texts have an order.
 */
export function compareVersions(a: string, b: string): number {
  const [mainA, preA] = split(a);
  const [mainB, preB] = split(b);
  const order = compareParts(mainA, mainB);
  if (order !== 0) return order;
  if (preA === undefined || preB === undefined) return Number(preA === undefined) - Number(preB === undefined);
  return compareParts(preA, preB);
}

function split(version: string): [main: string, pre: string | undefined] {
  const plain = version.replace(/^v(?=\d)/i, "").split("+", 1)[0]!;
  const dash = plain.indexOf("-");
  return dash === -1 ? [plain, undefined] : [plain.slice(0, dash), plain.slice(dash + 1)];
}

function compareParts(a: string, b: string): number {
  const [partsA, partsB] = [partsOf(a), partsOf(b)];
  for (let i = 0; i < Math.max(partsA.length, partsB.length); i++) {
    const order = comparePart(partsA[i] ?? "0", partsB[i] ?? "0");
    if (order !== 0) return order;
  }
  return 0;
}

function partsOf(text: string): string[] {
  return text.match(/\d+|[^\d.\-_]+/g) ?? [];
}

function comparePart(a: string, b: string): number {
  const [numericA, numericB] = [/^\d/.test(a), /^\d/.test(b)];
  if (numericA && numericB) {
    const [x, y] = [BigInt(a), BigInt(b)];
    return x === y ? 0 : x < y ? -1 : 1;
  }
  if (numericA !== numericB) return numericA ? 1 : -1;
  return a === b ? 0 : a < b ? -1 : 1;
}
