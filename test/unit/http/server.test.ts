/** The front end over real sockets: limits, slow and vanishing clients, HEAD, shutting down. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { Agent, request, type Dispatcher as UndiciDispatcher } from "undici";
import { systemClock } from "#core/time.ts";
import { withDocumentation } from "#http/openapi.ts";
import { startHttpServer } from "#http/server.ts";
import type { HttpServerOptions, RequestRecord } from "#http/server-options.ts";
import { SOVD_DEFAULTS } from "#sovd/context.ts";
import { sovdRoutes } from "#sovd/routes.ts";
import { cleanup, scratchFolder } from "../../fixtures/cleanup.ts";
import { ManualClock, reply, V, type Vehicle, vehicle } from "../sovd/harness.ts";

const AUTH = { authorization: "Bearer me" };
const E = `${V}/components/flxc1000`;

interface Running {
  readonly car: Vehicle;
  readonly url: string;
  readonly port: number;
  readonly records: RequestRecord[];
  readonly server: Awaited<ReturnType<typeof startHttpServer>>;
}

async function serve(t: TestContext, options: Partial<HttpServerOptions> = {}): Promise<Running> {
  const car = vehicle();
  const records: RequestRecord[] = [];
  const server = await startHttpServer({
    address: "127.0.0.1",
    port: 0,
    routes: withDocumentation(sovdRoutes(SOVD_DEFAULTS), SOVD_DEFAULTS),
    context: car.context,
    clock: systemClock,
    closeTimeoutMs: 200,
    observe: (record) => records.push(record),
    ...options,
  });
  cleanup(t, () => server.close());
  return { car, server, records, port: server.port, url: `http://127.0.0.1:${server.port}` };
}

/** A fleet call that ends when the test says so. */
function gate(car: Vehicle): { open(): void; readonly reached: Promise<AbortSignal> } {
  let open = (): void => undefined;
  let reach: (signal: AbortSignal) => void;
  const reached = new Promise<AbortSignal>((resolve) => {
    reach = resolve;
  });
  const wait = new Promise<void>((resolve) => {
    open = resolve;
  });
  car.fleet.call = async (_entity: string, _call: string, _args: unknown, options?: { signal?: AbortSignal }) => {
    reach(options!.signal!);
    await wait;
    return reply({ late: true });
  };
  return { open, reached };
}

const bodyOf = async (answer: UndiciDispatcher.ResponseData) => JSON.parse(await answer.body.text());

/** Everything the server says on a raw connection until it closes. */
async function raw(port: number, ...chunks: string[]): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let text = "";
  socket.on("data", (data) => {
    text += data;
  });
  socket.on("error", () => undefined);
  for (const chunk of chunks) socket.write(chunk);
  await once(socket, "close");
  return text;
}

test("a worker's bytes go out as they are, with type and length", async (t) => {
  const { car, url } = await serve(t);
  car.fleet.script = () => reply({ id: "vin", data: { VIN: "W" } });
  const answer = await request(`${url}${E}/data/VIN`, { headers: AUTH });
  assert.equal(answer.statusCode, 200);
  assert.equal(answer.headers["content-type"], "application/json");
  assert.equal(answer.headers["content-length"], "31");
  assert.deepEqual(await bodyOf(answer), { id: "vin", data: { VIN: "W" } });
});

test("HEAD has the headers of GET and no body, and the connection lives on", async (t) => {
  const { port } = await serve(t);
  const socket = connect(port, "127.0.0.1");
  cleanup(t, () => socket.destroy());
  for (let i = 0; i < 2; i++) {
    socket.write("HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n");
    const [answer] = await once(socket, "data");
    assert.match(String(answer), /^HTTP\/1\.1 200 OK[\s\S]*Content-Length: [1-9]\d+\r\n[\s\S]*\r\n\r\n$/);
  }
});

test("links take the host of the request, forwarded ones first", async (t) => {
  const { url, port } = await serve(t);
  const href = async (headers: Record<string, string>) =>
    (await bodyOf(await request(`${url}${V}/components`, { headers }))).items[0].href;
  assert.equal(await href({}), `http://127.0.0.1:${port}${E}`);
  assert.equal(await href({ "x-forwarded-host": "a" }), `http://a${E}`);
  assert.equal(await href({ forwarded: 'for=1;host="b:1", host=c', "x-forwarded-host": "a" }), `http://b:1${E}`);
});

