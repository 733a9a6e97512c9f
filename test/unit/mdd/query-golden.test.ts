// Golden vectors of the shared facts (mdd-golden.json): every operation on a database that is neither encode nor decode.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, toHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import { resolveComParams } from "#mdd/query/com-param-resolution.ts";
import type { Database } from "#mdd/query/database.ts";
import { listConfigurations } from "#mdd/query/describe.ts";
import { requestSchema, responseSchema } from "#mdd/query/json-schema.ts";
import { baseVariant, findVariant, type VariantScope } from "#mdd/query/layers.ts";
import { findByPrefix, findGenericService, findService, type ServiceQuery } from "#mdd/query/lookup.ts";
import { chooseProtocol } from "#mdd/query/protocols.ts";
import type { ServiceEntry, ServiceType } from "#mdd/query/service-entry.ts";
import { type ServiceIndex, serviceIndex } from "#mdd/query/service-index.ts";
import { findRequestSeedService, findSendKeyService, findSessionService } from "#mdd/query/service-purposes.ts";
import {
  checkPreconditions,
  type EcuStates,
  nextStates,
  type StateCharts,
  startStates,
  stateChartsOf,
} from "#mdd/query/state-charts.ts";
import { databaseFacts } from "#mdd/query/topology.ts";
import type { JsonSchema } from "#mdd/query/value-schema.ts";
import { type DetectionAnswers, detectionPlan, evaluateVariants } from "#mdd/query/variants.ts";
import { parseComParam, readComParamConfig } from "#uds/com-param-values.ts";
import { COM_PARAM_ROWS } from "#uds/com-params.ts";
import { schemaDifferences } from "./query-schema-compare.ts";
import { openShared, readShared, SKIP_WITHOUT_SHARED } from "./query-support.ts";

/** What the reference gave; which members are there depends on the operation. */
interface Cda {
  readonly error?: string;
  readonly name?: string;
  readonly title?: string;
  readonly schema?: JsonSchema;
  readonly new_session?: string;
  readonly session?: string;
  readonly security?: string;
  readonly state?: string;
  readonly type?: string;
}

interface Vector {
  readonly id: number;
  readonly mdd: string;
  readonly op: string;
  readonly service?: { name?: string; type: ServiceType; subfunction?: number; lookup_name?: string };
  readonly input?: { raw?: string; target?: string; key?: boolean; responses?: Record<string, string> };
  readonly config?: { ignore?: boolean; protocol?: string };
  readonly active_variant?: string;
  readonly cda: Cda;
}

/** What a run over one file carries from vector to vector. */
interface Run {
  readonly database: Database;
  variant: VariantScope;
  index: ServiceIndex;
  charts: StateCharts;
  states: EcuStates;
}

