/** Tokens: who may have one, and whom a presented one stands for. Three modes, one interface. */
import type { Config } from "#config/types.ts";
import { Fault } from "#core/errors.ts";
import { bearerToken, type Claims, invalidToken, type TokenAnswer, type WallClock, wallClock } from "./claims.ts";
import type { VerifyToken } from "./jwt.ts";
import {
  ask,
  loadPlugin,
  type SecurityPlugin,
  type ServiceFacts,
  type ServiceTarget,
  type UpdateFacts,
} from "./plugin.ts";
import { requireRight } from "./rights.ts";
import { createTokenCache } from "./token-cache.ts";

export interface Authenticator {
  /**
   * Claims of an `Authorization` header. At once for a token seen before, else as a promise. `unauthorized` (401) without a bearer
   * token, `forbidden` (403) for one that does not hold.
   */
  verify(authorization: string | undefined): Claims | Promise<Claims>;
  /** The answer to a body of `POST authorize`. */
  authorize(body: unknown): Promise<TokenAnswer>;
  /** Verified tokens that are remembered. */
  readonly rememberedTokens?: number;
  /** Rejects with `forbidden` when the plugin refuses the service. Absent when nobody asks. */
  validateService?(
    claims: Claims | undefined,
    service: ServiceFacts,
    entity: string,
    target: ServiceTarget,
  ): Promise<void>;
  /** Rejects with `forbidden` when the token lacks the right, or the plugin refuses. */
  validateUpdate?(claims: Claims, update: UpdateFacts): Promise<void>;
  /**
   * Keys and rules for tokens anew, those of files and URLs too; in force once the function it gives back is called, and tokens are then
   * looked at afresh. The mode must be the same; a plugin stays. @throws Fault invalidConfig
   */
  reload(security: AuthenticatorConfig["security"]): Promise<() => void>;
}

/** What a mode brings: the checks behind the cache. */
type Mode = Omit<Authenticator, "verify" | "reload"> & { readonly verifyToken: VerifyToken };

export interface AuthenticatorConfig {
  readonly security: Config["security"];
  readonly limits: Pick<Config["limits"], "token_cache_entries">;
}

/** Loaded with the first token, or the first key. */
const jwt = () => import("./jwt.ts");

/** The authenticator of the configured mode. `key`: at least 32 random bytes that outlive a restart, for tokens of our own. */
export async function createAuthenticator(
  { security, limits }: AuthenticatorConfig,
  key: Uint8Array,
  clock: WallClock = wallClock,
): Promise<Authenticator> {
  const stateOf = async (config: Config["security"]) => ({
    config,
    mode: await createMode(config, key, clock),
    cache: createTokenCache(limits.token_cache_entries, () => clock.now()),
    toleranceMs: config.mode === "jwt" ? config.clock_tolerance_secs * 1_000 : 0,
  });
  let now = await stateOf(security);

  const verifyNew = async (token: string): Promise<Claims> => {
    const { mode, cache, toleranceMs } = now;
    const claims = await mode.verifyToken(token);
    if (claims.exp !== undefined) cache.put(token, claims, claims.exp * 1_000 + toleranceMs);
    return claims;
  };
  const { verifyToken: _, ...first } = now.mode;
  return {
    ...first,
    async validateUpdate(claims, update) {
      const { config, mode } = now;
      if (config.mode === "jwt") requireRight(claims, config.update_rights);
      await mode.validateUpdate?.(claims, update);
    },
    authorize: (body) => now.mode.authorize(body),
    get rememberedTokens() {
      return now.cache.size;
    },
    verify(authorization) {
      const token = bearerToken(authorization);
      if (token.length > now.config.max_token_bytes) throw invalidToken();
      return now.cache.get(token) ?? verifyNew(token);
    },
    async reload(wanted) {
      // a module is loaded once
      const next = wanted.mode === "plugin" ? { ...now, config: wanted } : await stateOf(wanted);
      return () => {
        now = next;
      };
    },
  };
}

async function createMode(config: Config["security"], key: Uint8Array, clock: WallClock): Promise<Mode> {
  switch (config.mode) {
    case "development":
      return developmentMode(config.token_lifetime_secs, key, clock);
    case "jwt":
      return {
        verifyToken: await (await jwt()).createJwtVerifier(config, clock),
        authorize: () => issuedElsewhere(config.issuer),
      };
    case "plugin":
      return pluginMode(await loadPlugin(config.plugin ?? ""));
  }
}

/** Anyone gets a token; a presented one must still be ours and not expired. */
function developmentMode(lifetimeSecs: number, key: Uint8Array, clock: WallClock): Mode {
  return {
    verifyToken: async (token) => (await jwt()).createOwnVerifier(key, clock)(token),
    async authorize(body) {
      const expires = Math.floor(clock.now() / 1_000) + lifetimeSecs;
      const claims = { sub: clientId(body), exp: expires };
      return {
        access_token: await (await jwt()).signOwn(claims, key),
        token_type: "Bearer",
        expires_in: lifetimeSecs,
      };
    },
  };
}

const LONGEST_CLIENT_ID = 256;

/** `client_id` of a body that also has a `client_secret`, both text. */
function clientId(body: unknown): string {
  const { client_id, client_secret } = (typeof body === "object" && body !== null ? body : {}) as Record<
    string,
    unknown
  >;
  if (typeof client_id !== "string" || typeof client_secret !== "string" || client_id.length > LONGEST_CLIENT_ID) {
    throw new Fault("badRequest", "Expected client_id and client_secret as text");
  }
  return client_id;
}

async function issuedElsewhere(issuer: string | undefined): Promise<never> {
  const where = issuer === undefined ? "the configured identity provider" : issuer;
  throw new Fault("forbidden", `Tokens are issued by ${where}`);
}

function pluginMode(plugin: SecurityPlugin): Mode {
  const { validateService, validateUpdate } = plugin;
  return {
    verifyToken: (token) => ask(() => plugin.claims(token)),
    authorize: (body) => ask(() => plugin.authorize(body)),
    ...(validateService === undefined
      ? {}
      : {
          validateService: async (
            claims: Claims | undefined,
            service: ServiceFacts,
            entity: string,
            target: ServiceTarget,
          ) => {
            await ask(() => validateService.call(plugin, claims, service, entity, target) as undefined);
          },
        }),
    ...(validateUpdate === undefined
      ? {}
      : {
          validateUpdate: async (claims: Claims, update: UpdateFacts) => {
            await ask(() => validateUpdate.call(plugin, claims, update) as undefined);
          },
        }),
  };
}
