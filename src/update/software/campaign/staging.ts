/** Brings the image of each member into the store of this node: from bulk data, or from an HTTP server, resumed where it was cut. */
import { createHash } from "node:crypto";
import type { TargetFile } from "@tufjs/models";
import { gathered } from "#core/bytes.ts";
import { Fault, reasonOf } from "#core/errors.ts";
import { BYTES_TYPE } from "#core/media-types.ts";
import { fits } from "#core/validate.ts";
import type { Bulk, BulkInfo, BulkKey } from "#update/software/bulk/bulk.ts";
import { ManifestSchema, type ManifestTarget, SignaturesSchema, type UpdatePackage } from "#update/software/package.ts";
import { isUnreachable, type SignedManifest } from "#update/software/provider.ts";
import { checkImage } from "#update/software/trust/trust.ts";
import type { TufVerifier } from "#update/software/trust/tuf.ts";

/** Category of what was fetched for a package; the package's deletion takes it away. */
export const STAGED = "x-staged";
const MAX_MANIFEST_BYTES = 1 << 20;
const HTTP_OK = 200;
const HTTP_PARTIAL = 206;
const HTTP_NOT_FOUND = 404;
const HTTP_RANGE = 416;

export interface StagingOptions {
  readonly bulk: Bulk;
  /** Base URL of the update server: `{repository}/{id}/manifest.json` and what its `uri`s name. */
  readonly repository: string | undefined;
  readonly timeoutMs: number;
}

export class Staging {
  readonly #options: StagingOptions;
  readonly #fetching = new Map<string, Promise<BulkInfo>>();

  constructor(options: StagingOptions) {
    this.#options = options;
  }

  /**
   * What the package carries, or the update server has for a remote package that says nothing of its images: metadata by TUF where a
   * root is trusted (`{repository}/metadata/timestamp.json` and so on), else a manifest.
   */
  async claim(update: UpdatePackage, tuf: TufVerifier | undefined, signal: AbortSignal): Promise<SignedManifest> {
    const { manifest, signatures, artifactUri, origins } = update;
    const { repository } = this.#options;
    if (update.tuf !== undefined) return { manifest, signatures, tuf: update.tuf };
    const silent = manifest === undefined && artifactUri === undefined;
    if (!silent || repository === undefined || !origins.includes("remote")) return { manifest, signatures };
    if (tuf !== undefined) {
      const { fetchTufFiles } = await import("#update/software/trust/tuf-repository.ts");
      const fetchText = (path: string) => this.#text(under(repository, `metadata/${path}`), signal);
      return { manifest, signatures, tuf: await fetchTufFiles(await tuf.rootVersion(), fetchText) };
    }
    const body: unknown = await this.#json(under(repository, `${update.id}/manifest.json`), signal);
    const { signed, signatures: made } = (body ?? {}) as { signed?: unknown; signatures?: unknown };
    const list = made ?? [];
    if (!fits(ManifestSchema, signed) || !fits(SignaturesSchema, list)) {
      throw new Fault("invalidData", "The update server's manifest is not one");
    }
    return { manifest: signed, signatures: typeof list === "string" ? [list] : list.map(({ sig }) => sig) };
  }

  /** Where a file of TUF targets is (specification 5.7); undefined: where the package says. */
  locate({ artifactUri }: UpdatePackage, { path, hashes }: TargetFile): string | undefined {
    if (artifactUri !== undefined || this.#options.repository === undefined) return artifactUri;
    const parts = path.split("/");
    return ["targets", ...parts.slice(0, -1), `${hashes.sha256}.${parts.at(-1)}`].join("/");
  }

  /** The complete image behind an URI, the very one that the manifest names. @throws Fault invalidData */
  image(update: UpdatePackage, target: ManifestTarget | undefined, signal: AbortSignal): Promise<BulkInfo> | undefined {
    // what another node handed on lies here, wherever the manifest says it once was
    const relayed = update.watchdogMs === undefined ? undefined : update.artifactUri;
    const uri = relayed ?? target?.uri ?? update.artifactUri;
    if (uri === undefined) return undefined;
    const local = bulkKeyOf(uri);
    if (local !== undefined) return this.#local(local, target);
    const { repository } = this.#options;
    const url = /^https?:\/\//i.test(uri) ? uri : repository === undefined ? undefined : under(repository, uri);
    if (url === undefined) throw new Fault("invalidData", `There is no update server to fetch ${uri} from`);
    const id = createHash("sha256")
      .update(`${update.id}\n${url}\n${target?.sha256 ?? ""}`)
      .digest("hex")
      .slice(0, 32);
    const key = { component: update.id.toLowerCase(), category: STAGED, id };
    let fetching = this.#fetching.get(id);
    if (fetching === undefined) {
      fetching = this.#whole(url, key, target, signal).finally(() => this.#fetching.delete(id));
      this.#fetching.set(id, fetching);
    }
    return fetching;
  }

  /** Forgets what was fetched for a package. */
  async clear(id: string): Promise<void> {
    const { bulk } = this.#options;
    const component = id.toLowerCase();
    for (const { id: file } of bulk.list(component, STAGED))
      await bulk.remove({ component, category: STAGED, id: file });
  }

  async #local(key: BulkKey, target: ManifestTarget | undefined): Promise<BulkInfo> {
    const info = this.#options.bulk.get(key);
    if (!info.complete) throw new Fault("conflict", `The upload of ${key.id} is not complete`);
    if (target !== undefined) checkImage(target, { sizeBytes: info.size, sha256: info.sha256 });
    return info;
  }