const OPS: Readonly<Record<string, (run: Run, vector: Vector) => void>> = {
  variant_detection: detect,
  state: (run, { cda }) =>
    assert.deepEqual(run.states, { session: unwrap(cda.session), security: unwrap(cda.security) }),
  generic_service_check: (run, { input, cda }) => {
    const service = expectError(cda, () => findGenericService(run.index, bytes(input?.raw)));
    if (service === undefined) return;
    assert.equal(checkPreconditions(run.charts, run.states, service), undefined);
    if (cda.new_session !== undefined)
      assert.equal(nextStates(run.charts, run.states, service).session, cda.new_session);
  },
  lookup_by_request_prefix: (run, { input, cda }) => {
    const services = expectError(cda, () => findByPrefix(run.index, bytes(input?.raw)));
    if (services !== undefined) assert.deepEqual(services.map(debugText), cda);
  },
  find_session_service: (run, { input, cda }) => {
    const service = expectError(cda, () => findSessionService(run.index, run.charts, run.states, input?.target ?? ""));
    if (service !== undefined) assert.equal(debugText(service), cda);
  },
  find_security_service: (run, { input, cda }) => {
    const level = input?.target ?? "";
    const service = expectError(cda, () =>
      input?.key
        ? findSendKeyService(run.index, run.charts, run.states, level)
        : findRequestSeedService(run.database, run.index, level),
    );
    if (service !== undefined) assert.equal(`${input?.key ? "key" : "seed"} ${debugText(service)}`, cda);
  },
  addresses: (run, { cda }) => {
    const facts = databaseFacts(run.database);
    const params = resolveComParams(run.database, undefined, {
      rows: COM_PARAM_ROWS,
      readers: { parse: parseComParam, readConfig: readComParamConfig },
    });
    const address = (field: string) => params.get(`doip.${field}`)?.value;
    assert.deepEqual(
      {
        fgs: facts.functionalGroups,
        functional: address("logicalFunctionalAddress"),
        gateway: address("logicalGatewayAddress"),
        logical: address("logicalEcuAddress"),
        name: facts.ecuName,
        revision: facts.revision,
        tester: address("logicalTesterAddress"),
      },
      cda,
    );
    assert.equal(params.get("doip.logicalEcuAddress")?.isResolved, false);
  },
  configurations: (run, { cda }) => {
    const items = expectError(cda, () => listConfigurations(run.database, run.index));
    if (items === undefined) return;
    const shown = items.map(({ id, name, serviceAbstracts }) => ({
      configurations_type: "parameter",
      id,
      name,
      service_abstract: serviceAbstracts.map((text) => text.toLowerCase()).sort(),
    }));
    assert.deepEqual(shown, cda);
  },
  request_schema: (run, vector) => compareSchema(run, vector, requestSchema),
  response_schema: (run, vector) => compareSchema(run, vector, responseSchema),
};

function compareSchema(run: Run, { id, service, cda }: Vector, build: typeof requestSchema): void {
  const found = expectError(cda, () => findService(run.index, run.database.naming, queryOf(service)));
  if (found === undefined) return;
  const built = build(run.database, found);
  assert.equal(built.name, cda.name);
  assert.equal(built.title, cda.title);
  assert.deepEqual(schemaDifferences(built.schema, cda.schema), EXPECTED_ADDITIONS[id] ?? []);
}

/** What the CDA's schemas leave out though it is taken or given: DTCs, length keys, constants, tables. */
const EXPECTED_ADDITIONS: Readonly<Record<number, readonly string[]>> = {
  87: ["+/travelMethod", "+/travelMethodData"],
  94: ["+/DTCAndStatusRecord/DTCRecord"],
  473: ["+/dtc"],
  474: ["+/dtc"],
  477: ["+/key", "+/tab"],
  479: ["+/len"],
  482: ["+/dtc"],
  483: ["+/dtc"],
  1517: ["+/len"],
  1529: ["+/list[]/dtc"],
  1539: ["+/which", "+/value"],
  1559: ["+/list[]/dtc"],
  1562: ["+/key", "+/tab"],
  1563: ["+/mode"],
  1566: ["+/len"],
};

function queryOf(service: Vector["service"]): ServiceQuery {
  return {
    type: service?.type ?? "Data",
    name: service?.name ?? "",
    ...(service?.lookup_name === undefined ? {} : { lookupName: service.lookup_name }),
    ...(service?.subfunction === undefined ? {} : { subFunction: service.subfunction }),
  };
}

/** Answers of the vectors decoded by hand, so that detection is tested without the codec. */
const FIELDS: Readonly<Record<string, readonly [name: string, decode: (answer: Uint8Array) => unknown][]>> = {
  Identification_Read: [["Identification", (answer) => Buffer.from(answer).readUIntBE(3, 3)]],
  Ident_Read: [
    ["Id", (answer) => Buffer.from(answer).readUInt16BE(3)],
    ["Part", (answer) => [...answer.subarray(5, 7)].map((byte) => `0x${toHex(Uint8Array.of(byte))}`).join(" ")],
  ],
};

