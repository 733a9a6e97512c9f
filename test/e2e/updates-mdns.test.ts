/** Secondaries that are found by multicast DNS: whole servers on port 5353, each under a name of its own; and one that lacks the package. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { pathToFileURL } from "node:url";
import { cleanup, scratchFolder } from "../fixtures/cleanup.ts";
import { hasMulticast } from "../fixtures/multicast.ts";
import { cli, start } from "./cli-support.ts";
import { bounded } from "./harness.ts";
import { type Node, run, startNode, upload, writeText } from "./updates-support.ts";

const MDNS_PORT = 5353;
/** A lost datagram is made up for by the next questions, one a second. */
const PATIENCE_MS = 120_000;
const CONTENT = "found by its name";
/** IPv6 has no multicast on the loopback interface. */
const link = Object.entries(networkInterfaces()).flatMap(([name, all = []]) => {
  const address = all.find((one) => one.family === "IPv6" && !one.internal && one.scopeid === 0)?.address;
  return address === undefined ? [] : [{ own: name, address, subnet: `${address}/128` }];
})[0];

interface Place {
  /** `[update.mdns] interface` of both nodes. */
  readonly own: string;
  /** Where the secondary is found. */
  readonly address: string;
  readonly subnet: string;
}

const PLACES: Readonly<Record<string, Place | undefined>> = {
  "IPv4, loopback": { own: "127.0.0.1", address: "127.0.0.1", subnet: "127.0.0.0/8" },
  "IPv6, a link": link,
};

interface Said {
  readonly msg: string;
  readonly node?: string;
  readonly url?: string;
}

/** What a server logs from now on. */
function heard(t: TestContext, { server: { log } }: Node) {
  const said: Said[] = [];
  const waiting = new Set<() => void>();
  log.setLevel("info");
  cleanup(
    t,
    log.addSink((line) => {
      said.push(JSON.parse(line) as Said);
      for (const look of waiting) look();
    }),
  );
  return (what: string, accepts: (line: Said) => boolean) =>
    bounded<void>(
      what,
      (resolve) => {
        const look = () => said.some(accepts) && resolve();
        waiting.add(look);
        look();
      },
      PATIENCE_MS,
    );
}

for (const [what, place] of Object.entries(PLACES)) {
  test(`${what}: a secondary is found, found again behind its restart, updated, and goes`, async (t) => {
    if (place === undefined) return t.skip("this machine has no interface with an IPv6 address that needs no zone");
    if (!(await hasMulticast(place.own, MDNS_PORT))) return t.skip(`this machine has no multicast on ${place.own}`);
    const name = `n-${randomUUID()}`;
    const folder = scratchFolder("mdns");
    const own = { interface: place.own };
    const secondary = await startNode(
      t,
      { component: name, targets: { [name]: { provider: "slot", folder } }, mdns: { ...own, announce: true } },
      { server: { address: place.address.includes(":") ? "::" : place.address, port: 0 } },
    );
    const browse = { ...own, browse: true, nodes: [`${name}@${place.address}`], subnets: [place.subnet] };
    const mdns = { ...browse, interval_ms: 1_000 };
    const primary = await startNode(t, { role: "primary", component: "compute", token: secondary.token, mdns });
    const says = heard(t, primary);
    await secondary.restart();
    const port = `:${secondary.server.port}/`;
    await says("the announcement", ({ msg, url = "" }) => msg === "secondary announced" && url.includes(port));
    const uri = await upload(primary, "compute", CONTENT);
    await run(primary, { id: "fw", affected_components: [name], artifact_uri: uri, rollback_policy: "coordinated" });
    await primary.until("fw", "completed");
    assert.equal(await readFile(join(folder, "current", "image"), "utf8"), CONTENT);
    await secondary.server.close();
    await says("the goodbye", ({ msg, url = "" }) => msg === "secondary withdrawn" && url.includes(port));
  });
}

/** A hook of Node's module loader that takes the package away. */
const WITHOUT = `export async function resolve(name, context, next) {
  if (name !== "bonjour-service") return next(name, context);
  throw Object.assign(new Error("Cannot find package 'bonjour-service'"), { code: "ERR_MODULE_NOT_FOUND" });
}`;

test("without the package a start that wants it says so and ends with 1; one that does not is none the worse", async (t) => {
  const folder = scratchFolder("mdns");
  const hook = await writeText(join(folder, "hook.mjs"), WITHOUT);
  const script = `import { register } from "node:module"; register(${JSON.stringify(pathToFileURL(hook))});`;
  const loader = await writeText(join(folder, "loader.mjs"), script);
  const { NODE_OPTIONS: before = "" } = process.env;
  process.env.NODE_OPTIONS = `--import=${pathToFileURL(loader)}`;
  cleanup(t, () => {
    process.env.NODE_OPTIONS = before;
  });
  const config = (announce: boolean) => `
server = { address = "127.0.0.1", port = 0 }
doip.enabled = false
database.path = "${folder}/none"
store.path = "${folder}/store"
[update]
role = "secondary"
mdns.announce = ${announce}
`;
  const file = join(folder, "node.toml");
  await writeText(file, config(true));
  const { code, err } = await cli("serve", "--config", file);
  assert.equal(code, 1, err);
  assert.match(err, /update\.mdns needs the package bonjour-service, which is not installed/);
  await writeText(file, config(false));
  const server = start(t, ["serve", "--config", file]);
  await server.line(/listening/);
  assert.equal(await server.end(), 0);
});
