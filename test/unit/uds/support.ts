import { fromHex, toHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import { type ClientOptions, UdsClient } from "#uds/client.ts";
import { type ComParams, DEFAULT_COM_PARAMS, type UdsParams } from "#uds/com-params.ts";
import type { Link, LinkHandler, LinkTarget, Transport } from "#uds/transport.ts";
import { ManualClock } from "../doip/support.ts";

export { Mailbox, ManualClock, settle } from "../doip/support.ts";

/** Bytes of hex text. */
export function hex(text: string): Uint8Array {
  const bytes = fromHex(text);
  if (bytes === undefined) throw new Error(`not hex: ${text}`);
  return bytes;
}

export interface Sent {
  readonly atMs: number;
  readonly request: string;
}

/** A link that the test plays: what was sent stands in `sent`; acknowledges at once unless told otherwise. */
export class FakeLink implements Link {
  readonly target: LinkTarget;
  readonly handler: LinkHandler;
  readonly sent: Sent[] = [];
  connected = true;
  waits = false;
  /** What a send does; default: acknowledged at once. */
  onSend: (request: string) => void = () => this.handler.onAcknowledged();
  /** The open request, as hex. */
  open: string | undefined;
  deadlineMs = 0;
  closed = false;
  readonly #clock: ManualClock;

  constructor(target: LinkTarget, handler: LinkHandler, clock: ManualClock) {
    this.target = target;
    this.handler = handler;
    this.#clock = clock;
  }

  send(request: Uint8Array, deadlineMs: number): void {
    if (this.open !== undefined) throw new Error("a request is already open");
    this.open = toHex(request);
    this.deadlineMs = deadlineMs;
    this.sent.push({ atMs: this.#clock.now(), request: this.open });
    if (this.connected) this.onSend(this.open);
    else this.fail(new Fault("ecuOffline", `Ecu ${this.target.name} offline`));
  }

  listen(request: Uint8Array): void {
    if (this.open !== undefined) throw new Error("a request is already open");
    this.open = toHex(request);
  }

  finish(): void {
    this.open = undefined;
  }

  configure(): void {}

  close(): void {
    this.closed = true;
  }

  /** The ECU speaks. */
  answer(...responses: string[]): void {
    for (const response of responses) if (this.open !== undefined) this.handler.onResponse(hex(response));
  }

  fail(fault: Fault): void {
    this.open = undefined;
    this.handler.onFailed(fault);
  }

  disconnect(): void {
    this.connected = false;
    if (this.open !== undefined) this.fail(new Fault("ecuOffline", `Ecu ${this.target.name} offline`));
    this.handler.onConnectivity(false);
  }
}

export class FakeTransport implements Transport {
  readonly links: FakeLink[] = [];
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  open(target: LinkTarget, handler: LinkHandler): FakeLink {
    const link = new FakeLink(target, handler, this.#clock);
    this.links.push(link);
    return link;
  }

  async close(): Promise<void> {}
}

export function uds(changes: Partial<UdsParams> = {}): ComParams {
  return { ...DEFAULT_COM_PARAMS, uds: { ...DEFAULT_COM_PARAMS.uds, ...changes } };
}

/** A client on a fake link. */
export function client(
  changes: Partial<UdsParams> = {},
  options: Partial<ClientOptions> & { clock?: ManualClock; name?: string; addressing?: LinkTarget["addressing"] } = {},
) {
  const clock = options.clock ?? new ManualClock();
  const transport = new FakeTransport(clock);
  const ecu = new UdsClient({
    transport,
    target: { name: options.name ?? "FLXC1000", addressing: options.addressing ?? "physical", params: uds(changes) },
    clock,
    ...(options.maxQueued === undefined ? {} : { maxQueued: options.maxQueued }),
    ...(options.onConnectivity === undefined ? {} : { onConnectivity: options.onConnectivity }),
  });
  return { ecu, link: transport.links[0]!, clock };
}

/** A request's end as text: hex of the response, or kind and message of the fault. */
export async function outcome(request: Promise<unknown>): Promise<string> {
  try {
    const response = await request;
    return response instanceof Uint8Array ? toHex(response) : "done";
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return `${error.kind} ${error.message}`;
  }
}
