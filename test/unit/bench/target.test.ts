/** Servers that are not ours: what they offer is found out, whatever their base path, and without a token where they want none. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { prepare } from "#bench/profiles.ts";
import { discover } from "#bench/target.ts";
import { serveHttp } from "../../fixtures/http-server.ts";

/** Answers of a server by path; `token`: what it wants to see. */
async function serve(t: TestContext, answers: Readonly<Record<string, unknown>>, token?: string): Promise<string> {
  const host = await serveHttp(t, (request, response) => {
    const answer = answers[request.url ?? ""];
    const isKnown = token === undefined || request.headers.authorization === `Bearer ${token}`;
    const status = answer === undefined ? 404 : isKnown ? 200 : 401;
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(status === 200 ? answer : {}));
  });
  return `http://${host}`;
}

/** A tree of one component whose first datum cannot be read. */
const tree = (base: string) => ({
  [`${base}/components`]: { items: [{ id: "Engine_ECU", name: "Engine" }] },
  [`${base}/components/Engine_ECU/data`]: { items: [{ id: "Broken" }, { id: "Speed" }] },
  [`${base}/components/Engine_ECU/data/Speed`]: { id: "Speed", data: { value: 3 } },
});

for (const base of ["", "/v1", "/sovd/v1"]) {
  test(`base path "${base}" is tried, and ids keep their spelling`, async (t) => {
    const target = await discover(await serve(t, tree(base)), { ecus: ["engine_ecu"] });
    assert.equal(target.base, base);
    assert.deepEqual(target.components, ["Engine_ECU"]);
    assert.equal(target.token, undefined);
    const { requests } = await prepare("read", target);
    assert.equal(requests.length, 1);
    assert.match(requests[0]!.toString(), new RegExp(`^GET ${base}/components/Engine_ECU/data/Speed HTTP/1.1\r\n`));
  });
}

test("a base path that nobody knows is taken from version-info, or from the URL", async (t) => {
  const own = tree("/car/diag");
  const origin = await serve(t, {
    ...own,
    "/version-info": { sovd_info: [{ version: "1.1", base_uri: "/car/diag/" }] },
  });
  assert.equal((await discover(origin)).base, "/car/diag");
  assert.equal((await discover(`${await serve(t, own)}/car/diag/`)).base, "/car/diag");
  await assert.rejects(discover(await serve(t, own)), /does not answer like a SOVD server/);
});

test("a token that was given is used as it is", async (t) => {
  const origin = await serve(t, tree("/v1"), "secret");
  await assert.rejects(discover(origin), /components answered 401/);
  const target = await discover(origin, { token: "secret" });
  const { requests } = await prepare("list", target);
  assert.match(requests[0]!.toString(), /\r\nAuthorization: Bearer secret\r\n/);
});
