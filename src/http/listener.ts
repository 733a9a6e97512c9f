/**
 * The listening port and the uWebSockets.js apps behind it. An app has one TLS context for its life (server names beside it do not
 * reach clients that call by address), so a new certificate means a new app on the same port; connections of the old one end by themselves.
 */
import { Fault } from "#core/errors.ts";
import type { AppOptions, TemplatedApp, UwsModule, us_listen_socket } from "./uws.ts";

/** What connections of one app have in common. */
export interface Door {
  /** Another app accepts connections by now: these should end after their answer. */
  readonly retired: boolean;
  /** Clients must show a certificate. uWebSockets.js verifies the one that is shown, and lets in who shows none. */
  readonly demandsCertificate: boolean;
}

interface OpenDoor {
  readonly app: TemplatedApp;
  readonly door: Door & { retired: boolean };
}

export interface ListenerOptions {
  readonly uws: UwsModule;
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
  /** Registers handlers on a new app. */
  readonly wire: (app: TemplatedApp, door: Door) => void;
}

/** The port is ours alone; the default lets another process share it. */
const EXCLUSIVE_PORT = 1;

export class Listener {
  readonly #options: ListenerOptions;
  #current: OpenDoor;
  #former: OpenDoor | undefined;
  #socket: us_listen_socket | undefined;
  #port = -1;

  /** Without `tls`: plain HTTP. @throws Fault misconfigured when certificate and key cannot be used */
  constructor(options: ListenerOptions, tls: AppOptions | undefined) {
    this.#options = options;
    this.#current = this.#make(tls);
  }

  get port(): number {
    return this.#port;
  }

  /** @throws Fault misconfigured when the port cannot be had */
  async open(): Promise<void> {
    const { address, port } = this.#options;
    if (await this.#listen(this.#current.app, port)) return;
    throw new Fault("misconfigured", `Cannot listen on ${address}:${port}: the port is in use or not ours`);
  }

  /**
   * Reads certificate and key; from the call of the function it gives back new connections get these. @throws Fault misconfigured when
   * they cannot be used
   */
  prepare(tls: AppOptions): () => Promise<void> {
    // such a port was opened without SO_REUSEADDR, and cannot be opened again while connections stand
    if (this.#options.port === 0) throw new Fault("misconfigured", "A new certificate needs a port of its own, not 0");
    const next = this.#make(tls);
    return () => this.#replace(next);
  }

  /** Takes no new connection. */
  stop(): void {
    if (this.#socket === undefined) return;
    // forgotten at once: the memory behind a closed one is not ours any more
    const socket = this.#socket;
    this.#socket = undefined;
    this.#options.uws.us_listen_socket_close(socket);
  }

  /** Ends every connection. */
  close(): void {
    this.#former?.app.close();
    this.#current.app.close();
  }

  #make(tls: AppOptions | undefined): OpenDoor {
    const { uws, wire } = this.#options;
    const door = { retired: false, demandsCertificate: tls?.ca_file_name !== undefined };
    const app = tls === undefined ? uws.App() : secureApp(uws, tls);
    wire(app, door);
    return { app, door };
  }

  async #replace(next: OpenDoor): Promise<void> {
    const { port } = this.#options;
    // stopped meanwhile: whoever goes down takes no new connection
    if (this.#socket === undefined) return;
    this.stop();
    // in one turn of the event loop: a client that calls meanwhile waits in the kernel
    if (!(await this.#listen(next.app, port))) {
      await this.#listen(this.#current.app, port);
      throw new Fault("misconfigured", `Port ${port} could not be taken over for the new certificate`);
    }
    this.#former?.app.close();
    this.#former = this.#current;
    this.#former.door.retired = true;
    this.#current = next;
  }

  async #listen(app: TemplatedApp, port: number): Promise<boolean> {
    const { address, uws } = this.#options;
    const socket = await new Promise<us_listen_socket | false>((resolve) => {
      (app as unknown as ListensAt).listen(address, port, EXCLUSIVE_PORT, resolve);
    });
    if (socket === false) return false;
    this.#socket = socket;
    this.#port = uws.us_socket_local_port(socket);
    return true;
  }
}

function secureApp(uws: UwsModule, tls: AppOptions): TemplatedApp {
  try {
    return uws.SSLApp(tls);
  } catch (error) {
    const files = `${tls.cert_file_name}, ${tls.key_file_name}`;
    throw new Fault("misconfigured", `Certificate and key cannot be used: ${files}`, undefined, error);
  }
}

/** The overload with host, port and options is missing in the package's types. */
interface ListensAt {
  listen(host: string, port: number, options: number, cb: (socket: us_listen_socket | false) => void): void;
}
