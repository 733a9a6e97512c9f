/** A client of any SOVD server with `/updates`, as the commands `update` and `audit` need it. */
import { createReadStream, readFileSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import { basename } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import { Agent, request } from "undici";
import { Fault, reasonOf } from "#core/errors.ts";
import { parsedObject } from "#core/json.ts";
import { BYTES_TYPE, JSON_TYPE } from "#core/media-types.ts";
import { retryAfterMs } from "#core/retry-after.ts";
import { wrongUsage } from "./usage.ts";

export interface Connection {
  /** Base path of the server. */
  readonly to: string;
  readonly token?: string;
  /** PEM files. */
  readonly tlsCa?: string;
  readonly tlsCertificate?: string;
  readonly tlsKey?: string;
}

export type Json = Readonly<Record<string, unknown>>;

/** A file as the server has it now. */
export interface StoredFile {
  readonly id: string;
  readonly size: number;
  readonly sha256: string;
}

export interface Client {
  /** @throws Fault notResponding; badRequest for any refusal, with the code that says why as `details.code` */
  json(method: string, path: string, body?: Json): Promise<Json>;
  /** Uploads a file into a category of bulk data, and goes on where an upload of the same content was cut. */
  upload(path: string, file: string, sha256: string, told: (sent: number, total: number) => void): Promise<StoredFile>;
}

/** Longest wait for an answer, once all is sent. */
const ANSWER_MS = 120_000;
/** How long a server that says when to come again, such as one that has just been started, is asked again. */
const PATIENCE_MS = 120_000;
/** Sent in one request: what a cut line costs. */
const PART_BYTES = 16 << 20;
const MAX_NAME = 48;
const HASH_DIGITS = 12;

/** The options that name a server. */
export function connected(command: Command, need: "required" | "optional" = "required"): Command {
  const to = ["--to <url>", "base path of the server, e.g. http://127.0.0.1:20002/api/v1"] as const;
  return (need === "required" ? command.requiredOption(...to) : command.option(...to))
    .option("--token <token>", "bearer token; default: SOVD_TOKEN, or one of the server in mode development")
    .option("--tls-ca <file>", "PEM file of the CA of the server's certificate; default: those of the system")
    .option("--tls-certificate <file>", "PEM file of our certificate, for servers that demand one")
    .option("--tls-key <file>", "PEM file of its key");
}

export async function connect(connection: Connection): Promise<Client> {
  const { to, token = process.env.SOVD_TOKEN } = connection;
  const base = to.replace(/\/+$/, "");
  if (!/^https?:\/\//i.test(base) || !URL.canParse(base)) {
    throw wrongUsage(`--to ${to} is no URL with http or https`);
  }
  const dispatcher = dispatcherOf(connection);
  const bearer = token ?? (await developmentToken(base, dispatcher));
  const headers = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
  const send = async (method: string, path: string, body?: Body, more: object = {}): Promise<Answer> =>
    patiently(base + path, () => ({
      dispatcher,
      method,
      headers: { ...headers, ...more },
      ...(body === undefined ? {} : { body: typeof body === "function" ? body() : body }),
    }));
  const json: Client["json"] = async (method, path, body) =>
    wanted(
      method,
      path,
      body === undefined
        ? await send(method, path)
        : await send(method, path, JSON.stringify(body), { "content-type": JSON_TYPE }),
    );
  return {
    json,
    async upload(path, file, sha256, told) {
      const id = idOf(basename(file), sha256);
      const { size } = await stat(file);
      const head = {
        "content-type": BYTES_TYPE,
        "content-disposition": `attachment; filename="${quotable(basename(file))}"`,
      };
      const known = await send("GET", `${path}/${id}/x-upload`);
      if (known.status !== 200 || size === 0) {
        // a server that cannot go on with an upload, or nothing to go on with
        const more = { ...head, "content-length": String(size) };
        const stored = wanted("POST", path, await send("POST", path, () => createReadStream(file), more));
        return { id: String(stored.id), size: Number(stored.size), sha256: String(stored.hash) };
      }
      const there = known.json as { offset: number; complete: boolean; sha256?: string };
      if (!there.complete) told(there.offset, size);
      if (there.complete && there.sha256 === sha256) return { id, size, sha256 };
      return parts(file, there.complete ? 0 : there.offset, size, told, async (bytes, from) => {
        const more = { ...head, "content-range": `bytes ${from}-${from + bytes.byteLength - 1}/${size}` };
        const stored = wanted("PUT", `${path}/${id}`, await send("PUT", `${path}/${id}`, bytes, more));
        return { id, size: Number(stored.size), sha256: String(stored.hash ?? "") };
      });
    },
  };
}

async function parts(
  file: string,
  offset: number,
  size: number,
  told: (sent: number, total: number) => void,
  put: (bytes: Uint8Array, from: number) => Promise<StoredFile>,
): Promise<StoredFile> {
  const handle = await open(file);
  try {
    const buffer = Buffer.alloc(Math.min(PART_BYTES, size));
    for (let from = offset; ; ) {
      const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, size - from), from);
      if (bytesRead === 0) throw new Fault("conflict", `${file} became shorter while it was sent`);
      const stored = await put(buffer.subarray(0, bytesRead), from);
      from += bytesRead;
      told(from, size);
      if (from === size) return stored;
    }
  } finally {
    await handle.close();
  }
}

