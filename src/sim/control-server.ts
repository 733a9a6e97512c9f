/** HTTP server of the control API: finds the route, reads the body, writes the answer. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { FAULTS, Fault } from "#core/errors.ts";
import { JSON_TYPE, URL_ENCODED_TYPE } from "#core/media-types.ts";
import { CONTROL_ROUTES } from "./control.ts";
import type { ControlAnswer, ControlRoute } from "./control-route.ts";
import { createTokenIssuer } from "./tokens.ts";
import type { RunningVehicle } from "./vehicle.ts";

export interface ControlServer {
  readonly port: number;
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 16 * 1024 * 1024;
const JSON_INDENT = 4;
const OWN_PREFIX = "/x-sim";
const MEDIA_TYPES = { json: JSON_TYPE, form: URL_ENCODED_TYPE } as const;

/** Serves the control API of a vehicle; resolves when it listens. Port 0: a free one. */
export async function startControlServer(
  vehicle: RunningVehicle,
  port: number,
  address: string,
): Promise<ControlServer> {
  const tokens = createTokenIssuer();
  const server = createServer((request, response) => {
    answer(request)
      .catch((error) => failure(error, (request.url ?? "").startsWith(OWN_PREFIX)))
      .then((result) => write(response, result))
      .catch(() => response.destroy());
  });

  async function answer(request: IncomingMessage): Promise<ControlAnswer> {
    const found = findRoute(request.method ?? "", (request.url ?? "/").split("?", 1)[0]!);
    if (typeof found === "number") return { status: found };
    const body = found.route.body === undefined ? undefined : await readBody(request, found.route.body);
    return found.route.handle({ vehicle, tokens, params: found.params, body });
  }

  server.listen(port, address);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** The route of a request and its path parameters, or the status when there is none. */
export function findRoute(
  method: string,
  path: string,
): { readonly route: ControlRoute; readonly params: Record<string, string> } | 404 | 405 {
  let status: 404 | 405 = 404;
  const segments = path.split("/");
  for (const route of CONTROL_ROUTES) {
    const params = matchPath(route.path.split("/"), segments);
    if (params === undefined) continue;
    if (route.method === method) return { route, params };
    status = 405;
  }
  return status;
}

function matchPath(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [i, part] of pattern.entries()) {
    const segment = decode(segments[i]!);
    if (!part.startsWith("{")) {
      if (part !== segment) return undefined;
    } else if (segment === undefined || segment === "") return undefined;
    else params[part.slice(1, -1)] = segment;
  }
  return params;
}

function decode(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

async function readBody(request: IncomingMessage, kind: "json" | "form"): Promise<unknown> {
  const mediaType = (request.headers["content-type"] ?? "").split(";", 1)[0]!.trim().toLowerCase();
  if (mediaType !== MEDIA_TYPES[kind])
    throw new Fault("unsupportedMediaType", `content type is not ${MEDIA_TYPES[kind]}`);
  const chunks: Buffer[] = [];
  let bytes = 0;
  // What is too much is read and dropped: a client that still sends would not read an answer.
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  if (bytes > MAX_BODY_BYTES) throw new Fault("payloadTooLarge", `body is larger than ${MAX_BODY_BYTES} bytes`);
  const text = Buffer.concat(chunks).toString("utf8");
  if (kind === "form") return new URLSearchParams(text);
  try {
    return JSON.parse(text);
  } catch {
    throw new Fault("badRequest", "body is not JSON");
  }
}

/** Errors have a status and no body; only our own routes say what was wrong. */
function failure(error: unknown, explained: boolean): ControlAnswer {
  if (!(error instanceof Fault)) return { status: 500 };
  const { status } = FAULTS[error.kind];
  return explained ? { status, text: error.message } : { status };
}

function write(response: ServerResponse, { status, json, text, afterwards }: ControlAnswer): void {
  if (afterwards !== undefined) response.once("close", afterwards);
  response.statusCode = status;
  if (json !== undefined) {
    response.setHeader("content-type", MEDIA_TYPES.json);
    response.end(JSON.stringify(json, null, JSON_INDENT));
  } else if (text !== undefined) {
    response.setHeader("content-type", "text/plain; charset=utf-8");
    response.end(text);
  } else response.end();
}
