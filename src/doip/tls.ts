/** TLS settings of the diagnostic connection (ISO 13400-2 clause 10) as Node options. */
import type { ConnectionOptions, SecureVersion } from "node:tls";

export interface TlsSettings {
  /** PEM certificates to trust. Present: the entity must prove itself; absent: any certificate is accepted, with a warning. */
  readonly ca?: string;
  /** PEM certificate and key of this tester, for entities that ask for one. */
  readonly cert?: string;
  readonly key?: string;
  readonly minVersion?: SecureVersion;
  readonly maxVersion?: SecureVersion;
  /** OpenSSL cipher list; default: that of Node. */
  readonly ciphers?: string;
  /** Also offer integrity without encryption (ECDHE-ECDSA-NULL-SHA, TLS 1.2). Lowers OpenSSL's security level. */
  readonly allowNullCipher?: boolean;
}

const DEFAULT_CIPHERS = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-AES128-SHA256",
  "ECDHE-RSA-AES128-SHA256",
].join(":");

/** Node refuses NULL ciphers below level 0 even when they are listed. */
const NULL_CIPHER = "ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0";

/** Options for `tls.connect`. The chain is verified, not a host name: entities have addresses, no names. */
export function tlsOptions(settings: TlsSettings): ConnectionOptions {
  const ciphers = settings.ciphers ?? DEFAULT_CIPHERS;
  return {
    minVersion: settings.minVersion ?? "TLSv1.2",
    maxVersion: settings.maxVersion ?? "TLSv1.3",
    ciphers: settings.allowNullCipher === true ? `${ciphers}:${NULL_CIPHER}` : ciphers,
    rejectUnauthorized: settings.ca !== undefined,
    checkServerIdentity: () => undefined,
    ...(settings.ca === undefined ? {} : { ca: settings.ca }),
    ...(settings.cert === undefined ? {} : { cert: settings.cert }),
    ...(settings.key === undefined ? {} : { key: settings.key }),
  };
}
