import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { exportJWK, SignJWT, UnsecuredJWT } from "jose";
import { defaultConfig } from "#config/load.ts";
import type { Config } from "#config/types.ts";
import { Fault, type FaultKind } from "#core/errors.ts";
import { type Authenticator, createAuthenticator } from "#security/authenticator.ts";
import type { Claims } from "#security/claims.ts";
import { cleanup, scratchFolder } from "../../fixtures/cleanup.ts";
import fc from "../../fixtures/properties.ts";

const KEY = new Uint8Array(32).fill(7);
const NOW_S = 1_800_000_000;
const SECRET = "a secret of more than thirty-two bytes";
const CREDENTIALS = { client_id: "tester", client_secret: "any" };

function setup(security: Partial<Config["security"]> = {}, key = KEY, entries = 8) {
  const config = defaultConfig();
  const clock = { nowMs: NOW_S * 1_000, now: () => clock.nowMs };
  const parts = { security: { ...config.security, ...security }, limits: { token_cache_entries: entries } };
  return { clock, made: createAuthenticator(parts, key, clock) };
}

async function refused(kind: FaultKind, message: RegExp, act: () => unknown): Promise<void> {
  await assert.rejects(
    async () => act(),
    (error) => {
      assert(error instanceof Fault, String(error));
      assert.equal(error.kind, kind);
      assert.match(error.message, message);
      return true;
    },
  );
}

async function token(made: Promise<Authenticator>): Promise<string> {
  return (await (await made).authorize(CREDENTIALS)).access_token;
}

test("development: anyone gets a token that names them and says how long it holds", async () => {
  const { made } = setup({ token_lifetime_secs: 600 });
  const authenticator = await made;
  const answer = await authenticator.authorize(CREDENTIALS);
  assert.deepEqual({ ...answer, access_token: "" }, { access_token: "", token_type: "Bearer", expires_in: 600 });
  const claims = await authenticator.verify(`Bearer ${answer.access_token}`);
  assert.deepEqual(claims, { sub: "tester", exp: NOW_S + 600 });
});

const HEADERS = [undefined, "", "Bearer", "Bearer ", "Basic abc", "Bearer a b"];
for (const header of HEADERS) {
  test(`no bearer token: ${JSON.stringify(header)}`, async () => {
    const authenticator = await setup().made;
    await refused("unauthorized", /bearer token/, () => authenticator.verify(header));
  });
}

test("the scheme's name is read in any case", async () => {
  const { made } = setup();
  const text = await token(made);
  assert.equal((await (await made).verify(`bEARER  ${text}`)).sub, "tester");
});

const BODIES = [
  undefined,
  null,
  7,
  "x",
  [],
  {},
  { client_id: "a" },
  { client_id: 1, client_secret: "b" },
  { client_id: "x".repeat(257), client_secret: "" },
];
for (const body of BODIES) {
  test(`authorize refuses ${JSON.stringify(body)?.slice(0, 40)}`, async () => {
    const authenticator = await setup().made;
    await refused("badRequest", /client_id/, () => authenticator.authorize(body));
  });
}

test("development: foreign, altered and unsigned tokens are refused", async () => {
  const { made } = setup();
  const own = await token(made);
  const foreign = await token(setup({}, randomBytes(32)).made);
  const unsigned = new UnsecuredJWT({ sub: "tester", exp: NOW_S + 60 }).encode();
  const [head, , signature] = own.split(".");
  const altered = [
    head,
    Buffer.from(JSON.stringify({ sub: "root", exp: NOW_S + 60 })).toString("base64url"),
    signature,
  ].join(".");
  const authenticator = await made;
  for (const bad of [foreign, unsigned, altered, "abc", `${own}x`, "x".repeat(9_000)]) {
    await refused("forbidden", /^Invalid token: Token could not be decoded$/, () =>
      authenticator.verify(`Bearer ${bad}`),
    );
  }
});

test("a token needs a text as sub and an exp", async () => {
  const authenticator = await setup().made;
  for (const claims of [{ sub: "a" }, { exp: NOW_S + 60 }]) {
    const text = await new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(KEY);
    await refused("forbidden", /^Invalid token: Claim (exp|sub) does not hold$/, () =>
      authenticator.verify(`Bearer ${text}`),
    );
  }
});

test("an expired token is refused, from the cache too", async () => {
  const { made, clock } = setup({ token_lifetime_secs: 10 });
  const header = `Bearer ${await token(made)}`;
  const authenticator = await made;
  await authenticator.verify(header);
  assert(!(authenticator.verify(header) instanceof Promise), "known tokens are answered at once");
  clock.nowMs += 10_000;
  await refused("forbidden", /^Invalid token: Token has expired$/, () => authenticator.verify(header));
});

