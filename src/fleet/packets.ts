/**
 * How calls and replies cross a shard's port: all of one turn in one message, as flat arrays. A structured clone pays for each
 * property name and each buffer, and each message for its event and for waking the other thread.
 */
import type { CallMessage, Reply } from "./messages.ts";

/** Calls, five elements each: id, entity, call, args, deadlineMs. */
export type CallPacket = readonly unknown[];
const CALL_LENGTH = 5;

/** `[heads, bytes]`: heads have four elements per reply — id, status, content type or 0, length of its body or -1. */
export type ReplyPacket = readonly [heads: readonly (number | string)[], bytes: Uint8Array];
const HEAD_LENGTH = 4;
const NO_BODY = -1;
const NO_TYPE = 0;

/** Larger bodies go alone and change their owner instead of being copied. */
const MAX_PACKED_BYTES = 16_384;

/** Calls of this turn. */
export class CallPacker {
  #packet: unknown[] = [];

  get isEmpty(): boolean {
    return this.#packet.length === 0;
  }

  add(id: number, entity: string, call: string, args: unknown, deadlineMs: number): void {
    this.#packet.push(id, entity, call, args, deadlineMs);
  }

  take(): CallPacket {
    const packet = this.#packet;
    this.#packet = [];
    return packet;
  }
}

/** Hands on each call of a packet. */
export function unpackCalls(packet: CallPacket, receive: (call: CallMessage) => void): void {
  for (let at = 0; at < packet.length; at += CALL_LENGTH) {
    receive({
      type: "call",
      id: packet[at] as number,
      entity: packet[at + 1] as string,
      call: packet[at + 2] as CallMessage["call"],
      args: packet[at + 3],
      deadlineMs: packet[at + 4] as number,
    });
  }
}

/** Single calls of a packet, each as a packet of its own. */
export function splitCalls(packet: CallPacket): CallPacket[] {
  return Array.from({ length: packet.length / CALL_LENGTH }, (_, i) =>
    packet.slice(i * CALL_LENGTH, (i + 1) * CALL_LENGTH),
  );
}

/** Id of a packet's first call. */
export function idOf(packet: CallPacket): number {
  return packet[0] as number;
}

/** Replies of this turn. */
export class ReplyPacker {
  #heads: (number | string)[] = [];
  #bodies: Uint8Array[] = [];
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#heads.length === 0;
  }

  /** Takes a reply in; false for those that need a message of their own: with facts beside the body, or too large. */
  add(id: number, { status, contentType, body, meta }: Reply): boolean {
    const length = body?.byteLength ?? NO_BODY;
    if (meta !== undefined || length > MAX_PACKED_BYTES) return false;
    this.#heads.push(id, status, contentType ?? NO_TYPE, length);
    if (body !== undefined) {
      this.#bodies.push(body);
      this.#bytes += length;
    }
    return true;
  }

  /** The packet; its bytes have a buffer of their own size, because a view is cloned with all that is behind it. */
  take(): ReplyPacket {
    const bodies = this.#bodies;
    let bytes = bodies[0];
    if (bodies.length !== 1 || bytes === undefined || bytes.buffer.byteLength !== bytes.byteLength) {
      bytes = new Uint8Array(this.#bytes);
      let at = 0;
      for (const body of bodies) {
        bytes.set(body, at);
        at += body.byteLength;
      }
    }
    const packet: ReplyPacket = [this.#heads, bytes];
    this.#heads = [];
    this.#bodies = [];
    this.#bytes = 0;
    return packet;
  }
}

/** Hands on each reply of a packet. Bodies are views of one buffer. */
export function unpackReplies([heads, bytes]: ReplyPacket, receive: (id: number, reply: Reply) => void): void {
  let from = 0;
  for (let at = 0; at < heads.length; at += HEAD_LENGTH) {
    const status = heads[at + 1] as number;
    const contentType = heads[at + 2];
    const length = heads[at + 3] as number;
    const type = contentType === NO_TYPE ? undefined : (contentType as string);
    if (length === NO_BODY) receive(heads[at] as number, replyOf(status, type, undefined));
    else {
      const body = length === bytes.byteLength ? bytes : bytes.subarray(from, from + length);
      from += length;
      receive(heads[at] as number, replyOf(status, type, body));
    }
  }
}

/** Written out, as spreads cost more than all else of a reply. */
function replyOf(status: number, contentType: string | undefined, body: Uint8Array | undefined): Reply {
  if (contentType === undefined) return body === undefined ? { status } : { status, body };
  return body === undefined ? { status, contentType } : { status, contentType, body };
}
