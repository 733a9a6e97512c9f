/** Compiles a service once per database version, at first use. */
import type { DiagService, Param, Request, Response } from "#mdd/generated/dataformat.ts";
import { compileList, compileMembers, type ListContext } from "./compile-params.ts";
import { elements } from "./compile-scalar.ts";
import { type Compiler, createCompiler, linkRegisters } from "./compiler.ts";
import { type CodecOptions, DEFAULT_CODEC_OPTIONS } from "./options.ts";
import { type MessagePlan, type ParamList, ResponseKind, type ServicePlan, StepKind } from "./plan.ts";

/**
 * Compiles a service. What is wrong with single parameters of the database is kept in the plan and told when they are used; options that
 * are left out are those of the CDA.
 */
export function compileService(service: DiagService, options: Partial<CodecOptions> = {}): ServicePlan {
  const all = { ...DEFAULT_CODEC_OPTIONS, ...options };
  const c = createCompiler(all, compileMembers);
  const request = compileRequest(c, service.request());
  const plan: ServicePlan = {
    shortName: service.diagComm()?.shortName() ?? "",
    pool: c.pool,
    request,
    responses: [
      ...compileResponses(
        c,
        service.posResponsesLength(),
        (i) => service.posResponses(i),
        ResponseKind.POSITIVE,
        request?.list,
      ),
      ...compileResponses(
        c,
        service.negResponsesLength(),
        (i) => service.negResponses(i),
        ResponseKind.NEGATIVE,
        request?.list,
      ),
    ],
    nrcText: all.nrcText,
  };
  linkRegisters(c);
  return plan;
}

function compileRequest(c: Compiler, request: Request | null): MessagePlan | undefined {
  if (request === null) return undefined;
  const params = elements(request.paramsLength(), (i) => request.params(i));
  return compileMessage(c, params, ResponseKind.POSITIVE, { isShown: () => true, request: undefined });
}

function compileResponses(
  c: Compiler,
  length: number,
  get: (index: number) => Response | null,
  kind: ResponseKind,
  request: ParamList | undefined,
): MessagePlan[] {
  const { dataSemantic, serviceIdSemantic } = c.options;
  const isShown = (param: Param) => {
    const semantic = param.semantic();
    return semantic === null || semantic === dataSemantic || semantic === serviceIdSemantic;
  };
  return elements(length, get).map((response) => {
    const params = elements(response.paramsLength(), (i) => response.params(i));
    return compileMessage(c, params, kind, { isShown, request });
  });
}

function compileMessage(c: Compiler, params: readonly Param[], kind: ResponseKind, context: ListContext): MessagePlan {
  const list = compileList(c, params, context);
  return { list, kind, serviceIds: serviceIds(list), rawOffset: rawOffset(c, params) };
}

/** First bytes that the constants at byte 0 allow. */
function serviceIds(list: ParamList): number[] {
  return list.steps.flatMap((step) => {
    const constant = step.kind === StepKind.CODED_CONST && step.bytePosition === 0 ? step.constants[0] : undefined;
    return typeof constant === "number" ? [constant] : [];
  });
}

/** Smallest byte position of the DATA parameters; in files that cannot store a zero an absent one counts as 0. */
function rawOffset(c: Compiler, params: readonly Param[]): number {
  const whenAbsent = c.options.positions === "converter" ? 0 : Number.MAX_SAFE_INTEGER;
  const positions = params
    .filter((param) => param.semantic() === c.options.dataSemantic)
    .map((param) => param.bytePosition() ?? whenAbsent);
  const smallest = Math.min(...positions);
  return smallest < Number.MAX_SAFE_INTEGER ? smallest : 0;
}
