/** Which bits of a message belong to which parameter, as a picture. */
import type { MessageView, ParamView } from "./view.ts";

/** A row of the picture: one byte, or several that look alike. */
export interface LayoutRow {
  readonly first: number;
  readonly last: number;
  /** Eight letters, bit 7 first; `.` belongs to nobody, `*` to several. */
  readonly bits: string;
  /** Parameters that begin here, by letter. */
  readonly begins: readonly { readonly letter: string; readonly path: string; readonly param: ParamView }[];
}

const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const FREE = ".";
const SHARED = "*";

/** Bytes of a message that are drawn; a longer one goes on in words. */
const MAX_BYTES = 4096;

/** Alike bytes beyond so many become one row. */
const MAX_ALIKE = 3;

/** The fixed part of a message. Parameters whose place or length depends on the data are not in it. */
export function layoutOf(message: MessageView): readonly LayoutRow[] {
  const placed = leavesOf(message.params, "")
    .filter(({ param: { byte, bits } }) => byte !== undefined && bits !== undefined && bits > 0)
    .sort((a, b) => a.param.byte! - b.param.byte!)
    .map((leaf, i) => ({ ...leaf, letter: LETTERS[i % LETTERS.length]! }));
  const bytes: string[][] = [];
  for (const { param, letter } of placed) paint(bytes, param, letter);
  const rows = Array.from(bytes, (cells, at) => ({
    first: at,
    last: at,
    bits: (cells ?? Array<string>(8).fill(FREE)).toReversed().join(""),
    begins: placed.filter(({ param }) => param.byte === at),
  }));
  return rows.reduce<LayoutRow[]>((all, row) => [...all.slice(0, -1), ...joined(all.at(-1), row)], []).flatMap(spread);
}

interface Leaf {
  readonly path: string;
  readonly param: ParamView;
}

/** Simple parameters, members of structures too; what stands in fields, cases and rows may or may not be there. */
function leavesOf(params: readonly ParamView[], path: string): Leaf[] {
  return params.flatMap((param) => {
    const own = path === "" ? param.name : `${path}.${param.name}`;
    if (param.groups === undefined) return [{ path: own, param }];
    return param.groups.flatMap(({ label, params: members }) => (label === "structure" ? leavesOf(members, own) : []));
  });
}

/** Marks the bits of a parameter: it counts from the least significant bit of its last byte, little endian of its first. */
function paint(bytes: string[][], { byte = 0, bit, bits = 0, littleEndian }: ParamView, letter: string): void {
  const length = Math.ceil((bit + bits) / 8);
  for (let i = bit; i < bit + bits; i++) {
    const at = littleEndian ? byte + (i >> 3) : byte + length - 1 - (i >> 3);
    if (at >= MAX_BYTES) continue;
    bytes[at] ??= Array<string>(8).fill(FREE);
    bytes[at][i & 7] = bytes[at][i & 7] === FREE ? letter : SHARED;
  }
}

function joined(before: LayoutRow | undefined, row: LayoutRow): LayoutRow[] {
  if (before === undefined) return [row];
  return before.bits === row.bits && row.begins.length === 0 ? [{ ...before, last: row.last }] : [before, row];
}

function spread(row: LayoutRow): LayoutRow[] {
  const count = row.last - row.first + 1;
  if (count > MAX_ALIKE) return [row];
  return Array.from({ length: count }, (_, i) => ({
    ...row,
    first: row.first + i,
    last: row.first + i,
    begins: i === 0 ? row.begins : [],
  }));
}
