/**
 * The server's side of CoAP's exchanges: a datagram in, the datagram to send back out. Requests that come twice are answered once (RFC 7252
 * §4.5), bodies may come and go in blocks (RFC 7959). Answers are at once and so ride on the acknowledgement: nothing is ever sent
 * again but on request. What is kept is bounded in number, size and age, and so is what goes out to an address that has not been proved.
 */
import { createHash, randomInt } from "node:crypto";
import type { Clock } from "#core/time.ts";
import {
  type Block,
  CODE,
  type CoapMessage,
  type CoapOption,
  decodeBlock,
  decodeMessage,
  EXCHANGE_LIFETIME_MS,
  encodeBlock,
  encodeMessage,
  MAX_SZX,
  OPTION,
  TYPE,
} from "./coap-codec.ts";
import { CoapEcho } from "./coap-echo.ts";

export type CoapRequest = Pick<CoapMessage, "code" | "options" | "payload">;

export interface CoapAnswer {
  readonly code: number;
  readonly options?: readonly CoapOption[];
  readonly payload?: Uint8Array;
}

/** Where a datagram came from, or so it says. */
export interface CoapPeer {
  readonly address: string;
  readonly port: number;
}

export interface CoapExchangesOptions {
  /** Answers a request whose body is whole, where it can in so many bytes of payload, and with 4.01 where not. Does not throw. */
  readonly serve: (request: CoapRequest, maxPayloadBytes: number) => CoapAnswer;
  /** Bytes that go out for each that comes in, to an address that has not been proved; 0: as many as there are. */
  readonly maxAmplification: number;
  /** Numbers of the critical options that `serve` understands. */
  readonly understood: ReadonlySet<number>;
  /** Of a request's body. */
  readonly maxBodyBytes: number;
  readonly clock: Clock;
  /** Replies kept for requests that come again; default 4096. */
  readonly maxReplies?: number;
  /** Peers in the middle of a transfer by blocks; default 256. */
  readonly maxTransfers?: number;
}

/** A peer's bodies under way. */
interface Bodies {
  readonly upload?: Uint8Array | undefined;
  readonly download?: CoapAnswer | undefined;
}

/** In the order of their age. */
type Kept<T> = Map<string, T & { readonly atMs: number }>;

/** Header, token and options of an answer, at most; what is longer nevertheless is seen before it goes out. */
const HEAD_BYTES = 48;
const OWN_OPTIONS: ReadonlySet<number> = new Set([OPTION.block1, OPTION.block2]);

export class CoapExchanges {
  readonly #options: CoapExchangesOptions;
  readonly #replies: Kept<{ readonly reply: Uint8Array }> = new Map();
  readonly #transfers: Kept<Bodies> = new Map();
  readonly #echo: CoapEcho;
  #messageId = randomInt(0x1_0000);

  constructor(options: CoapExchangesOptions) {
    this.#options = options;
    this.#echo = new CoapEcho(options.clock);
  }

  /** What to send back to `peer`; undefined: nothing. Never throws. */
  take(datagram: Uint8Array, { address, port }: CoapPeer): Uint8Array | undefined {
    const [first = 0, , high = 0, low = 0] = datagram;
    const type = (first >> 4) & 0x03;
    if (datagram.length < 4 || first >> 6 !== 1 || type > TYPE.nonConfirmable) return undefined;
    const confirmable = type === TYPE.confirmable;
    const message = requestOf(datagram);
    // a ping, an answer to nothing of ours, or no message at all
    if (message === undefined) return confirmable ? reset((high << 8) | low) : undefined;
    const peer = `${address} ${port}`;
    const key = `${peer} ${message.messageId}`;
    this.#forget();
    const maxBytes = this.#room(message, address, datagram.length);
    const known = this.#replies.get(key);
    // one that comes again is as long as it was: what is shorter is another's
    if (known !== undefined) return confirmable && known.reply.length <= maxBytes ? known.reply : undefined;
    const messageId = confirmable ? message.messageId : this.#nextId();
    const replyType = confirmable ? TYPE.acknowledgement : TYPE.nonConfirmable;
    const answer = this.#answer(message, peer, maxBytes - HEAD_BYTES);
    const encode = ({ code, options = [], payload = NOTHING }: CoapAnswer) =>
      encodeMessage({ type: replyType, code, messageId, token: message.token, options, payload });
    const reply =
      maxBytes === Number.POSITIVE_INFINITY ? encode(answer) : this.#bounded(answer, address, maxBytes, encode);
    this.#replies.set(key, { reply, atMs: this.#options.clock.now() });
    return reply;
  }

  /** Longest answer to a request of so many bytes. */
  #room(request: CoapRequest, address: string, bytes: number): number {
    const { maxAmplification } = this.#options;
    const echo = request.options.find(({ number }) => number === OPTION.echo);
    if (echo !== undefined) this.#echo.hear(address, echo.value);
    if (maxAmplification === 0 || this.#echo.isProved(address)) return Number.POSITIVE_INFINITY;
    return maxAmplification * bytes;
  }

