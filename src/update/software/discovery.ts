/** Finds which node has which component: each configured server is asked for its components, and each component what it is to an update. */
import type { Dispatcher } from "undici";
import { readTls, type SecondaryTarget, type TlsFiles } from "./providers/sovd-secondary.ts";

export interface DiscoveryOptions {
  /** Base paths of the other servers. */
  readonly urls: readonly string[];
  readonly token: string | undefined;
  readonly tls: TlsFiles | undefined;
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

/** More components of one node are not looked at. */
const MAX_COMPONENTS = 256;

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #found = new Map<string, SecondaryTarget>();
  /** Made at first use. */
  #agent: Dispatcher | undefined;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  targetOf(component: string): SecondaryTarget | undefined {
    return this.#found.get(component);
  }

  get components(): readonly string[] {
    return [...this.#found.keys()];
  }

  async dispose(): Promise<void> {
    await this.#agent?.close();
  }

  /** Asks all nodes at once; one that does not answer keeps what was known of it. */
  async refresh(signal: AbortSignal): Promise<void> {
    await Promise.all(
      this.#options.urls.map((url) =>
        this.#ask(url.replace(/\/+$/, ""), signal).catch((error: unknown) =>
          this.#options.log("secondary does not answer", { url, problem: (error as Error).message }),
        ),
      ),
    );
  }

  async #ask(url: string, signal: AbortSignal): Promise<void> {
    const { items = [] } = (await this.#get(`${url}/components`, signal)) as { items?: readonly { id?: unknown }[] };
    for (const { id } of items.slice(0, MAX_COMPONENTS)) {
      if (typeof id !== "string") continue;
      const facts = await this.#get(`${url}/components/${encodeURIComponent(id)}/x-medkit-update`, signal);
      if (facts?.role === "secondary") this.#found.set(id.toLowerCase(), { url, component: id });
    }
  }

  /** Undefined for anything but 200. */
  async #get(url: string, signal: AbortSignal): Promise<Record<string, unknown> | undefined> {
    const { token } = this.#options;
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const { Agent, request } = await import("undici");
    this.#agent ??= new Agent({ connect: readTls(this.#options.tls), connections: 4 });
    const { statusCode, body } = await request(url, { signal, headers, dispatcher: this.#agent });
    const text = await body.text();
    return statusCode === 200 ? (JSON.parse(text) as Record<string, unknown>) : undefined;
  }
}
