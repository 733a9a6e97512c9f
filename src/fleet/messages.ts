/**
 * What main and a shard say to each other. Plain data only: every message crosses a thread by structured clone.
 * A call goes down once and comes back once; the reply's body is finished bytes that main only writes out.
 */
import type { FaultData } from "#core/errors.ts";
import type { StageFigures } from "#telemetry/stages.ts";
import type { ComParams } from "#uds/com-params.ts";

/** The body of a service call as main took it off the wire, already checked for shape. */
export type ServiceBody =
  | { readonly type: "none" }
  | { readonly type: "json"; readonly parameters: Readonly<Record<string, unknown>> }
  /** Parameter bytes after SID, identifier and constants. */
  | { readonly type: "raw"; readonly bytes: Uint8Array };

/** Form of the answer: SOVD JSON, or the raw parameter bytes. */
export type Accept = "json" | "raw";

/** How byte fields read in JSON: `0x01 0xAB`, or base64 when the caller asked for it. */
export type ByteFormat = "hex" | "base64";

interface WithSchema {
  /** Append `schema`, the JSON Schema of the answer, as last member. */
  readonly schema?: boolean;
}

interface WithForm extends WithSchema {
  /** Default `json`. */
  readonly accept?: Accept;
  readonly byteFormat?: ByteFormat;
}

export type ModeId = "session" | "security" | "commctrl" | "dtcsetting" | "authentication";

/** Names of the modes as the API shows them, in its order; `authentication` stands beside the CDA's four. */
export const MODE_NAMES: Readonly<Record<ModeId, string>> = {
  session: "Diagnostic session",
  security: "Security access",
  commctrl: "Communication control",
  dtcsetting: "DTC setting",
  authentication: "Authentication",
};

export interface ModeWrite extends WithSchema {
  readonly mode: ModeId;
  readonly value: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** Security access: hex text of the key; absent asks for the seed. */
  readonly key?: string;
  /** After this many seconds the default session or security level is requested again. */
  readonly expirationS?: number;
}

export interface FaultFilter extends WithSchema {
  /** DTC status mask, 0…0xFF; absent lists every DTC of the database. */
  readonly statusMask?: number;
  readonly severity?: number;
  readonly scope?: string;
  readonly memorySelection?: number;
}

export interface TransferStart {
  readonly id: string;
  /** Absolute path of the image on this machine. */
  readonly path: string;
  readonly fileId: string;
  readonly blockSequenceCounter: number;
  /** Bytes of a whole 0x36 message, SID and counter included. */
  readonly blockSize: number;
  readonly offset: number;
  readonly length: number;
}

/** A value of a communication parameter as the API gives and takes it. */
export type ComParamInput =
  | string
  | { readonly value: string; readonly unit?: unknown }
  | { readonly [name: string]: ComParamInput };

