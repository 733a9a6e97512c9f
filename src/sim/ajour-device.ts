/**
 * A small device that fetches its firmware by drogue-ajour: two memories, a trial start, a block size and a pace of its own. It does what
 * the protocol asks of devices: blocks are kept before their offset is reported, another version starts over, the checksum is compared
 * before the swap, the new software is good only after a `sync`; without one the next restart brings the old software back.
 */
import { createHash } from "node:crypto";
import { reasonOf } from "#core/errors.ts";
import type { Clock } from "#core/time.ts";
import { systemClock } from "#core/time.ts";
import { type Command, decodeCommand, type Encoding, encodeStatus, type Status } from "#update/ajour/codec.ts";

/** Carries a report to the server and its answer back; undefined when there is none, a rejection when it was lost. */
export interface AjourLink {
  ask(report: Uint8Array): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

export interface AjourDeviceOptions {
  readonly link: AjourLink;
  readonly blockBytes: number;
  /** Pause after each block. */
  readonly backoffMs: number;
  /** Pause after a lost message. */
  readonly retryMs: number;
  /** Longest pause, whatever the server asks for. */
  readonly maxPollMs: number;
  readonly correlationId?: number;
  readonly encoding?: Encoding;
  readonly clock?: Clock;
  /** Whether software starts at all; false: the watchdog restarts the device, which falls back. */
  readonly boots?: (version: string) => boolean;
  readonly onEvent?: (event: AjourDeviceEvent) => void;
}

export type AjourDeviceEvent =
  | { readonly type: "started"; readonly version: string; readonly trial: boolean }
  | { readonly type: "block"; readonly offset: number }
  | { readonly type: "refused"; readonly reason: string }
  | { readonly type: "swapped"; readonly version: string }
  | { readonly type: "good"; readonly version: string }
  | { readonly type: "lost"; readonly reason: string };

interface Memory {
  readonly version: string;
  readonly image: Uint8Array;
}

/** What survives a loss of power. Hand it to the next device to restart this one. */
export interface AjourFlash {
  active: Memory;
  /** What it falls back to while the active software is on trial. */
  fallback: Memory | undefined;
  incoming: { readonly version: string; readonly blocks: Uint8Array[]; offset: number } | undefined;
}

export function createFlash(version: string, image: Uint8Array = new Uint8Array(0)): AjourFlash {
  return { active: { version, image }, fallback: undefined, incoming: undefined };
}

export class AjourDevice {
  readonly flash: AjourFlash;
  readonly #options: AjourDeviceOptions;
  readonly #clock: Clock;
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(flash: AjourFlash, options: AjourDeviceOptions) {
    this.flash = flash;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  get version(): string {
    return this.flash.active.version;
  }

  /** The active software has not been marked good. */
  get onTrial(): boolean {
    return this.flash.fallback !== undefined;
  }

  /** Starts as after power-on. Software on trial that was not marked good gives way to what was there before. */
  start(): void {
    const { fallback } = this.flash;
    if (fallback !== undefined) {
      this.flash.active = fallback;
      this.flash.fallback = undefined;
    }
    this.#tell({ type: "started", version: this.version, trial: false });
    this.#running = this.#run();
  }

  /** Cuts the power. The flash stays as it is. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake?.();
    await this.#options.link.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) await this.#pause(await this.#turn());
  }

  /** One report and what comes of it; returns the pause before the next. */
  async #turn(): Promise<number> {
    const { link, retryMs, encoding = "named" } = this.#options;
    try {
      const answer = await link.ask(encodeStatus(this.#status(), encoding));
      if (this.#stopped) return 0;
      return answer === undefined ? retryMs : this.#obey(decodeCommand(answer));
    } catch (error) {
      if (!this.#stopped) this.#tell({ type: "lost", reason: reasonOf(error) });
      return retryMs;
    }
  }

  #status(): Status {
    const { incoming, active } = this.flash;
    const { blockBytes: mtu, correlationId } = this.#options;
    const update = incoming && { version: Buffer.from(incoming.version), offset: incoming.offset };
    return { version: Buffer.from(active.version), mtu, correlationId, update };
  }

  #obey(command: Command): number {
    const { backoffMs, maxPollMs, correlationId } = this.#options;
    if (command.correlationId !== correlationId) return this.#refuse("the answer is to another report");
    if (command.type === "write") this.#write(textOf(command.version), command.offset, command.data);
    else if (command.type === "swap") this.#swap(textOf(command.version), command.checksum);
    else {
      if (command.type === "sync") this.#markGood(textOf(command.version));
      return Math.min(maxPollMs, (command.pollS ?? 0) * 1_000 || backoffMs);
    }
    return backoffMs;
  }

  #write(version: string, offset: number, data: Uint8Array): void {
    if (this.flash.incoming?.version !== version) this.flash.incoming = { version, blocks: [], offset: 0 };
    const { incoming } = this.flash;
    if (offset === 0) {
      incoming.blocks.length = 0;
      incoming.offset = 0;
    }
    if (incoming.offset !== offset) {
      this.#refuse(`block at ${offset}, expected at ${incoming.offset}`);
      return;
    }
    incoming.blocks.push(data);
    incoming.offset += data.length;
    this.#tell({ type: "block", offset: incoming.offset });
  }

  #swap(version: string, checksum: Uint8Array): void {
    const { incoming, active } = this.flash;
    if (incoming?.version !== version) {
      this.#refuse(`swap to ${version}, which was not received`);
      return;
    }
    const image = Buffer.concat(incoming.blocks);
    this.flash.incoming = undefined;
    if (!createHash("sha256").update(image).digest().equals(checksum)) {
      this.#refuse("wrong checksum");
      return;
    }
    const { boots = () => true } = this.#options;
    this.#tell({ type: "swapped", version });
    if (!boots(version)) {
      this.#tell({ type: "started", version: active.version, trial: false });
      return;
    }
    // one write: a cut shows either the old software or the new one on trial
    Object.assign(this.flash, { active: { version, image }, fallback: active });
    this.#tell({ type: "started", version, trial: true });
  }

  #markGood(version: string): void {
    if (version !== this.version || !this.onTrial) return;
    this.flash.fallback = undefined;
    this.#tell({ type: "good", version });
  }

  #refuse(reason: string): number {
    this.#tell({ type: "refused", reason });
    return this.#options.backoffMs;
  }

  #tell(event: AjourDeviceEvent): void {
    this.#options.onEvent?.(event);
  }

  #pause(ms: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#clock.setTimeout(resolve, ms);
      this.#wake = () => {
        this.#clock.clearTimeout(timer);
        resolve();
      };
    });
  }
}

function textOf(version: Uint8Array): string {
  return Buffer.from(version).toString("utf8");
}