test("forwarded hosts are not believed when that is switched off", async (t) => {
  const { url, port } = await serve(t, { trustForwarded: false });
  const answer = await request(`${url}${V}/components`, { headers: { "x-forwarded-host": "evil" } });
  assert.equal((await bodyOf(answer)).items[0].href, `http://127.0.0.1:${port}${E}`);
});

test("an encoded separator stays data", async (t) => {
  const { car, url } = await serve(t);
  await request(`${url}${E}/data/a%2Fb%3Fc`, { headers: AUTH });
  assert.equal(car.fleet.calls[0]?.args.service, "a/b?c");
});

test("a body in pieces is put together; chunked ones too", async (t) => {
  const { car, port } = await serve(t);
  const body = JSON.stringify({ data: { text: "x".repeat(50_000) } });
  for (const chunked of [false, true]) {
    const headers = {
      ...AUTH,
      "content-type": "application/json",
      ...(chunked ? {} : { "content-length": body.length }),
    };
    const sent = httpRequest({ port, host: "127.0.0.1", method: "PUT", path: `${E}/data/vin`, headers });
    for (let i = 0; i < body.length; i += 7_000) sent.write(body.slice(i, i + 7_000));
    sent.end();
    const [answer] = await once(sent, "response");
    answer.resume();
    assert.equal(answer.statusCode, 200, `chunked ${chunked}`);
    const call = car.fleet.calls.at(-1)!;
    assert.deepEqual(call.args.body, { type: "json", parameters: { text: "x".repeat(50_000) } });
  }
});

test("a body over the limit is 413, announced or not", async (t) => {
  const { port } = await serve(t, { maxBodyBytes: 1_000 });
  const head = `PUT ${E}/data/vin HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer me\r\nContent-Type: application/json\r\n`;
  const announced = await raw(port, `${head}Content-Length: 5000\r\n\r\n`);
  assert.match(announced, /^HTTP\/1\.1 413 Payload Too Large/);
  assert.match(announced, /length limit exceeded/);
  const chunk = "a".repeat(800);
  const chunked = await raw(
    port,
    `${head}Transfer-Encoding: chunked\r\n\r\n`,
    `320\r\n${chunk}\r\n`,
    `320\r\n${chunk}\r\n`,
  );
  assert.match(chunked, /^HTTP\/1\.1 413 /);
});

test("a client that stops in its body gets 408 and the connection ends", async (t) => {
  const { port, server } = await serve(t, { requestTimeoutMs: 60 });
  const head = `PUT ${E}/data/vin HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer me\r\nContent-Type: application/json\r\n`;
  const text = await raw(port, `${head}Content-Length: 50\r\n\r\n{"data"`);
  assert.match(text, /^HTTP\/1\.1 408 Request Timeout/);
  assert.match(text, /"vendor_code":"request-timeout"/);
  assert.equal(server.inFlight, 0);
});

test("an ECU that takes too long is 408, its call is aborted, and its late answer goes nowhere", async (t) => {
  const clock = new ManualClock();
  const { car, url } = await serve(t, { requestTimeoutMs: 60, clock });
  const held = gate(car);
  cleanup(t, () => held.open());
  const asked = request(`${url}${E}/data/vin`, { headers: AUTH });
  const signal = await held.reached;
  clock.advance(60);
  const answer = await asked;
  assert.equal(answer.statusCode, 408);
  assert.equal((await bodyOf(answer)).message, "Request timed out");
  assert.equal(signal.aborted, true);
  held.open();
  assert.equal((await request(`${url}/health`)).statusCode, 200);
});

test("a client that goes away takes its call with it", async (t) => {
  const { car, port, server } = await serve(t);
  const held = gate(car);
  const socket = connect(port, "127.0.0.1");
  socket.write(`GET ${E}/data/vin HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer me\r\n\r\n`);
  const signal = await held.reached;
  assert.equal(server.inFlight, 1);
  const aborted = once(signal, "abort");
  socket.destroy();
  await aborted;
  assert.equal(server.inFlight, 0);
  held.open();
});

