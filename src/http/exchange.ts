/** One request on its way: what was read of it in the socket's turn, and what the checks made of that. */
import { Fault } from "#core/errors.ts";
import { JSON_TYPE } from "#core/media-types.ts";
import type { EcuView } from "#fleet/api.ts";
import type { Accept } from "#fleet/messages.ts";
import type { Claims } from "#security/claims.ts";
import type { AnyRequest, Method, Route } from "#sovd/route.ts";
import type { QuerySpec } from "./query.ts";
import { linkPath, shownPath } from "./router.ts";

/** A route with what is worked out once of it. */
export interface Entry {
  readonly route: Route;
  readonly open: boolean;
  readonly query: QuerySpec | undefined;
  readonly hasEcu: boolean;
  readonly hasGroup: boolean;
  /** How a form of answer that we do not have is refused. */
  readonly acceptRefusal: string;
}

/** Reads a request header by its lower-case name; empty when absent. Only good in the socket's turn. */
export type HeaderReader = (name: string) => string;

const NO_HEADER = "";

/** What the request line and the server say. */
interface Target {
  readonly path: string;
  readonly query: string;
  readonly scheme: string;
  readonly trustForwarded: boolean;
  readonly deadlineMs: number;
}

/** The request a handler sees; the server holds the same object to time it out and abort it. */
export class Exchange implements AnyRequest {
  readonly entry: Entry;
  readonly method: Method;
  readonly params: Readonly<Record<string, string>>;
  readonly base: string;
  readonly rawPath: string;
  readonly rawQuery: string;
  readonly scheme: string;
  readonly deadlineMs: number;
  readonly authorization: string;
  readonly acceptHeader: string;
  readonly contentType: string;
  readonly contentLength: string;
  readonly contentDisposition: string;
  readonly #forwarded: string;
  readonly #forwardedHost: string;
  readonly #host: string;
  readonly #headers: ReadonlyMap<string, string> | undefined;
  query: Readonly<Record<string, unknown>> = NO_QUERY;
  body: unknown = undefined;
  ecu: EcuView | undefined = undefined;
  group: string | undefined = undefined;
  claims: Claims | undefined = undefined;
  owner = "";
  accept: Accept = "json";
  #controller: AbortController | undefined = undefined;
  #listeners: (() => void)[] | undefined = undefined;
  #aborted = false;

  constructor(
    entry: Entry,
    params: Readonly<Record<string, string>>,
    base: string,
    target: Target,
    header: HeaderReader,
  ) {
    const { route } = entry;
    const hasBody = route.body !== undefined;
    const forms = hasBody || route.negotiated;
    this.entry = entry;
    this.method = route.method;
    this.params = params;
    this.base = base;
    this.rawPath = target.path;
    this.rawQuery = target.query;
    this.scheme = target.scheme;
    this.deadlineMs = target.deadlineMs;
    this.authorization = entry.open ? NO_HEADER : header("authorization");
    this.acceptHeader = forms ? header("accept") : NO_HEADER;
    // reading a header costs more than looking at one: who says what answer is wanted, without a body, needs no other
    this.contentType = hasBody || (forms && this.acceptHeader !== JSON_TYPE) ? header("content-type") : NO_HEADER;
    this.contentLength = hasBody ? header("content-length") : NO_HEADER;
    this.contentDisposition = route.body?.kind === "upload" ? header("content-disposition") : NO_HEADER;
    const forwarded = route.links && target.trustForwarded;
    this.#forwarded = forwarded ? header("forwarded") : NO_HEADER;
    this.#forwardedHost = forwarded ? header("x-forwarded-host") : NO_HEADER;
    this.#host = route.links ? header("host") : NO_HEADER;
    this.#headers = route.headers.length === 0 ? undefined : new Map(route.headers.map((name) => [name, header(name)]));
  }

  /** A header the route asked for. */
  header(name: string): string {
    return this.#headers?.get(name) ?? NO_HEADER;
  }

  /** Path for links. */
  get path(): string {
    return linkPath(this.rawPath);
  }

  /** Path and query as a 404 names them. */
  get shownPath(): string {
    return shownPath(this.rawPath, this.rawQuery);
  }

  /** First hit of `host=` in the first `Forwarded` element, `X-Forwarded-Host`, `Host`. */
  get origin(): string {
    const host = forwardedHost(this.#forwarded) ?? (this.#forwardedHost || this.#host);
    if (host === "") throw new Fault("badRequest", "No host found in request");
    return `${this.scheme}://${host}`;
  }

  /** Made at first use: most requests never need it. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  /** As `signal`, without its price. */
  whenAborted(listener: () => void): void {
    if (this.#aborted) listener();
    else if (this.#listeners === undefined) this.#listeners = [listener];
    else this.#listeners.push(listener);
  }

  get aborted(): boolean {
    return this.#aborted;
  }

  /** The client is gone or time is up: what still works for this request may stop. */
  abort(): void {
    this.#aborted = true;
    this.#controller?.abort();
    const listeners = this.#listeners ?? [];
    this.#listeners = undefined;
    for (const listener of listeners) listener();
  }
}

const NO_QUERY: Readonly<Record<string, unknown>> = Object.freeze({});

/** `host` of the first element (RFC 7239), quotes taken off. */
function forwardedHost(header: string): string | undefined {
  if (header === "") return undefined;
  const first = header.split(",", 1)[0]!;
  for (const pair of first.split(";")) {
    const [name = "", value = ""] = pair.trim().split("=", 2);
    if (name.toLowerCase() === "host" && value !== "") return value.replaceAll('"', "");
  }
  return undefined;
}
