import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { diagnose, doctor } from "#cli/doctor.ts";
import { defaultConfig } from "#config/load.ts";
import type { Config } from "#config/types.ts";
import { cleanup, scratchFolder } from "../../fixtures/cleanup.ts";

/** A configuration that is right on any machine, in a folder of its own. */
function healthy(path: string, more: Partial<Config> = {}): Config {
  const config = defaultConfig();
  mkdirSync(join(path, "mdd"), { recursive: true });
  writeFileSync(join(path, "mdd", "A.MDD"), "");
  return {
    ...config,
    server: { address: "127.0.0.1", port: 0 },
    flash_files_path: path,
    database: { ...config.database, path: join(path, "mdd") },
    runtime_update_config: { ...config.runtime_update_config, storage_dir: path },
    doip: { ...config.doip, tester_address: "127.0.0.2" },
    discovery: { ...config.discovery, targets: ["127.0.0.1"] },
    ...more,
  };
}

async function verdict(config: Config, check: string): Promise<string> {
  const found = (await diagnose(config)).find((finding) => finding.check === check);
  return `${found?.verdict}: ${found?.message}`;
}

test("a machine that is right: nothing fails, nothing is left behind", async () => {
  const path = scratchFolder("doctor");
  const lines: string[] = [];
  assert.equal(await doctor(healthy(path), (line) => lines.push(line)), 0, lines.join("\n"));
  assert(lines.includes(`ok    databases: 1 MDD file in ${join(path, "mdd")}`), lines.join("\n"));
  assert(lines.some((line) => line.startsWith("warn  risks: security.mode is development")));
  assert.deepEqual(readdirSync(path), ["mdd"]);
});

test("a port that is taken", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanup(t, () => server.close());
  const { port } = server.address() as AddressInfo;
  const config = healthy(scratchFolder("doctor"), { server: { address: "127.0.0.1", port } });
  assert.match(await verdict(config, "HTTP address"), /^fail: .*EADDRINUSE/);
  assert.equal(await doctor(config, () => {}), 1);
});

test("an address of another machine", async () => {
  const path = scratchFolder("doctor");
  const { doip } = defaultConfig();
  const config = healthy(path, { doip: { ...doip, tester_address: "192.0.2.1" } });
  assert.match(await verdict(config, "tester address"), /^fail: .*EADDRNOTAVAIL/);
});

test("another listener on the DoIP port is a warning", async (t) => {
  const socket = createSocket("udp4").bind(0, "127.0.0.2");
  await once(socket, "listening");
  cleanup(t, () => socket.close());
  const { doip } = defaultConfig();
  const config = healthy(scratchFolder("doctor"), {
    doip: { ...doip, tester_address: "127.0.0.2", gateway_port: socket.address().port },
  });
  assert.match(await verdict(config, "DoIP port"), /^warn: another program/);
});

test("without DoIP its checks are left out", async () => {
  const { doip } = defaultConfig();
  const findings = await diagnose(healthy(scratchFolder("doctor"), { doip: { ...doip, enabled: false } }));
  assert.deepEqual(
    findings.filter(({ check }) => ["tester address", "DoIP port", "discovery"].includes(check)),
    [],
  );
});

test("no databases: a warning, or a failure when one is required", async () => {
  const path = scratchFolder("doctor");
  const { database } = defaultConfig();
  const empty = { ...database, path };
  assert.match(await verdict(healthy(path, { database: empty }), "databases"), /^warn: no MDD file/);
  assert.match(
    await verdict(healthy(path, { database: { ...empty, exit_no_database_loaded: true } }), "databases"),
    /^fail: no MDD file/,
  );
  assert.match(
    await verdict(healthy(path, { database: { ...empty, path: join(path, "none") } }), "databases"),
    /^fail: ENOENT/,
  );
});

test("a store in use names its process", async () => {
  const path = scratchFolder("doctor");
  const store = join(path, ".sovd-edge");
  mkdirSync(store);
  const config = healthy(path);
  assert.match(await verdict(config, "store"), /^ok: .* is writable and used by no other process$/);
  writeFileSync(join(store, "owner-1-0.lock"), "1\n");
  assert.match(await verdict(config, "store"), /^fail: .*in use by process 1$/);
});

test("files that the configuration names must be there", async () => {
  const path = scratchFolder("doctor");
  const { http } = defaultConfig();
  writeFileSync(join(path, "c.pem"), "");
  const config = healthy(path, {
    http: { ...http, tls_certificate: join(path, "c.pem"), tls_key: join(path, "k.pem") },
  });
  assert.equal(await verdict(config, "files"), `fail: not readable: ${join(path, "k.pem")}`);
});

test("a log folder that cannot be", async () => {
  const path = scratchFolder("doctor");
  const { logging } = defaultConfig();
  const log_file_config = { ...logging.log_file_config, enabled: true, path: "/dev/null/logs" };
  assert.match(await verdict(healthy(path, { logging: { ...logging, log_file_config } }), "log file"), /^fail: /);
});
