/** Secondaries that were announced: who joins, who is never spoken to. The network is a port that the test speaks through. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { readConfig } from "#config/load.ts";
import { merge, type Tree } from "#config/tree.ts";
import { systemClock } from "#core/time.ts";
import {
  allowing,
  type OwnNode,
  type RawService,
  readService,
  txtOf,
} from "#update/software/discovery/announcement.ts";
import { createDiscovery } from "#update/software/discovery/create.ts";
import { type MdnsListener, type MdnsPort, type OpenMdns, openMdns } from "#update/software/discovery/mdns.ts";
import { AnnouncedNodes, type NodesOptions } from "#update/software/discovery/nodes.ts";
import type { TlsFiles } from "#update/software/providers/secondary-client.ts";
import { SovdSecondaryProvider } from "#update/software/providers/sovd-secondary.ts";
import { cleanup, scratchFolder } from "../../fixtures/cleanup.ts";
import { freePort } from "../../fixtures/free-port.ts";
import { hasMulticast } from "../../fixtures/multicast.ts";
import fc from "../../fixtures/properties.ts";

const CAMERA: RawService = {
  name: "camera",
  port: 20_002,
  txt: { path: "/api/v1", tls: "1", role: "secondary" },
  addresses: ["10.2.0.7"],
  sender: "10.2.0.7",
};
const ANY = allowing([]);

test("what a node says of itself is read again", () => {
  const own: OwnNode = { name: "camera", port: 1, tls: true, path: "/a", role: "secondary", components: ["a", "b"] };
  const txt = txtOf(own);
  assert.equal(txt.components, "a,b");
  assert.equal(txt.accessurl, "https://camera.local:1/a");
  const read = readService({ ...CAMERA, port: 1, txt }, ANY);
  assert.deepEqual(read, { name: "camera", address: "10.2.0.7", port: 1, tls: true, path: "/a", role: "secondary" });
});

test("component ids fill one text of 255 bytes, none is cut", () => {
  const components = Array.from({ length: 100 }, (_, i) => `component_${i}`);
  const { components: text = "" } = txtOf({ name: "n", port: 1, tls: false, path: "", role: "", components });
  assert.ok(`components=${text}`.length <= 255);
  assert.deepEqual(text.split(","), components.slice(0, text.split(",").length));
});

const GARBAGE: Readonly<Record<string, RawService>> = {
  "no name": { ...CAMERA, name: undefined },
  "a name with a dot": { ...CAMERA, name: "camera.example" },
  "a name that is too long": { ...CAMERA, name: "a".repeat(64) },
  "a name that is an authority": { ...CAMERA, name: "evil@host" },
  "no port": { ...CAMERA, port: 0 },
  "a port that is none": { ...CAMERA, port: 65_536 },
  "no role": { ...CAMERA, txt: { path: "/api/v1" } },
  "a path that climbs": { ...CAMERA, txt: { role: "secondary", path: "/a/../b" } },
  "a path with an authority": { ...CAMERA, txt: { role: "secondary", path: "@evil.example/" } },
  "a path that is too long": { ...CAMERA, txt: { role: "secondary", path: "/a".repeat(100) } },
  "no address": { ...CAMERA, addresses: [], sender: undefined },
  loopback: { ...CAMERA, addresses: ["127.0.0.1"], sender: undefined },
  "loopback of IPv6": { ...CAMERA, addresses: ["::1"], sender: undefined },
  multicast: { ...CAMERA, addresses: ["224.0.0.251"], sender: undefined },
  "a name as address": { ...CAMERA, addresses: ["evil.example"], sender: undefined },
};
for (const [what, service] of Object.entries(GARBAGE)) {
  test(`no node: ${what}`, () => assert.equal(readService(service, ANY), undefined));
}

test("nothing that the network says throws", () => {
  const record = fc.record({ name: fc.anything(), port: fc.anything(), txt: fc.anything(), addresses: fc.anything() });
  fc.assert(fc.property(record, (service) => readService(service, ANY) === undefined || service.name !== undefined));
});

test("subnets, of both families; of several addresses the one it speaks from", () => {
  const allows = allowing(["10.2.0.0/16", "fd00::/8"]);
  const verdicts = ["10.2.9.9", "10.3.0.1", "fd00::1", "fe80::1", "127.0.0.1"].map(allows);
  assert.deepEqual(verdicts, [true, false, true, false, false]);
  const addresses = ["192.168.0.1", "10.2.0.1", "10.2.0.2"];
  assert.equal(readService({ ...CAMERA, addresses, sender: "10.2.0.2" }, allows)?.address, "10.2.0.2");
  assert.equal(readService({ ...CAMERA, addresses, sender: "10.9.0.1" }, allows)?.address, "10.2.0.1");
  assert.equal(readService({ ...CAMERA, addresses: ["192.168.0.1"], sender: "192.168.0.1" }, allows), undefined);
});

interface Network extends MdnsPort {
  listener: MdnsListener | undefined;
  readonly announced: OwnNode[];
  closed: number;
}

function network(): Network {
  const made: Network = {
    listener: undefined,
    announced: [],
    closed: 0,
    announce: (node) => void made.announced.push(node),
    browse(listener) {
      made.listener = listener;
    },
    async close() {
      made.closed++;
    },
  };
  return made;
}

function nodes(options: Partial<NodesOptions> = {}) {
  const mdns = network();
  const events: string[] = [];
  const problems: unknown[] = [];
  let turn = (): void => undefined;
  const clock = {
    ...systemClock,
    setTimeout: (handler: () => void) => {
      turn = handler;
      return {} as NodeJS.Timeout;
    },
    clearTimeout: () => undefined,
  };
  const found = new AnnouncedNodes({
    mdns,
    clock,
    intervalMs: 1_000,
    ownName: "primary",
    fixed: [],
    nodes: [],
    subnets: [],
    mutualTls: true,
    maxNodes: 2,
    onJoin: (url) => events.push(`+${url}`),
    onLeave: (url) => events.push(`-${url}`),
    log: (_, { problem }) => problem !== undefined && problems.push(problem),
    ...options,
  });
  found.start();
  return { found, events, problems, ...listenerOf(mdns), turn: () => turn() };
}

const listenerOf = (mdns: Network) => ({
  up: (service: RawService) => mdns.listener?.up(service),
  down: (name: unknown) => mdns.listener?.down(name),
});

const URL_OF_CAMERA = "https://camera.local:20002/api/v1";

test("a node joins, is at another address, and goes", () => {
  const { found, events, up, down } = nodes();
  up(CAMERA);
  up(CAMERA);
  assert.deepEqual([found.urls, found.addressOf("camera.local")], [[URL_OF_CAMERA], "10.2.0.7"]);
  up({ ...CAMERA, addresses: ["10.2.0.8"], sender: "10.2.0.8" });
  assert.equal(found.addressOf("camera.local"), "10.2.0.8");
  down("Camera");
  down("camera");
  down({ not: "a name" });
  assert.deepEqual(found.urls, []);
  assert.equal(found.addressOf("camera.local"), undefined);
  assert.deepEqual(
    events,
    ["+", "-", "+", "-"].map((sign) => `${sign}${URL_OF_CAMERA}`),
  );
});

test("a node that misses more than three questions is gone; one that answers stays", () => {
  const { found, up, turn } = nodes();
  up(CAMERA);
  for (let i = 0; i < 3; i++) turn();
  assert.deepEqual(found.urls, [URL_OF_CAMERA]);
  up(CAMERA);
  turn();
  assert.deepEqual(found.urls, [URL_OF_CAMERA]);
  for (let i = 0; i < 3; i++) turn();
  assert.deepEqual(found.urls, []);
});

test("no more nodes than wanted, and a refusal is logged once", () => {
  const { found, up, down, problems } = nodes();
  for (let i = 0; i < 200; i++) up({ ...CAMERA, name: `n${i}` });
  assert.equal(found.urls.length, 2);
  assert.equal(problems.length, 64);
  down("n0");
  up({ ...CAMERA, name: "n150" });
  assert.ok(found.urls.some((url) => url.includes("n150.local")));
});

const plain = { ...CAMERA, txt: { path: "/api/v1", tls: "0", role: "secondary" } };
const REFUSED: Readonly<Record<string, [service: RawService, options: Partial<NodesOptions>]>> = {
  "without TLS": [plain, {}],
  "with TLS, and we have no certificate": [CAMERA, { mutualTls: false }],
  "with TLS, not in the list": [CAMERA, { nodes: ["radar"] }],
  "listed by name, without TLS": [plain, { nodes: ["camera"] }],
  "listed with another address": [plain, { nodes: ["camera@10.2.0.8"] }],
  "at the listed address under another name": [{ ...plain, name: "evil" }, { nodes: ["camera@10.2.0.7"] }],
  "at an address of the configuration": [CAMERA, { fixed: ["http://10.2.0.7:20002/api/v1"] }],
  "with a host of the configuration": [CAMERA, { fixed: ["https://camera.local:4/x"] }],
  "under our own name": [{ ...CAMERA, name: "primary" }, {}],
  "outside the subnets": [CAMERA, { subnets: ["10.3.0.0/16"] }],
  "of another role": [{ ...CAMERA, txt: { path: "", tls: "1", role: "primary" } }, {}],
};
for (const [what, [service, options]] of Object.entries(REFUSED)) {
  test(`not joined: ${what}`, () => {
    const { found, events, up } = nodes(options);
    up(service);
    assert.deepEqual([found.urls, events], [[], []]);
  });
}

test("listed with its address, a node needs no TLS, and is asked at the address", () => {
  const { found, up } = nodes({ nodes: ["Camera@10.2.0.7"], mutualTls: false });
  up(plain);
  assert.deepEqual(found.urls, ["http://10.2.0.7:20002/api/v1"]);
});

/** A server that has component `camera`; notes the tokens it sees. */
async function secondary(t: TestContext, tls?: { cert: string; key: string; ca: string }) {
  const tokens: (string | undefined)[] = [];
  let connections = 0;
  const listener: RequestListener = (request, response) => {
    tokens.push(request.headers.authorization);
    const facts = request.url?.endsWith("/x-medkit-update") === true;
    response.end(JSON.stringify(facts ? { role: "secondary" } : { items: [{ id: "camera" }] }));
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer({ ...tls, requestCert: true }, listener);
  server.on("connection", () => connections++);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanup(t, () => server.closeAllConnections());
  cleanup(t, () => server.close());
  const { port } = server.address() as AddressInfo;
  const txt = { path: "", role: "secondary", tls: tls === undefined ? "0" : "1" };
  const service: RawService = { name: "camera", port, txt, addresses: ["127.0.0.1"], sender: "127.0.0.1" };
  return { port, tokens, service, connections: () => connections };
}

async function primary(t: TestContext, open: OpenMdns, update: Tree, tls?: TlsFiles) {
  const mdns = { browse: true, subnets: ["127.0.0.0/8"] };
  const tree = merge({ update: { role: "primary", token: "of-the-node", mdns } }, { update });
  const { config } = readConfig({ flags: { tree, names: new Map() }, cwd: tmpdir() });
  const events = new EventEmitter();
  const log = (_level: string, message: string, fields: object) => void events.emit(message, fields);
  const made = await createDiscovery({ config, clock: systemClock, tls, components: ["compute"], log, open });
  cleanup(t, () => made.discovery.dispose());
  cleanup(t, () => made.withdraw());
  return { ...made, events };
}

/** What it ends never ends by itself; a machine that stalls is only late. */
const PATIENT = () => AbortSignal.timeout(60_000);

test("a node that was only announced is not spoken to, not even without token", async (t) => {
  const { service, tokens, connections } = await secondary(t);
  const mdns = network();
  const { discovery, start } = await primary(t, async () => mdns, { mdns: { nodes: ["camera"] } });
  start();
  mdns.listener?.up(service);
  await discovery.refresh(PATIENT());
  assert.deepEqual([tokens, connections(), discovery.targetOf("camera")], [[], 0, undefined]);
});

test("a listed node joins with the token, and takes its components along when it goes", async (t) => {
  const { service, tokens, port } = await secondary(t);
  const mdns = network();
  const { discovery, start } = await primary(t, async () => mdns, { mdns: { nodes: ["camera@127.0.0.1"] } });
  start();
  mdns.listener?.up(service);
  await discovery.refresh(PATIENT());
  assert.equal(discovery.targetOf("camera")?.url, `http://127.0.0.1:${port}`);
  assert.ok(tokens.length >= 2 && tokens.every((token) => token === "Bearer of-the-node"));
  mdns.listener?.down("camera");
  assert.deepEqual(discovery.components, []);
});

test("a node that is announced again and again is asked once at a time", async (t) => {
  const { service, tokens } = await secondary(t);
  const mdns = network();
  const { discovery, start } = await primary(t, async () => mdns, { mdns: { nodes: ["camera@127.0.0.1"] } });
  start();
  for (let i = 0; i < 50; i++) {
    mdns.listener?.down("camera");
    mdns.listener?.up(service);
  }
  await discovery.refresh(PATIENT());
  assert.equal(discovery.targetOf("camera")?.component, "camera");
  assert.equal(tokens.length, 2);
});

test("a configured server keeps a component that an announced one has too", async (t) => {
  const [fixed, announced] = [await secondary(t), await secondary(t)];
  const mdns = network();
  const { discovery, start } = await primary(t, async () => mdns, {
    secondaries: [`http://127.0.0.1:${fixed.port}`],
    mdns: { nodes: ["camera@127.0.0.1"] },
  });
  start();
  mdns.listener?.up(announced.service);
  await discovery.refresh(PATIENT());
  await discovery.refresh(PATIENT());
  assert.ok(announced.tokens.length > 0);
  assert.equal(discovery.targetOf("camera")?.url, `http://127.0.0.1:${fixed.port}`);
  mdns.listener?.down("camera");
  assert.equal(discovery.targetOf("camera")?.url, `http://127.0.0.1:${fixed.port}`);
});

/** A CA, and a certificate of it for each host; undefined without openssl. */
async function certificates(hosts: readonly string[]) {
  const place = scratchFolder("nodes-tls");
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: place, stdio: "ignore" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout"];
  try {
    for (const ca of ["ca", "strangers"])
      openssl("req", "-x509", ...key, `${ca}.key`, "-subj", `/CN=${ca}`, "-days", "30", "-out", `${ca}.pem`);
    for (const [i, host] of hosts.entries()) {
      const ca = host.startsWith("!") ? "strangers" : "ca";
      const signer = ["-CA", `${ca}.pem`, "-CAkey", `${ca}.key`, "-CAcreateserial", "-days", "30"];
      await writeFile(join(place, "names"), `subjectAltName=DNS:${host.replace("!", "")}\n`);
      openssl("req", "-new", ...key, `${i}.key`, "-subj", "/CN=node", "-out", "csr");
      openssl("x509", "-req", "-in", "csr", ...signer, "-extfile", "names", "-out", `${i}.pem`);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return undefined;
  }
  const file = (name: string) => join(place, name);
  return { ca: file("ca.pem"), of: (i: number) => ({ cert: file(`${i}.pem`), key: file(`${i}.key`) }) };
}

test("mutual TLS: only who has the CA's certificate for the announced name sees the token", async (t) => {
  const made = await certificates(["primary.local", "camera.local", "other.local", "!camera.local"]);
  if (made === undefined) return t.skip("openssl is not installed");
  const ca = readFileSync(made.ca, "utf8");
  const tls = { ca: made.ca, ...made.of(0) };
  for (const [i, joins] of [
    [1, true],
    [2, false],
    [3, false],
  ] as const) {
    const { cert, key } = made.of(i);
    const node = await secondary(t, { ca, cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") });
    const mdns = network();
    const { discovery, start } = await primary(t, async () => mdns, {}, tls);
    start();
    mdns.listener?.up(node.service);
    await discovery.refresh(PATIENT());
    await discovery.refresh(PATIENT());
    assert.ok(node.connections() > 0, "it was tried");
    assert.equal(discovery.targetOf("camera")?.url, joins ? `https://camera.local:${node.port}` : undefined);
    const provider = new SovdSecondaryProvider({
      targetOf: (component) => discovery.targetOf(component),
      clock: systemClock,
      token: "of-the-node",
      tls,
      timeoutMs: 60_000,
      pollMs: 10,
      watchdogMs: 1_000,
    });
    cleanup(t, () => provider.dispose());
    const described = provider.describe("camera", PATIENT());
    if (joins) assert.equal((await described).supportsRollback, false);
    else await assert.rejects(described, { kind: "notResponding" });
    assert.deepEqual([...new Set(node.tokens)], joins ? ["Bearer of-the-node"] : []);
  }
});

test("announced with name, port and path; withdrawn once; off by default", async (t) => {
  const mdns = network();
  const { announce, withdraw } = await primary(t, async () => mdns, {
    component: "Compute_1",
    mdns: { announce: true },
  });
  announce(4_711);
  const role = "primary";
  const node = { name: "compute-1", port: 4_711, tls: false, path: "/vehicle/v15", role, components: ["compute"] };
  assert.deepEqual(mdns.announced, [node]);
  await Promise.all([withdraw(), withdraw()]);
  assert.equal(mdns.closed, 1);
  const open = t.mock.fn(async () => network());
  const quiet = await primary(t, open, { mdns: { browse: false } });
  quiet.announce(1);
  quiet.start();
  assert.equal(open.mock.callCount(), 0);
});

test("an interface that is not there: one that is named ends the start, one that has the address may come yet", async (t) => {
  const problems: string[] = [];
  const options = { maxServices: 1, onProblem: (problem: string) => problems.push(problem), port: await freePort() };
  await assert.rejects(openMdns({ ...options, interface: "nosuch0" }), { kind: "misconfigured" });
  const mdns = await openMdns({ ...options, interface: "203.0.113.99" });
  cleanup(t, () => mdns.close());
  mdns.browse({ up: () => undefined, down: () => undefined });
  assert.deepEqual(problems, ["this machine has no interface 203.0.113.99 yet"]);
});

test("over the loopback's multicast a node is found, joins, and says goodbye", async (t) => {
  const port = await freePort();
  if (!(await hasMulticast("127.0.0.1", port))) return t.skip("no multicast over the loopback interface");
  const node = await secondary(t);
  const problems: string[] = [];
  const open: OpenMdns = (options) =>
    openMdns({ ...options, interface: "127.0.0.1", port, onProblem: (problem) => problems.push(problem) });
  // the package announces no loopback address, as it should; here the sender's stands for it
  const { discovery, start, events } = await primary(t, open, { mdns: { nodes: ["camera@127.0.0.1"] } });
  const other = await open({ interface: undefined, maxServices: 8, onProblem: () => undefined });
  cleanup(t, () => other.close());
  start();
  const joined = once(events, "secondary announced", { signal: PATIENT() });
  const own = { name: "camera", port: node.port, tls: false, path: "", role: "secondary", components: ["camera"] };
  other.announce(own);
  assert.equal((await joined)[0].url, `http://127.0.0.1:${node.port}`);
  await discovery.refresh(PATIENT());
  assert.equal(discovery.targetOf("camera")?.component, "camera");
  const left = once(events, "secondary withdrawn", { signal: PATIENT() });
  await other.close();
  await left;
  assert.equal(discovery.targetOf("camera"), undefined);
  assert.deepEqual(problems, []);
});
