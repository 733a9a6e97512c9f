/** A vehicle made of plain objects: a fleet that records calls and answers from a script, a clock that is turned by hand. */
import { Fault } from "#core/errors.ts";
import type { Clock, TimerHandle } from "#core/time.ts";
import type { EcuView, Fleet, GatewayView } from "#fleet/api.ts";
import type { GroupOutcome, Reply, ServiceFacts, TransferMessage } from "#fleet/messages.ts";
import { Dispatcher, type Outgoing } from "#http/dispatch.ts";
import { withDocumentation } from "#http/openapi.ts";
import type { Claims } from "#security/claims.ts";
import { type Authenticator, SOVD_DEFAULTS, type SovdContext, type SovdOptions } from "#sovd/context.ts";
import type { Route } from "#sovd/route.ts";
import { sovdRoutes } from "#sovd/routes.ts";
import { createSovdContext } from "#sovd/wiring.ts";

export const V = "/vehicle/v15";

export function ecu(name: string, more: Partial<EcuView> = {}): EcuView {
  return {
    name,
    id: name.toLowerCase(),
    revision: "1",
    state: "Online",
    variant: `${name}_App`,
    isBaseVariant: false,
    logicalAddress: 0x1000,
    gatewayAddress: 0x1000,
    protocol: "UDS_Ethernet_DoIP",
    groups: ["all"],
    fields: [],
    ...more,
  };
}

export interface Call {
  readonly entity: string;
  readonly call: string;
  readonly args: Record<string, unknown>;
}

type Script = (call: Call) => Reply | undefined;
type GroupScript = (call: Call) => { readonly outcome: GroupOutcome; readonly reply?: Partial<Reply> } | undefined;

export class FakeFleet implements Fleet {
  ecus: EcuView[] = [ecu("FLXC1000"), ecu("FLXCNG1000", { logicalAddress: 0x1001, groups: ["all", "some"] })];
  groups: string[] = ["all", "some"];
  group(name: string): string | undefined {
    return this.groups.includes(name) ? name : undefined;
  }
  gateways: GatewayView[] = [{ name: "GW", logicalAddress: 0x1000, ip: "10.2.1.10", connected: true }];
  ready = true;
  readonly calls: Call[] = [];
  readonly transfers = new Map<string, TransferMessage>();
  script: Script = () => undefined;
  groupScript: GroupScript = () => undefined;
  #listener: (() => void) | undefined;

  ecu(name: string): EcuView | undefined {
    return this.ecus.find((one) => one.id === name.toLowerCase());
  }
  transfer(name: string): TransferMessage | undefined {
    return this.transfers.get(name);
  }
  forgetTransfer(name: string): void {
    this.transfers.delete(name);
  }
  async call(entity: string, call: string, args: unknown): Promise<Reply> {
    const record = { entity, call, args: args as Record<string, unknown> };
    this.calls.push(record);
    return this.script(record) ?? { status: 200, contentType: "application/json", body: Buffer.from("{}") };
  }
  async callGroup(entity: string, call: string, args: unknown): Promise<Reply & { outcome: GroupOutcome }> {
    const record = { entity, call, args: args as Record<string, unknown> };
    this.calls.push(record);
    const answer = this.groupScript(record) ?? { outcome: { results: {}, errors: [] } };
    return { status: 200, body: Buffer.from("{}"), ...answer.reply, outcome: answer.outcome };
  }
  onChange(listener: () => void): () => void {
    this.#listener = listener;
    return () => {
      this.#listener = undefined;
    };
  }
  changed(): void {
    this.#listener?.();
  }
  /** Names of the calls so far. */
  get names(): string[] {
    return this.calls.map(({ call }) => call);
  }
}

/** Time that stands still until it is turned. */
export class ManualClock implements Clock {
  time = 0;
  readonly #timers = new Map<number, { at: number; handler: () => void }>();
  #next = 1;
  now(): number {
    return this.time;
  }
  setTimeout(handler: () => void, delayMs: number): TimerHandle {
    const id = this.#next++;
    this.#timers.set(id, { at: this.time + delayMs, handler });
    return id as unknown as TimerHandle;
  }
  clearTimeout(handle: TimerHandle): void {
    this.#timers.delete(handle as unknown as number);
  }
  get timers(): number {
    return this.#timers.size;
  }
  advance(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (due === undefined) break;
      this.#timers.delete(due[0]);
      this.time = due[1].at;
      due[1].handler();
    }
    this.time = end;
  }
}