  /**
   * Goes on with what a cut left, where a hash will tell whether both halves are of one file: a server may have another one there by
   * now; at once, as long as each connection brings something. What is wrong is not kept, and what was put together is fetched once
   * more as a whole.
   */
  async #whole(url: string, key: BulkKey, target: ManifestTarget | undefined, signal: AbortSignal): Promise<BulkInfo> {
    const { bulk } = this.#options;
    const known = bulk.find(key);
    const offset = target === undefined ? 0 : (known?.size ?? 0);
    // what is whole was not necessarily checked: power may go between the two, and others can write bulk data as well
    const fetched = known?.complete === true ? known : this.#fetch(url, key, target, offset, signal);
    const info = await Promise.resolve(fetched).catch((error: unknown): "cut" => {
      const gained = (bulk.find(key)?.size ?? 0) > offset;
      if (target === undefined || !gained || !isUnreachable(error) || signal.aborted) throw error;
      return "cut";
    });
    if (info === "cut") return this.#whole(url, key, target, signal);
    try {
      if (info === undefined) throw new Fault("invalidData", `${url} does not go on at byte ${offset}`);
      if (target !== undefined) checkImage(target, { sizeBytes: info.size, sha256: info.sha256 });
      return info;
    } catch (error) {
      await bulk.remove(key);
      if (offset === 0 && known?.complete !== true) throw error;
      return this.#whole(url, key, target, signal);
    }
  }

  /** Undefined when the server does not go on where it was cut. */
  async #fetch(
    url: string,
    key: BulkKey,
    target: ManifestTarget | undefined,
    offset: number,
    signal: AbortSignal,
  ): Promise<BulkInfo | undefined> {
    const { bulk, timeoutMs } = this.#options;
    const headers = offset === 0 ? {} : { range: `bytes=${offset}-` };
    const { request } = await import("undici");
    const response = await request(url, { headers, signal, headersTimeout: timeoutMs, bodyTimeout: timeoutMs }).catch(
      (error: unknown) => {
        throw new Fault("notResponding", `${url}: ${reasonOf(error)}`, undefined, error);
      },
    );
    const { statusCode, body, headers: answer } = response;
    const isPart = statusCode === HTTP_PARTIAL && `${answer["content-range"]}`.startsWith(`bytes ${offset}-`);
    if (statusCode !== HTTP_OK && !isPart) {
      await body.dump();
      if (offset > 0 && (statusCode === HTTP_PARTIAL || statusCode === HTTP_RANGE)) return undefined;
      throw new Fault("invalidData", `${url} answers ${statusCode}`);
    }
    const from = isPart ? offset : 0;
    const name = new URL(url).pathname.split("/").at(-1) || "image";
    const start = { ...key, name, mimetype: BYTES_TYPE };
    return bulk.write(start, from, bounded(told(body, url), from, target?.length), true);
  }

  async #json(url: string, signal: AbortSignal): Promise<unknown> {
    const text = await this.#text(url, signal);
    if (text === undefined) throw new Fault("invalidData", `${url} answers 404`);
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new Fault("invalidData", `${url}: ${reasonOf(error)}`, undefined, error);
    }
  }

  /** Undefined for 404. @throws Fault notResponding, invalidData */
  async #text(url: string, signal: AbortSignal): Promise<string | undefined> {
    const { timeoutMs } = this.#options;
    try {
      const { request } = await import("undici");
      const { statusCode, body } = await request(url, { signal, headersTimeout: timeoutMs, bodyTimeout: timeoutMs });
      const text = (await gathered(body, MAX_MANIFEST_BYTES, () => tooMuch(MAX_MANIFEST_BYTES))).toString();
      if (statusCode === HTTP_NOT_FOUND) return undefined;
      if (statusCode !== HTTP_OK) throw new Fault("invalidData", `${url} answers ${statusCode}`);
      return text;
    } catch (error) {
      if (error instanceof Fault) throw error;
      throw new Fault("notResponding", `${url}: ${reasonOf(error)}`, undefined, error);
    }
  }
}

/** A connection that breaks is the network's fault, not ours. @throws Fault notResponding */
async function* told(body: AsyncIterable<Uint8Array>, url: string): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw new Fault("notResponding", `${url}: ${reasonOf(error)}`, undefined, error);
  }
}

/** An endless sender is cut off as soon as it has sent more than was said. */
async function* bounded(
  body: AsyncIterable<Uint8Array>,
  from: number,
  limit: number | undefined,
): AsyncGenerator<Uint8Array> {
  let size = from;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (limit !== undefined && size > limit) throw tooMuch(limit);
    yield chunk;
  }
}

function tooMuch(limit: number): Fault {
  return new Fault("invalidData", `The sender sends more than ${limit} bytes`);
}

function under(base: string, path: string): string {
  return new URL(path, base.endsWith("/") ? base : `${base}/`).href;
}

/** `…/components/{component}/bulk-data/{category}/{id}`, with or without a base path; undefined for anything else. */
export function bulkKeyOf(uri: string): BulkKey | undefined {
  const match = /^(?:\/[^:]*)?\/components\/([^/]+)\/bulk-data\/([^/]+)\/([^/]+)$/.exec(uri.toLowerCase());
  const [, component, category, id] = (match ?? []).map(decoded);
  if (component === undefined || category === undefined || id === undefined) return undefined;
  return { component, category, id };
}

/** Undefined for a segment with an escape that is none. */
function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
