/** The OpenAPI document and the page drawn from it. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { Script } from "node:vm";
import { withDocumentation } from "#http/openapi.ts";
import { SOVD_DEFAULTS } from "#sovd/context.ts";
import { sovdRoutes } from "#sovd/routes.ts";
import { scratchFolder } from "../../fixtures/cleanup.ts";
import { ecu, vehicle } from "../sovd/harness.ts";

const ROUTES = withDocumentation(sovdRoutes(SOVD_DEFAULTS), SOVD_DEFAULTS);
const load = async (car = vehicle()) => (await car.request("GET", "/openapi.json", { as: null })).json;

test("every route is in the document, and nothing else", async () => {
  const document = await load();
  const told = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods as object).map((method) => `${method} ${path}`),
  );
  const known = ROUTES.map((one) => `${one.method} ${one.mount === "root" ? "" : "/vehicle/v15"}${one.path}`);
  assert.deepEqual(told.sort(), known.sort());
});

test("operations are named once, references lead somewhere, parameters match the path", async () => {
  const document = await load();
  const ids = new Set<string>();
  for (const [path, methods] of Object.entries<Record<string, Operation>>(document.paths)) {
    for (const operation of Object.values(methods)) {
      assert.ok(!ids.has(operation.operationId), operation.operationId);
      ids.add(operation.operationId);
      const inPath = (operation.parameters ?? [])
        .map((one) => (one.$ref === undefined ? one : resolve(document, one.$ref)))
        .filter((one) => one.in === "path")
        .map((one) => `{${one.name}}`);
      assert.deepEqual(inPath, path.match(/\{[^}]+\}/g) ?? [], path);
    }
  }
});

interface Parameter {
  readonly $ref?: string;
  readonly in: string;
  readonly name: string;
}
interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
}

function resolve(document: unknown, ref: string): Parameter {
  const steps = ref.slice(2).split("/");
  return steps.reduce((at, key) => (at as Record<string, unknown>)[key], document) as Parameter;
}

test("servers follow the host, components follow the vehicle", async () => {
  const car = vehicle();
  const first = await load(car);
  assert.deepEqual(first.servers, [{ url: "http://car:20002" }]);
  assert.deepEqual(first.components.parameters.ecu.schema.enum, ["flxc1000", "flxcng1000"]);
  car.fleet.ecus = [ecu("NEW")];
  assert.deepEqual((await load(car)).components.parameters.ecu.schema.enum, ["new"]);
});

test("an outside judge finds no error", async (t) => {
  const cli = new URL("../../../node_modules/@redocly/cli/bin/cli.js", import.meta.url);
  if (!existsSync(cli)) return t.skip("@redocly/cli is not installed");
  const folder = scratchFolder("openapi");
  const file = join(folder, "openapi.json");
  await writeFile(file, JSON.stringify(await load()));
  const env = { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" };
  const args = [cli.pathname, "lint", file, "--extends=minimal", "--format=json"];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env, cwd: folder, maxBuffer: 1 << 24 });
  const { totals, problems } = JSON.parse(stdout);
  assert.equal(totals.errors, 0, JSON.stringify(problems.slice(0, 5), undefined, 1));
});

test("the page stands alone and lets no foreign script in", async () => {
  const page = await vehicle().request("GET", "/swagger-ui/", { as: null });
  assert.equal(page.status, 200);
  assert.equal(page.contentType, "text/html; charset=utf-8");
  assert.doesNotMatch(page.text, /(?:src|href)=/);
  const script = page.text.slice(page.text.indexOf("<script>") + 8, page.text.indexOf("</script>"));
  assert.doesNotThrow(() => new Script(script));
  assert.match(page.headers["Content-Security-Policy"]!, /^default-src 'none'; script-src 'sha256-[^']+'/);
});