/** Calls to one ECU: name → arguments. The comment says what the reply holds. */
export interface EcuCalls {
  /** Runs variant detection now. 201, no body; the state arrives as an event before the reply. */
  detect: Record<string, never>;
  /** JSON array of the layer's special data groups. */
  layerSdgs: Record<string, never>;
  /** `{"items":{"<svc>_read":{"sdgs":[…]}}}`. */
  serviceSdgs: WithSchema & { readonly service: string; readonly action: "read" | "start" };
  /** The services that a call would run, for the security plugin: `meta.services`. */
  resolveServices: ResolvedCall<EcuCalls, ServiceCallName>;
  /** `{"items":[…]}`; `meta.services` names each item's service for the security plugin. */
  dataList: WithSchema;
  configurationList: WithSchema;
  operationList: WithSchema;
  /** `{"items":[one]}` or notFound. */
  operationInfo: WithSchema & { readonly service: string };
  /** Self-contained OpenAPI document of one resource. */
  docs: { readonly resource: "data" | "configurations" | "operations"; readonly service: string };
  /** `{"id","data","errors"?,"schema"?}`, raw bytes, or 204 when positive and empty. */
  dataRead: WithForm & { readonly service: string };
  dataWrite: WithForm & { readonly service: string; readonly body: ServiceBody };
  /** A complete UDS request in, the complete answer out, negative ones included. */
  genericService: { readonly request: Uint8Array };
  /** The same for a request that the database need not know. */
  flashService: { readonly request: Uint8Array };
  /** `meta.operation` tells sync or async. Sync: the finished answer. Async: the JSON object of the start's parameters. */
  operationStart: WithForm & { readonly service: string; readonly body: ServiceBody };
  /** JSON `{"parameters"?,"error"?}` members of an execution, `meta.errors` set when a parameter failed. */
  operationResults: WithForm & { readonly service: string };
  operationStop: WithForm & { readonly service: string };
  /** Allowed values are the short names of the 0x11 services. */
  reset: WithSchema & { readonly value: string };
  /** `{"name","value"}` of the tracked state. */
  modeRead: WithSchema & { readonly mode: ModeId };
  modeWrite: ModeWrite;
  faultList: FaultFilter;
  faultRead: WithSchema & {
    readonly code: string;
    readonly extendedData: boolean;
    readonly snapshotData: boolean;
    readonly memorySelection?: number;
  };
  faultClear: { readonly code?: string; readonly scope?: string };
  jobList: WithSchema;
  jobRead: WithSchema & { readonly job: string };
  /** `{name: value}` of the ECU's communication parameters with overrides laid over. */
  comParams: Record<string, never>;
  /** Puts overrides in force until replaced; null takes them away. */
  comParamsOverride: { readonly overrides: Readonly<Record<string, ComParamInput>> | null };
  requestDownload: WithSchema & { readonly parameters: Readonly<Record<string, unknown>> };
  /** Starts the transfer in the background; progress comes as `transfer` events. */
  transferStart: TransferStart;
  transferAbort: { readonly id: string };
  transferExit: Record<string, never>;
  /** Side effects of locks: keep-alive on, or off with the reset of session and security. */
  lockAcquired: Record<string, never>;
  lockReleased: Record<string, never>;
}

export type EcuCallName = keyof EcuCalls;

/** Calls that send services for a client. */
export type ServiceCallName =
  | "dataRead"
  | "dataWrite"
  | "faultClear"
  | "faultList"
  | "faultRead"
  | "genericService"
  | "modeWrite"
  | "operationResults"
  | "operationStart"
  | "operationStop"
  | "requestDownload"
  | "reset"
  | "transferExit"
  | "transferStart";

/** A call with its arguments, as it would be made. */
type ResolvedCall<Calls, Name extends keyof Calls> = {
  readonly [K in Name]: { readonly call: K; readonly args: Calls[K] };
}[Name];

/** Calls that wait for no answer of the ECU: they neither need nor start communication, and its full queue does not refuse them. */
export const METADATA_CALLS: ReadonlySet<EcuCallName> = new Set<EcuCallName>([
  "layerSdgs",
  "serviceSdgs",
  "dataList",
  "configurationList",
  "operationList",
  "operationInfo",
  "docs",
  "jobList",
  "jobRead",
  "comParams",
  "comParamsOverride",
  "lockAcquired",
  "lockReleased",
  "transferAbort",
]);

/** Calls to a functional group. Each shard answers for the members whose gateways it holds. */
export interface GroupCalls {
  groupDataList: WithSchema;
  groupOperationList: WithSchema;
  groupDocs: { readonly service: string };
  /** As `resolveServices`. */
  groupResolveServices: ResolvedCall<GroupCalls, GroupServiceCallName>;
  /** `meta.group` holds the results per ECU. */
  groupData: { readonly service: string; readonly action: "read" | "write"; readonly body: ServiceBody };
  groupOperation: {
    readonly service: string;
    readonly action: "start" | "stop" | "results";
    readonly body: ServiceBody;
  };
  groupModeRead: { readonly mode: ModeId };
  groupModeWrite: ModeWrite;
  groupLockAcquired: Record<string, never>;
  groupLockReleased: Record<string, never>;
}
export type GroupCallName = keyof GroupCalls;
export type GroupServiceCallName = "groupData" | "groupModeWrite" | "groupOperation";