/** `Bearer <name>` is a token for that name. */
export const tokens: Authenticator = {
  verify(authorization): Claims {
    if (authorization === undefined) throw new Fault("unauthorized", "No token");
    if (authorization === "Bearer bad") throw new Fault("forbidden", "Invalid token: Token could not be decoded");
    return { sub: authorization.slice("Bearer ".length) };
  },
  authorize: async (body) => ({
    access_token: (body as { client_id: string }).client_id,
    token_type: "Bearer",
    expires_in: 60,
  }),
};

export interface Vehicle {
  readonly fleet: FakeFleet;
  readonly clock: ManualClock;
  readonly context: SovdContext & { close(): void };
  readonly problems: unknown[];
  readonly dispatcher: Dispatcher;
  switching: boolean;
  request(method: string, path: string, init?: RequestInit): Promise<TestAnswer>;
}

export interface RequestInit {
  /** Owner of the token; null for none. */
  readonly as?: string | null;
  readonly json?: unknown;
  readonly bytes?: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface TestAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly contentType: string | undefined;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
  readonly json: any;
}

export function vehicle(
  options: Partial<SovdOptions> = {},
  parts: {
    authenticator?: Authenticator;
    files?: Readonly<Record<string, number>>;
    fleet?: FakeFleet;
    /** Beside the built-in routes. */
    more?: readonly Route[];
  } = {},
): Vehicle {
  const fleet = parts.fleet ?? new FakeFleet();
  const clock = new ManualClock();
  const problems: unknown[] = [];
  const all = { ...SOVD_DEFAULTS, ...options };
  const files = Object.entries(parts.files ?? {}).map(([id, sizeBytes]) => ({
    id,
    name: id,
    originalPath: id,
    path: `/flash/${id}`,
    sizeBytes,
  }));
  const state = { switching: false };
  const context = createSovdContext({
    fleet,
    clock,
    options: all,
    authenticator: parts.authenticator ?? tokens,
    flashFiles: { list: async () => files, find: async (id) => files.find((file) => file.id === id) },
    embeddedFiles: {
      list: async () => [{ id: "f1", name: "a.bin", mimetype: "text/plain", sizeBytes: 3, originalPath: "x/a.bin" }],
      read: async (_ecu, id) => (id === "f1" ? { contentType: "text/plain", bytes: Buffer.from("abc") } : undefined),
    },
    version: { name: "test", version: "1.2.3", commit: "abc", buildDate: "2026-01-01" },
    health: () => ({ status: "Up", components: [{ name: "main", status: "Up", details: { "x-note": 1 } }] }),
    switching: () => state.switching,
    onProblem: (problem) => problems.push(problem),
  });
  const dispatcher = new Dispatcher({
    routes: withDocumentation([...sovdRoutes(all), ...(parts.more ?? [])], all),
    context,
    clock,
    scheme: "http",
    requestTimeoutMs: 30_000,
    maxJsonDepth: 64,
    trustForwarded: true,
  });
  const request: Vehicle["request"] = async (method, target, init = {}) => {
    const [path = "", query = ""] = split(target);
    const bytes = init.bytes ?? (init.json === undefined ? undefined : Buffer.from(JSON.stringify(init.json)));
    const headers: Record<string, string> = { host: "car:20002", "content-length": String(bytes?.byteLength ?? 0) };
    if (init.as !== null) headers.authorization = `Bearer ${init.as ?? "me"}`;
    if (init.json !== undefined) headers["content-type"] = "application/json";
    Object.assign(headers, init.headers);
    let answer: Outgoing;
    try {
      const exchange = dispatcher.open(method.toLowerCase(), path, query, (name) => headers[name] ?? "");
      answer = await dispatcher.run(exchange, Promise.resolve(bytes ?? new Uint8Array(0)));
    } catch (error) {
      answer = dispatcher.failure(error, dispatcher.baseOf(path));
    }
    return shown(answer);
  };
  return {
    fleet,
    clock,
    context,
    problems,
    dispatcher,
    request,
    get switching() {
      return state.switching;
    },
    set switching(value: boolean) {
      state.switching = value;
    },
  };
}

function split(target: string): [string, string] {
  const at = target.indexOf("?");
  return at === -1 ? [target, ""] : [target.slice(0, at), target.slice(at + 1)];
}

function shown(answer: Outgoing): TestAnswer {
  const text = answer.body === undefined ? "" : Buffer.from(answer.body as string).toString();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: answer.status, headers: answer.headers ?? {}, contentType: answer.contentType, text, json };
}

export const reply = (value: unknown, more: Partial<Reply> = {}): Reply => ({
  status: 200,
  contentType: "application/json",
  body: Buffer.from(JSON.stringify(value)),
  ...more,
});

export const facts = (name: string, functionalClasses: string[] = []): ServiceFacts => ({
  name,
  sid: 0x22,
  prefix: "22F190",
  functionalClasses,
});