  /** To an address that has not been proved: with an Echo, to prove it by the next request (RFC 9175 §2.3), or by this one again. */
  #bounded(
    answer: CoapAnswer,
    address: string,
    maxBytes: number,
    encode: (answer: CoapAnswer) => Uint8Array,
  ): Uint8Array {
    const { code, options = [] } = answer;
    const echo = { number: OPTION.echo, value: this.#echo.valueFor(address) };
    const asks = code < CODE.badRequest || code === CODE.unauthorized;
    const whole = encode(asks ? { ...answer, options: [...options, echo] } : answer);
    if (whole.length <= maxBytes) return whole;
    return encode(asks ? { code: CODE.unauthorized, options: [echo] } : { code, options });
  }

  #answer(request: CoapRequest, peer: string, maxPayloadBytes: number): CoapAnswer {
    const serve = (whole: CoapRequest) => this.#options.serve(whole, maxPayloadBytes);
    const { understood } = this.#options;
    const strange = request.options.find(({ number }) => {
      return number % 2 === 1 && !understood.has(number) && !OWN_OPTIONS.has(number);
    });
    if (strange !== undefined) return told(CODE.badOption, `Option ${strange.number} is not known`);
    let block1: Block | undefined;
    let block2: Block | undefined;
    try {
      block1 = blockOf(request, OPTION.block1);
      block2 = blockOf(request, OPTION.block2);
    } catch {
      return told(CODE.badOption, "A block option is malformed");
    }
    const transfer = this.#transfers.get(peer);
    if (block2 !== undefined && block2.num > 0) return partOf(transfer?.download, block2);
    if (block1 === undefined) return this.#send(peer, serve(request), block2);
    const early = this.#gather(peer, transfer?.upload, request.payload, block1);
    if (early !== undefined) return early;
    const payload = this.#transfers.get(peer)?.upload ?? NOTHING;
    const answer = this.#send(peer, serve({ ...request, payload }), block2);
    return { ...answer, options: [...(answer.options ?? []), optionOf(OPTION.block1, block1)] };
  }

  /** Adds a block to the body; an answer when the body is not whole with it. */
  #gather(peer: string, before: Uint8Array | undefined, payload: Uint8Array, block: Block): CoapAnswer | undefined {
    const { num, more, szx } = block;
    const offset = num * (16 << szx);
    const upload = num === 0 ? NOTHING : before;
    const options = [optionOf(OPTION.block1, block)];
    if (upload?.length !== offset || (more && payload.length !== 16 << szx)) {
      this.#transfers.delete(peer);
      return { ...told(CODE.entityIncomplete, "A block is missing"), options };
    }
    if (offset + payload.length > this.#options.maxBodyBytes) {
      this.#transfers.delete(peer);
      return { ...told(CODE.entityTooLarge, "The body is too long"), options };
    }
    this.#keep(peer, { upload: Buffer.concat([upload, payload]) });
    return more ? { code: CODE.continue, options } : undefined;
  }

  /** The answer, or its first block where it is larger than one or the peer wants blocks. */
  #send(peer: string, answer: CoapAnswer, block2: Block | undefined): CoapAnswer {
    const { payload = NOTHING } = answer;
    this.#transfers.delete(peer);
    const wanted = block2 ?? { num: 0, more: false, szx: MAX_SZX };
    const size = 16 << wanted.szx;
    if (payload.length <= size && block2 === undefined) return answer;
    const etag = { number: OPTION.etag, value: createHash("sha256").update(payload).digest().subarray(0, 4) };
    const whole = { ...answer, options: [...(answer.options ?? []), etag] };
    if (payload.length > size) this.#keep(peer, { download: whole });
    return partOf(whole, wanted);
  }

  #keep(peer: string, bodies: Bodies): void {
    this.#transfers.delete(peer);
    this.#transfers.set(peer, { ...bodies, atMs: this.#options.clock.now() });
    dropFirst(this.#transfers, this.#options.maxTransfers ?? 256);
  }

  #forget(): void {
    const since = this.#options.clock.now() - EXCHANGE_LIFETIME_MS;
    dropOlder(this.#replies, since);
    dropOlder(this.#transfers, since);
    dropFirst(this.#replies, (this.#options.maxReplies ?? 4_096) - 1);
  }

  #nextId(): number {
    this.#messageId = (this.#messageId + 1) & 0xffff;
    return this.#messageId;
  }
}

const NOTHING = new Uint8Array(0);

/** Undefined for what is no request. */
function requestOf(datagram: Uint8Array): CoapMessage | undefined {
  try {
    const message = decodeMessage(datagram);
    return message.code !== CODE.empty && message.code >> 5 === 0 ? message : undefined;
  } catch {
    return undefined;
  }
}

function reset(messageId: number): Uint8Array {
  const nothing = { code: CODE.empty, token: NOTHING, options: [], payload: NOTHING };
  return encodeMessage({ type: TYPE.reset, messageId, ...nothing });
}

/** @throws Fault invalidData */
function blockOf({ options }: CoapRequest, number: number): Block | undefined {
  const option = options.find((each) => each.number === number);
  return option === undefined ? undefined : decodeBlock(option.value);
}

function optionOf(number: number, block: Block): CoapOption {
  return { number, value: encodeBlock(block) };
}

function partOf(answer: CoapAnswer | undefined, { num, szx }: Block): CoapAnswer {
  const { payload = NOTHING, options = [] } = answer ?? {};
  const start = num * (16 << szx);
  const end = start + (16 << szx);
  if (answer === undefined || (num > 0 && start >= payload.length)) {
    return told(CODE.entityIncomplete, "There is no such block");
  }
  const block = optionOf(OPTION.block2, { num, more: end < payload.length, szx });
  return { code: answer.code, options: [...options, block], payload: payload.subarray(start, end) };
}

function told(code: number, text: string): CoapAnswer {
  return { code, payload: Buffer.from(text) };
}

function dropOlder<T>(kept: Kept<T>, sinceMs: number): void {
  for (const [key, { atMs }] of kept) {
    if (atMs > sinceMs) return;
    kept.delete(key);
  }
}

function dropFirst(map: Map<string, unknown>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return;
    map.delete(key);
  }
}
