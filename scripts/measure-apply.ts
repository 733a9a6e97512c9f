/**
 * What an apply of a large set costs those who use the server: `node --import tsx scripts/measure-apply.ts [--mib 100]`. The server is
 * a process of its own; simulated vehicle and load run here. Not part of the tests: it takes a minute and means little on a busy machine.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Pool } from "undici";
import { writeMdd } from "#mdd/writer/mdd.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { DEMO_ECUS, demoEntities } from "#sim/demo/vehicle.ts";
import { startVehicle } from "#sim/vehicle.ts";
import { ready, startServerProcess } from "../test/crash/server-process.ts";

const { values } = parseArgs({
  options: { mib: { type: "string", default: "100" }, clients: { type: "string", default: "16" } },
});
const MIB = 1 << 20;
const bytes = Number(values.mib) * MIB;
const GATEWAYS = ["127.0.2.1", "127.0.2.2", "127.0.2.3"];

/** A demo database that carries texts of so many bytes altogether in its description. */
function padded(name: string, revision: string, size: number) {
  const found = DEMO_ECUS.find((ecu) => ecu.name === name)!;
  const data = demoDatabase(found);
  const layer = data.variants![0]!.diag_layer!;
  const sds = Array.from({ length: Math.floor(size / 65_536) }, (_, i) => ({
    sd_or_sdg_type: "SD" as const,
    sd_or_sdg: { value: `${i} ${revision} `.padEnd(65_500, "abcdefgh"), si: "PAD", ti: "PAD" },
  }));
  return { data: { ...data, revision }, layer, sds };
}

const folder = await mkdtemp(join(tmpdir(), "measure-apply-"));
const vehicle = await startVehicle({
  entities: demoEntities("127.0.0.1", 0).map((entity, at) => ({ ...entity, address: GATEWAYS[at]! })),
  announce: false,
});
await mkdir(join(folder, "databases"));
for (const ecu of DEMO_ECUS) {
  await writeFile(join(folder, "databases", `${ecu.name}.mdd`), await writeMdd({ description: demoDatabase(ecu) }));
}
const server = await startServerProcess({
  folder,
  config: {
    doip: { tester_address: "127.0.0.2", tester_subnet: "255.0.0.0", gateway_port: vehicle.port },
    discovery: { targets: GATEWAYS, wait_ms: 300 },
    runtime_update_config: { storage_dir: join(folder, "storage"), upload_body_limit_bytes: 600 * MIB },
  },
});
await ready(server);

const pool = new Pool(new URL(server.base).origin, { connections: Number(values.clients) + 4 });
const call = async (method: string, path: string, body?: string | Uint8Array, headers: Record<string, string> = {}) => {
  const { statusCode, body: answer } = await pool.request({
    method: method as "GET",
    path: `/vehicle/v15${path}`,
    headers: { authorization: `Bearer ${token}`, ...headers },
    body: body ?? null,
    bodyTimeout: 0,
    headersTimeout: 0,
  });
  return { status: statusCode, text: await answer.text() };
};
const json = { "content-type": "application/json" };
let token = "";
token = JSON.parse(
  (await call("POST", "/authorize", JSON.stringify({ client_id: "m", client_secret: "m" }))).text,
).access_token;

const residentMib = async () => {
  const text = await readFile(`/proc/${server.pid}/status`, "utf8");
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(text)![1]) / 1024);
};

interface Sample {
  readonly at: number;
  readonly ms: number;
  readonly status: number;
}
const samples: Sample[] = [];
/** Answers that are neither the value nor the switch's refusal. */
const others = new Map<string, number>();
let loading = true;
const ECUS = ["engine", "central", "brakes", "camera"];
const clients = Array.from({ length: Number(values.clients) }, async (_, client) => {
  while (loading) {
    const at = performance.now();
    const ecu = ECUS[client % ECUS.length];
    const { status, text } = await call("GET", `/components/${ecu}/data/vin`);
    if (status !== 200 && status !== 409)
      others.set(`${ecu} ${status} ${text}`, (others.get(`${ecu} ${status} ${text}`) ?? 0) + 1);
    samples.push({ at, ms: performance.now() - at, status });
  }
});
const report = (name: string, from: number, to: number) => {
  const within = samples.filter(({ at }) => at >= from && at < to);
  const times = within
    .filter(({ status }) => status === 200)
    .map(({ ms }) => ms)
    .sort((a, b) => a - b);
  const quantile = (q: number) => times[Math.min(times.length - 1, Math.floor(q * times.length))]?.toFixed(1);
  const statuses: Record<number, number> = {};
  for (const { status } of within) statuses[status] = (statuses[status] ?? 0) + 1;
  console.log(
    `${name.padEnd(10)} ${((to - from) / 1000).toFixed(1)} s, p50 ${quantile(0.5)} ms, p99 ${quantile(0.99)} ms, max ${quantile(1)} ms, statuses ${JSON.stringify(statuses)}`,
  );
};
const elapsed = async (ms: number) => {
  const until = performance.now() + ms;
  while (performance.now() < until) await call("GET", "/components");
};

const { data, layer, sds } = padded("BODY", "2.0.0", bytes);
Object.assign(layer, { sdgs: { sdgs: [{ caption_sn: "PAD", si: "PAD", sds }] } });
const large = await writeMdd({ description: data });
console.log(`database of ${(large.length / MIB).toFixed(1)} MiB; resident ${await residentMib()} MiB`);
await elapsed(2_000);
samples.length = 0;
const start = performance.now();
await elapsed(5_000);
const uploadAt = performance.now();
await call("POST", "/locks", JSON.stringify({ lock_expiration: 600 }), json);
let peak = 0;
const watch = setInterval(async () => {
  peak = Math.max(peak, await residentMib());
}, 50);
const added = await call("POST", "/apps/sovd2uds/bulk-data/runtimefiles-nextupdate", large, {
  "content-type": "application/octet-stream",
  "content-disposition": 'attachment; filename="body.mdd"',
});
const uploadedAt = performance.now();
const RUN = "/apps/sovd2uds/operations/runtimefilesupdate/executions";
const begun = await call("POST", RUN, JSON.stringify({ mode: "apply" }), json);
let state = "running";
while (begun.status === 202 && state === "running") {
  state = JSON.parse((await call("GET", `${RUN}/${JSON.parse(begun.text).id}`)).text).status;
}
const appliedAt = performance.now();
await elapsed(3_000);
const end = performance.now();
clearInterval(watch);
loading = false;
await Promise.all(clients);
console.log(
  `upload ${added.status} ${added.status === 201 ? "" : added.text}, apply ${begun.status} ${begun.status === 202 ? state : begun.text}`,
);
report("before", start, uploadAt);
report("upload", uploadAt, uploadedAt);
report("apply", uploadedAt, appliedAt);
report("after", appliedAt, end);
const refused = samples.filter(({ status }) => status === 409).map(({ at }) => at);
console.log(
  `409: ${refused.length}, from first to last ${refused.length > 0 ? (Math.max(...refused) - Math.min(...refused)).toFixed(1) : 0} ms`,
);
for (const { msg, drainedMs, windowMs } of server.log) {
  if (msg === "databases switched") console.log({ drainedMs, windowMs });
}
for (const [text, count] of others) console.log(`${count} times ${text}`);
for (const { level, msg, problem, error } of server.log) if (Number(level) > 30) console.log({ msg, problem, error });
console.log(`resident: peak ${peak} MiB, now ${await residentMib()} MiB`);
await pool.close();
server.kill("SIGTERM");
await server.ended;
await vehicle.close();
await rm(folder, { recursive: true });