/** A failed parameter or ECU beside results that stand (sovd: data errors). `path` is a JSON pointer below the resource. */
export interface PartialError {
  readonly path: string;
  readonly fault: FaultData;
}

/** What a functional call brought from one shard: finished JSON text per ECU (lower-case name), and what failed. */
export interface GroupOutcome {
  readonly results: Readonly<Record<string, string>>;
  readonly errors: readonly PartialError[];
}

export interface OperationFacts {
  readonly asynchronous: boolean;
  readonly hasStop: boolean;
  readonly hasResults: boolean;
}

/** What a security plugin may know of a service. */
export interface ServiceFacts {
  readonly name: string;
  readonly sid: number;
  /** Upper-case hex of the constant request prefix. */
  readonly prefix: string;
  readonly semantic?: string;
  readonly functionalClasses: readonly string[];
  /** Upper-case hex of the whole request, where it is fixed by now. */
  readonly request?: string;
}

/** UDS bytes that are about to leave, as the safety check of a plugin gets them. */
export interface SendFacts {
  /** Name as the database spells it. A functional request is asked about once for each ECU that listens to its address. */
  readonly ecu: string;
  readonly addressing: "physical" | "functional";
  /** Short name of the service in the database; undefined for bytes that need not be in it. */
  readonly service: string | undefined;
  readonly sid: number;
  /** The complete request in a buffer of its own. */
  readonly request: Uint8Array;
}

/** Asked before each frame, repeats included; a text refuses and goes to the caller. Must answer at once. */
export type CheckBeforeSend = (facts: SendFacts) => string | undefined;

/** Facts beside the body that main needs to compose its answer. */
export interface ReplyMeta {
  readonly operation?: OperationFacts;
  readonly group?: GroupOutcome;
  readonly services?: readonly ServiceFacts[];
  readonly errors?: readonly PartialError[];
  /** JSON Schema of the parameters of an execution, when the call asked for it. */
  readonly parametersSchema?: unknown;
}

/** A finished answer: HTTP status, media type of the body, the bytes. */
export interface Reply {
  readonly status: number;
  readonly contentType?: string;
  readonly body?: Uint8Array;
  readonly meta?: ReplyMeta;
}

// ---- main → shard ----------------------------------------------------------------------------------------------------

export interface CallMessage {
  readonly type: "call";
  readonly id: number;
  /** ECU database name as the catalog spells it, or the functional group's name. */
  readonly entity: string;
  readonly call: EcuCallName | GroupCallName;
  readonly args: unknown;
  /** Absolute, `Clock.now()` milliseconds. */
  readonly deadlineMs: number;
}
export interface CancelMessage {
  readonly type: "cancel";
  readonly id: number;
}
/** A gateway spoke: connect to it, move to its new address, or detect its ECUs again. */
export interface GatewayMessage {
  readonly type: "gateway";
  readonly logicalAddress: number;
  readonly ip: string;
  readonly version: number;
  /** What else the announcement asks for; absent: nothing. */
  readonly furtherAction?: number;
}
/** The ECUs that this shard owns, after start or a change of the database set. Unchanged ones keep connection and session. */
export interface AssignMessage {
  readonly type: "assign";
  readonly generation: number;
  readonly ecus: readonly EcuAssignment[];
  /** The functional description, when there is one. */
  readonly functionalDescription?: DatabaseReference;
  readonly groups: readonly string[];
}
export interface StopMessage {
  readonly type: "stop";
}
/** Somebody looks at the metrics: the shard answers with its `stats`. */
export interface StatsRequest {
  readonly type: "stats";
}
export type ToShard = CallMessage | CancelMessage | GatewayMessage | AssignMessage | StopMessage | StatsRequest;

/** A database of the store's current set. */
export interface DatabaseReference {
  /** Key in the store. */
  readonly database: string;
  /** Content hash; a new one means new plans. */
  readonly version: string;
  /** Program that wrote the database (container metadata): how it stores positions depends on it. */
  readonly converter: string | undefined;
}

