/** Finds which node has which component: each server, configured or announced, is asked for its components, and each component what it is to an update. */
import { isIP, type LookupFunction } from "node:net";
import type { Dispatcher } from "undici";
import { reasonOf } from "#core/errors.ts";
import {
  type Answer,
  objectOf,
  readTls,
  type SecondaryTarget,
  type TlsFiles,
} from "#update/software/providers/secondary-client.ts";
import type { AnnouncedNodes } from "./nodes.ts";

export interface DiscoveryOptions {
  /** Base paths of the other servers. */
  readonly urls: readonly string[];
  readonly token: string | undefined;
  readonly tls: TlsFiles | undefined;
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
  /** Servers that come and go; a configured one with the same component wins. */
  readonly announced?: Pick<AnnouncedNodes, "urls" | "addressOf"> | undefined;
}

/** More components of one node are not looked at. */
const MAX_COMPONENTS = 256;
const MAX_ID_LENGTH = 256;

type Server = Pick<SecondaryTarget, "url" | "dispatcher">;

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #found = new Map<string, SecondaryTarget>();
  /** Why a server did not answer when it was last asked, by URL. */
  readonly #silent = new Map<string, string>();
  /** Questions to announced nodes that are under way, by URL. */
  readonly #joining = new Map<string, Promise<void>>();
  /** Made at first use. */
  #agent: Dispatcher | undefined;
  #announcedAgent: Dispatcher | undefined;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  targetOf(component: string): SecondaryTarget | undefined {
    return this.#found.get(component);
  }

  get components(): readonly string[] {
    return [...this.#found.keys()];
  }

  /** Servers whose components are not known, and why. */
  get silent(): readonly string[] {
    return [...this.#silent].map(([url, problem]) => `${url}: ${problem}`);
  }

  async dispose(): Promise<void> {
    await this.#agent?.close();
    await this.#announcedAgent?.close();
  }

  /** Asks all nodes at once; one that does not answer keeps what was known of it. */
  async refresh(signal: AbortSignal): Promise<void> {
    const announced = this.#options.announced?.urls ?? [];
    await Promise.all([
      ...this.#options.urls.map((url) => this.#tryAsk({ url: url.replace(/\/+$/, "") }, signal)),
      ...announced.map((url) => this.join(url, signal)),
    ]);
  }

  /** Asks one announced node, once at a time however often it is announced. Never rejects. */
  join(url: string, signal: AbortSignal): Promise<void> {
    const running = this.#joining.get(url);
    if (running !== undefined) return running;
    const server = { url, dispatcher: () => this.#ofAnnounced() };
    const asked = this.#tryAsk(server, signal).finally(() => this.#joining.delete(url));
    this.#joining.set(url, asked);
    return asked;
  }

  /** Forgets an announced node. */
  leave(url: string): void {
    this.#silent.delete(url);
    for (const [component, target] of this.#found)
      if (target.url === url && target.dispatcher !== undefined) this.#found.delete(component);
  }

  async #tryAsk(server: Server, signal: AbortSignal): Promise<void> {
    const { url } = server;
    try {
      await this.#ask(server, signal);
      this.#silent.delete(url);
    } catch (error) {
      const problem = reasonOf(error);
      this.#silent.set(url, problem);
      this.#options.log("secondary does not answer", { url, problem });
    }
  }

  async #ask(server: Server, signal: AbortSignal): Promise<void> {
    const path = `${server.url}/components`;
    const { items } = ((await this.#get(server, path, signal)) ?? {}) as { items?: readonly { id?: unknown }[] };
    if (!Array.isArray(items)) return;
    for (const { id } of items.slice(0, MAX_COMPONENTS)) {
      if (typeof id !== "string" || id.length > MAX_ID_LENGTH) continue;
      const facts = await this.#get(server, `${path}/${encodeURIComponent(id)}/x-medkit-update`, signal);
      if (facts?.role === "secondary") this.#learn(server, id);
    }
  }

  /** A configured node wins over an announced one, of two announced ones the first. */
  #learn(server: Server, component: string): void {
    const key = component.toLowerCase();
    if (server.dispatcher !== undefined) {
      if (this.#options.announced?.urls.includes(server.url) !== true) return;
      if (this.#found.has(key) && this.#found.get(key)?.url !== server.url) return;
    }
    this.#found.set(key, { ...server, component });
  }

  /** For hosts that were announced, wherever the name service says that they are. A session taken up again has no check of the name. */
  async #ofAnnounced(): Promise<Dispatcher> {
    const { tls, announced } = this.#options;
    const { Agent } = await import("undici");
    const lookup: LookupFunction = (host, { all }, callback) => {
      const address = announced?.addressOf(host);
      if (address === undefined) callback(new Error(`${host} is not announced`), "");
      else if (all === true) callback(null, [{ address, family: isIP(address) }]);
      else callback(null, address, isIP(address));
    };
    this.#announcedAgent ??= new Agent({
      connect: { ...readTls(tls), lookup, maxCachedSessions: 0, rejectUnauthorized: true },
      connections: 4,
    });
    return this.#announcedAgent;
  }

  /** Undefined for anything but 200. */
  async #get(server: Server, url: string, signal: AbortSignal): Promise<Answer["json"] | undefined> {
    const { token } = this.#options;
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const { request } = await import("undici");
    const dispatcher = await (server.dispatcher?.() ?? this.#ofConfigured());
    const { statusCode, body } = await request(url, { signal, headers, dispatcher });
    const said = await objectOf(body);
    return statusCode === 200 ? said : undefined;
  }

  async #ofConfigured(): Promise<Dispatcher> {
    const { Agent } = await import("undici");
    this.#agent ??= new Agent({ connect: readTls(this.#options.tls), connections: 4 });
    return this.#agent;
  }
}