test("more requests at once than allowed get 503 with Retry-After", async (t) => {
  const { car, url } = await serve(t, { maxInFlight: 1 });
  const held = gate(car);
  const first = request(`${url}${E}/data/vin`, { headers: AUTH });
  await held.reached;
  const second = await request(`${url}/health`);
  assert.equal(second.statusCode, 503);
  assert.equal(second.headers["retry-after"], "1");
  assert.equal((await bodyOf(second)).vendor_code, "overloaded");
  held.open();
  assert.equal((await first).statusCode, 200);
});

test("closing lets answers finish, then nobody is there", async (t) => {
  const { car, url, server } = await serve(t, { closeTimeoutMs: 5_000 });
  const held = gate(car);
  const first = request(`${url}${E}/data/vin`, { headers: AUTH });
  await held.reached;
  const closed = server.close();
  held.open();
  const answer = await first;
  assert.deepEqual(await bodyOf(answer), { late: true });
  await closed;
  await assert.rejects(request(`${url}/health`), { code: "ECONNREFUSED" });
});

test("closing does not wait for ever", async (t) => {
  const { car, url, server } = await serve(t, { closeTimeoutMs: 20 });
  const held = gate(car);
  const first = request(`${url}${E}/data/vin`, { headers: AUTH });
  const lost = assert.rejects(first);
  await held.reached;
  await server.close();
  await lost;
});

test("a port that is taken is a clear fault", async (t) => {
  const { port, car } = await serve(t);
  const second = startHttpServer({ address: "127.0.0.1", port, routes: [], context: car.context, clock: systemClock });
  await assert.rejects(second, { kind: "misconfigured", message: /in use/ });
});

test("a token longer than 4 KiB passes, a head over the limit does not", async (t) => {
  const { url } = await serve(t);
  const long = await request(`${url}${V}/locks`, { headers: { authorization: `Bearer ${"x".repeat(8_000)}` } });
  assert.equal(long.statusCode, 200);
  const longer = await request(`${url}${V}/locks`, { headers: { authorization: `Bearer ${"x".repeat(40_000)}` } });
  assert.equal(longer.statusCode, 431);
});

test("connections beyond the limit are closed", async (t) => {
  const { port } = await serve(t, { maxConnections: 1 });
  const first = connect(port, "127.0.0.1");
  cleanup(t, () => first.destroy());
  first.write("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  await once(first, "data");
  assert.equal(await raw(port, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"), "");
});

test("TLS: links say https", async (t) => {
  const folder = scratchFolder("tls");
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
  try {
    await promisify(execFile)("openssl", [...args, "-subj", "/CN=localhost", "-keyout", key, "-out", cert]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return t.skip("openssl is not installed");
  }
  const { port } = await serve(t, { tls: { key_file_name: key, cert_file_name: cert } });
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });
  cleanup(t, () => dispatcher.close());
  const answer = await request(`https://127.0.0.1:${port}${V}/components`, { dispatcher });
  assert.equal((await bodyOf(answer)).items[0].href, `https://127.0.0.1:${port}${E}`);
});

test("browsers from other origins only as configured", async (t) => {
  const { url } = await serve(t, { corsOrigins: ["https://app"] });
  const ask = (origin: string, method: "OPTIONS" | "GET") =>
    request(`${url}/health`, { method, headers: { origin, "access-control-request-headers": "authorization" } });
  const asked = await ask("https://app", "OPTIONS");
  assert.equal(asked.statusCode, 204);
  assert.equal(asked.headers["access-control-allow-headers"], "authorization");
  assert.equal((await ask("https://app", "GET")).headers["access-control-allow-origin"], "https://app");
  const unknown = await request(`${url}/nope`, { headers: { origin: "https://app" } });
  assert.deepEqual([unknown.statusCode, unknown.headers["access-control-allow-origin"]], [404, "https://app"]);
  const foreign = await ask("https://evil", "OPTIONS");
  assert.equal(foreign.statusCode, 405);
  assert.equal(foreign.headers["access-control-allow-origin"], undefined);
});

test("an observer learns of every answer", async (t) => {
  const { url, records } = await serve(t);
  await request(`${url}${E}/data/VIN`, { headers: AUTH });
  await request(`${url}/nope`);
  const [read, unknown] = records;
  assert.equal(read?.route, "/components/{ecu}/data/{service}");
  assert.equal(read?.subject, "me");
  assert.equal(read?.status, 200);
  assert.deepEqual([unknown?.route, unknown?.status], [undefined, 404]);
});
