/** Software packages, UCM campaigns, RXSWIN and provenance, as clients of OpenSOVD's native server use them. */
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { canonical } from "#update/software/canonical.ts";
import { scratchFolder } from "../fixtures/cleanup.ts";
import { type Loose, type Node, QUICK, run, startNode, upload } from "./updates-support.ts";

const [ONE, TWO] = ["compute", "telematics"];
const BASES = ["/vehicle/v15", "/sovd/v1", "/api/v1"];
const VIN = "WDB9634031L123456";
const { privateKey, publicKey } = generateKeyPairSync("ed25519");

const sha256 = (content: string): string => createHash("sha256").update(content).digest("hex");
const signed = (manifest: object): string =>
  sign(null, Buffer.from(canonical(manifest)), privateKey).toString("base64");

interface TwoSlots extends Node {
  /** Of those who sign images. */
  readonly pem: string;
  readonly imageOf: (component: string) => Promise<string>;
  /** The status of an update that is over, whichever way. */
  readonly over: (id: string) => Promise<Loose>;
}

/** Two components in slots; an image that holds UNWELL does not pass its health check. */
async function twoSlots(t: TestContext, update: Record<string, unknown> = {}): Promise<TwoSlots> {
  const folder = scratchFolder("native");
  const slot = (name: string) => ({
    provider: "slot",
    folder: join(folder, name),
    health: ["/bin/sh", "-c", `! grep -q UNWELL ${join(folder, name, "current", "image")}`],
  });
  const pem = join(folder, "trusted.pem");
  await writeFile(pem, publicKey.export({ type: "spki", format: "pem" }));
  const node = await startNode(t, {
    component: ONE,
    vin: VIN,
    trusted_keys: [pem],
    targets: { [ONE]: slot(ONE), [TWO]: slot(TWO) },
    ...update,
  } as never);
  const imageOf = (component: string) =>
    readFile(join(folder, component, "current", "image"), "utf8").catch(() => "nothing");
  return Object.assign(node, { imageOf, pem, over: (id: string) => overOf(node, id) });
}

async function overOf(node: Node, id: string): Promise<Loose> {
  const headers = { accept: "text/event-stream", authorization: `Bearer ${node.token}` };
  const response = await fetch(`${node.url}/updates/${id}/status`, { headers, signal: AbortSignal.timeout(120_000) });
  const last = (await response.text()).trim().split("\n\n").at(-1) ?? "";
  return JSON.parse(/^data: (.*)$/m.exec(last)?.[1] ?? "{}");
}

const packages = (component: string, rest = "") => `/components/${component}/software-packages${rest}`;

/** An image for each component, with its RXSWIN, as an update server would describe it. */
function manifestOf(id: string, version: string, contents: Readonly<Record<string, string>>) {
  const targets = Object.fromEntries(
    Object.entries(contents).map(([component, content]) => [
      component,
      {
        sha256: sha256(content),
        length: content.length,
        version,
        rxswin: `R155 ${component} ${version}`,
        rxswin_authority: "KBA",
        rxswin_approval: `E1*156R00/01*${version}`,
      },
    ]),
  );
  const manifest = { id, targets };
  return { "x-manifest": manifest, "x-signature": signed(manifest) };
}

