/**
 * Firmware from an OCI registry (distribution specification 1.1): an image by tag or digest, whose one layer of octets is the firmware.
 * The tag is the version; every digest is checked.
 */
import { createHash } from "node:crypto";
import type { Response } from "undici";
import { Fault } from "#core/errors.ts";
import { BYTES_TYPE } from "#core/media-types.ts";
import { documentOf, jsonOf, parseObject, requireOk, resumed, send } from "./download.ts";
import type { FirmwareSource, Offer } from "./sources.ts";

export interface Registry {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Without TLS. */
  readonly plain_http: boolean;
}

export interface OciOptions {
  /** `[host/]repository[:tag][@sha256:…]`. */
  readonly image: string;
  readonly pull: "Always" | "IfNotPresent";
  readonly defaultRegistry: string;
  /** `os/architecture[/variant]`: which one of an index of several; undefined: there must be one. */
  readonly platform?: string | undefined;
  /** By host and port. */
  readonly registries: Readonly<Record<string, Registry>>;
  readonly timeoutMs: number;
  /** How old a tag may grow before it is looked up again. */
  readonly refreshMs: number;
}

export interface Reference {
  readonly host: string;
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

const MANIFEST_TYPES = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
].join(", ");
const FIRMWARE_TYPE = BYTES_TYPE;
const VERSION_ANNOTATION = "org.opencontainers.image.version";
const TITLE_ANNOTATION = "org.opencontainers.image.title";
const UNPACK_ANNOTATION = "io.deis.oras.content.unpack";
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const REPOSITORY = /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
/** Indexes within indexes. */
const MAX_INDEXES = 2;

interface Descriptor {
  readonly mediaType?: string;
  readonly digest?: string;
  readonly annotations?: Readonly<Record<string, unknown>>;
  readonly platform?: { readonly os?: string; readonly architecture?: string; readonly variant?: string };
}

/** `os` and `architecture` of what is in an index but runs nowhere, e.g. attestations. */
const NO_PLATFORM = "unknown/unknown";

/** Splits an image reference. @throws Fault misconfigured */
export function parseReference(text: string, defaultRegistry: string): Reference {
  const [name = "", digest] = text.split("@", 2);
  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(0, slash));
  const hasHost = first.includes(".") || first.includes(":") || first === "localhost";
  const path = hasHost ? name.slice(slash + 1) : name;
  const colon = path.lastIndexOf(":");
  const repository = colon === -1 ? path : path.slice(0, colon);
  const named = colon === -1 ? undefined : path.slice(colon + 1);
  const tag = named ?? (digest === undefined ? "latest" : undefined);
  const sound =
    REPOSITORY.test(repository) &&
    (tag === undefined || TAG.test(tag)) &&
    (digest === undefined || DIGEST.test(digest));
  if (!sound) throw new Fault("misconfigured", `${text} is no reference of an image`);
  return { host: hasHost ? first : defaultRegistry, repository, tag, digest };
}

export class OciSource implements FirmwareSource {
  readonly #options: OciOptions;
  readonly #reference: Reference;
  readonly #registry: Registry | undefined;
  readonly #base: string;
  #authorization: string | undefined;

  constructor(options: OciOptions) {
    this.#options = options;
    this.#reference = parseReference(options.image, options.defaultRegistry);
    const { host, repository } = this.#reference;
    this.#registry = Object.hasOwn(options.registries, host) ? options.registries[host] : undefined;
    this.#base = `${this.#registry?.plain_http === true ? "http" : "https"}://${host}/v2/${repository}`;
  }

  async look(signal: AbortSignal): Promise<Offer> {
    const { tag, digest } = this.#reference;
    const { layer, version } = await this.#manifest(digest ?? tag ?? "", digest, signal, 0);
    const fixed = digest !== undefined || this.#options.pull === "IfNotPresent";
    return {
      name: this.#options.image,
      version: Buffer.from(tag ?? version ?? layer.slice(DIGEST_PREFIX, DIGEST_PREFIX + 12)),
      sha256: layer.slice(DIGEST_PREFIX),
      validMs: fixed ? undefined : this.#options.refreshMs,
      fetch: (stop, offset) => resumed((headers) => this.#ask(`blobs/${layer}`, headers, stop), offset, stop),
    };
  }

  async #manifest(
    reference: string,
    digest: string | undefined,
    signal: AbortSignal,
    depth: number,
  ): Promise<{ layer: string; version: string | undefined }> {
    const response = await this.#ask(`manifests/${reference}`, { accept: MANIFEST_TYPES }, signal);
    requireOk(response);
    const bytes = await documentOf(response);
    const expected = digest ?? response.headers.get("docker-content-digest") ?? undefined;
    if (expected !== undefined && expected !== digestOf(bytes)) {
      throw new Fault("invalidData", `The manifest of ${this.#options.image} has not the digest ${expected}`);
    }
    const manifest = parseObject(bytes, response.url);
    if (Array.isArray(manifest.manifests)) {
      if (depth === MAX_INDEXES) throw this.#noFirmware();
      const chosen = this.#choose(manifest.manifests as Descriptor[]);
      return this.#manifest(chosen, chosen, signal, depth + 1);
    }
    const annotations = manifest.annotations as Record<string, unknown> | undefined;
    const version = annotations?.[VERSION_ANNOTATION];
    return { layer: this.#layer(manifest), version: typeof version === "string" ? version : undefined };
  }

  /** The digest of the one manifest of an index that is for the platform, or that there is. */
  #choose(all: readonly Descriptor[]): string {
    const { image, platform } = this.#options;
    const images = all.filter((each) => platformOf(each) !== NO_PLATFORM);
    const [only, ...more] = platform === undefined ? images : images.filter((each) => isFor(each, platform));
    if (only === undefined || more.length > 0) {
      const offered = images.map((each) => platformOf(each) ?? "any").join(", ");
      const wanted = platform === undefined ? "no platform is configured" : `platform ${platform} is not exactly one`;
      throw new Fault("misconfigured", `${image} is an index of ${offered || "nothing"}: ${wanted}`);
    }
    if (!DIGEST.test(only.digest ?? "")) throw this.#noFirmware();
    return only.digest!;
  }

