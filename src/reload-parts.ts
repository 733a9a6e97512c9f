/** What of the running server takes a new configuration, and by which keys. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Config } from "#config/types.ts";
import type { HttpServer, HttpServerOptions } from "#http/server.ts";
import { type Authenticator, RELOADABLE_SECURITY_KEYS } from "#security/authenticator.ts";
import type { Log } from "#telemetry/logger.ts";
import { RELOADABLE_UPDATE_KEYS, type Software } from "#update/software/create.ts";
import type { ReloadablePart } from "./reload.ts";

/** Keys that are looked up in the configuration in force at each use. */
const LIVE_KEYS = ["shards.max_restarts_per_minute", "update.verify_databases"] as const;

const CERTIFICATE_KEYS = ["http.tls_certificate", "http.tls_key", "http.tls_ca"] as const;

export interface RunningParts {
  readonly log: Log;
  readonly authenticator: Pick<Authenticator, "reload">;
  readonly software: Pick<Software, "reload"> | undefined;
  readonly server: Pick<HttpServer, "prepareTls">;
}

export function reloadableParts(config: Config, parts: RunningParts): readonly ReloadablePart[] {
  const { log, authenticator, software, server } = parts;
  const all: ReloadablePart[] = [
    { keys: LIVE_KEYS, prepare: async () => () => {} },
    {
      keys: ["logging.level"],
      prepare:
        async ({ logging }) =>
        () =>
          log.setLevel(logging.level),
    },
    {
      keys: RELOADABLE_SECURITY_KEYS.map((key) => `security.${key}`),
      prepare: ({ security }) => authenticator.reload(security),
    },
  ];
  if (software !== undefined) {
    const keys = RELOADABLE_UPDATE_KEYS.map((key) => `update.${key}`);
    all.push({ keys, prepare: async ({ update }) => software.reload(update) });
  }
  const tls = tlsOptionsOf(config);
  if (tls !== undefined) all.push(certificatePart(tls, server));
  return all;
}

type TlsOptions = NonNullable<HttpServerOptions["tls"]>;

/** Files of HTTPS; undefined for plain HTTP. */
export function tlsOptionsOf({ http }: Config): TlsOptions | undefined {
  if (http.tls_certificate === undefined || http.tls_key === undefined) return undefined;
  const { tls_certificate: cert_file_name, tls_key: key_file_name, tls_ca } = http;
  return { cert_file_name, key_file_name, ...(tls_ca === undefined ? {} : { ca_file_name: tls_ca }) };
}

/** The port changes hands only when a file is another one. Between HTTPS and HTTP there is no way but a restart. */
function certificatePart(initial: TlsOptions, server: RunningParts["server"]): ReloadablePart {
  let known = contentOf(initial);
  return {
    keys: CERTIFICATE_KEYS,
    accepts: (config) => tlsOptionsOf(config) !== undefined,
    async prepare(config) {
      const wanted = tlsOptionsOf(config)!;
      const content = contentOf(wanted);
      if (content === known) return () => {};
      const commit = server.prepareTls(wanted);
      return async () => {
        await commit();
        known = content;
      };
    },
  };
}

function contentOf({ cert_file_name, key_file_name, ca_file_name }: TlsOptions): string {
  const hash = createHash("sha256");
  for (const file of [cert_file_name, key_file_name, ca_file_name]) {
    hash.update(file === undefined ? "none" : readFileSync(String(file))).update("\n");
  }
  return hash.digest("hex");
}
