/** Raw sockets and a clock by hand: what the tests of the simulator share. Nothing here uses our DoIP codec. */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Clock, TimerHandle } from "#core/time.ts";

/** A clock that stands until it is told to go on. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #next = 1;
  readonly #timers = new Map<number, { atMs: number; handler: () => void }>();

  now(): number {
    return this.#nowMs;
  }

  setTimeout(handler: () => void, delayMs: number): TimerHandle {
    this.#timers.set(this.#next, { atMs: this.#nowMs + delayMs, handler });
    return this.#next++ as unknown as TimerHandle;
  }

  clearTimeout(handle: TimerHandle): void {
    this.#timers.delete(handle as unknown as number);
  }

  get pending(): number {
    return this.#timers.size;
  }

  /** Runs what is due on the way, in order of time. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { atMs }]) => atMs <= endMs).sort(([, a], [, b]) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#timers.delete(due[0]);
      this.#nowMs = due[1].atMs;
      due[1].handler();
    }
    this.#nowMs = endMs;
  }
}

export const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ""), "hex");
export const upper = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex").toUpperCase();

/** A frame as the recorded vectors write it: type, addresses or payload; `closed` at the end of the stream. */
export function describe(frame: Uint8Array): string {
  const type = upper(frame.subarray(2, 4));
  const payload = upper(frame.subarray(8));
  if (["8001", "8002", "8003"].includes(type)) {
    return `${type}/${payload.slice(0, 4)}>${payload.slice(4, 8)}/${payload.slice(8)}`;
  }
  return `${type}/${payload}`;
}

/** A tester with a TCP connection: frames come one by one, in the vectors' notation. */
export class RawTester {
  readonly socket: Socket;
  #buffer = Buffer.alloc(0);
  #frames: Buffer[] = [];
  #closed = false;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
      while (this.#buffer.length >= 8 && this.#buffer.length >= 8 + this.#buffer.readUInt32BE(4)) {
        const end = 8 + this.#buffer.readUInt32BE(4);
        this.#frames.push(this.#buffer.subarray(0, end));
        this.#buffer = this.#buffer.subarray(end);
      }
      this.#wake();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#closed = true;
      this.#wake();
    });
  }

  static async open(port: number, address = "127.0.0.1"): Promise<RawTester> {
    const socket = connect(port, address);
    await once(socket, "connect");
    return new RawTester(socket);
  }

  /** Connected and activated with source address 0E00. */
  static async activated(port: number, address = "127.0.0.1", sourceAddress = "0E00"): Promise<RawTester> {
    const tester = await RawTester.open(port, address);
    tester.send(`02FD000500000007${sourceAddress}0000000000`);
    await tester.next();
    return tester;
  }

  send(text: string): void {
    this.socket.write(hex(text));
  }

  /** A diagnostic message from 0E00. */
  ask(target: string, uds: string): void {
    const payload = `0E00${target}${uds}`;
    this.send(`02FD8001${(payload.length / 2).toString(16).padStart(8, "0")}${payload}`);
  }

  /** The next frame or `closed`. */
  async next(): Promise<string> {
    while (this.#frames.length === 0) {
      if (this.#closed) return "closed";
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return describe(this.#frames.shift()!);
  }

  async take(count: number): Promise<string[]> {
    const frames: string[] = [];
    while (frames.length < count) frames.push(await this.next());
    return frames;
  }

  /** Everything that is sent before the answer to an alive check request that follows; ends with `closed` if it is closed. */
  async untilQuiet(): Promise<string[]> {
    this.send("02FD000700000000");
    const frames: string[] = [];
    for (;;) {
      const frame = await this.next();
      if (frame.startsWith("0008/")) return frames;
      frames.push(frame);
      if (frame === "closed") return frames;
    }
  }

  /** Sends one diagnostic request; all that comes before quiet. */
  async exchange(target: string, uds: string): Promise<string[]> {
    this.ask(target, uds);
    return this.untilQuiet();
  }

  close(): void {
    this.socket.destroy();
  }
}

/** A UDP socket on loopback that keeps what it receives. */
export class RawUdp {
  readonly socket: UdpSocket;
  #received: Buffer[] = [];
  #wake: () => void = () => {};

  private constructor(socket: UdpSocket) {
    this.socket = socket;
    socket.on("message", (bytes) => {
      this.#received.push(bytes);
      this.#wake();
    });
  }

  static async open(address = "127.0.0.1"): Promise<RawUdp> {
    const socket = createSocket("udp4");
    socket.bind(0, address);
    await once(socket, "listening");
    return new RawUdp(socket);
  }

  get port(): number {
    return this.socket.address().port;
  }

  send(text: string, port: number, address = "127.0.0.1"): void {
    this.socket.send(hex(text), port, address);
  }

  async next(): Promise<string> {
    while (this.#received.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return describe(this.#received.shift()!);
  }

  close(): void {
    this.socket.close();
  }
}