test("the life of a package: registered, installed, activated, superseded; restarts between", async (t) => {
  const node = await twoSlots(t);
  const state = async (id: string) => (await node.send("GET", packages(ONE, `/${id}/status`))).json;
  assert.deepEqual((await node.send("GET", packages(ONE))).json, { items: [] });
  const artifact_uri = await upload(node, ONE, "software 2.0");
  await node.send("POST", "/updates", {
    id: "FW-2",
    update_name: "Second",
    notes: "what is new",
    origins: ["proximity"],
    target_version: "2.0",
    updated_components: [ONE],
    artifact_uri,
  });
  const fresh = await state("fw-2");
  assert.deepEqual(
    [fresh.id, fresh.name, fresh.version, fresh.description, fresh.status, fresh.componentId, fresh.progress],
    ["FW-2", "Second", "2.0", "what is new", "downloaded", ONE, undefined],
  );
  assert.ok(Math.abs(Date.parse(fresh.updatedAt) - Date.now()) < 60_000);
  assert.deepEqual((await node.send("GET", packages(TWO))).json, { items: [] }, "it is none of the other's");

  const installed = await node.send("POST", packages(ONE, "/fw-2"));
  assert.equal(installed.status, 202);
  assert.equal(installed.headers.get("location"), `/api/v1${packages(ONE, "/FW-2/status")}`);
  assert.match(installed.json.status, /downloaded|install/);
  await node.until("fw-2", "prepared");
  assert.deepEqual([(await state("fw-2")).status, await node.imageOf(ONE)], ["installed", "nothing"]);
  await node.restart();
  assert.equal((await state("fw-2")).status, "installed", "what was installed outlives a restart");
  const activated = await node.send("POST", packages(ONE, "/fw-2/activate"));
  assert.deepEqual(
    [activated.status, activated.headers.get("location")],
    [202, `/api/v1${packages(ONE, "/FW-2/status")}`],
  );
  await node.until("fw-2", "completed");
  const done = await state("fw-2");
  assert.deepEqual([done.status, done.progress, await node.imageOf(ONE)], ["activated", 100, "software 2.0"]);
  const late = await node.send("POST", packages(ONE, "/fw-2/rollback"));
  assert.equal(late.status, 409, "the old software is gone");
  assert.match(late.json.message, /completed/);

  const content = "software 3.0";
  const uri = await upload(node, ONE, content);
  const target = { sha256: sha256(content), length: content.length };
  const brought = await node.send("POST", packages(ONE, "/fw-3"), {
    name: "Third",
    version: "3.0",
    downloadUrl: uri,
    checksum: `sha256:${target.sha256.toUpperCase()}`,
    size: content.length,
    signature: signed({ id: "fw-3", version: "3.0", targets: { [ONE]: target } }),
  });
  assert.equal(brought.status, 202, brought.bytes.toString());
  await node.until("fw-3", "prepared");
  await node.send("POST", packages(ONE, "/fw-3/activate"));
  await node.until("fw-3", "completed");
  await node.restart();
  for (const base of BASES) {
    const { json } = await node.send("GET", node.url.replace("/api/v1", base) + packages(ONE));
    assert.deepEqual(
      json.items.map(({ id, status, previousVersion }: Loose) => [id, status, previousVersion]),
      [
        ["FW-2", "downloaded", undefined],
        ["fw-3", "activated", "2.0"],
      ],
      `${base}: one package is active, the one before can be installed again`,
    );
  }
});

test("a package that is unwell fails and goes back; one that is stopped can be had again", async (t) => {
  const node = await twoSlots(t);
  const status = async (id: string) => (await node.send("GET", packages(ONE, `/${id}/status`))).json;
  const bring = async (id: string, content: string) => {
    const downloadUrl = await upload(node, ONE, content);
    return node.send("POST", packages(ONE, `/${id}`), { name: id, version: "1.0", downloadUrl });
  };
  await bring("bad", "UNWELL");
  await node.until("bad", "prepared");
  await node.send("POST", packages(ONE, "/bad/activate"));
  await node.until("bad", "rolledBack");
  const failed = await status("bad");
  assert.equal(failed.status, "failed");
  assert.match(failed.error, /compute: /);
  assert.equal(await node.imageOf(ONE), "nothing");

  await bring("wanted", "well");
  await node.until("wanted", "prepared");
  assert.equal((await node.send("POST", packages(ONE, "/wanted/rollback"))).status, 202);
  await node.until("wanted", "failed");
  assert.deepEqual(
    [(await status("wanted")).status, (await status("wanted")).error],
    ["downloaded", undefined],
    "nobody failed",
  );
  const forged = await node.send("POST", packages(ONE, "/forged"), {
    name: "forged",
    version: "1.0",
    downloadUrl: await upload(node, ONE, "forged"),
    checksum: sha256("something else"),
    size: 6,
    signature: signed({ id: "forged", targets: {} }),
  });
  assert.equal(forged.status, 202);
  await node.until("forged", "failed");
  assert.match((await status("forged")).error, /signature/);
});

