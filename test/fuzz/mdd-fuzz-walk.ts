// Everything that reads a database, run over one: whatever the bytes are, it gives an answer or a Fault.
import assert from "node:assert/strict";
import { Fault } from "#core/errors.ts";
import { decodeRequest, decodeResponse, encodeRequest, writeResponseJson } from "#mdd/codec/codec.ts";
import { compileService } from "#mdd/codec/compile.ts";
import { JsonBytes } from "#mdd/codec/json-bytes.ts";
import type { ServicePlan } from "#mdd/codec/plan.ts";
import { encodeContainer } from "#mdd/container/encode.ts";
import type { MddContainer } from "#mdd/container/messages.ts";
import { DiagService } from "#mdd/generated/dataformat.ts";
import type { EcuData } from "#mdd/generated/description.ts";
import { comParamsOf, listComParams } from "#mdd/query/com-params.ts";
import { type Database, openDatabase } from "#mdd/query/database.ts";
import { listConfigurations, listData, listOperations } from "#mdd/query/describe.ts";
import { dtcsOf } from "#mdd/query/dtc.ts";
import { describeJob, listJobs } from "#mdd/query/jobs.ts";
import { requestSchema, responseSchema } from "#mdd/query/json-schema.ts";
import { baseVariant, functionalGroupsOf, layersOf, type Scope, variantsOf } from "#mdd/query/layers.ts";
import { findByPrefix, findGenericService, findService } from "#mdd/query/lookup.ts";
import { chooseProtocol, protocolsOf } from "#mdd/query/protocols.ts";
import type { ServiceEntry } from "#mdd/query/service-entry.ts";
import { serviceIndex } from "#mdd/query/service-index.ts";
import { faultServices, findRequestSeedService } from "#mdd/query/service-purposes.ts";
import { nextStates, startStates, stateChartsOf } from "#mdd/query/state-charts.ts";
import { databaseFacts, functionalGroupFacts } from "#mdd/query/topology.ts";
import { detectionPlan, evaluateVariants } from "#mdd/query/variants.ts";
import { diffDatabases } from "#mdd/tools/diff.ts";
import { inspectMdd } from "#mdd/tools/inspect.ts";
import { openApiOf } from "#mdd/tools/openapi.ts";
import { verifyMdd } from "#mdd/tools/verify.ts";
import { verifyEcuData } from "#mdd/verify/verify.ts";
import { packChunk } from "#mdd/writer/mdd.ts";
import { readDescription } from "#mdd/writer/read.ts";
import { writeEcuData } from "#mdd/writer/write.ts";
import { inflateLzma } from "#store/lzma.ts";
import type { Random } from "./mdd-fuzz-mutate.ts";

