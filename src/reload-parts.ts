/** What of the running server takes a new configuration, and by which keys. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { reloadableKeys } from "#config/reloadable.ts";
import type { Config } from "#config/types.ts";
import type { HttpServer, HttpServerOptions } from "#http/server-options.ts";
import type { Authenticator } from "#security/authenticator.ts";
import type { Log } from "#telemetry/logger.ts";
import type { Software } from "#update/software/create.ts";
import type { ReloadablePart } from "./reload.ts";

export interface RunningParts {
  readonly log: Log;
  readonly authenticator: Pick<Authenticator, "reload">;
  readonly software: Pick<Software, "reload"> | undefined;
  readonly server: Pick<HttpServer, "prepareTls">;
}

export function reloadableParts(config: Config, parts: RunningParts): readonly ReloadablePart[] {
  const { log, authenticator, software, server } = parts;
  const tls = tlsOptionsOf(config);
  return [
    // the one part that may fail once all are prepared, when the port is lost: first, so that nothing else has changed by then
    ...(tls === undefined ? [] : [certificatePart(tls, server)]),
    // looked up in the configuration in force at each use, as are the keys of databases below
    { keys: reloadableKeys("shards"), prepare: async () => NOTHING },
    {
      keys: reloadableKeys("logging"),
      prepare:
        async ({ logging }) =>
        () =>
          log.setLevel(logging.level),
    },
    { keys: reloadableKeys("security"), prepare: ({ security }) => authenticator.reload(security) },
    { keys: reloadableKeys("update"), prepare: async ({ update }) => software?.reload(update) ?? NOTHING },
  ];
}

const NOTHING = (): void => undefined;

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
    keys: reloadableKeys("http"),
    accepts: (config) => tlsOptionsOf(config) !== undefined,
    async prepare(config) {
      const wanted = tlsOptionsOf(config)!;
      const content = contentOf(wanted);
      if (content === known) return NOTHING;
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