/** A stream is made anew each time it is sent. */
type Body = string | Uint8Array | (() => Readable);

interface Answer {
  readonly status: number;
  readonly json: Json;
  /** How long the server wants not to be asked again. */
  readonly retryMs: number | undefined;
}

async function patiently(url: string, options: () => object): Promise<Answer> {
  const untilMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask(url, options());
    const { retryMs } = answer;
    if (retryMs === undefined || performance.now() + retryMs >= untilMs) return answer;
    await pause(retryMs);
  }
}

async function ask(url: string, options: object): Promise<Answer> {
  const { statusCode, headers, body } = await request(url, {
    bodyTimeout: ANSWER_MS,
    headersTimeout: ANSWER_MS,
    ...options,
  }).catch((error: unknown) => {
    throw silent(url, error);
  });
  const text = await body.text().catch((error: unknown) => {
    throw silent(url, error);
  });
  // whatever stands before a server may answer with a page
  return { status: statusCode, json: parsedObject(text) ?? {}, retryMs: retryAfterMs(statusCode, headers) };
}

function silent(url: string, error: unknown): Fault {
  return new Fault("notResponding", `${url}: ${(reasonOf(error) || String(error)).trim()}`);
}

/** What stands before a server says so while the server starts. */
const AWAY: ReadonlySet<number> = new Set([502, 503, 504]);

function wanted(method: string, path: string, { status, json }: Answer): Json {
  if (status < 300) return json;
  const reason = [json.error_code, json.message].filter((part) => part !== undefined).join(": ");
  const hint = status === 404 && path === "/updates" ? " (--to has to be a base path, such as …/api/v1)" : "";
  const kind = AWAY.has(status) ? "notResponding" : "badRequest";
  const { error_code: ours, vendor_code: code = ours } = json;
  throw new Fault(kind, `${method} ${path}: ${status} ${reason}${hint}`.trim(), { code });
}

/** Undefined: as every connection is made. @throws Fault badRequest */
function dispatcherOf({ tlsCa, tlsCertificate, tlsKey }: Connection): Agent | undefined {
  if (tlsCa === undefined && tlsCertificate === undefined && tlsKey === undefined) return undefined;
  const read = (option: string, file: string | undefined) => {
    try {
      return file === undefined ? undefined : readFileSync(file);
    } catch (error) {
      throw new Fault("badRequest", `${option} ${file}: ${reasonOf(error)}`);
    }
  };
  const files = {
    ca: read("--tls-ca", tlsCa),
    cert: read("--tls-certificate", tlsCertificate),
    key: read("--tls-key", tlsKey),
  };
  return new Agent({ connect: files });
}

/** Undefined where the server gives none to anybody. */
async function developmentToken(base: string, dispatcher: Agent | undefined): Promise<string | undefined> {
  const body = JSON.stringify({ client_id: "sovd-edge-cli", client_secret: "cli" });
  const headers = { "content-type": JSON_TYPE };
  const { status, json } = await patiently(`${base}/authorize`, () => ({ dispatcher, method: "POST", headers, body }));
  return status === 200 ? (json.access_token as string | undefined) : undefined;
}

/** A header takes printable ASCII, and a quoted text neither quote nor backslash. */
function quotable(name: string): string {
  return name.replace(/[^ -~]|["\\]/g, "_");
}

/** The same for the same content, so that an upload is found again. */
function idOf(name: string, sha256: string): string {
  const plain = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "");
  return `${plain.slice(0, MAX_NAME) || "file"}-${sha256.slice(0, HASH_DIGITS)}`;
}
