/**
 * Profile `flash`: the way of a software image into ECUs over HTTP: lock, session, request download, transfer, exit. A request is a block
 * here. Blocks are not seen one by one from outside: how many were acknowledged is asked for, and the time between shared among them.
 */
import { Fault } from "#core/errors.ts";
import { Latencies } from "./latencies.ts";
import type { LoadResult } from "./load.ts";
import { type Answered, ask, itemsOf, type Target } from "./target.ts";

export interface FlashOptions {
  /** Flash file of the server; default: the largest it offers. */
  readonly file?: string | undefined;
  /** Bytes of a whole TransferData message, service and counter included. */
  readonly blockBytes: number;
  /** Session that downloads need; empty: the present one. */
  readonly session: string;
  /** Parameters of the request; default: those of the usual description, for the file's size. */
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
}

export const FLASH_DEFAULTS: FlashOptions = { blockBytes: 4_095, session: "programming" };

/** A prepared profile. */
export interface FlashWork {
  readonly description: string;
  readonly fileBytes: number;
  /** Data bytes of a block. */
  readonly dataBytes: number;
  /** Flashes so many components at the same time, over and over, until the time is up; each image is brought to its end. */
  run(components: number, durationMs: number): Promise<LoadResult>;
}

const FILES = "/apps/sovd2uds/bulk-data/flashfiles";
/** Service and block sequence counter. */
const BLOCK_HEAD_BYTES = 2;
const LOCK_SECONDS = 3_600;
const POLL_MS = 2;
/** An address that no device has to have: what happens with it is the simulator's or the boot loader's matter. */
const MEMORY_ADDRESS = 0x1000;

/** Finds the file. @throws Fault when the server has none */
export async function prepareFlash(target: Target, options: FlashOptions): Promise<FlashWork> {
  const files = itemsOf((await ask(target, "GET", FILES)).json).map(({ id, size }) => ({
    id: String(id),
    size: Number(size),
  }));
  const wanted = files.filter(({ id, size }) => size > 0 && (options.file === undefined || id === options.file));
  const file = wanted.toSorted((a, b) => b.size - a.size)[0];
  if (file === undefined) throw new Fault("notFound", `${target.url}: there is no flash file ${options.file ?? ""}`);
  const dataBytes = options.blockBytes - BLOCK_HEAD_BYTES;
  if (!(dataBytes > 0)) throw new Fault("badRequest", "a block has at least three bytes");
  return {
    description: `flash of ${file.id}, ${file.size} bytes in blocks of ${options.blockBytes}`,
    fileBytes: file.size,
    dataBytes,
    run: async (components, durationMs) => {
      const tally = new Tally(dataBytes);
      const began = performance.now();
      const cpu = process.cpuUsage();
      const chosen = target.components.slice(0, components);
      await Promise.all(
        chosen.map(async (component) => {
          do await flashOnce({ target, component, file, options, tally });
          while (performance.now() - began < durationMs && tally.errorsOf(component) === 0);
        }),
      );
      const { user, system } = process.cpuUsage(cpu);
      return tally.result(performance.now() - began, (user + system) / 1_000);
    },
  };
}

class Tally {
  readonly #latencies = new Latencies();
  readonly #errors: Record<string, number> = {};
  readonly #failed = new Map<string, number>();
  readonly #dataBytes: number;

  constructor(dataBytes: number) {
    this.#dataBytes = dataBytes;
  }

  /** So many more bytes were acknowledged within this time. */
  acknowledged(bytes: number, durationMs: number): void {
    const blocks = Math.ceil(bytes / this.#dataBytes);
    for (let i = 0; i < blocks; i++) this.#latencies.record(durationMs / blocks);
  }
  fail(component: string, kind: string): void {
    this.#errors[kind] = (this.#errors[kind] ?? 0) + 1;
    this.#failed.set(component, this.errorsOf(component) + 1);
  }
  errorsOf(component: string): number {
    return this.#failed.get(component) ?? 0;
  }
  result(durationMs: number, clientCpuMs: number): LoadResult {
    const refusals = new Latencies();
    return { durationMs, latencies: this.#latencies, refusals, errors: this.#errors, unsent: 0, clientCpuMs };
  }
}

interface Flash {
  readonly target: Target;
  readonly component: string;
  readonly file: { readonly id: string; readonly size: number };
  readonly options: FlashOptions;
  readonly tally: Tally;
}

/** One image into one component. What goes wrong is counted by the step and its status; the lock is always given back. */
async function flashOnce(flash: Flash): Promise<void> {
  const { target, component, options } = flash;
  const base = `/components/${component}`;
  const step = async (name: string, method: string, path: string, json?: unknown): Promise<Answered | undefined> => {
    const answer = await ask(target, method, base + path, json);
    if (answer.status >= 200 && answer.status < 300) return answer;
    flash.tally.fail(component, `${name}: HTTP ${answer.status}`);
    return undefined;
  };
  const lock = await step("lock", "POST", "/locks", { lock_expiration: LOCK_SECONDS });
  if (lock === undefined) return;
  try {
    if (options.session !== "") {
      const session = await step("session", "PUT", "/modes/session", { value: options.session });
      if (session === undefined) return;
    }
    await transfer(flash, step);
  } finally {
    await step("unlock", "DELETE", `/locks/${(lock.json as { id: string }).id}`);
  }
}

type Step = (name: string, method: string, path: string, json?: unknown) => Promise<Answered | undefined>;

async function transfer({ target, component, file, options, tally }: Flash, step: Step): Promise<void> {
  const download = "/x-sovd2uds-download";
  const requestdownload = options.parameters ?? usualParameters(file.size);
  if ((await step("requestdownload", "PUT", `${download}/requestdownload`, { requestdownload })) === undefined) return;
  const body = { blocksequencecounter: 1, blocksize: options.blockBytes, offset: 0, length: file.size, id: file.id };
  let since = performance.now();
  const started = await step("flashtransfer", "POST", `${download}/flashtransfer`, body);
  if (started === undefined) return;
  const path = `${download}/flashtransfer/${(started.json as { id: string }).id}`;
  for (let known = 0; ; ) {
    const { status, json } = await ask(target, "GET", `/components/${component}${path}`);
    const now = performance.now();
    const progress = (json ?? {}) as { acknowledgedBytes?: number; status?: string };
    const bytes = progress.acknowledgedBytes ?? known;
    if (bytes > known) {
      tally.acknowledged(bytes - known, now - since);
      [known, since] = [bytes, now];
    }
    if (progress.status === "finished") break;
    if (status !== 200 || progress.status === "aborted") {
      tally.fail(component, `transfer: ${progress.status ?? `HTTP ${status}`}`);
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  await step("transferexit", "PUT", `${download}/transferexit`);
  await step("forget", "DELETE", path);
}

/** As databases of the CDA's kind describe 0x34: no compression, four bytes each for address and size. */
function usualParameters(bytes: number): Readonly<Record<string, unknown>> {
  return {
    DataFormatIdentifier: 0,
    AddressAndLengthFormatIdentifier: 0x44,
    MemoryAddress: byteText(MEMORY_ADDRESS),
    MemorySize: byteText(bytes),
  };
}

function byteText(value: number): string {
  const hex = value.toString(16).toUpperCase().padStart(8, "0");
  return hex.replace(/../g, (byte) => `0x${byte} `).trimEnd();
}
