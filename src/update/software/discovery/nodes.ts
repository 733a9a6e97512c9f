/**
 * The announced nodes that may be asked. An announcement proves nothing: a node joins by a certificate of our CA for its name, or because
 * the configuration names it with its address. Any other one is not spoken to, so that it sees neither token nor image.
 */
import type { Clock, TimerHandle } from "#core/time.ts";
import { type AnnouncedNode, allowing, hostOf, nodeName, type RawService, readService } from "./announcement.ts";
import type { MdnsPort } from "./mdns.ts";

export interface NodesOptions {
  readonly mdns: Pick<MdnsPort, "browse">;
  readonly clock: Clock;
  readonly intervalMs: number;
  /** Name of this node, which is none of its secondaries. */
  readonly ownName: string;
  /** URLs of configured servers: what they name is never replaced by an announcement. */
  readonly fixed: readonly string[];
  /** `name` or `name@address`; empty: each node with a certificate. */
  readonly nodes: readonly string[];
  readonly subnets: readonly string[];
  /** Whether we know the CA of the nodes and have a certificate for them. */
  readonly mutualTls: boolean;
  readonly maxNodes: number;
  readonly onJoin: (url: string) => void;
  readonly onLeave: (url: string) => void;
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

interface Joined {
  readonly node: AnnouncedNode;
  readonly url: string;
  /** Number of the question that it answered last. */
  seen: number;
}

/** A node that misses so many questions is gone. */
const MISSED = 3;
/** Names that were refused are logged once, so many of them. */
const MAX_REFUSED = 64;

export class AnnouncedNodes {
  readonly #options: NodesOptions;
  readonly #allows: (address: string) => boolean;
  /** By name. */
  readonly #joined = new Map<string, Joined>();
  readonly #refused = new Set<string>();
  readonly #fixedHosts: ReadonlySet<string>;
  #question = 0;
  #timer: TimerHandle | undefined;

  constructor(options: NodesOptions) {
    this.#options = options;
    this.#allows = allowing(options.subnets);
    this.#fixedHosts = new Set(
      options.fixed.map((url) => new URL(url)).flatMap(({ hostname, host }) => [hostname, host]),
    );
  }

  /** Base URLs of those that may be asked. */
  get urls(): readonly string[] {
    return [...this.#joined.values()].map(({ url }) => url);
  }

  /** Where a host of such a URL is; undefined for every other host. */
  addressOf(host: string): string | undefined {
    for (const { node } of this.#joined.values()) if (hostOf(node.name) === host) return node.address;
    return undefined;
  }

  start(): void {
    this.#ask();
  }

  stop(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer);
  }

  #ask(): void {
    const { clock, mdns, intervalMs } = this.#options;
    this.#question++;
    for (const [name, { seen }] of this.#joined) if (this.#question - seen > MISSED) this.#leave(name);
    mdns.browse({ up: (service) => this.#up(service), down: (name) => this.#down(name) });
    this.#timer = clock.setTimeout(() => this.#ask(), intervalMs);
    this.#timer.unref?.();
  }

  #up(service: RawService): void {
    const node = readService(service, this.#allows);
    if (node === undefined) {
      this.#refuse(nodeName(service.name) ?? "", "no node, or at an address that is not allowed");
      return;
    }
    if (node.role !== "secondary" || node.name === this.#options.ownName) return;
    const known = this.#joined.get(node.name);
    const problem = this.#problemOf(node) ?? (known === undefined ? this.#crowded() : undefined);
    if (problem === undefined) this.#join(node, known);
    else this.#refuse(node.name, problem);
  }

  #join(node: AnnouncedNode, known: Joined | undefined): void {
    const url = urlOf(node);
    if (known !== undefined && known.url === url && known.node.address === node.address) {
      known.seen = this.#question;
      return;
    }
    if (known !== undefined) this.#leave(node.name);
    this.#joined.set(node.name, { node, url, seen: this.#question });
    this.#options.log("secondary announced", { node: node.name, url, address: node.address });
    this.#options.onJoin(url);
  }

  /** Why a node may not be asked. */
  #problemOf({ name, address, port, tls }: AnnouncedNode): string | undefined {
    const { nodes, mutualTls } = this.#options;
    const literal = address.includes(":") ? `[${address}]` : address;
    const names = [hostOf(name), name, `${literal}:${port}`];
    if (names.some((host) => this.#fixedHosts.has(host))) return "named by the configuration, which wins";
    const listed = nodes.map((node) => node.toLowerCase());
    if (listed.includes(`${name}@${address.toLowerCase()}`)) return undefined;
    if (!tls || !mutualTls) return "neither listed with its address nor able to prove itself by mutual TLS";
    return listed.length === 0 || listed.includes(name) ? undefined : "not listed";
  }

  #crowded(): string | undefined {
    return this.#joined.size < this.#options.maxNodes ? undefined : "too many nodes";
  }

  #down(said: unknown): void {
    const name = nodeName(said);
    if (name !== undefined) this.#leave(name);
  }

  #leave(name: string): void {
    const known = this.#joined.get(name);
    if (known === undefined) return;
    this.#joined.delete(name);
    this.#options.log("secondary withdrawn", { node: name, url: known.url });
    this.#options.onLeave(known.url);
  }

  #refuse(node: string, problem: string): void {
    if (this.#refused.size >= MAX_REFUSED || this.#refused.has(node)) return;
    this.#refused.add(node);
    this.#options.log("announced node is not asked", { node, problem });
  }
}

/** By name where a certificate is looked at: the address is what the network said. */
function urlOf({ name, address, port, tls, path }: AnnouncedNode): string {
  if (tls) return `https://${hostOf(name)}:${port}${path}`;
  return `http://${address.includes(":") ? `[${address}]` : address}:${port}${path}`;
}