test("the cache is bounded, and long tokens are cached too", async () => {
  const { made } = setup({}, KEY, 1);
  const authenticator = await made;
  const issue = async (client_id: string) =>
    `Bearer ${(await authenticator.authorize({ client_id, client_secret: "" })).access_token}`;
  const [first, second] = [await issue("a"), await issue("b")];
  const long = await new SignJWT({ sub: "c", exp: NOW_S + 60, pad: "x".repeat(900) })
    .setProtectedHeader({ alg: "HS256" })
    .sign(KEY);
  for (const header of [first, second, `Bearer ${long}`]) {
    assert(authenticator.verify(header) instanceof Promise);
    await authenticator.verify(header);
    assert(!(authenticator.verify(header) instanceof Promise));
  }
  assert(authenticator.verify(first) instanceof Promise, "the oldest was let go");
});

test("a cache of none verifies each time", async () => {
  const { made } = setup({}, KEY, 0);
  const header = `Bearer ${await token(made)}`;
  const authenticator = await made;
  await authenticator.verify(header);
  assert(authenticator.verify(header) instanceof Promise);
});

test("whatever a header holds, only 401 and 403 come of it", async () => {
  const authenticator = await setup().made;
  const part = fc.oneof(
    fc.base64String(),
    fc.string(),
    fc.json().map((text) => Buffer.from(text).toString("base64url")),
  );
  const header = fc.oneof(
    fc.string(),
    fc.array(part, { maxLength: 4 }).map((parts) => `Bearer ${parts.join(".")}`),
  );
  await fc.assert(
    fc.asyncProperty(header, async (text) => {
      const error = await Promise.resolve()
        .then(() => authenticator.verify(text))
        .catch((reason: unknown) => reason);
      assert(error instanceof Fault && ["unauthorized", "forbidden"].includes(error.kind), String(error));
    }),
  );
});

// ---- jwt ---------------------------------------------------------------------------------------------------------------

function pem(key: KeyObject): string {
  const folder = scratchFolder("security");
  writeFileSync(join(folder, "key.pem"), key.export({ type: "spki", format: "pem" }));
  return join(folder, "key.pem");
}

type SignKey = KeyObject | Uint8Array;
const sign = (alg: string, key: SignKey, claims: object = {}, kid?: string) =>
  new SignJWT({ sub: "u", exp: NOW_S + 60, ...claims })
    .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
    .sign(key);

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const PAIRS = [
  { alg: "RS256", pair: rsa },
  { alg: "PS256", pair: rsa },
  { alg: "ES256", pair: ec },
];

for (const { alg, pair } of PAIRS) {
  test(`jwt: ${alg} by a PEM file`, async () => {
    const authenticator = await setup({ mode: "jwt", public_key: pem(pair.publicKey) }).made;
    assert.equal((await authenticator.verify(`Bearer ${await sign(alg, pair.privateKey)}`)).sub, "u");
    const other =
      alg === "ES256"
        ? generateKeyPairSync("ec", { namedCurve: "P-256" })
        : generateKeyPairSync("rsa", { modulusLength: 2048 });
    const foreign = await sign(alg, other.privateKey);
    await refused("forbidden", /could not be decoded/, () => authenticator.verify(`Bearer ${foreign}`));
  });
}

test("jwt: HS256 by a shared secret; a public key is never taken for one", async () => {
  const shared = await setup({ mode: "jwt", secret: SECRET }).made;
  const secret = new TextEncoder().encode(SECRET);
  assert.equal((await shared.verify(`Bearer ${await sign("HS256", secret)}`)).sub, "u");
  const byPem = await setup({ mode: "jwt", public_key: pem(rsa.publicKey) }).made;
  const confused = await sign(
    "HS256",
    new TextEncoder().encode(rsa.publicKey.export({ type: "spki", format: "pem" }) as string),
  );
  await refused("forbidden", /could not be decoded/, () => byPem.verify(`Bearer ${confused}`));
});

test("jwt: algorithms outside the list are refused", async () => {
  const authenticator = await setup({ mode: "jwt", secret: `${SECRET}${SECRET}` }).made;
  const text = await sign("HS512", new TextEncoder().encode(`${SECRET}${SECRET}`));
  await refused("forbidden", /could not be decoded/, () => authenticator.verify(`Bearer ${text}`));
});

