/** Vectors of every operation on a database that is neither encode nor decode. */
import { Fault } from "#core/errors.ts";
import { decodeResponse } from "../codec/codec.ts";
import { compileService } from "../codec/compile.ts";
import { DiagService } from "../generated/dataformat.ts";
import { listConfigurations } from "../query/describe.ts";
import { requestSchema, responseSchema } from "../query/json-schema.ts";
import { findByPrefix, findGenericService } from "../query/lookup.ts";
import { chooseProtocol } from "../query/protocols.ts";
import type { ServiceEntry } from "../query/service-entry.ts";
import { findRequestSeedService, findSendKeyService, findSessionService } from "../query/service-purposes.ts";
import { checkPreconditions, nextStates } from "../query/state-charts.ts";
import { databaseFacts } from "../query/topology.ts";
import { type DetectionAnswers, detectionPlan, evaluateVariants } from "../query/variants.ts";
import { bytesOf } from "./vectors-codec.ts";
import { isNearlyEqual, shown } from "./vectors-equal.ts";
import {
  enter,
  expectedOf,
  type Findings,
  indexOf,
  type Operation,
  type Run,
  serviceOf,
  type Vector,
} from "./vectors-run.ts";
import { schemaDifferences } from "./vectors-schema.ts";

/** Protocol of the reference's configuration when a vector names none. */
const DEFAULT_PROTOCOL = "UDS_Ethernet_DoIP_DOBT";

/** An operation whose answer, as the reference writes it, is compared whole. */
function answering(answer: (run: Run, vector: Vector) => unknown): Operation {
  return (run, vector, found) => {
    const outcome = asExpected(run, vector, found, () => answer(run, vector));
    if (outcome !== undefined) compare(outcome.value, expectedOf(run, vector), found);
  };
}

export const QUERY_OPERATIONS: Readonly<Record<string, Operation>> = {
  variant_detection: detect,
  state: ({ states }, { cda }, found) =>
    compare(states, { session: unwrap(cda.session), security: unwrap(cda.security) }, found),
  generic_service_check: checkGeneric,
  lookup_by_request_prefix: answering((run, { input }) =>
    findByPrefix(indexOf(run), bytesOf(input?.raw)).map(debugText),
  ),
  find_session_service: answering((run, { input }) =>
    debugText(findSessionService(indexOf(run), run.charts, run.states, input?.target ?? "")),
  ),
  find_security_service: answering((run, { input }) => {
    const level = input?.target ?? "";
    const service = input?.key
      ? findSendKeyService(indexOf(run), run.charts, run.states, level)
      : findRequestSeedService(run.database, indexOf(run), level);
    return `${input?.key ? "key" : "seed"} ${debugText(service)}`;
  }),
  addresses: answering(addressesOf),
  configurations: answering((run) =>
    listConfigurations(run.database, indexOf(run)).map(({ id, name, serviceAbstracts }) => ({
      configurations_type: "parameter",
      id,
      name,
      service_abstract: serviceAbstracts.map((text) => text.toLowerCase()).sort(),
    })),
  ),
  request_schema: (run, vector, found) => compareSchema(run, vector, found, requestSchema),
  response_schema: (run, vector, found) => compareSchema(run, vector, found, responseSchema),
};

function compare(own: unknown, expected: unknown, found: Findings): void {
  if (!isNearlyEqual(own, expected)) found.differences.push(`${shown(own)} instead of ${shown(expected)}`);
}

/** The outcome to compare; undefined when there is an error, which is compared here. */
function asExpected<T>(run: Run, vector: Vector, found: Findings, query: () => T): { readonly value: T } | undefined {
  const expected = expectedOf(run, vector);
  if (expected.any) return undefined;
  try {
    const value = query();
    if (expected.error === undefined) return { value };
    found.differences.push(`an answer instead of an error (${expected.error})`);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    if (expected.error === undefined) found.differences.push(`refused: ${error.message}`);
    else compareText(error, expected.error, found);
  }
  return undefined;
}

