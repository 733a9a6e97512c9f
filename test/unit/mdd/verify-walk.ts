import assert from "node:assert/strict";
import { ByteBuffer } from "flatbuffers";
import * as format from "../../../src/mdd/generated/dataformat.ts";
import type { Field } from "../../../src/mdd/schema.ts";
import { fieldsOf, isUnion, MISTYPED, UNIONS } from "../../../src/mdd/schema.ts";

/** A buffer that fails on each read outside its bytes, where the runtime's own silently reads zeros. */
class GuardedBuffer extends ByteBuffer {
  guard(offset: number, bytes: number): void {
    assert.ok(offset >= 0 && offset + bytes <= this.capacity(), `read of ${bytes} bytes at ${offset}`);
  }
  override readUint8(offset: number): number {
    this.guard(offset, 1);
    return super.readUint8(offset);
  }
  override readUint16(offset: number): number {
    this.guard(offset, 2);
    return super.readUint16(offset);
  }
  override readInt32(offset: number): number {
    this.guard(offset, 4);
    return super.readInt32(offset);
  }
  override __string(offset: number): string | Uint8Array {
    const at = offset + this.readInt32(offset);
    this.guard(at + 4, this.readInt32(at));
    return super.__string(offset);
  }
}

type Accessor = Record<string, (...args: unknown[]) => unknown> & format.Table;
const classes = format as unknown as Record<string, new () => Accessor>;
const camel = (name: string): string => name.replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** Reads everything a database holds through its accessors, each place once; returns how many tables there were. */
export function walkAccessors(bytes: Uint8Array): number {
  const seen = new Set<string>();
  const walkTable = (table: string, accessor: Accessor): void => {
    const key = `${table}@${accessor.bb_pos}`;
    if (seen.has(key)) return;
    seen.add(key);
    for (const field of fieldsOf(table)) {
      const mistyped = table === MISTYPED.table && field.name === MISTYPED.field;
      if (!mistyped || accessor[camel(MISTYPED.when)]!() !== true) walkField(accessor, field);
    }
  };
  const walkField = (accessor: Accessor, { name: snake, type }: Field): void => {
    const name = camel(snake);
    const read = (index?: number): void => {
      const args = index === undefined ? [] : [index];
      const of = type.kind === "list" ? type.of : type;
      if (isUnion(type)) {
        const number = accessor[`${name}Type`]!(...args) as number;
        const member = (UNIONS as Record<string, readonly string[]>)[(of as { of: string }).of]![number - 1];
        if (member === undefined) return;
        const child = accessor[name]!(...args, new classes[member]!()) as Accessor | null;
        if (child !== null) walkTable(member, child);
      } else if (of.kind === "table") {
        const child = accessor[name]!(...args) as Accessor | null;
        if (child !== null) walkTable(of.of, child);
      } else accessor[name]!(...args);
    };
    if (type.kind !== "list") {
      read();
    } else {
      const length = accessor[`${name}Length`]!() as number;
      for (let i = 0; i < length; i++) read(i);
    }
  };
  walkTable("EcuData", format.EcuData.getRootAsEcuData(new GuardedBuffer(bytes)) as unknown as Accessor);
  return seen.size;
}