type Row = readonly [what: string, method: string, path: string, status: number, says: RegExp, body?: object];
const MANIFEST = { name: "x", version: "1" };
const CAMPAIGN = { name: "x", targetComponents: [ONE] };
const REFUSED: readonly Row[] = [
  ["packages of nobody", "GET", packages("ghost"), 404, /ghost/],
  ["a package there is not", "GET", packages(ONE, "/ghost/status"), 404, /ghost/],
  ["another component's package", "GET", packages(TWO, "/known/status"), 404, /no package for component telematics/],
  ["installing what there is not", "POST", packages(ONE, "/ghost"), 404, /ghost/],
  ["activating what there is not", "POST", packages(ONE, "/ghost/activate"), 404, /ghost/],
  ["going back from what never ran", "POST", packages(ONE, "/known/rollback"), 409, /registered/],
  ["a manifest without version", "POST", packages(ONE, "/new"), 400, /version/, { name: "x" }],
  ["a checksum that is none", "POST", packages(ONE, "/new"), 400, /checksum/, { ...MANIFEST, checksum: "12" }],
  ["a checksum alone", "POST", packages(ONE, "/new"), 400, /size/, { ...MANIFEST, checksum: "0".repeat(64) }],
  ["a size alone", "POST", packages(ONE, "/new"), 400, /checksum/, { ...MANIFEST, size: 1 }],
  ["a signature over nothing", "POST", packages(ONE, "/new"), 400, /signature/, { ...MANIFEST, signature: "AA==" }],
  ["an id that is none", "POST", packages(ONE, "/a~b"), 400, /id/, MANIFEST],
  ["an update of others as well", "POST", packages(ONE, "/both"), 409, /other components/, MANIFEST],
  ["reading a package by its bare path", "GET", packages(ONE, "/known"), 405, /allowed/],
  ["a campaign without name", "POST", "/ucm/campaigns", 400, /name/, { targetComponents: [ONE] }],
  ["a campaign without targets", "POST", "/ucm/campaigns", 400, /targetComponents/, { name: "x" }],
  ["a campaign for nobody", "POST", "/ucm/campaigns", 400, /targetComponents/, { name: "x", targetComponents: [] }],
  [
    "unknown targets",
    "POST",
    "/ucm/campaigns",
    404,
    /targetComponents.*ghost/,
    { ...CAMPAIGN, targetComponents: ["ghost"] },
  ],
  ["a policy that is none", "POST", "/ucm/campaigns", 400, /rollback_policy/, { ...CAMPAIGN, rollback_policy: "hope" }],
  ["an id that is taken", "POST", "/ucm/campaigns", 409, /KNOWN/, { ...CAMPAIGN, id: "KNOWN" }],
  ["a campaign there is not", "GET", "/ucm/campaigns/ghost", 404, /ghost/],
  ["executing it", "POST", "/ucm/campaigns/ghost/execute", 404, /ghost/],
  ["going back before anything", "POST", "/ucm/campaigns/known/rollback", 409, /registered/],
  ["the identifier of nobody", "GET", "/rxswin/ghost", 404, /ghost/],
  ["of a component without one", "GET", `/rxswin/${ONE}`, 404, /No update/],
  ["a place that is none", "GET", "/update-provenance?after=x", 400, /after/],
];

test("what is refused says why, and changes nothing", async (t) => {
  const node = await twoSlots(t);
  await node.send("POST", "/updates", { id: "known", updated_components: [ONE] });
  await node.send("POST", "/updates", { id: "both", updated_components: [ONE, TWO] });
  for (const [what, method, path, status, says, body] of REFUSED) {
    const answer = await node.send(method, path, body);
    assert.equal(answer.status, status, `${what}: ${answer.bytes}`);
    assert.match(answer.json.message, says, what);
  }
  assert.deepEqual((await node.send("GET", "/updates")).json.items, ["known", "both"]);
  const audit = (await node.send("GET", "/updates/known/x-audit")).json.items;
  assert.deepEqual(
    audit.map(({ event }: Loose) => event),
    ["registered", "x-rollback refused", "x-rollback refused"],
    "one word for one thing, by whichever route",
  );
  const text = JSON.stringify(CAMPAIGN);
  for (const path of ["/ucm/campaigns", packages(ONE, "/new")]) {
    const headers = { "content-type": "text/plain" };
    assert.equal((await node.send("POST", path, Buffer.from(text), headers)).status, 415, path);
  }
  const links = (await node.send("GET", `/components/${ONE}`)).json;
  assert.match(links["software-packages"], /\/api\/v1\/components\/compute\/software-packages$/);
  const bare = await fetch(`${node.url}/ucm/campaigns`);
  assert.equal(bare.status, 401);
  await bare.body?.cancel();
});

