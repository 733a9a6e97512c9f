/**
 * Decoded values in the order of the answer, in flat arrays that are used again: writing JSON or building objects happens after decoding
 * has succeeded, and a list item that turns out to be incomplete is dropped by shortening the tape.
 */

import type { DtcInfo, Key } from "./plan.ts";
import type { TextEncoding } from "./text.ts";

export const Mark = {
  OBJECT: 0,
  OBJECT_END: 1,
  ARRAY: 2,
  ARRAY_END: 3,
  NUMBER: 4,
  BIG: 5,
  SINGLE: 6,
  TEXT: 7,
  CONST_TEXT: 8,
  STRING: 9,
  BYTES: 10,
  DTC: 11,
  /** Passed over, with all inside it. */
  SKIPPED: 12,
} as const;
export type Mark = (typeof Mark)[keyof typeof Mark];

const INITIAL_ENTRIES = 256;

/** Room that is kept for the next answer. */
const KEPT_ENTRIES = 1 << 14;

/** Entries of one answer; a damaged or hostile answer must not take all memory. */
export const MAX_ENTRIES = 1 << 20;

export class Tape {
  count = 0;
  mark = new Uint8Array(INITIAL_ENTRIES);
  /** NUMBER: its value. BYTES, TEXT: start. OBJECT, ARRAY, SKIPPED: index of the last entry that belongs to it. */
  number = new Float64Array(INITIAL_ENTRIES);
  /** BYTES, TEXT: length. */
  length = new Int32Array(INITIAL_ENTRIES);
  /** TEXT: its TextEncoding. */
  encoding = new Uint8Array(INITIAL_ENTRIES);
  /** BYTES, TEXT: source; CONST_TEXT, STRING, BIG, DTC: the value. */
  value: unknown[] = [];
  /** Member name; undefined in arrays. */
  key: (Key | undefined)[] = [];

  /** Begins anew; arrays keep their room unless an answer was very large, and payloads are let go. */
  clear(): void {
    if (this.mark.length > KEPT_ENTRIES) this.shrink();
    else this.value.fill(undefined, 0, this.count);
    this.count = 0;
  }

  private shrink(): void {
    this.mark = new Uint8Array(INITIAL_ENTRIES);
    this.number = new Float64Array(INITIAL_ENTRIES);
    this.length = new Int32Array(INITIAL_ENTRIES);
    this.encoding = new Uint8Array(INITIAL_ENTRIES);
    this.value = [];
    this.key = [];
  }

  /** True while there is room for what one parameter may add at least. */
  hasRoom(): boolean {
    return this.count < MAX_ENTRIES;
  }

  private add(mark: Mark, key: Key | undefined, value: unknown): number {
    const index = this.count++;
    if (index === this.mark.length) this.grow();
    this.mark[index] = mark;
    this.key[index] = key;
    this.value[index] = value;
    return index;
  }

  private addNumber(mark: Mark, key: Key | undefined, value: number): void {
    // in two statements: adding may exchange the array
    const index = this.add(mark, key, undefined);
    this.number[index] = value;
  }

  open(mark: typeof Mark.OBJECT | typeof Mark.ARRAY, key: Key | undefined): number {
    return this.add(mark, key, undefined);
  }

  /** Ends what began at `index`. */
  close(index: number): void {
    const end = this.add(this.mark[index] === Mark.OBJECT ? Mark.OBJECT_END : Mark.ARRAY_END, undefined, undefined);
    this.number[index] = end;
  }

  numeric(key: Key | undefined, value: number | bigint): void {
    if (typeof value === "bigint") this.add(Mark.BIG, key, value);
    else this.addNumber(Mark.NUMBER, key, value);
  }

  /** A single-precision float: written in its shortest form. */
  single(key: Key | undefined, value: number): void {
    this.addNumber(Mark.SINGLE, key, value);
  }

  text(key: Key | undefined, bytes: Uint8Array, start: number, length: number, encoding: TextEncoding): void {
    const index = this.add(Mark.TEXT, key, bytes);
    this.number[index] = start;
    this.length[index] = length;
    this.encoding[index] = encoding;
  }

  bytes(key: Key | undefined, bytes: Uint8Array, start: number, length: number): void {
    const index = this.add(Mark.BYTES, key, bytes);
    this.number[index] = start;
    this.length[index] = length;
  }

  constText(key: Key | undefined, value: { readonly text: string; readonly json: Uint8Array }): void {
    this.add(Mark.CONST_TEXT, key, value);
  }

  string(key: Key | undefined, value: string): void {
    this.add(Mark.STRING, key, value);
  }

  dtc(key: Key | undefined, value: DtcInfo): void {
    this.add(Mark.DTC, key, value);
  }

  /** Of members of one object from `first` on that have the same name, keeps the last. */
  dropRepeated(first: number): void {
    const seen = new Map<string, number>();
    for (let i = first; i < this.count; i = this.last(i) + 1) {
      const name = this.key[i]?.name;
      if (name === undefined) continue;
      const earlier = seen.get(name);
      if (earlier !== undefined) {
        this.number[earlier] = this.last(earlier);
        this.mark[earlier] = Mark.SKIPPED;
      }
      seen.set(name, i);
    }
  }

  /** Index of the last entry of the value at `index`. */
  last(index: number): number {
    const mark = this.mark[index];
    return mark === Mark.OBJECT || mark === Mark.ARRAY || mark === Mark.SKIPPED ? this.number[index]! : index;
  }

  private grow(): void {
    const size = 2 * this.mark.length;
    this.mark = grown(this.mark, new Uint8Array(size));
    this.number = grown(this.number, new Float64Array(size));
    this.length = grown(this.length, new Int32Array(size));
    this.encoding = grown(this.encoding, new Uint8Array(size));
  }
}

function grown<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}