/** What a shard must know of an ECU before it opens the database. */
export interface EcuAssignment extends DatabaseReference {
  /** ECU name as the database spells it. */
  readonly name: string;
  /** Undefined where neither the database nor a forced configuration gives one. */
  readonly gatewayAddress: number | undefined;
  readonly ecuAddress: number | undefined;
  /** Resolved once, in the jobs thread. */
  readonly comParams: ComParams;
  readonly protocol: string | undefined;
  /** Functional groups (lower case) that list this ECU. */
  readonly groups: readonly string[];
}

// ---- jobs thread → main ----------------------------------------------------------------------------------------------

/** One diagnostic database of the current set, as the jobs thread read it with the configuration in force. */
export interface CatalogEntry extends DatabaseReference {
  readonly name: string;
  readonly revision: string;
  /** A database without variants describes functional groups, not an ECU. */
  readonly functional: boolean;
  readonly gatewayAddress: number | undefined;
  readonly ecuAddress: number | undefined;
  readonly comParams: ComParams;
  readonly protocol: string | undefined;
  /** Functional groups (lower case): for an ECU those it belongs to, for a functional description those it defines. */
  readonly groups: readonly string[];
  /** Of a functional description: short name of a group, without the protocol's, → the group. */
  readonly groupAliases?: Readonly<Record<string, string>>;
  /** Configured additional component fields that this ECU is listed in. */
  readonly fields: readonly string[];
}

export interface BrokenDatabase {
  readonly file: string;
  readonly problem: string;
}

export interface Catalog {
  readonly generation: number;
  readonly entries: readonly CatalogEntry[];
  readonly broken: readonly BrokenDatabase[];
}

// ---- shard → main ----------------------------------------------------------------------------------------------------

export type EcuStateWord = "Online" | "Offline" | "NotTested" | "Duplicate" | "Disconnected" | "NoVariantDetected";

export interface ReplyMessage {
  readonly type: "reply";
  readonly id: number;
  readonly reply?: Reply;
  readonly fault?: FaultData;
}
export interface EcuStateMessage {
  readonly type: "ecu";
  readonly name: string;
  readonly state: EcuStateWord;
  /** Detected variant; absent while none is known. */
  readonly variant?: string;
  readonly isBaseVariant: boolean;
}
export interface GatewayStateMessage {
  readonly type: "gatewayState";
  readonly logicalAddress: number;
  readonly connected: boolean;
  readonly ip: string;
  readonly tls: boolean;
}
export type TransferStatus = "queued" | "running" | "finished" | "aborted";
export interface TransferMessage {
  readonly type: "transfer";
  readonly ecu: string;
  readonly id: string;
  readonly fileId: string;
  readonly status: TransferStatus;
  readonly acknowledgedBytes: number;
  readonly blockSize: number;
  readonly nextBlockSequenceCounter: number;
  readonly error?: string;
}
export interface LogMessage {
  readonly type: "log";
  readonly level: "debug" | "info" | "warn" | "error";
  readonly scope: string;
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
}
/** The shard took the assignment of this generation. */
export interface AssignedMessage {
  readonly type: "assigned";
  readonly generation: number;
  /** ECUs whose database could not be opened: name → problem. */
  readonly failed: Readonly<Record<string, string>>;
}
/** What a shard holds at this moment. */
export interface ShardStats {
  /** ECU name → requests that wait for their turn. */
  readonly queued: Readonly<Record<string, number>>;
  /** Open databases, and what their plan caches hold. */
  readonly databases: number;
  readonly plans: number;
  readonly planBytes: number;
  /** Services compiled since the thread began. */
  readonly plansCompiled: number;
  readonly heapBytes: number;
  /** Only while stages are timed. */
  readonly stages?: StageFigures;
}
export interface StatsMessage {
  readonly type: "stats";
  readonly stats: ShardStats;
}
export type FromShard =
  | ReplyMessage
  | StatsMessage
  | EcuStateMessage
  | GatewayStateMessage
  | TransferMessage
  | LogMessage
  | AssignedMessage;
