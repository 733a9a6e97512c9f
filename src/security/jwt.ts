/** Verification of JSON Web Tokens (RFC 7519, RFC 8725): one list of algorithms, each bound to the kind of key it needs. */
import { createPublicKey, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify, SignJWT } from "jose";
import type { Config } from "#config/types.ts";
import { Fault } from "#core/errors.ts";
import { type Claims, invalidToken, type WallClock } from "./claims.ts";

/** Claims of a token whose signature and times hold; rejects with `forbidden`, or `notReady` while keys cannot be had. */
export type VerifyToken = (token: string) => Promise<Claims>;

type SecurityConfig = Config["security"];

interface Checks {
  readonly algorithms: string[];
  readonly issuer?: string;
  readonly audience?: string[];
  readonly clockTolerance: number;
}

const OWN_ALGORITHM = "HS256";

const isSymmetric = (algorithm: string): boolean => algorithm.startsWith("HS");

/** Verification by the keys of the configuration. Reads the PEM file now, and a key set when the first token needs it. */
export async function createJwtVerifier(config: SecurityConfig, clock: WallClock): Promise<VerifyToken> {
  const secret = config.secret === undefined ? undefined : new TextEncoder().encode(config.secret);
  const getPublic = await publicKeySource(config);
  const algorithms = config.algorithms.filter((name) => (isSymmetric(name) ? secret : getPublic) !== undefined);
  const getKey: JWTVerifyGetKey = (header, token) => {
    const key = isSymmetric(header.alg ?? "") ? secret : getPublic?.(header, token);
    if (key === undefined) throw new errors.JOSEAlgNotAllowed("no key for this algorithm");
    return key;
  };
  return verifier(getKey, { ...checksOf(config), algorithms }, clock);
}

/** Verification by one key of our own, as tokens of mode `development` need it. */
export function createOwnVerifier(key: Uint8Array, clock: WallClock): VerifyToken {
  return verifier(() => key, { algorithms: [OWN_ALGORITHM], clockTolerance: 0 }, clock);
}

/** A token that `createOwnVerifier` takes. */
export function signOwn(claims: JWTPayload, key: Uint8Array): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: OWN_ALGORITHM, typ: "JWT" }).sign(key);
}

function verifier(getKey: JWTVerifyGetKey, checks: Checks, clock: WallClock): VerifyToken {
  return async (token) => {
    try {
      const options = { ...checks, requiredClaims: ["sub", "exp"], currentDate: new Date(clock.now()) };
      const { payload } = await jwtVerify(token, getKey, options);
      if (typeof payload.sub !== "string") throw invalidToken();
      return payload as Claims;
    } catch (error) {
      throw asFault(error);
    }
  };
}

function checksOf({ issuer, audience, clock_tolerance_secs }: SecurityConfig): Omit<Checks, "algorithms"> {
  return {
    clockTolerance: clock_tolerance_secs,
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience.length === 0 ? {} : { audience: [...audience] }),
  };
}

async function publicKeySource(config: SecurityConfig): Promise<JWTVerifyGetKey | undefined> {
  if (config.jwks_url !== undefined) {
    return createRemoteJWKSet(new URL(config.jwks_url), {
      timeoutDuration: config.jwks_timeout_ms,
      cooldownDuration: config.jwks_cooldown_ms,
      cacheMaxAge: config.jwks_max_age_ms,
    });
  }
  if (config.public_key === undefined) return undefined;
  const key = await readPublicKey(config.public_key);
  return () => key;
}

/** A PEM public key or certificate. */
async function readPublicKey(path: string): Promise<KeyObject> {
  try {
    return createPublicKey(await readFile(path));
  } catch (error) {
    throw new Fault("invalidConfig", `security.public_key: ${path} holds no public key`, undefined, error);
  }
}

/** What is wrong with the token, or with getting the keys. */
function asFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  if (error instanceof errors.JWTExpired) return invalidToken("Token has expired", error);
  if (error instanceof errors.JWTClaimValidationFailed)
    return invalidToken(`Claim ${error.claim} does not hold`, error);
  const isAboutKeys = [errors.JWKSTimeout, errors.JWKSInvalid].some((kind) => error instanceof kind);
  const isAboutToken = error instanceof errors.JOSEError && error.code !== "ERR_JOSE_GENERIC" && !isAboutKeys;
  if (isAboutToken) return invalidToken(undefined, error);
  return new Fault("notReady", "The keys of the identity provider cannot be had", undefined, error);
}