const CLAIMS: { name: string; claims: object; refused?: RegExp }[] = [
  { name: "right", claims: { iss: "i", aud: "a" } },
  { name: "one of several audiences", claims: { iss: "i", aud: ["z", "b"] } },
  { name: "within tolerance", claims: { iss: "i", aud: "a", exp: NOW_S - 4, nbf: NOW_S + 4 } },
  { name: "wrong issuer", claims: { iss: "x", aud: "a" }, refused: /Claim iss/ },
  { name: "no issuer", claims: { aud: "a" }, refused: /Claim iss/ },
  { name: "wrong audience", claims: { iss: "i", aud: "x" }, refused: /Claim aud/ },
  { name: "not yet", claims: { iss: "i", aud: "a", nbf: NOW_S + 6 }, refused: /Claim nbf/ },
  { name: "no longer", claims: { iss: "i", aud: "a", exp: NOW_S - 6 }, refused: /expired/ },
];
for (const { name, claims, refused: reason } of CLAIMS) {
  test(`jwt claims: ${name}`, async () => {
    const { made } = setup({ mode: "jwt", secret: SECRET, issuer: "i", audience: ["a", "b"], clock_tolerance_secs: 5 });
    const authenticator = await made;
    const header = `Bearer ${await sign("HS256", new TextEncoder().encode(SECRET), claims)}`;
    if (reason === undefined) assert.equal((await authenticator.verify(header)).sub, "u");
    else await refused("forbidden", reason, () => authenticator.verify(header));
  });
}

test("jwt: authorize says who issues tokens", async () => {
  const authenticator = await setup({ mode: "jwt", secret: SECRET, issuer: "https://idp.example" }).made;
  await refused("forbidden", /https:\/\/idp\.example/, () => authenticator.authorize(CREDENTIALS));
});

test("jwt: a key file without key ends the start", async () => {
  await refused(
    "invalidConfig",
    /security\.public_key: \/nowhere/,
    () => setup({ mode: "jwt", public_key: "/nowhere" }).made,
  );
});

