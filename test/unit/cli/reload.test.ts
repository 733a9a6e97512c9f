/** A new configuration for a running server: what is taken over, what is named, and that a broken one changes nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { changedKeys, withKeys } from "#config/changes.ts";
import { defaultConfig } from "#config/load.ts";
import type { Config } from "#config/types.ts";
import { Fault } from "#core/errors.ts";
import { createLogger } from "#telemetry/logger.ts";
import { createReloader, type ReloadablePart } from "../../../src/reload.ts";

const BASE = defaultConfig();

function changed(change: { [K in keyof Config]?: Partial<Config[K]> }): Config {
  const config: Record<string, unknown> = { ...BASE };
  for (const [section, values] of Object.entries(change)) {
    config[section] = { ...(config[section] as object), ...(values as object) };
  }
  return config as unknown as Config;
}

const CHANGES: [change: Parameters<typeof changed>[0], keys: string[]][] = [
  [{}, []],
  [{ logging: { level: "debug" } }, ["logging.level"]],
  [{ update: { trusted_keys: ["a.pem"] } }, ["update.trusted_keys"]],
  [{ update: { trusted_keys: [] } }, []],
  [{ security: { secret: "x" }, server: { port: 1 } }, ["security.secret", "server.port"]],
  [{ doip: { tls: { ...BASE.doip.tls, ca: "ca.pem" } } }, ["doip.tls.ca"]],
  [{ ecu: { BODY: { protocol: "X" } } as unknown as Config["ecu"] }, ["ecu.BODY"]],
];
for (const [change, keys] of CHANGES) {
  test(`changed keys of ${JSON.stringify(change)}`, () => assert.deepEqual(changedKeys(BASE, changed(change)), keys));
}

test("keys are taken over one by one, and the rest stays", () => {
  const wanted = changed({ logging: { level: "trace" }, security: { secret: "s", issuer: "i" }, server: { port: 7 } });
  const taken = withKeys(BASE, wanted, ["logging.level", "security.secret"]);
  assert.deepEqual(changedKeys(BASE, taken), ["logging.level", "security.secret"]);
  assert.deepEqual(changedKeys(taken, wanted), ["security.issuer", "server.port"]);
  const cleared = withKeys(taken, BASE, ["security.secret"]);
  assert.equal(cleared.security.secret, undefined);
});

function setup(more: readonly ReloadablePart[] = []) {
  const events: string[] = [];
  const lines: Record<string, unknown>[] = [];
  const { logging } = BASE;
  const log = createLogger(
    { ...logging, dlt_tracing: { ...logging.dlt_tracing, enabled: false } },
    { stdout: { write: (line: string) => void lines.push(JSON.parse(line)) } },
  );
  const level: ReloadablePart = {
    keys: ["logging.level"],
    prepare: async ({ logging }) => {
      events.push("prepare level");
      return () => void events.push(`level ${logging.level}`);
    },
  };
  const reloader = createReloader({
    config: BASE,
    parts: [level, ...more],
    log,
    notifier: { reloading: () => void events.push("reloading"), reloaded: () => void events.push("reloaded") },
    onTaken: () => void events.push("taken"),
  });
  return { reloader, events, lines };
}

test("what can change does, what cannot is named each time until the restart", async () => {
  const { reloader, events, lines } = setup();
  const wanted = changed({ logging: { level: "debug" }, server: { port: 7 }, doip: { enabled: false } });
  assert.deepEqual(await reloader.reload(() => wanted), {
    applied: ["logging.level"],
    restart: ["doip.enabled", "server.port"],
  });
  assert.deepEqual(events, ["reloading", "prepare level", "level debug", "taken", "reloaded"]);
  assert.equal(reloader.config.logging.level, "debug");
  assert.equal(reloader.config.server.port, BASE.server.port);
  assert.deepEqual(lines.at(-1)?.keys, ["doip.enabled", "server.port"]);
  assert.deepEqual(await reloader.reload(() => wanted), { applied: [], restart: ["doip.enabled", "server.port"] });
});

test("values never stand in the log: a key may be a secret", async () => {
  const { reloader, lines } = setup();
  await reloader.reload(() => changed({ security: { secret: "of thirty-two bytes, and of nobody else" } }));
  assert.ok(JSON.stringify(lines).includes("security.secret"));
  assert.ok(!JSON.stringify(lines).includes("nobody else"));
});

const BROKEN: [name: string, read: () => Config, parts: readonly ReloadablePart[], problem: RegExp][] = [
  [
    "a file that cannot be read",
    () => {
      throw new Fault("invalidConfig", "sovd.toml:3:1: server.port: expected a number");
    },
    [],
    /server\.port/,
  ],
  [
    "a key file that is none",
    () => changed({ logging: { level: "debug" } }),
    [{ keys: [], prepare: async () => Promise.reject(new Fault("invalidConfig", "update.trusted_keys: k.pem")) }],
    /trusted_keys: k\.pem/,
  ],
];
for (const [name, read, parts, problem] of BROKEN) {
  test(`${name} keeps the old configuration, whole, and says why`, async () => {
    const { reloader, events, lines } = setup(parts);
    const outcome = await reloader.reload(read);
    assert.match(outcome.problem ?? "", problem);
    assert.deepEqual([outcome.applied, outcome.restart], [[], []]);
    assert.equal(reloader.config, BASE);
    assert.ok(!events.some((event) => event.startsWith("level") || event === "taken"));
    assert.equal(events.at(-1), "reloaded");
    const last = lines.at(-1);
    assert.deepEqual([last?.level, last?.scope], [50, "config"]);
    assert.match(String(last?.problem), problem);
  });
}

test("a part may leave a change to the restart", async () => {
  const part: ReloadablePart = {
    keys: ["http.tls_certificate"],
    accepts: ({ http }) => http.tls_certificate !== undefined,
    prepare: async () => () => {},
  };
  const { reloader } = setup([part]);
  const on = changed({ http: { tls_certificate: "a.pem" } });
  assert.deepEqual((await reloader.reload(() => on)).applied, ["http.tls_certificate"]);
  assert.deepEqual(await reloader.reload(() => BASE), { applied: [], restart: ["http.tls_certificate"] });
});

test("reloads that come together run one after the other", async () => {
  const { reloader, events } = setup();
  const one = reloader.reload(() => changed({ logging: { level: "debug" } }));
  const two = reloader.reload(() => changed({ logging: { level: "trace" } }));
  await Promise.all([one, two]);
  assert.deepEqual(
    events.filter((event) => /^level|reload/.test(event)),
    ["reloading", "level debug", "reloaded", "reloading", "level trace", "reloaded"],
  );
});
