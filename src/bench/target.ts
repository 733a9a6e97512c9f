/** What a SOVD server offers: found out by asking, so that any server can be measured. */
import { Fault, reasonOf } from "#core/errors.ts";
import { parsed } from "#core/json.ts";
import { JSON_TYPE } from "#core/media-types.ts";
import type { Address } from "./connection.ts";

/** A SOVD server. */
export interface Target {
  /** As the user gave it. */
  readonly url: string;
  readonly address: Address;
  /** Value of `Host`. */
  readonly host: string;
  /** Path of the SOVD tree, e.g. `/vehicle/v15`. */
  readonly base: string;
  readonly token: string | undefined;
  /** Components by id. */
  readonly components: readonly string[];
}

/** Where servers have their tree, in the order in which they are tried when the URL names none. */
export const BASE_PATHS = ["/vehicle/v15", "/sovd/v1", "/api/v1", "/v1", ""] as const;

const CLIENT = { client_id: "sovd-edge-bench", client_secret: "bench" };

export interface Discovery {
  /** Components to use; default: all. */
  readonly ecus?: readonly string[] | undefined;
  /** Bearer token of servers that hand out none. */
  readonly token?: string | undefined;
}

/** Asks the server for its tree, a token and its components. @throws Fault when it does not answer like a SOVD server */
export async function discover(url: string, { ecus, token: given }: Discovery = {}): Promise<Target> {
  const { hostname, port, host, pathname, protocol, origin } = parse(url);
  if (protocol !== "http:") throw new Fault("badRequest", `${url}: only http:// can be measured`);
  const path = pathname.replace(/\/+$/, "");
  const reasons: string[] = [];
  for (const base of path === "" ? [...(await declared(origin)), ...BASE_PATHS] : [path]) {
    const token = given ?? (await authorize(origin + base));
    const known = await components(origin + base, token);
    if (typeof known === "string") {
      reasons.push(`${base || "/"}: ${known}`);
      continue;
    }
    const address = { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 80) };
    return { url, address, host, base, token, components: chosen(known, ecus) };
  }
  throw new Fault("badRequest", `${url} does not answer like a SOVD server (${reasons.join("; ")})`);
}

export interface Answered {
  readonly status: number;
  readonly json: unknown;
}

/** One request outside the measurement; status 0 when the server does not answer. */
export async function ask(target: Target, method: string, path: string, json?: unknown): Promise<Answered> {
  return request(`http://${target.host}${target.base}${path}`, method, target.token, json);
}

/** Member `items` of a collection; empty when the answer is none. */
export function itemsOf(json: unknown): readonly Readonly<Record<string, unknown>>[] {
  const { items } = (json ?? {}) as { items?: unknown };
  return Array.isArray(items) ? items.filter((item) => typeof item === "object" && item !== null) : [];
}

function parse(url: string): URL {
  try {
    return new URL(url);
  } catch {
    throw new Fault("badRequest", `not a URL: ${url}`);
  }
}

/** Base paths that the server itself names (ISO 17978-3, version-info). */
async function declared(origin: string): Promise<string[]> {
  const { status, json } = await request(`${origin}/version-info`, "GET", undefined);
  const { sovd_info: versions } = (json ?? {}) as { sovd_info?: unknown };
  if (status !== 200 || !Array.isArray(versions)) return [];
  const uris = versions.map((version) => (version as { base_uri?: unknown } | null)?.base_uri);
  return uris
    .filter((uri): uri is string => typeof uri === "string" && URL.canParse(uri, origin))
    .map((uri) => new URL(uri, origin).pathname.replace(/\/+$/, ""));
}

async function authorize(tree: string): Promise<string | undefined> {
  const { status, json } = await request(`${tree}/authorize`, "POST", undefined, CLIENT);
  const token = (json as { access_token?: unknown } | undefined)?.access_token;
  return status < 300 && typeof token === "string" ? token : undefined;
}

async function components(tree: string, token: string | undefined): Promise<string[] | string> {
  const { status, json } = await request(`${tree}/components`, "GET", token);
  if (status === 0) return String(json);
  if (status !== 200) return `components answered ${status}`;
  return itemsOf(json).map(({ id }) => String(id));
}

function chosen(known: readonly string[], wanted: readonly string[] | undefined): readonly string[] {
  if (wanted === undefined) return known;
  const spelled = new Map(known.map((id) => [id.toLowerCase(), id]));
  const missing = wanted.filter((id) => !spelled.has(id.toLowerCase()));
  if (missing.length > 0) throw new Fault("badRequest", `no such component: ${missing.join(", ")}`);
  return wanted.map((id) => spelled.get(id.toLowerCase())!);
}

async function request(url: string, method: string, token: string | undefined, json?: unknown): Promise<Answered> {
  const headers = {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(json === undefined ? {} : { "content-type": JSON_TYPE }),
  };
  try {
    const response = await fetch(url, {
      method,
      headers,
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    });
    const text = await response.text();
    return { status: response.status, json: parsed(text) };
  } catch (error) {
    const { cause } = error as { cause?: { message?: string } };
    return { status: 0, json: cause?.message ?? reasonOf(error) };
  }
}