async function identityProvider(t: TestContext, keys: object[]): Promise<{ url: string; asked: () => number }> {
  let asked = 0;
  const server = createServer((_, response) => {
    asked++;
    response.setHeader("content-type", "application/json").end(JSON.stringify({ keys }));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  cleanup(t, () => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`, asked: () => asked };
}

test("jwt: the key set is asked again for an unknown key id", async (t) => {
  const keys = [{ ...(await exportJWK(ec.publicKey)), kid: "1", alg: "ES256" }];
  const { url, asked } = await identityProvider(t, keys);
  const authenticator = await setup({ mode: "jwt", jwks_url: url, jwks_cooldown_ms: 0 }).made;
  assert.equal(asked(), 0, "nobody is asked before the first token");
  assert.equal((await authenticator.verify(`Bearer ${await sign("ES256", ec.privateKey, {}, "1")}`)).sub, "u");
  keys.push({ ...(await exportJWK(rsa.publicKey)), kid: "2", alg: "RS256" });
  assert.equal((await authenticator.verify(`Bearer ${await sign("RS256", rsa.privateKey, {}, "2")}`)).sub, "u");
  assert.equal(asked(), 2);
  const unknown = await sign("RS256", rsa.privateKey, {}, "3");
  await refused("forbidden", /could not be decoded/, () => authenticator.verify(`Bearer ${unknown}`));
});

test("jwt: without the identity provider the caller may come again", async () => {
  const authenticator = await setup({ mode: "jwt", jwks_url: "http://127.0.0.1:9/jwks" }).made;
  const text = await sign("ES256", ec.privateKey, {}, "1");
  await refused("notReady", /identity provider/, () => authenticator.verify(`Bearer ${text}`));
});

// ---- plugin ------------------------------------------------------------------------------------------------------------

const PLUGIN = `export default () => ({
  asked: 0,
  authorize: (body) => body?.client_id === "me" ? { access_token: "t", token_type: "Bearer", expires_in: 5 } : "nobody I know",
  claims(token) {
    if (token === "boom") throw new Error("inside");
    if (token !== "t" && token !== "forever") return "a token I never gave";
    return { sub: "me", asked: ++this.asked, ...(token === "t" ? { exp: ${NOW_S + 5} } : {}) };
  },
  validateService: (claims, service, ecu) => service.sid === 0x22 ? undefined : "Access denied: " + service.name + " on " + ecu,
  validateUpdate: async (claims, update) => claims.sub === "me" ? undefined : "not you: " + update.id,
});`;

function plugin(text: string): string {
  const folder = scratchFolder("plugin");
  writeFileSync(join(folder, "plugin.mjs"), text);
  return join(folder, "plugin.mjs");
}

const service = (sid: number) => ({ name: "S", sid, prefix: "", functionalClasses: [] });
const TARGET = { addressing: "physical", ecus: ["e"] } as const;

test("plugin: it decides about tokens, services and updates", async () => {
  const authenticator = await setup({ mode: "plugin", plugin: plugin(PLUGIN) }).made;
  assert.equal((await authenticator.authorize({ client_id: "me" })).access_token, "t");
  await refused("forbidden", /^nobody I know$/, () => authenticator.authorize({}));
  await refused("forbidden", /^a token I never gave$/, () => authenticator.verify("Bearer x"));
  await refused("internal", /plugin failed/, () => authenticator.verify("Bearer boom"));
  const claims = await authenticator.verify("Bearer t");
  assert.deepEqual(authenticator.verify("Bearer t"), claims, "remembered until exp");
  await authenticator.validateService?.(claims, service(0x22), "e", TARGET);
  await refused("forbidden", /^Access denied: S on e$/, () =>
    authenticator.validateService?.(claims, service(0x2e), "e", TARGET),
  );
  const update = { kind: "software", id: "p", targets: [] } as const;
  await authenticator.validateUpdate?.(claims, update);
  await refused("forbidden", /^not you: p$/, () => authenticator.validateUpdate?.({ sub: "other" }, update));
});

test("plugin: claims without exp are asked for each time", async () => {
  const authenticator = await setup({ mode: "plugin", plugin: plugin(PLUGIN) }).made;
  const asked = async () => ((await authenticator.verify("Bearer forever")) as Claims).asked;
  assert.deepEqual([await asked(), await asked()], [1, 2]);
});

const NO_PLUGINS = [
  { name: "no module", text: undefined, reason: /does not load/ },
  { name: "throws", text: "throw new Error('at start')", reason: /at start/ },
  { name: "no factory", text: "export default {}", reason: /no function as default export/ },
  { name: "half a plugin", text: "export default () => ({ claims() {} })", reason: /authorize and claims/ },
];
for (const { name, text, reason } of NO_PLUGINS) {
  test(`plugin: ${name} ends the start`, async () => {
    const path = text === undefined ? "/nowhere.mjs" : plugin(text);
    await refused("invalidConfig", reason, () => setup({ mode: "plugin", plugin: path }).made);
  });
}

// ---- reload ------------------------------------------------------------------------------------------------------------

const signed = (secret: string) =>
  new SignJWT({ sub: "me", exp: NOW_S + 60 })
    .setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(secret));

test("reload: another key counts from then on, for tokens that were remembered too", async () => {
  const jwt = { mode: "jwt", secret: SECRET, algorithms: ["HS256"] } as const;
  const authenticator = await setup(jwt).made;
  const old = `Bearer ${await signed(SECRET)}`;
  const fresh = `Bearer ${await signed(`${SECRET}, another`)}`;
  await authenticator.verify(old);
  const commit = await authenticator.reload({ ...defaultConfig().security, ...jwt, secret: `${SECRET}, another` });
  assert.equal((await authenticator.verify(old)).sub, "me", "not before it is said");
  commit();
  await refused("forbidden", /./, () => authenticator.verify(old));
  assert.equal((await authenticator.verify(fresh)).sub, "me");
});

test("reload: a key file is read anew under the same name; one that is none changes nothing", async () => {
  const folder = scratchFolder("keys");
  const path = join(folder, "issuer.pem");
  const pairs = [0, 1].map(() => generateKeyPairSync("ec", { namedCurve: "P-256" }));
  const tokenOf = (at: number) =>
    new SignJWT({ sub: String(at), exp: NOW_S + 60 }).setProtectedHeader({ alg: "ES256" }).sign(pairs[at]!.privateKey);
  const put = (at: number) => writeFileSync(path, pairs[at]!.publicKey.export({ type: "spki", format: "pem" }));
  put(0);
  const jwt = { mode: "jwt", public_key: path, algorithms: ["ES256"] } as const;
  const authenticator = await setup(jwt).made;
  const [first, second] = [`Bearer ${await tokenOf(0)}`, `Bearer ${await tokenOf(1)}`];
  const security = { ...defaultConfig().security, ...jwt };
  writeFileSync(path, "no key");
  await refused("invalidConfig", /issuer\.pem/, () => authenticator.reload(security));
  assert.equal((await authenticator.verify(first)).sub, "0");
  put(1);
  (await authenticator.reload(security))();
  assert.equal((await authenticator.verify(second)).sub, "1");
  await refused("forbidden", /./, () => authenticator.verify(first));
});

test("reload: a development token lives as long as is now said; ours stay good", async () => {
  const { made } = setup({ token_lifetime_secs: 600 });
  const authenticator = await made;
  const before = await token(made);
  (await authenticator.reload({ ...defaultConfig().security, token_lifetime_secs: 5 }))();
  assert.equal((await authenticator.authorize(CREDENTIALS)).expires_in, 5);
  assert.equal((await authenticator.verify(`Bearer ${before}`)).sub, "tester");
});

test("reload: a plugin is loaded once, and its claims are remembered", async () => {
  const config = { mode: "plugin", plugin: plugin(PLUGIN) } as const;
  const authenticator = await setup(config).made;
  const claims = await authenticator.verify("Bearer t");
  (await authenticator.reload({ ...defaultConfig().security, ...config, max_token_bytes: 1_000 }))();
  assert.deepEqual(authenticator.verify("Bearer t"), claims);
});
