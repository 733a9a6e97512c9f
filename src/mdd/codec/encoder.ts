/** A request under construction, and what its parameters are given as. */
import { isObject } from "#core/json.ts";
import type { Output } from "./coded-write.ts";
import { type CodecErrorKind, codecFault, pointer } from "./errors.ts";
import type { Pool, Step } from "./plan.ts";
import type { ByteFormat } from "./render.ts";

/** Longest request; UDS over DoIP could carry 4 GiB, no ECU does. */
const MAX_REQUEST_BYTES = 16 << 20;

/** A scratch buffer that grew beyond this is given back. */
const KEPT_BYTES = 1 << 20;

/** The members of a JSON object. */
export type Members = Readonly<Record<string, unknown>>;

/** A length key that the caller left out: written when the length is known. */
interface PendingKey {
  readonly step: Step;
  readonly at: number;
}

/** A request under construction; one is used again and again. */
export class Encoder implements Output {
  bytes = new Uint8Array(256);
  length = 0;
  pool!: Pool;
  isStrict = false;
  byteFormat: ByteFormat = "hex";
  readonly path: (string | number)[] = [];
  /** Physical values of keys, by register. */
  registers: unknown[] = [];
  pending: (PendingKey | undefined)[] = [];

  begin(pool: Pool, isStrict: boolean, byteFormat: ByteFormat): void {
    if (this.bytes.length > KEPT_BYTES) this.bytes = new Uint8Array(256);
    else this.bytes.fill(0, 0, this.length);
    this.length = 0;
    this.pool = pool;
    this.isStrict = isStrict;
    this.byteFormat = byteFormat;
    this.path.length = 0;
    if (this.registers.length > 0) this.registers = [];
    if (this.pending.length > 0) this.pending = [];
  }

  extend(end: number): void {
    if (end <= this.length) return;
    if (end > MAX_REQUEST_BYTES) this.fail("BadPayload", `the request would be longer than ${MAX_REQUEST_BYTES} bytes`);
    if (end > this.bytes.length) {
      const grown = new Uint8Array(Math.max(end, 2 * this.bytes.length));
      grown.set(this.bytes.subarray(0, this.length));
      this.bytes = grown;
    }
    this.length = end;
  }

  fail(kind: CodecErrorKind, text: string): never {
    throw codecFault(kind, text, pointer(this.path));
  }

  take(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }
}

export function refuseUnknown(e: Encoder, names: ReadonlySet<string>, members: Members): void {
  const unknown = Object.keys(members).filter((name) => !names.has(name));
  if (unknown.length > 0) e.fail("BadPayload", `Unexpected parameters in request: ${listed(unknown)}`);
}

export function listed(names: readonly string[]): string {
  return `[${names.map((name) => JSON.stringify(name)).join(", ")}]`;
}

export function memberOf(members: Members, name: string): unknown {
  return Object.hasOwn(members, name) ? members[name] : undefined;
}

/** A JSON value as the CDA's messages show it. */
function described(value: unknown): string {
  if (value === null) return "Null";
  if (typeof value === "string") return `String(${JSON.stringify(value)})`;
  if (typeof value === "boolean") return `Bool(${value})`;
  return Array.isArray(value) ? `Array ${JSON.stringify(value)}` : `Number(${String(value)})`;
}

export function membersOf(e: Encoder, value: unknown): Members {
  if (isObject(value)) return value;
  return e.fail("InvalidRequest", `Expected value to be object type, but it was: ${described(value)}`);
}