test("a campaign: created, executed, activated; RXSWIN and provenance say so, also after a restart", async (t) => {
  const node = await twoSlots(t);
  const campaign = async (id: string) => (await node.send("GET", `/ucm/campaigns/${id}`)).json;
  const report = async () => (await node.send("GET", "/rxswin/report")).json;
  const provenance = async () => (await node.send("GET", "/update-provenance")).json.items;
  assert.deepEqual([(await report()).vin, (await report()).entries, (await report()).totalComponents], [VIN, [], 0]);
  const create = async (id: string, version: string, text: string) => {
    const { send } = node;
    const artifact_uri = await upload(node, ONE, text);
    const manifest = manifestOf(id, version, { [ONE]: text, [TWO]: text });
    return send("POST", "/ucm/campaigns", { name: id, targetComponents: [TWO, ONE], artifact_uri, ...manifest });
  };
  const created = await create("Spring-1", "1.0", "spring 1.0");
  assert.equal(created.status, 201, created.bytes.toString());
  assert.equal(created.headers.get("location"), "/api/v1/ucm/campaigns/Spring-1");
  const { createdAt, ...shown } = created.json;
  assert.ok(Math.abs(Date.parse(createdAt) - Date.now()) < 60_000);
  assert.deepEqual(shown, {
    id: "Spring-1",
    name: "Spring-1",
    status: "created",
    targetComponents: [TWO, ONE],
    updatedAt: createdAt,
    transferStates: [TWO, ONE].map((componentId) => ({ componentId, packageId: "Spring-1", state: "idle" })),
    "x-state": "registered",
  });
  const executed = await node.send("POST", "/ucm/campaigns/Spring-1/execute");
  assert.deepEqual([executed.status, executed.headers.get("location")], [202, "/api/v1/ucm/campaigns/Spring-1"]);
  assert.match(executed.json.status, /transferring|processing/);
  const twice = await node.send("POST", "/ucm/campaigns/Spring-1/execute");
  assert.equal(twice.status, 409);
  await node.until("spring-1", "completed");
  const done = await campaign("spring-1");
  assert.deepEqual([done.status, done.progress, done.createdAt], ["activated", 100, createdAt]);
  assert.deepEqual(
    done.transferStates.map(({ state, progress }: Loose) => [state, progress]),
    [
      ["activated", 100],
      ["activated", 100],
    ],
  );
  assert.deepEqual((await node.send("GET", packages(TWO))).json.items[0].status, "activated");

  const before = await report();
  assert.deepEqual([before.vin, before.totalComponents], [VIN, 2]);
  const entry = before.entries.find(({ componentId }: Loose) => componentId === ONE);
  assert.deepEqual(
    [entry.rxswin, entry.softwareVersion, entry.authority, entry.approvalRef],
    ["R155 compute 1.0", "1.0", "KBA", "E1*156R00/01*1.0"],
  );
  assert.deepEqual((await node.send("GET", `/rxswin/${ONE}`)).json, entry);
  assert.deepEqual((await node.send("GET", "/rxswin")).json.items, before.entries);
  const applied = (await provenance()).map(
    ({ componentId, previousVersion, newVersion, updateMethod, success }: Loose) => {
      return [componentId, previousVersion, newVersion, updateMethod, success];
    },
  );
  assert.deepEqual(
    applied.sort(),
    [ONE, TWO].map((name) => [name, "", "1.0", "workshop", true]),
  );

  await create("Spring-2", "2.0", "spring 2.0 UNWELL");
  await node.send("POST", "/ucm/campaigns/spring-2/execute");
  await node.until("spring-2", "rolledBack");
  await node.restart();
  const back = await campaign("spring-2");
  assert.equal(back.status, "rolledBack");
  assert.ok(back.error.length > 0);
  assert.ok(back.transferStates.some(({ state }: Loose) => state === "failed"));
  assert.deepEqual((await report()).entries, before.entries, "what went back changes no identifier");
  const after = await node.send("GET", `/update-provenance?after=${(await provenance())[1]["x-audit-seq"]}`);
  assert.deepEqual(
    after.json.items
      .map(({ componentId, previousVersion, newVersion, success, rxswinAfter, packageDigest }: Loose) => {
        return [componentId, previousVersion, newVersion, success, rxswinAfter, packageDigest];
      })
      .sort(),
    [ONE, TWO].map((name) => {
      return [name, "1.0", "2.0", false, `R155 ${name} 1.0`, `sha256:${sha256("spring 2.0 UNWELL")}`];
    }),
  );
});

