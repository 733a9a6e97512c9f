/** Services as a person looks at them: parameters with their places, types and meanings, from description and compiled plan. */
import { toHex } from "#core/bytes.ts";
import { compileService } from "../codec/compile.ts";
import type { CodecOptions } from "../codec/options.ts";
import type { MessagePlan, ServicePlan } from "../codec/plan.ts";
import { DiagService as DiagServiceTable } from "../generated/dataformat.ts";
import type { DiagService, Param } from "../generated/description.ts";
import type { Database } from "../query/database.ts";
import type { ServiceEntry, StateTransition } from "../query/service-entry.ts";
import { describeTable } from "../writer/read.ts";
import type { CompuView } from "./type-text.ts";
import { placeParams } from "./view-params.ts";

/** A parameter. Absent members do not apply, or the database does not fix them. */
export interface ParamView {
  readonly name: string;
  readonly kind: string;
  readonly semantic?: string;
  /** First byte from the start of the message. */
  readonly byte?: number;
  /** First byte from the start of what it stands in; absent: behind the parameter before. */
  readonly offset?: number;
  /** Lowest bit in the first byte. */
  readonly bit: number;
  readonly bits?: number;
  readonly bytes?: number;
  /** The byte at the lowest position is the least significant one. */
  readonly littleEndian?: true;
  readonly type?: string;
  readonly dop?: string;
  readonly compu?: CompuView;
  readonly unit?: string;
  readonly limits?: string;
  /** Of a constant. */
  readonly value?: string;
  readonly default?: string;
  /** What keeps it from being used. */
  readonly problem?: string;
  /** What it holds: members of a structure, of a field's item, of cases or rows. */
  readonly groups?: readonly ParamGroup[];
}

export interface ParamGroup {
  /** `structure`, `items 1…4`, `case Hot = 1…9`, `row Year`. */
  readonly label: string;
  readonly params: readonly ParamView[];
}

export interface MessageView {
  readonly kind: "request" | "positive" | "negative";
  readonly params: readonly ParamView[];
  /** Length when it is fixed. */
  readonly bytes?: number;
}

export interface ServiceView {
  readonly name: string;
  readonly id: string;
  readonly longName?: string;
  readonly resource?: string;
  readonly semantic?: string;
  /** Fixed first bytes of a request. */
  readonly prefix: string;
  readonly functionalClasses: readonly string[];
  readonly preconditions: readonly string[];
  readonly transitions: readonly StateTransition[];
  readonly messages: readonly MessageView[];
}

export interface ViewOptions {
  readonly positions: CodecOptions["positions"];
  /** Parameters of one service that are unfolded; shared structures make a small file a huge tree. Default 10 000. */
  readonly maxParams?: number;
}

const DEFAULT_MAX_PARAMS = 10_000;

/** A service with all its messages. @throws Fault invalidDatabase when it does not compile at all */
export function viewService(database: Database, entry: ServiceEntry, options: ViewOptions): ServiceView {
  const plan = compileService(new DiagServiceTable().__init(entry.table, database.buffer), {
    shape: "iso",
    positions: options.positions,
  });
  const described = describeTable(database.bytes, "DiagService", entry.table) as DiagService;
  const { shortName, id, name, type, semantic, prefix, functionalClasses, preconditions, transitions } = entry;
  return {
    name: shortName,
    id,
    ...(name !== "" && { longName: name }),
    ...(type !== undefined && { resource: type }),
    ...(semantic !== undefined && { semantic }),
    prefix: toHex(prefix, " "),
    functionalClasses,
    preconditions,
    transitions,
    messages: messagesOf(described, plan, options.maxParams ?? DEFAULT_MAX_PARAMS),
  };
}

function messagesOf(described: DiagService, plan: ServicePlan, maxParams: number): MessageView[] {
  const { request, pos_responses: positive = [], neg_responses: negative = [] } = described;
  const budget = { left: maxParams };
  const view = (kind: MessageView["kind"], params: readonly Param[], message: MessagePlan | undefined) => {
    const { views, end } = placeParams({ pool: plan.pool, budget }, params, message?.list, 0, 0);
    return { kind, params: views, ...(end !== undefined && { bytes: end }) };
  };
  return [
    ...(request === undefined ? [] : [view("request", request.params ?? [], plan.request)]),
    ...positive.map(({ params = [] }, i) => view("positive", params, plan.responses[i])),
    ...negative.map(({ params = [] }, i) => view("negative", params, plan.responses[positive.length + i])),
  ];
}