  /** The one layer that is firmware: by its type, else because there is no other. */
  #layer({ layers }: Record<string, unknown>): string {
    const all = Array.isArray(layers) ? (layers as Descriptor[]) : [];
    const octets = all.filter(({ mediaType }) => mediaType === FIRMWARE_TYPE);
    const [layer, ...more] = octets.length > 0 ? octets : all;
    if (more.length > 0 || !DIGEST.test(layer?.digest ?? "") || isFolder(layer!)) throw this.#noFirmware();
    return layer!.digest!;
  }

  /** The answer, whatever its status; asks once more with a token when the registry wants one. */
  async #ask(path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response> {
    const { timeoutMs } = this.#options;
    const ask = () => {
      const authorization = this.#authorization;
      const all = authorization === undefined ? headers : { ...headers, authorization };
      return send(`${this.#base}/${path}`, { headers: all, signal, timeoutMs });
    };
    let response = await ask();
    if (response.status === 401) {
      this.#authorization = await this.#authorize(response.headers.get("www-authenticate") ?? "", signal);
      await response.body?.cancel();
      response = await ask();
    }
    return response;
  }

  /** The `Authorization` a challenge asks for. */
  async #authorize(challenge: string, signal: AbortSignal): Promise<string> {
    const { username, password } = this.#registry ?? {};
    const encoded = Buffer.from(`${username ?? ""}:${password ?? ""}`).toString("base64");
    const own = username === undefined ? undefined : `Basic ${encoded}`;
    if (/^basic\b/i.test(challenge) && own !== undefined) return own;
    const { realm, service, scope } = challengeOf(challenge);
    const url = realm !== undefined && URL.canParse(realm) ? new URL(realm) : undefined;
    // a registry with TLS must not make us send its password without
    const allowed = url?.protocol === "https:" || (url?.protocol === "http:" && this.#registry?.plain_http === true);
    if (url === undefined || !allowed) throw new Fault("unauthorized", `${this.#base} refuses and names no realm`);
    if (service !== undefined) url.searchParams.set("service", service);
    url.searchParams.set("scope", scope ?? `repository:${this.#reference.repository}:pull`);
    const headers = own === undefined ? {} : { authorization: own };
    const response = await send(url.href, { headers, signal, timeoutMs: this.#options.timeoutMs });
    requireOk(response);
    const { token, access_token } = await jsonOf(response);
    const text = token ?? access_token;
    if (typeof text !== "string") throw new Fault("unauthorized", `${url.origin} gives no token`);
    return `Bearer ${text}`;
  }

  #noFirmware(): Fault {
    return new Fault("invalidData", `${this.#options.image} has not exactly one layer of firmware`);
  }
}

const DIGEST_PREFIX = "sha256:".length;

function platformOf({ platform }: Descriptor): string | undefined {
  return platform && [platform.os, platform.architecture, platform.variant].filter((part) => part).join("/");
}

/** `linux/arm` is any variant of it, and an image that names none is for all. */
function isFor(descriptor: Descriptor, platform: string): boolean {
  return `${platformOf(descriptor) ?? platform}/`.startsWith(`${platform}/`);
}

/** A layer of a file system. A file that is pushed by itself may have that type too, but then it has a name (as ORAS does it). */
function isFolder({ mediaType = "", annotations = {} }: Descriptor): boolean {
  const { [TITLE_ANNOTATION]: title, [UNPACK_ANNOTATION]: unpack } = annotations;
  return /\btar\b/.test(mediaType) && (title === undefined || unpack === "true");
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Parameters of `Bearer realm="…",service="…"` (RFC 6750). */
function challengeOf(header: string): { realm?: string; service?: string; scope?: string } {
  const pairs = [...header.matchAll(/(realm|service|scope)="([^"]*)"/gi)];
  return Object.fromEntries(pairs.map(([, name = "", value]) => [name.toLowerCase(), value]));
}
