/** The whole server is killed in the middle of fetching firmware; started again, it fetches the rest and serves a device all of it, also once its origin is gone. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { createFlash } from "#sim/ajour-device.ts";
import { httpLink } from "#sim/ajour-links.ts";
import { type ServerProcess, startServerProcess } from "../crash/server-process.ts";
import { startDevice } from "../e2e/ajour-support.ts";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";

const MIB = 1 << 20;
/** What the store writes in one piece. */
const SEGMENT_BYTES = 4 * MIB;
const firmware = randomBytes(24 * MIB);
/** Far more than sockets hold on the way, so that segments are in the store when the sender has got rid of it. */
const SENT_BEFORE = 20 * MIB;
const hashOf = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");
const SHA256 = hashOf(firmware);
const PASSWORD = "of the devices";

/** A registry and a hawkBit that share one file, whose first answer stops in the middle and stays open. */
async function startOrigin(t: TestContext) {
  const ranges: (string | undefined)[] = [];
  let tell = () => {};
  const stuck = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const manifest = JSON.stringify({ layers: [{ mediaType: "application/octet-stream", digest: `sha256:${SHA256}` }] });
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", `http://${host}`);
    const controller = `http://${host}/DEFAULT/controller/v1/bms-1`;
    const json = (value: object) => response.end(JSON.stringify(value));
    if (request.method === "POST") response.end();
    else if (pathname === "/v2/acme/bms/manifests/1.1") response.end(manifest);
    else if (pathname.endsWith(SHA256) || pathname === "/app.bin") {
      ranges.push(request.headers.range);
      send(response, request.headers.range, ranges.length === 1 ? tell : undefined);
    } else if (pathname.endsWith("/bms-1"))
      json({ _links: { deploymentBase: { href: `${controller}/deploymentBase/7` } } });
    else {
      const _links = { download: { href: `http://${host}/app.bin` } };
      const artifacts = [{ filename: "app.bin", hashes: { sha256: SHA256 }, _links }];
      json({ id: "7", deployment: { download: "forced", update: "forced", chunks: [{ version: "1.1", artifacts }] } });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  cleanup(t, close);
  return { host, ranges, stuck, close };
}

function send(response: ServerResponse, range: string | undefined, onStuck: (() => void) | undefined): void {
  const from = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
  const headers = {
    "content-length": firmware.length - from,
    ...(from === 0 ? {} : { "content-range": `bytes ${from}-${firmware.length - 1}/${firmware.length}` }),
  };
  response.writeHead(from === 0 ? 200 : 206, headers);
  if (onStuck === undefined) response.end(firmware.subarray(from));
  else response.write(firmware.subarray(0, SENT_BEFORE), onStuck);
}

const SOURCES = {
  "an OCI registry": (host: string) => ({
    registries: { [host]: { plain_http: true } },
    devices: { "bms-1": { firmware: { oci: { image: `${host}/acme/bms:1.1` } } } },
  }),
  hawkBit: (host: string) => ({
    hawkbit: { url: `http://${host}` },
    devices: { "bms-1": { firmware: { hawkbit: { controller: "bms-1" } } } },
  }),
};

for (const [name, configOf] of Object.entries(SOURCES)) {
  test(`${name}: what was fetched before a kill is not fetched again`, async (t) => {
    const origin = await startOrigin(t);
    const folder = scratchFolder("ajour-kill");
    const start = async (): Promise<ServerProcess> => {
      const ajour = {
        enabled: true,
        retry_secs: 1,
        gate_poll_secs: 1,
        applications: { default: { password: PASSWORD } },
        ...configOf(origin.host),
      };
      const process = await startServerProcess({ folder, config: { update: { role: "secondary", ajour } } });
      cleanup(t, async () => {
        process.kill();
        await process.ended;
      });
      return process;
    };
    const first = await start();
    await origin.stuck;
    first.kill("SIGKILL");
    assert.equal(await first.ended, "SIGKILL");

    const second = await start();
    const link = httpLink(new URL(second.base).origin, { device: "bms-1", password: PASSWORD, timeoutMs: 5_000 });
    const { device, seen } = startDevice(t, createFlash("1.0"), { link, blockBytes: 65_535 });
    await seen("good");
    assert.equal(device.version, "1.1");
    assert.equal(hashOf(device.flash.active.image), SHA256);
    const [whole, rest, ...more] = origin.ranges;
    assert.equal(whole, undefined, "the first one asked for all");
    const from = Number(/^bytes=(\d+)-$/.exec(rest ?? "")?.[1]);
    assert.ok(from >= SEGMENT_BYTES && from <= SENT_BEFORE && from % SEGMENT_BYTES === 0, `went on at ${rest}`);
    assert.deepEqual(more, [], "one request for the rest");
    await device.stop();

    // parked without a network
    second.kill("SIGKILL");
    await second.ended;
    origin.close();
    const third = await start();
    const later = httpLink(new URL(third.base).origin, { device: "bms-1", password: PASSWORD, timeoutMs: 5_000 });
    const other = startDevice(t, createFlash("1.0"), { link: later, blockBytes: 65_535 });
    await other.seen("block", (event) => event.type === "block" && event.offset === firmware.length);
    if (name !== "hawkBit") await other.seen("good");
  });
}
