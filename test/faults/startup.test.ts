/** Start-up that goes wrong, or is put off: broken databases, a store in use, broken configuration, deferred communication. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Answer, type Harness, type HarnessOptions, startHarness } from "../e2e/harness.ts";
import { cleanup } from "../fixtures/cleanup.ts";

const CLI = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const ALL = ["CENTRAL", "BODY", "CLIMATE", "ENGINE", "BRAKES", "CAMERA"];
/** A process that has not ended by then never will. */
const PATIENCE_MS = 120_000;
const VIN = "/components/central/data/vin";

async function start(t: TestContext, options: HarnessOptions): Promise<Harness> {
  const car = await startHarness(options);
  cleanup(t, () => car.close());
  return car;
}

function ok(answer: Answer, status = 200) {
  assert.equal(answer.status, status, answer.text);
  return answer.json;
}

/** Runs the command line to its end. */
function cli(...args: string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--import", "tsx", CLI, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code, output });
    });
  });
}

test("broken databases are named in health, the others run", async (t) => {
  const car = await start(t, {
    prepare: async (folder) => {
      await writeFile(join(folder, "BROKEN.mdd"), "this is no database");
      await writeFile(join(folder, "EMPTY.mdd"), "");
    },
  });
  await car.online(...ALL);
  const { status, components } = ok(await car.http.get("//health"));
  const database = components.find(({ name }: { name: string }) => name === "database");
  assert.equal(database.status, "Up");
  assert.equal(status, "Up");
  const files = database["x-broken-files"].map(({ file }: { file: string }) => file.toLowerCase());
  assert.deepEqual(files.toSorted(), ["broken.mdd", "empty.mdd"]);
  ok(await car.http.get(VIN));
});

test("a second process on the same store is refused with the first one's pid", async (t) => {
  const car = await start(t, {});
  const second = await cli(
    "serve",
    ...["--store", car.config.store.path, "--databases-path", car.config.database.path],
    ...["--listen-address", "127.0.0.1", "--listen-port", "0"],
  );
  assert.notEqual(second.code, 0);
  assert.match(second.output, new RegExp(`\\b${process.pid}\\b`));
  ok(await car.http.get("//health"));
});

test("a broken configuration ends the start and names the place", async (t) => {
  const car = await start(t, { awaitReady: true });
  const file = join(car.folder, "broken.toml");
  await writeFile(file, '[server]\nport = "many"\n');
  const { code, output } = await cli("serve", "--config", file);
  assert.notEqual(code, 0);
  assert.match(output, /broken\.toml:2/);
  await writeFile(file, "[server\n");
  assert.match((await cli("serve", "--config", file)).output, /broken\.toml:1/);
});

test("on demand: nothing is sent before the first request, which waits for the ECU", async (t) => {
  // a request waits until every gateway is connected, and no longer than this
  const discovery = { wait_ms: PATIENCE_MS };
  const car = await start(t, { config: { communication: { init_mode: "on-demand" }, discovery } });
  const health = async () => ok(await car.http.get("//health")).components;
  assert.equal((await health()).find(({ name }: { name: string }) => name === "doip").status, "Pending");
  ok(await car.http.get("/components/central/data"));
  assert.deepEqual(
    ALL.filter((ecu) => car.state(ecu) !== "Offline"),
    [],
  );
  const datagrams: string[] = [];
  car.vehicle.events.subscribe((event) => event.kind === "datagram" && datagrams.push(event.entity));
  const answers = await Promise.all([
    car.http.get(VIN),
    car.http.get(VIN),
    car.http.get("/components/camera/data/vin"),
  ]);
  for (const answer of answers) assert.equal(ok(answer).data.VIN.length, 17);
  assert.ok(datagrams.length > 0);
  assert.equal((await health()).find(({ name }: { name: string }) => name === "doip").status, "Up");
  await car.online(...ALL);
});

test("by a plugin: 503 until it says so", async (t) => {
  const car = await start(t, { config: { communication: { init_mode: "plugin" } } });
  const early = await car.http.get(VIN);
  assert.equal(ok(early, 503).error_code, "preconditions-not-fulfilled");
  assert.ok(Number(early.headers.get("retry-after")) >= 1);
  ok(await car.http.get("/components/central/data"));
  await car.server.communication.trigger();
  await car.online(...ALL);
  ok(await car.http.get(VIN));
});