/** The reference shows its errors as `Not found: "text"`. */
function compareText(error: Fault, text: string, found: Findings): void {
  const absent = /^Not found: "(.*)"$/s.exec(text)?.[1]?.replaceAll('\\"', '"');
  const isSameKind = absent === undefined || error.kind === "notFound";
  if (isSameKind && error.message === (absent ?? text)) return;
  found.remarks.push(`refused with ${error.kind} '${error.message}', the reference with '${text}'`);
}

function checkGeneric(run: Run, vector: Vector, found: Findings): void {
  const { input, cda } = vector;
  const outcome = asExpected(run, vector, found, () => findGenericService(indexOf(run), bytesOf(input?.raw)));
  if (outcome === undefined) return;
  const mismatch = checkPreconditions(run.charts, run.states, outcome.value);
  if (mismatch !== undefined) found.differences.push(`not allowed: ${shown(mismatch)}`);
  const next = nextStates(run.charts, run.states, outcome.value);
  if (cda.new_session !== undefined) compare(next.session, cda.new_session, found);
  if (cda.new_security !== undefined) compare(next.security, cda.new_security, found);
}

function addressesOf(run: Run): unknown {
  const facts = databaseFacts(run.database);
  const params = run.comParams(run.database);
  const address = (field: string) => params.get(`doip.${field}`)?.value;
  return {
    fgs: facts.functionalGroups,
    functional: address("logicalFunctionalAddress"),
    gateway: address("logicalGatewayAddress"),
    logical: address("logicalEcuAddress"),
    name: facts.ecuName,
    revision: facts.revision,
    tester: address("logicalTesterAddress"),
  };
}

/** The reference's schemas leave out parameters that are taken and given; what is right in ours beyond that, `vectors-schema.ts` tells. */
function compareSchema(run: Run, vector: Vector, found: Findings, build: typeof requestSchema): void {
  const outcome = asExpected(run, vector, found, () => build(run.database, serviceOf(run, vector)));
  if (outcome === undefined) return;
  const { name, title, schema } = outcome.value;
  const expected = expectedOf(run, vector);
  compare({ name, title }, { name: expected.name, title: expected.title }, found);
  for (const difference of schemaDifferences(schema, expected.schema)) {
    if (difference.startsWith("+")) found.remarks.push(`facts §7: the reference's schema lacks ${difference.slice(1)}`);
    else found.differences.push(difference);
  }
}

function detect(run: Run, { input, config, cda }: Vector, found: Findings): void {
  chooseProtocol(run.database, { name: config?.protocol ?? DEFAULT_PROTOCOL, ignore: config?.ignore ?? false });
  const plan = detectionPlan(run.database);
  const answers = new Map<string, Readonly<Record<string, unknown>> | undefined>();
  for (const { shortName, table } of plan.services) {
    const hex = input?.responses?.[shortName];
    if (hex === undefined) continue;
    const service = new DiagService().__init(table, run.database.buffer);
    const { type, data } = decodeResponse(compileService(service, run.reading), bytesOf(hex));
    answers.set(shortName, type === "negative" ? undefined : (data ?? undefined));
  }
  compareDetection(run, plan, answers, cda.state ?? "", found);
}

function compareDetection(
  run: Run,
  plan: ReturnType<typeof detectionPlan>,
  answers: DetectionAnswers,
  state: string,
  found: Findings,
): void {
  const result = evaluateVariants(plan, answers, true);
  const connectivity = /connectivity: (\w+)/.exec(state)?.[1];
  compare(result.state === "Offline" ? "Offline" : "Online", connectivity, found);
  if (result.state === "Detected") enter(run, result.variant);
  const { variant } = run;
  if (variant === undefined) return;
  const isFallback = result.state === "Detected" && result.isFallback;
  const own = `Detected { name: "${variant.name}", is_base_variant: ${variant.isBaseVariant}, is_fallback: ${isFallback} }`;
  if (!state.includes(own) || !state.includes(`variant_index: Some(${variant.index})`))
    found.differences.push(`${own}, index ${variant.index} instead of ${state}`);
}

/** A service as the reference prints it. */
function debugText({ id, type, shortName }: ServiceEntry): string {
  return `DiagComm { name: "${id}", type_: ${type}, lookup_name: Some("${shortName}"), subfunction_id: None }`;
}

function unwrap(result = ""): string | undefined {
  return /^Ok\("(.*)"\)$/.exec(result)?.[1];
}