/** Runs a step that may refuse, but not fail. */
function refusable<T>(step: () => T): T | undefined {
  try {
    return step();
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

const PAYLOADS_PER_SERVICE = 4;
const SERVICES_PER_SCOPE = 60;

/** Walks a FlatBuffer. False: it did not verify, so nothing was read. */
export async function walkDatabase(bytes: Uint8Array, original: EcuData, random: Random): Promise<boolean> {
  const verdict = verifyEcuData(bytes, { maxTables: 1_000_000 });
  if (!verdict.ok) return false;
  const database = refusable(() => openDatabase(bytes));
  if (database !== undefined) walkQueries(database, random);
  const description = refusable(() => readDescription(bytes));
  if (description !== undefined) {
    roundTrip(description);
    diffDatabases(original, description, { maxChanges: 100 });
  }
  const content = encodeContainer(await containerOf(bytes, database?.ecuName ?? ""));
  await verifyMdd(content, { inflate: inflateLzma });
  return true;
}

/** A container around a FlatBuffer, as it is stored. */
export async function containerOf(content: Uint8Array, ecuName: string): Promise<MddContainer> {
  const chunk = await packChunk({ type: 0, name: ecuName, content });
  return { version: "", featureFlags: [], ecuName, metadata: new Map(), chunks: [chunk], unknown: [] };
}

function walkQueries(database: Database, random: Random): void {
  const container: MddContainer = {
    version: "",
    featureFlags: [],
    ecuName: "",
    metadata: new Map(),
    chunks: [],
    unknown: [],
  };
  const loaded = {
    container,
    bytes: database.bytes,
    database,
    positions: "converter",
    lengthKeyUnit: "bytes",
  } as const;
  const all: readonly (() => unknown)[] = [
    () => databaseFacts(database),
    () => functionalGroupFacts(database),
    () => protocolsOf(database),
    () => chooseProtocol(database, { name: "auto-can" }),
    () => comParamsOf(database, undefined),
    () => dtcsOf(database),
    () => baseVariant(database),
    () => evaluateVariants(detectionPlan(database), new Map(), true),
    () => inspectMdd(loaded, { maxParams: 2000 }),
  ];
  for (const one of all) refusable(one);
  const scopes = [
    ...(refusable(() => variantsOf(database)) ?? []),
    ...(refusable(() => functionalGroupsOf(database)) ?? []),
  ];
  for (const scope of scopes.slice(0, 8)) walkScope(database, scope, random);
}

function walkScope(database: Database, scope: Scope, random: Random): void {
  refusable(() => layersOf(database, scope));
  refusable(() => listComParams(database, scope, undefined));
  for (const { id } of refusable(() => listJobs(database, scope)) ?? [])
    refusable(() => describeJob(database, scope, id));
  refusable(() => openApiOf(database, scope));
  const index = refusable(() => serviceIndex(database, scope));
  if (index === undefined) return;
  refusable(() => listData(index));
  refusable(() => listOperations(index));
  refusable(() => listConfigurations(database, index));
  refusable(() => faultServices(index));
  refusable(() => findRequestSeedService(database, index, "Level_3"));
  refusable(() => findByPrefix(index, payloadOf(random)));
  refusable(() => findGenericService(index, payloadOf(random)));
  const charts = refusable(() => stateChartsOf(database, scope));
  for (const service of index.services.slice(0, SERVICES_PER_SCOPE)) {
    if (charts !== undefined) refusable(() => nextStates(charts, startStates(charts), service));
    refusable(() => findService(index, database.naming, { type: "Data", name: service.id }));
    walkService(database, service, random);
  }
}

function walkService(database: Database, service: ServiceEntry, random: Random): void {
  refusable(() => requestSchema(database, service));
  refusable(() => responseSchema(database, service, { flatten: true }));
  const table = new DiagService().__init(service.table, database.buffer);
  for (const shape of ["cda", "iso"] as const) {
    const plan = refusable(() => compileService(table, { shape, positions: random.pick(["converter", "sequential"]) }));
    if (plan === undefined) continue;
    for (let n = 0; n < PAYLOADS_PER_SERVICE; n++) walkPlan(plan, service, random);
  }
}

const out = new JsonBytes();

function walkPlan(plan: ServicePlan, { prefix }: ServiceEntry, random: Random): void {
  const asked = Uint8Array.from([...prefix, ...payloadOf(random)]);
  const answer = Uint8Array.from(asked);
  if (answer.length > 0 && random.below(4) > 0) answer[0] = answer[0]! + 0x40;
  const decoded = decodeResponse(plan, answer, asked);
  out.reset();
  const written = writeResponseJson(plan, answer, asked, out);
  assert.deepEqual(written.failure, decoded.failure);
  if (out.length > 0) JSON.parse(Buffer.from(out.view()).toString());
  const request = decodeRequest(plan, asked);
  for (const parameters of [decoded.data ?? {}, request.data ?? {}, { ...valuesFor(plan, random) }, asked])
    refusable(() => encodeRequest(plan, parameters));
}

function payloadOf(random: Random): Uint8Array {
  const fill = random.pick([undefined, 0, 0xff]);
  return Uint8Array.from({ length: random.below(40) }, () => fill ?? random.below(256));
}

const VALUES: readonly unknown[] = [
  0,
  1,
  -1,
  255,
  1.5,
  1e300,
  "",
  "0",
  "0x01 0x02",
  "Default",
  [],
  [{}],
  {},
  { a: 1 },
  null,
  true,
];

function valuesFor(plan: ServicePlan, random: Random): Record<string, unknown> {
  return Object.fromEntries([...(plan.request?.list.names ?? [])].map((name) => [name, random.pick(VALUES)]));
}

/** What reads as a description can be written, and reads the same again. */
function roundTrip(description: EcuData): void {
  const written = refusable(() => writeEcuData(description));
  if (written === undefined) return;
  const verdict = verifyEcuData(written);
  assert.ok(verdict.ok, `what was written does not verify: ${JSON.stringify(verdict)}`);
  const again = writeEcuData(readDescription(written));
  assert.ok(Buffer.from(again).equals(written), "written twice, it differs");
}
