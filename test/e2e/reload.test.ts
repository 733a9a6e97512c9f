/** SIGHUP at the real program: certificate, token key and log level change, the rest is named, a broken file changes nothing. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";
import { SignJWT } from "jose";
import { stringify } from "smol-toml";
import type { Tree } from "#config/tree.ts";
import { selfSignedCertificate } from "#sim/certificate.ts";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";
import { freePort } from "../fixtures/free-port.ts";
import { bounded } from "./harness.ts";

const CLI = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const START_TIMEOUT_MS = 120_000;

type Line = Readonly<Record<string, unknown>>;

async function serve(t: TestContext, initial: Tree) {
  const folder = scratchFolder("reload");
  mkdirSync(join(folder, "databases"));
  const certify = (name: string) => {
    const { cert, key } = selfSignedCertificate(name);
    writeFileSync(join(folder, "cert.pem"), cert);
    writeFileSync(join(folder, "key.pem"), key);
  };
  certify("first");
  const port = await freePort();
  const write = (tree: Tree | string) =>
    writeFileSync(join(folder, "config.toml"), typeof tree === "string" ? tree : stringify(tree));
  const config = (more: Tree): Tree => ({
    server: { address: "127.0.0.1", port },
    doip: { tester_address: "127.0.0.2" },
    discovery: { targets: ["127.0.0.1"], max_tries: 0, wait_ms: 1 },
    communication: { init_mode: "plugin" },
    database: { path: join(folder, "databases"), exit_no_database_loaded: false },
    store: { path: join(folder, "store") },
    runtime_update_config: { storage_dir: folder },
    flash_files_path: folder,
    http: { tls_certificate: join(folder, "cert.pem"), tls_key: join(folder, "key.pem") },
    shards: { workers: 1 },
    ...more,
  });
  write(config(initial));
  const child = spawn(process.execPath, ["--import", "tsx", CLI, "serve", "-c", join(folder, "config.toml")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  cleanup(t, async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const waiting = new Set<(line: Line) => void>();
  createInterface({ input: child.stdout }).on("line", (text) => {
    const line = JSON.parse(text) as Line;
    for (const wake of waiting) wake(line);
  });
  /** The next line of the log with one of these messages, once `act` has begun. */
  const said = (messages: readonly string[], act: () => void) =>
    bounded<Line>(
      messages.join(" or "),
      (resolve) => {
        const wake = (line: Line) => {
          if (!messages.includes(String(line.msg))) return;
          waiting.delete(wake);
          resolve(line);
        };
        waiting.add(wake);
        act();
      },
      START_TIMEOUT_MS,
    );
  await said(["listening"], () => {});
  const hangUp = (message: string) => said([message], () => void child.kill("SIGHUP"));
  return { port, config, write, certify, hangUp, child, ended };
}

interface Seen {
  readonly status: number;
  readonly certificate: string;
  readonly connection: string | undefined;
}

function get(port: number, agent: Agent, token: string): Promise<Seen> {
  const options = { host: "127.0.0.1", port, path: "/vehicle/v15/updates", agent, rejectUnauthorized: false };
  return new Promise((resolve, reject) => {
    const sent = request({ ...options, headers: { authorization: `Bearer ${token}` } }, (answer) => {
      const certificate = String((answer.socket as TLSSocket).getPeerCertificate().subject?.CN);
      answer
        .resume()
        .on("end", () => resolve({ status: answer.statusCode!, certificate, connection: answer.headers.connection }));
    });
    sent.on("error", reject).end();
  });
}

const SECRETS = ["the first secret of thirty-two bytes", "the second secret of thirty-two byte"];
const token = (secret: string) =>
  new SignJWT({ sub: "me" })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(secret));

test("SIGHUP", async (t) => {
  const [first = "", second = ""] = SECRETS;
  const security = (secret: string) => ({ mode: "jwt", secret, algorithms: ["HS256"] });
  const server = await serve(t, { security: security(first), logging: { level: "info" } });
  const { port } = server;
  const [old, fresh] = [await token(first), await token(second)];
  const kept = new Agent({ keepAlive: true, maxSockets: 1 });
  const unpooled = () => new Agent({ keepAlive: false });
  cleanup(t, () => kept.destroy());

  await t.test("before: the first certificate and the first key", async () => {
    const seen = await get(port, kept, old);
    assert.deepEqual([seen.status, seen.certificate], [200, "first"]);
    assert.equal((await get(port, unpooled(), fresh)).status, 403);
  });

  await t.test("a broken file keeps everything, and is named with its line", async () => {
    server.certify("second");
    server.write("server = 1\n[[[");
    const line = await server.hangUp("configuration not taken over, the old one stays in force");
    assert.match(String(line.problem), /config\.toml:\d+/);
    assert.deepEqual((await get(port, unpooled(), old)).certificate, "first");
  });

  await t.test("certificate and key are the new ones; open connections end with their next answer", async () => {
    server.write(server.config({ security: security(second), logging: { level: "info" }, limits: { json_depth: 8 } }));
    const line = await server.hangUp("changed keys that need a restart");
    assert.deepEqual(line.keys, ["limits.json_depth"]);
    const still = await get(port, kept, fresh);
    assert.deepEqual([still.status, still.certificate, still.connection], [200, "first", "close"]);
    const seen = await get(port, kept, fresh);
    assert.deepEqual([seen.status, seen.certificate], [200, "second"]);
    assert.equal((await get(port, unpooled(), old)).status, 403);
  });

  await t.test("a certificate without its key keeps the old one", async () => {
    const { cert } = selfSignedCertificate("third");
    const odd = join(tmpdir(), `odd-${process.pid}.pem`);
    writeFileSync(odd, cert);
    cleanup(t, () => rmSync(odd));
    const http = { ...(server.config({}).http as Tree), tls_certificate: odd };
    server.write(server.config({ http, security: security(first) }));
    const line = await server.hangUp("configuration not taken over, the old one stays in force");
    assert.match(String(line.problem), /Certificate and key cannot be used/);
    const seen = await get(port, unpooled(), fresh);
    assert.deepEqual([seen.status, seen.certificate], [200, "second"]);
  });

  await t.test("it still ends as it should", async () => {
    server.child.kill("SIGTERM");
    assert.deepEqual(await server.ended, [0, null]);
  });
});
