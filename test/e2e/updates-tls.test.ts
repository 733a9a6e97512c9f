/** Nodes that prove who they are by certificate: a primary with the right one relays, a stranger does not get as far as HTTP. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { join } from "node:path";
import { before, type TestContext, test } from "node:test";
import { connect } from "#cli/update-client.ts";
import type { Tree } from "#config/tree.ts";
import { scratchFolder } from "../fixtures/cleanup.ts";
import { cli } from "./cli-support.ts";
import { run, startNode, upload } from "./updates-support.ts";

const CONTENT = "over TLS";
let place = "";
let skip: string | false = false;

/** `<name>.pem` and `<name>-key.pem`, signed by `ca`; without: by itself. */
function certificate(name: string, ca?: string): void {
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: place, stdio: "ignore" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", `${name}-key.pem`];
  if (ca === undefined) {
    openssl("req", "-x509", ...key, "-subj", `/CN=${name}`, "-days", "30", "-out", `${name}.pem`);
    return;
  }
  openssl("req", "-new", ...key, "-subj", `/CN=${name}`, "-out", `${name}.csr`);
  const signer = ["-CA", `${ca}.pem`, "-CAkey", `${ca}-key.pem`, "-CAcreateserial"];
  openssl("x509", "-req", "-in", `${name}.csr`, ...signer, "-days", "30", "-extfile", "names", "-out", `${name}.pem`);
}

before(async () => {
  place = scratchFolder("node-tls");
  await writeFile(join(place, "names"), "subjectAltName=IP:127.0.0.1\n");
  try {
    certificate("vehicle");
    certificate("secondary", "vehicle");
    certificate("primary", "vehicle");
    certificate("elsewhere");
    certificate("stranger", "elsewhere");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    skip = "openssl is not installed";
  }
});

const pem = (name: string): string => join(place, `${name}.pem`);
const key = (name: string): string => join(place, `${name}-key.pem`);

interface Secondary {
  readonly url: string;
  readonly token: string;
  readonly image: string;
}

async function startSecondary(t: TestContext): Promise<Secondary> {
  const folder = scratchFolder("slots");
  const http = { tls_certificate: pem("secondary"), tls_key: key("secondary"), tls_ca: pem("vehicle") };
  const client = {
    ca: await readFile(pem("vehicle")),
    cert: await readFile(pem("primary")),
    key: await readFile(key("primary")),
  };
  const node = await startNode(
    t,
    { component: "camera", targets: { camera: { provider: "slot", folder } } } as never,
    { http },
    client,
  );
  const url = node.url.replace("http:", "https:");
  return { url, token: node.token, image: join(folder, "current", "image") };
}

/** `more`: its settings beside. */
function primaryOf(t: TestContext, { url, token }: Secondary, who: string | undefined, ca: string, more: Tree = {}) {
  const own = who === undefined ? {} : { tls_certificate: pem(who), tls_key: key(who) };
  return startNode(t, {
    role: "primary",
    tls_ca: pem(ca),
    ...own,
    ...more,
    targets: { camera: { provider: "sovd-secondary", url, token } },
  } as never);
}

test("mutual TLS: a primary of the vehicle relays", async (t) => {
  if (skip !== false) return t.skip(skip);
  const secondary = await startSecondary(t);
  const primary = await primaryOf(t, secondary, "primary", "vehicle");
  const uri = await upload(primary, "camera", CONTENT);
  await run(primary, { id: "fw", affected_components: ["camera"], artifact_uri: uri, rollback_policy: "coordinated" });
  await primary.until("fw", "completed");
  assert.equal(await readFile(secondary.image, "utf8"), CONTENT);
});

test("mutual TLS: a secondary named by its URL is found and updated", async (t) => {
  if (skip !== false) return t.skip(skip);
  const { url, token, image } = await startSecondary(t);
  const primary = await startNode(t, {
    role: "primary",
    secondaries: [url],
    token,
    tls_ca: pem("vehicle"),
    tls_certificate: pem("primary"),
    tls_key: key("primary"),
  });
  const uri = await upload(primary, "camera", CONTENT);
  await run(primary, { id: "fw", affected_components: ["camera"], artifact_uri: uri, rollback_policy: "coordinated" });
  await primary.until("fw", "completed");
  assert.equal(await readFile(image, "utf8"), CONTENT);
});

test("mutual TLS: of a secondary that cannot be asked what it has, the update says which one, and why", async (t) => {
  if (skip !== false) return t.skip(skip);
  const { url, token } = await startSecondary(t);
  const primary = await startNode(t, {
    role: "primary",
    component: "compute",
    secondaries: [url],
    token,
    tls_ca: pem("elsewhere"),
  });
  const uri = await upload(primary, "compute", CONTENT);
  await run(primary, { id: "fw", affected_components: ["camera"], artifact_uri: uri });
  const { error } = await primary.until("fw", "failed");
  assert.match(error, /component camera; of the secondaries these do not answer: https:.*: .*certificate/);
});

const STRANGERS: readonly [what: string, who: string | undefined, ca: string][] = [
  ["a certificate of another CA", "stranger", "vehicle"],
  ["no certificate", undefined, "vehicle"],
  ["a primary that does not know the secondary's CA", "primary", "elsewhere"],
];
for (const [what, who, ca] of STRANGERS) {
  test(`mutual TLS: ${what} relays nothing, token or not`, async (t) => {
    if (skip !== false) return t.skip(skip);
    const secondary = await startSecondary(t);
    const primary = await primaryOf(t, secondary, who, ca, { prepare_timeout_ms: 1_500 });
    const uri = await upload(primary, "camera", CONTENT);
    await run(primary, { id: "fw", affected_components: ["camera"], artifact_uri: uri });
    const { error } = await primary.until("fw", "failed");
    assert.match(error, /camera/);
    await assert.rejects(readFile(secondary.image));
  });
}

test("mutual TLS: the command line shows its certificate, and believes only the vehicle's CA", async (t) => {
  if (skip !== false) return t.skip(skip);
  const { url: to, token } = await startSecondary(t);
  const tls = { tlsCa: pem("vehicle"), tlsCertificate: pem("primary"), tlsKey: key("primary") };
  const list = async (more: object) => (await connect({ to, token, ...more })).json("GET", "/updates");
  assert.deepEqual(await list(tls), { items: [] });
  const options = ["--tls-ca", tls.tlsCa, "--tls-certificate", tls.tlsCertificate, "--tls-key", tls.tlsKey];
  for (const words of [
    ["update", "list"],
    ["audit", "verify"],
  ]) {
    const ended = await cli(...words, "--to", to, "--token", token, ...options);
    assert.equal(ended.code, 0, ended.err);
  }
  for (const wrong of [{}, { tlsCa: pem("vehicle") }, { ...tls, tlsCa: pem("elsewhere") }]) {
    await assert.rejects(list(wrong), { kind: "notResponding" });
  }
});

test("a client without certificate does not get as far as HTTP", async (t) => {
  if (skip !== false) return t.skip(skip);
  const { url } = await startSecondary(t);
  const ca = await readFile(pem("vehicle"));
  const answered = new Promise((resolve, reject) => {
    request(`${url}/updates`, { ca }, (response) => resolve(response.statusCode))
      .on("error", reject)
      .end();
  });
  await assert.rejects(answered);
});
