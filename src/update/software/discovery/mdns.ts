/** The network's side of multicast DNS: the optional package `bonjour-service`, loaded when a key asks for it. */
import { createSocket } from "node:dgram";
import type { EventEmitter } from "node:events";
import { isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";
import type { Browser, Service } from "bonjour-service";
import { Fault } from "#core/errors.ts";
import { optionalPackage } from "#core/optional-package.ts";
import { hostOf, type OwnNode, type RawService, SERVICE_TYPE, txtOf } from "./announcement.ts";

/** What announcements need of the network. */
export interface MdnsPort {
  announce(node: OwnNode): void;
  /** Asks the network anew, and forgets what it heard. `up` may come again for what is known already. */
  browse(listener: MdnsListener): void;
  /** Says goodbye for what was announced. */
  close(): Promise<void>;
}

export interface MdnsListener {
  up(service: RawService): void;
  /** The name under which it was announced. */
  down(name: unknown): void;
}

export interface MdnsOptions {
  /** IPv4 address of an interface; or its name, to speak IPv6 there. */
  readonly interface: string | undefined;
  /** Services of one question that are looked at; a network that says more is not listened to until the next. */
  readonly maxServices: number;
  readonly onProblem: (problem: string) => void;
  /** UDP port. Default: 5353 (RFC 6762). */
  readonly port?: number;
}

export type OpenMdns = (options: MdnsOptions) => Promise<MdnsPort>;

/** Opens a socket at the first use, not before. @throws Fault misconfigured without the package, or without the interface that is named */
export const openMdns: OpenMdns = async (options) => {
  const { interface: own } = options;
  // the system would take its default one instead
  if (own !== undefined && !isIPv4(own) && !isHere(own))
    throw new Fault("misconfigured", `update.mdns.interface: this machine has no interface ${own}`);
  const Bonjour = await load();
  const { maxServices } = options;
  let opened: InstanceType<typeof Bonjour> | undefined;
  const bonjour = () => (opened ??= openBonjour(Bonjour, options));
  let browser: Browser | undefined;
  return {
    announce(node) {
      const { name, port } = node;
      // no probing: for a name that is taken the package says goodbye in the other one's name
      bonjour().publish({ name, type: SERVICE_TYPE, port, host: hostOf(name), txt: txtOf(node), probe: false });
    },
    browse({ up, down }) {
      browser?.stop();
      const asked = bonjour().find({ type: SERVICE_TYPE });
      browser = asked;
      const told = (service: Service) => {
        if (asked.services.length > maxServices) asked.stop();
        else up(rawOf(service));
      };
      asked.on("up", told);
      asked.on("txt-update", told);
      asked.on("srv-update", told);
      asked.on("down", ({ name }) => down(name));
    },
    async close() {
      browser?.stop();
      const ending = opened;
      if (ending === undefined) return;
      await new Promise<void>((resolve) => ending.unpublishAll(() => resolve()));
      await new Promise<void>((resolve) => ending.destroy(() => resolve()));
    },
  };
};

function openBonjour(
  Bonjour: Awaited<ReturnType<typeof load>>,
  { interface: own, port, onProblem }: MdnsOptions,
): InstanceType<typeof Bonjour> {
  // the package tries every 5 s, and says nothing
  if (own !== undefined && !isHere(own)) onProblem(`this machine has no interface ${own} yet`);
  const place = { ...placeOf(own), ...(port === undefined ? {} : { port }) };
  const bonjour = new Bonjour(place, (error: Error) => onProblem(error.message));
  const { mdns } = (bonjour as unknown as { readonly server: { readonly mdns: EventEmitter } }).server;
  // without a listener a port that is taken would end the process
  mdns.on("error", (error: Error) => onProblem(error.message));
  return bonjour;
}

function isHere(own: string): boolean {
  return Object.entries(networkInterfaces()).some(
    ([name, addresses = []]) => name === own || addresses.some(({ address }) => address === own),
  );
}

/** RFC 6762 clause 3. */
const IPV6_GROUP = "ff02::fb";

/** Options of the package `multicast-dns`. A socket bound to the interface's address would hear no multicast. */
function placeOf(own: string | undefined): object {
  if (own === undefined) return {};
  if (isIPv4(own)) return { interface: own, bind: "0.0.0.0" };
  // of both families it would hear what is said over IPv4 too, from senders that are mapped
  const socket = createSocket({ type: "udp6", reuseAddr: true, ipv6Only: true });
  return { type: "udp6", ip: IPV6_GROUP, interface: `::%${own}`, bind: "::", socket };
}

function rawOf({ name, port, txt, addresses, referer }: Service): RawService {
  return { name, port, txt: txt as unknown, addresses, sender: referer?.address };
}

async function load() {
  return (await optionalPackage("bonjour-service", "update.mdns", () => import("bonjour-service"))).default;
}
