/**
 * Reads CBOR as the devices' own library (serde_cbor) does: structs by field name, by field index, or as a list; unknown fields passed
 * over; numbers that are whole and bytes that are bytes. Total on garbage: all it throws is `invalidData`.
 */
import { type Token, Tokenizer, Type } from "cborg";
import { Fault, reasonOf } from "#core/errors.ts";

/** Marks a stream as CBOR (RFC 8949 §3.4.6); carries no value. */
const SELF_DESCRIBED = 55_799;
const MAX_U32 = 0xffff_ffff;
/** Deepest nesting of a field that is passed over. */
const MAX_DEPTH = 16;

export class CborReader {
  readonly #tokens: Tokenizer;
  readonly #size: number;
  #ahead: Token | undefined;

  constructor(bytes: Uint8Array) {
    this.#tokens = new Tokenizer(bytes, {});
    this.#size = bytes.byteLength;
  }

  /** Passes over the mark that says "this is CBOR". */
  skipSelfDescription(): void {
    const { type, value } = this.#peek();
    if (Type.equals(type, Type.tag) && value === SELF_DESCRIBED) this.#next();
  }

  /** Fails when bytes are left over. */
  end(): void {
    if (this.#ahead !== undefined || !this.#tokens.done()) throw invalid("bytes follow the message");
  }

  /** Calls `read` with the index of each field that is there. `names` in the order of their index. */
  struct(names: readonly string[], read: (index: number) => void): void {
    const { type, value } = this.#next();
    if (Type.equals(type, Type.array)) this.#list(value, names.length, read);
    else if (Type.equals(type, Type.map)) this.#map(value, names, read);
    else throw invalid("a struct is missing");
  }

  /** The one variant of an enum: a map of one key, or a list of variant and content. Returns what `read` makes of the content. */
  variant<T>(names: readonly string[], read: (index: number) => T): T {
    const { type, value } = this.#next();
    const isMap = Type.equals(type, Type.map) && value === 1;
    const isList = Type.equals(type, Type.array) && (value === 2 || value === Number.POSITIVE_INFINITY);
    if (!isMap && !isList) throw invalid("exactly one variant is expected");
    const index = this.#key(names);
    if (index === undefined) throw invalid("unknown variant");
    const content = read(index);
    if (value === Number.POSITIVE_INFINITY && !this.#takeBreak()) throw invalid("exactly one variant is expected");
    return content;
  }

  bytes(): Uint8Array {
    const { type, value } = this.#next();
    if (!Type.equals(type, Type.bytes)) throw invalid(`bytes are expected, found ${type.name}`);
    return value as Uint8Array;
  }

  u32(): number {
    const { type, value } = this.#next();
    if (!Type.equals(type, Type.uint) || value > MAX_U32) throw invalid("a whole number of 32 bits is expected");
    return Number(value);
  }

  /** Undefined for null; CBOR's own `undefined` is no value of this protocol. */
  optional<T>(read: () => T): T | undefined {
    if (!Type.equals(this.#peek().type, Type.null)) return read();
    this.#next();
    return undefined;
  }

  #list(length: number, fields: number, read: (index: number) => void): void {
    if (length !== fields && length !== Number.POSITIVE_INFINITY)
      throw invalid(`a list of ${fields} fields is expected`);
    for (let index = 0; index < fields; index++) read(index);
    if (length === Number.POSITIVE_INFINITY && !this.#takeBreak()) throw invalid("a list has too many fields");
  }

  #map(length: number, names: readonly string[], read: (index: number) => void): void {
    const seen = new Set<number>();
    for (let entry = 0; entry < length; entry++) {
      if (length === Number.POSITIVE_INFINITY && this.#takeBreak()) return;
      const index = this.#key(names);
      if (index === undefined) this.#skip(0);
      else if (seen.has(index)) throw invalid(`field ${names[index]} comes twice`);
      else {
        seen.add(index);
        read(index);
      }
    }
  }

  /** Index of a name or a number; undefined for one that is not ours. */
  #key(names: readonly string[]): number | undefined {
    const { type, value } = this.#next();
    if (Type.equals(type, Type.uint)) return value < names.length ? Number(value) : undefined;
    if (!Type.equals(type, Type.string)) throw invalid("a field has no name");
    const index = names.indexOf(value);
    return index === -1 ? undefined : index;
  }

  #skip(depth: number): void {
    if (depth > MAX_DEPTH) throw invalid("nested too deep");
    const { type, value } = this.#next();
    if (Type.equals(type, Type.break)) throw invalid("a value is missing");
    if (Type.equals(type, Type.tag)) this.#skip(depth + 1);
    const values = Type.equals(type, Type.array) ? value : Type.equals(type, Type.map) ? 2 * value : 0;
    for (let i = 0; i < values; i++) {
      if (value === Number.POSITIVE_INFINITY && this.#takeBreak()) return;
      this.#skip(depth + 1);
    }
  }

  #takeBreak(): boolean {
    const found = Type.equals(this.#peek().type, Type.break);
    if (found) this.#next();
    return found;
  }

  #peek(): Token {
    this.#ahead ??= this.#read();
    return this.#ahead;
  }

  #next(): Token {
    const token = this.#peek();
    this.#ahead = undefined;
    return token;
  }

  #read(): Token {
    if (this.#tokens.done()) throw invalid("the message ends too early");
    try {
      const token = this.#tokens.next();
      // a length that the message cannot hold would otherwise be walked one missing entry at a time
      const counted = Type.equals(token.type, Type.array) || Type.equals(token.type, Type.map);
      if (counted && token.value !== Number.POSITIVE_INFINITY && token.value > this.#size) {
        throw invalid("the message ends too early");
      }
      return token;
    } catch (error) {
      throw error instanceof Fault ? error : invalid(reasonOf(error));
    }
  }
}

export function invalid(problem: string): Fault {
  return new Fault("invalidData", `No drogue-ajour message: ${problem}`);
}
