/** Keys that take effect while the program runs, when SIGHUP has it read its configuration again. */
import type { Config } from "./types.ts";

export const RELOADABLE = {
  logging: ["level"],
  security: [
    "token_lifetime_secs",
    "algorithms",
    "secret",
    "public_key",
    "jwks_url",
    "jwks_timeout_ms",
    "jwks_cooldown_ms",
    "jwks_max_age_ms",
    "issuer",
    "audience",
    "update_rights",
    "clock_tolerance_secs",
    "max_token_bytes",
  ],
  http: ["tls_certificate", "tls_key", "tls_ca"],
  shards: ["max_restarts_per_minute"],
  update: [
    "trusted_keys",
    "verify",
    "verify_databases",
    "allow_downgrade",
    "allow_expired",
    "health_timeout_ms",
    "health_interval_ms",
    "soak_ms",
    "health_min_polls",
    "health_max_faults",
    "health_max_severity",
  ],
} as const satisfies { readonly [Section in keyof Config]?: readonly (keyof Config[Section])[] };

/** Those of a section, whole. */
export function reloadableKeys(section: keyof typeof RELOADABLE): readonly string[] {
  return RELOADABLE[section].map((key) => `${section}.${key}`);
}