test("a campaign that is stopped before anything ran is cancelled; one that is unknown to a name gets one", async (t) => {
  const node = await twoSlots(t);
  const artifact_uri = await upload(node, ONE, "autumn");
  const body = { name: "Autumn update 2026", targetComponents: [ONE], artifact_uri };
  const [first, second] = [
    await node.send("POST", "/ucm/campaigns", body),
    await node.send("POST", "/ucm/campaigns", body),
  ];
  assert.match(first.json.id, /^Autumn-update-2026-[0-9a-f]{8}$/);
  assert.notEqual(first.json.id, second.json.id);
  await node.send("PUT", `/updates/${first.json.id}/prepare`);
  await node.until(first.json.id, "prepared");
  const ready = (await node.send("GET", `/ucm/campaigns/${first.json.id}`)).json;
  assert.deepEqual([ready.status, ready.transferStates[0].state], ["created", "processed"]);
  const stopped = await node.send("POST", `/ucm/campaigns/${first.json.id}/rollback`);
  assert.deepEqual(
    [stopped.status, stopped.json.status, stopped.json.transferStates[0].state],
    [202, "cancelled", "idle"],
  );
  assert.deepEqual(
    (await node.send("GET", "/ucm/campaigns")).json.items.map(({ status }: Loose) => status),
    ["cancelled", "created"],
  );
  const nothing = await node.send("POST", "/ucm/campaigns", { name: "Empty", targetComponents: [ONE] });
  await node.send("POST", `/ucm/campaigns/${nothing.json.id}/execute`);
  await node.until("empty", "failed");
  assert.equal((await node.send("GET", "/ucm/campaigns/empty")).json.status, "failed", "every run ends");
});

test("a restart in the middle: all views end alike, new or old", async (t) => {
  for (const [index, state] of ["preparing", "executing", "trial"].entries()) {
    const node = await twoSlots(t, { soak_ms: 150 });
    const text = "in the middle".padEnd(1 << 20, ".");
    const id = `middle-${index}`;
    const artifact_uri = await upload(node, ONE, text);
    const about = { name: id, targetComponents: [ONE, TWO], artifact_uri };
    await node.send("POST", "/ucm/campaigns", {
      ...about,
      ...manifestOf(id, "5.0", { [ONE]: text, [TWO]: text }),
    });
    // who is slow misses a short state: then the restart comes a little later
    const reached = node.until(id, state).catch(() => undefined);
    await node.send("POST", `/ucm/campaigns/${id}/execute`);
    await reached;
    await node.restart();
    const { "x-state": end } = await node.over(id);
    const { status } = (await node.send("GET", `/ucm/campaigns/${id}`)).json;
    const one = (await node.send("GET", packages(ONE, `/${id}/status`))).json;
    const { entries } = (await node.send("GET", "/rxswin/report")).json;
    const ends = (await node.send("GET", "/update-provenance")).json.items;
    const isNew = status === "activated";
    assert.equal(status, isNew ? "activated" : "rolledBack", `${state} ended ${end}`);
    assert.equal(one.status, isNew ? "activated" : "failed", state);
    assert.equal(entries.length, isNew ? 2 : 0, state);
    assert.deepEqual([...new Set(ends.map(({ success }: Loose) => success))], ends.length === 0 ? [] : [isNew], state);
    assert.equal(await node.imageOf(ONE), isNew ? text : "nothing", state);
  }
});

test("a primary and its secondary tell of the same software", async (t) => {
  const secondary = await twoSlots(t);
  const primary = await startNode(t, {
    ...QUICK,
    role: "primary",
    component: "gateway",
    token: secondary.token,
    trusted_keys: [secondary.pem],
    targets: { [ONE]: { provider: "sovd-secondary", url: secondary.url } },
  });
  const text = "by the primary";
  const artifact_uri = await upload(primary, ONE, text);
  await run(primary, {
    id: "relay",
    rollback_policy: "coordinated",
    origins: ["remote"],
    artifact_uri,
    updated_components: [ONE],
    ...manifestOf("relay", "4.0", { [ONE]: text }),
  });
  for (const node of [primary, secondary]) {
    // the secondary is told to close, and that is not waited for
    await node.until("relay", "completed");
    const [rxswin] = (await node.send("GET", "/rxswin")).json.items;
    const [provenance] = (await node.send("GET", "/update-provenance")).json.items;
    const [one] = (await node.send("GET", packages(ONE))).json.items;
    const { json } = await node.send("GET", "/ucm/campaigns/relay");
    assert.deepEqual(
      [rxswin.rxswin, provenance.updateMethod, provenance.success, one.status, json.status],
      ["R155 compute 4.0", "ota", true, "activated", "activated"],
    );
  }
});
