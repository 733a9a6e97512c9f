/** The control API's token endpoint: signed with a key that lives as long as the simulator. */
import { exportJWK, generateKeyPair, SignJWT } from "jose";

const ISSUER = "OpenSOVD::CDA::JwtAuthServerMock";
const KEY_ID = "-";
const LIFETIME_S = 3600;

export interface TokenIssuer {
  /** `{keys:[…]}`, numbers as signed big-endian bytes in padded url-base64. */
  keys(): Promise<unknown>;
  /** The token answer for a client. */
  issue(clientId: string, scopes: readonly string[]): Promise<unknown>;
}

/** The key pair is made at first use. */
export function createTokenIssuer(): TokenIssuer {
  let made: ReturnType<typeof generateKeyPair> | undefined;
  const pair = () => {
    made ??= generateKeyPair("RS256", { extractable: true });
    return made;
  };
  return {
    async keys() {
      const { n, e } = await exportJWK((await pair()).publicKey);
      return {
        keys: [{ e: signedNumber(e!), n: signedNumber(n!), alg: "RS256", kty: "RSA", use: "SIG", kid: KEY_ID }],
      };
    },
    async issue(clientId, scopes) {
      const nowMs = Date.now();
      const issuedAt = Math.trunc(nowMs / 1000);
      const token = await new SignJWT({ azp: clientId, iatms: nowMs, scopes: [...scopes] })
        .setProtectedHeader({ alg: "RS256", typ: "JWT", kid: KEY_ID })
        .setSubject(clientId)
        .setIssuer(ISSUER)
        .setIssuedAt(issuedAt)
        .setExpirationTime(issuedAt + LIFETIME_S)
        .sign((await pair()).privateKey);
      return { access_token: token, id_token: token, expires_in: LIFETIME_S, token_type: "bearer" };
    },
  };
}

/** A JWK number with the sign byte that it has as a two's complement integer, padded. */
function signedNumber(base64url: string): string {
  const bytes = Buffer.from(base64url, "base64url");
  const signed = bytes[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes;
  return signed.toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}