function detect(run: Run, { input, config, cda }: Vector): void {
  const protocol = { name: config?.protocol ?? "UDS_Ethernet_DoIP_DOBT", ignore: config?.ignore ?? false };
  chooseProtocol(run.database, protocol);
  const plan = detectionPlan(run.database);
  const answers: DetectionAnswers = new Map(
    plan.services
      .filter(({ shortName }) => input?.responses?.[shortName] !== undefined)
      .map(({ shortName }) => {
        const answer = bytes(input?.responses?.[shortName]);
        const fields = FIELDS[shortName] ?? [];
        const decoded = Object.fromEntries(
          fields.map(([name, decode]) => [name, answer[0] === 0x7f || decode(answer)]),
        );
        return [shortName, answer[0] === 0x7f ? undefined : decoded];
      }),
  );
  const result = evaluateVariants(plan, answers, true);
  const [, connectivity] = /connectivity: (\w+)/.exec(cda.state ?? "") as unknown as [string, string];
  assert.equal(result.state === "Offline" ? "Offline" : "Online", connectivity);
  if (result.state === "Detected") enter(run, result.variant);
  const { name, isBaseVariant } = run.variant;
  const isFallback = result.state === "Detected" && result.isFallback;
  const detected = `Detected { name: "${name}", is_base_variant: ${isBaseVariant}, is_fallback: ${isFallback} }`;
  assert.ok(cda.state?.includes(detected), `${detected}\n${cda.state}`);
  assert.ok(cda.state?.includes(`variant_index: Some(${run.variant.index})`));
}

function enter(run: Run, variant: VariantScope): void {
  run.variant = variant;
  run.index = serviceIndex(run.database, variant);
  run.charts = stateChartsOf(run.database, variant);
  run.states = startStates(run.charts);
}

/** Undefined after an error that the vector expects; its text must be the vector's. */
function expectError<T>(cda: Cda, query: () => T): T | undefined {
  if (cda.error === undefined) return query();
  const expected = /^Not found: "(.*)"$/s.exec(cda.error)?.[1]?.replaceAll('\\"', '"');
  assert.throws(query, (error) => error instanceof Fault && error.kind === "notFound" && error.message === expected);
  return undefined;
}

function debugText({ id, type, shortName }: ServiceEntry): string {
  return `DiagComm { name: "${id}", type_: ${type}, lookup_name: Some("${shortName}"), subfunction_id: None }`;
}

function unwrap(result = ""): string | undefined {
  return /^Ok\("(.*)"\)$/.exec(result)?.[1];
}

function bytes(hex: string | undefined): Uint8Array {
  return fromHex(hex ?? "") ?? new Uint8Array();
}

/** A positive answer that a vector reads moves the tracked states, as it would at run-time. */
function follow(run: Run, { op, service, cda }: Vector): void {
  if (op !== "decode_response" || cda.type !== "Positive") return;
  run.states = nextStates(run.charts, run.states, findService(run.index, run.database.naming, queryOf(service)));
}

const vectors: readonly Vector[] = SKIP_WITHOUT_SHARED ? [] : JSON.parse(readShared("facts/mdd-golden.json")).vectors;

test("golden vectors are there", { skip: SKIP_WITHOUT_SHARED }, () => {
  assert.equal(vectors.filter(({ op }) => op in OPS).length, 135);
});

for (const file of new Set(vectors.filter(({ op }) => op in OPS).map(({ mdd }) => mdd))) {
  test(`golden queries on ${file}`, { skip: SKIP_WITHOUT_SHARED }, async (t) => {
    const database = await openShared(file);
    const base = baseVariant(database) ?? assert.fail("no base variant");
    const run = { database } as Run;
    enter(run, base);
    for (const vector of vectors.filter(({ mdd }) => mdd === file).sort((a, b) => a.id - b.id)) {
      const active = vector.active_variant === undefined ? undefined : findVariant(database, vector.active_variant);
      if (active !== undefined && active !== run.variant) enter(run, active);
      const check = OPS[vector.op];
      if (check === undefined) follow(run, vector);
      else await t.test(`${vector.id} ${vector.op}`, () => check(run, vector));
    }
  });
}
