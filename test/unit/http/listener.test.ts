/** A new certificate on a port in use: what is under way ends as it began, new connections get the new one. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { systemClock } from "#core/time.ts";
import { Listener } from "#http/listener.ts";
import { startHttpServer } from "#http/server.ts";
import type { HttpServer } from "#http/server-options.ts";
import type { TemplatedApp, UwsModule, us_listen_socket } from "#http/uws.ts";
import { selfSignedCertificate } from "#sim/certificate.ts";
import { SOVD_DEFAULTS } from "#sovd/context.ts";
import { sovdRoutes } from "#sovd/routes.ts";
import { cleanup, scratchFolder } from "../../fixtures/cleanup.ts";
import { freePort } from "../../fixtures/free-port.ts";
import { reply, V, vehicle } from "../sovd/harness.ts";

async function serve(t: TestContext, port: number) {
  const folder = scratchFolder("listener");
  const files = (name: string) => {
    const { cert, key } = selfSignedCertificate(name);
    const [cert_file_name, key_file_name] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
    writeFileSync(cert_file_name, cert);
    writeFileSync(key_file_name, key);
    return { cert_file_name, key_file_name };
  };
  const car = vehicle();
  const server = await startHttpServer({
    address: "127.0.0.1",
    port,
    routes: sovdRoutes(SOVD_DEFAULTS),
    context: car.context,
    clock: systemClock,
    tls: files("first"),
    closeTimeoutMs: 200,
  });
  cleanup(t, () => server.close());
  return { car, server, files };
}

interface Seen {
  readonly status: number | undefined;
  readonly certificate: unknown;
  readonly connection: string | undefined;
}

function get(server: HttpServer, agent: Agent): Promise<Seen> {
  const path = `${V}/components/flxc1000/data/vin`;
  const options = { host: "127.0.0.1", port: server.port, path, agent, rejectUnauthorized: false };
  return new Promise((resolve, reject) => {
    const headers = { authorization: "Bearer me" };
    const sent = request({ ...options, headers }, (answer) => {
      const certificate = (answer.socket as TLSSocket).getPeerCertificate().subject?.CN;
      const seen = { status: answer.statusCode, certificate, connection: answer.headers.connection };
      answer.resume().on("end", () => resolve(seen));
    });
    sent.on("error", reject).end();
  });
}

function agents(t: TestContext): () => Agent {
  return () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    cleanup(t, () => agent.destroy());
    return agent;
  };
}

test("a request under way ends on its connection; the next one sees the new certificate", async (t) => {
  const { car, server, files } = await serve(t, await freePort());
  const agent = agents(t);
  let open = (): void => undefined;
  let reach = (): void => undefined;
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  car.fleet.call = async () => {
    reach();
    await gate;
    return reply({ late: true });
  };
  const [busy, { port }] = [agent(), server];
  const waiting = get(server, busy);
  await reached;
  await server.prepareTls(files("second"))();
  assert.equal(server.port, port);
  open();
  assert.deepEqual(await waiting, { status: 200, certificate: "first", connection: "close" });
  const next = await get(server, busy);
  assert.deepEqual([next.status, next.certificate], [200, "second"]);
  await server.prepareTls(files("third"))();
  assert.equal((await get(server, agent())).certificate, "third");
});

test("what cannot be used is named before anything changes", async (t) => {
  const { server, files } = await serve(t, await freePort());
  const agent = agents(t);
  const wrong = { ...files("second"), key_file_name: files("third").key_file_name };
  assert.throws(() => server.prepareTls(wrong), /Certificate and key cannot be used: .*second\.pem.*third\.key/);
  assert.throws(() => server.prepareTls({ cert_file_name: "/nowhere", key_file_name: "/nowhere" }), /cannot be used/);
  assert.equal((await get(server, agent())).certificate, "first");
});

test("on a port that the system chose the old certificate stays", async (t) => {
  const { server, files } = await serve(t, 0);
  assert.throws(() => server.prepareTls(files("second")), /port of its own/);
  assert.equal((await get(server, agents(t)())).certificate, "first");
});

/** A stand-in for uWebSockets.js whose listening sockets may not be touched once they are closed. `opens`: whether each one opens. */
function sockets(opens: readonly boolean[]) {
  const open = new Set<us_listen_socket>();
  let asked = 0;
  const app = () => ({
    listen: (_host: string, _port: number, _options: number, cb: (socket: us_listen_socket | false) => void) => {
      const socket = { number: asked } as unknown as us_listen_socket;
      if (opens[asked++] !== true) return cb(false);
      open.add(socket);
      cb(socket);
    },
    close: () => undefined,
  });
  const use = (socket: us_listen_socket): number => (open.has(socket) ? 443 : assert.fail("a closed socket is used"));
  const uws = {
    App: app,
    SSLApp: app,
    us_socket_local_port: use,
    us_listen_socket_close: (socket: us_listen_socket) => {
      use(socket);
      open.delete(socket);
    },
  };
  const wire = (_app: TemplatedApp) => undefined;
  return { open, listener: new Listener({ uws: uws as unknown as UwsModule, address: "::", port: 443, wire }, {}) };
}

const LOSSES: [name: string, opens: readonly boolean[], left: number][] = [
  ["falls back to the old certificate", [true, false, true], 1],
  ["leaves nothing behind when that fails too", [true, false, false], 0],
];
for (const [name, opens, left] of LOSSES) {
  test(`a port that is lost while the certificate changes ${name}`, async () => {
    const { listener, open } = sockets(opens);
    await listener.open();
    await assert.rejects(listener.prepare({})(), /could not be taken over/);
    assert.equal(open.size, left);
    listener.stop();
    listener.close();
    assert.deepEqual([open.size, listener.port], [0, 443]);
  });
}

test("who has stopped does not listen again for a new certificate", async () => {
  const { listener, open } = sockets([true, true]);
  await listener.open();
  const commit = listener.prepare({});
  listener.stop();
  await commit();
  assert.equal(open.size, 0);
});
