/** Every communication parameter does what its row says: one effect per row, seen from outside with at least two values. */
import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { type TestContext, test } from "node:test";
import { defaultConfig } from "#config/load.ts";
import { encode } from "#doip/codec.ts";
import type { OpenSocket } from "#doip/socket.ts";
import { buildCatalog } from "#ecu/catalog.ts";
import { resolveFrom } from "#mdd/query/com-param-resolution.ts";
import type { ComParamValue } from "#mdd/query/com-params.ts";
import { writeEcuData } from "#mdd/writer/write.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { DEMO_ECUS } from "#sim/demo/vehicle.ts";
import { parseComParam, readComParamConfig } from "#uds/com-param-values.ts";
import {
  COM_PARAM_ROWS,
  type ComParams,
  DEFAULT_COM_PARAMS,
  type DoipParams,
  type UdsParams,
} from "#uds/com-params.ts";
import { doipTransport } from "#uds/over-doip.ts";
import { TesterPresent } from "#uds/tester-present.ts";
import { cleanup } from "../../fixtures/cleanup.ts";
import { activated, Entity, nack } from "../doip/entity.ts";
import { client, hex, Mailbox, ManualClock, outcome, settle } from "../uds/support.ts";

interface Effect {
  /** Value of the parameter → what is seen with it. */
  readonly seen: readonly (readonly [value: unknown, seen: unknown])[];
  readonly see: (value: never, t: TestContext) => unknown;
}

// ---- UDS -------------------------------------------------------------------------------------------------------------

/** How a read ends, after how long, and when it was sent; `nrc` comes at once, 0x78 again every 400 ms. */
async function read(changes: Partial<UdsParams>, nrc?: string) {
  const { ecu, link, clock } = client(changes);
  const startMs = clock.now();
  link.onSend = () => {
    link.handler.onAcknowledged();
    const again = () => {
      if (link.open === undefined || nrc === undefined) return;
      if (nrc === "78") clock.setTimeout(again, 400);
      link.answer(`7F22${nrc}`);
    };
    again();
  };
  let end = "open";
  void outcome(ecu.request(hex("22F190"))).then((text) => {
    end = `${text} after ${clock.now() - startMs}`;
  });
  await clock.advanceAsync(40_000);
  const sent = link.sent.map(({ atMs }) => atMs - startMs);
  return { end, sent, gapMs: sent[1]! - sent[0]! };
}

const HANDLING = (nrc: string): Effect => ({
  seen: [
    ["Disabled", `7F22${nrc} after 0`],
    ["ContinueUntilTimeout", `7F22${nrc} after 25200`],
    ["ContinueUnlimited", "open"],
  ],
  see: async (value: UdsParams["rc21Handling"]) =>
    (await read({ [`rc${nrc}Handling`]: value } as Partial<UdsParams>, nrc)).end,
});
const COMPLETION = (nrc: string): Effect => ({
  seen: [
    [1_000, `7F22${nrc} after 1200`],
    [3_000, `7F22${nrc} after 3200`],
  ],
  see: async (value: number) => (await read({ [`rc${nrc}CompletionTimeoutMs`]: value } as Partial<UdsParams>, nrc)).end,
});
const REQUEST_TIME = (nrc: string): Effect => ({
  seen: [
    [200, 200],
    [700, 700],
  ],
  see: async (value: number) => (await read({ [`rc${nrc}RequestTimeMs`]: value } as Partial<UdsParams>, nrc)).gapMs,
});

/** Three and a half seconds of a keep-alive: what each link sent when, and what was wrong. */
async function keepAlive(changes: Partial<UdsParams>, answer?: string, readAtMs?: number) {
  const clock = new ManualClock();
  const startMs = clock.now();
  const physical = client(changes, { clock });
  const functional = client(changes, { clock, name: "group", addressing: "functional" });
  physical.link.onSend = () => {
    physical.link.handler.onAcknowledged();
    if (answer !== undefined) physical.link.answer(answer);
  };
  const problems: string[] = [];
  const task = new TesterPresent({
    clock,
    physical: physical.ecu,
    functional: functional.ecu,
    isOnline: () => true,
    onProblem: (message) => problems.push(message.replace(/:.*/, "")),
  });
  task.start();
  if (readAtMs !== undefined) clock.setTimeout(() => void outcome(physical.ecu.transmit(hex("22F190"))), readAtMs);
  await clock.advanceAsync(3_400);
  task.stop();
  const sent = ({ link }: typeof physical) => link.sent.map(({ atMs, request }) => `${atMs - startMs} ${request}`);
  return { physical: sent(physical), functional: sent(functional), problems };
}

const UDS: { readonly [F in keyof UdsParams]: Effect } = {
  p6MaxMs: {
    seen: [
      [1_000, 1_000],
      [300, 300],
    ],
    see: async (p6MaxMs: number) => (await read({ p6MaxMs })).gapMs,
  },
  p6StarMs: {
    seen: [
      [350, 350],
      [390, 390],
    ],
    see: async (p6StarMs: number) => (await read({ p6StarMs }, "78")).gapMs,
  },
  repeatReqCountApp: {
    seen: [
      [0, 1],
      [2, 3],
    ],
    see: async (repeatReqCountApp: number) => (await read({ repeatReqCountApp })).sent.length,
  },
  rc21Handling: HANDLING("21"),
  rc21CompletionTimeoutMs: COMPLETION("21"),
  rc21RequestTimeMs: REQUEST_TIME("21"),
  rc78Handling: HANDLING("78"),
  rc78CompletionTimeoutMs: COMPLETION("78"),
  rc94Handling: HANDLING("94"),
  rc94CompletionTimeoutMs: COMPLETION("94"),
  rc94RequestTimeMs: REQUEST_TIME("94"),
  testerPresentHandling: {
    seen: [
      [true, ["0 3E80", "2000 3E80"]],
      [false, []],
    ],
    see: async (testerPresentHandling: boolean) => (await keepAlive({ testerPresentHandling })).physical,
  },
  testerPresentAddrMode: {
    seen: [
      ["Physical", [2, 0]],
      ["Functional", [0, 2]],
    ],
    see: async (testerPresentAddrMode: "Physical" | "Functional") => {
      const { physical, functional } = await keepAlive({ testerPresentAddrMode });
      return [physical.length, functional.length];
    },
  },
  testerPresentReqResp: {
    seen: [
      [false, "0 3E80"],
      [true, "0 3E00"],
    ],
    see: async (testerPresentReqResp: boolean) => (await keepAlive({ testerPresentReqResp }, "7E00")).physical[0],
  },
  testerPresentSendType: {
    seen: [
      ["FixedPeriod", ["0 3E80", "1500 22F190", "2000 3E80"]],
      ["OnIdle", ["0 3E80", "1500 22F190"]],
    ],
    see: async (testerPresentSendType: "FixedPeriod" | "OnIdle") =>
      (await keepAlive({ testerPresentSendType }, undefined, 1_500)).physical,
  },
  testerPresentMessage: {
    seen: [
      [[0x3e, 0x00], "0 3E80"],
      [[0x3e, 0x01], "0 3E81"],
    ],
    see: async (testerPresentMessage: readonly number[]) => (await keepAlive({ testerPresentMessage })).physical[0],
  },
  testerPresentExpPosResp: {
    seen: [
      [[0x7e, 0x00], undefined],
      [[0x7e, 0x01], "tester present unexpected answer"],
    ],
    see: async (testerPresentExpPosResp: readonly number[]) =>
      (await keepAlive({ testerPresentReqResp: true, testerPresentExpPosResp }, "7E00")).problems[0],
  },
  testerPresentExpNegResp: {
    seen: [
      [[0x7f, 0x3e], "tester present refused"],
      [[0x7f, 0x3f], "tester present unexpected answer"],
    ],
    see: async (testerPresentExpNegResp: readonly number[]) =>
      (await keepAlive({ testerPresentReqResp: true, testerPresentExpNegResp }, "7F3E12")).problems[0],
  },
  testerPresentTimeMs: {
    seen: [
      [2_000, ["0 3E80", "2000 3E80"]],
      [1_500, ["0 3E80", "1500 3E80", "3000 3E80"]],
    ],
    see: async (testerPresentTimeMs: number) => (await keepAlive({ testerPresentTimeMs })).physical,
  },
};

// ---- DoIP ------------------------------------------------------------------------------------------------------------

function gateway(t: TestContext, changes: Partial<DoipParams>, port: number, open?: OpenSocket) {
  const params: ComParams = {
    ...DEFAULT_COM_PARAMS,
    doip: { ...DEFAULT_COM_PARAMS.doip, logicalTesterAddress: 0x0e00, logicalFunctionalAddress: 0xe400, ...changes },
  };
  const clock = new ManualClock();
  const failures = new Mailbox<string>();
  const up = new Mailbox<boolean>();
  const transport = doipTransport({
    params,
    gatewayAddress: 0x1000,
    ip: "127.0.0.1",
    version: 2,
    port,
    tlsPort: port,
    testerIp: "127.0.0.1",
    clock,
    maxQueuedBytes: 16,
    events: {
      onConnectivity: (connected) => up.push(connected),
      onLog: (level, message) => level === "warn" && failures.push(message),
    },
    ...(open === undefined ? {} : { open }),
  });
  cleanup(t, () => transport.close());
  const link = (addressing: "physical" | "functional") =>
    transport.open(
      { name: addressing, addressing, params },
      {
        onSent: () => {},
        onAcknowledged: () => {},
        onResponse: () => {},
        onFailed: (fault) => failures.push(fault.kind),
        onConnectivity: () => {},
      },
    );
  const connected = async () => {
    transport.connection.open();
    assert.equal(await up.next(), true);
  };
  /** Milliseconds until something fails. */
  const failsAfter = async (stepMs: number) => {
    const startMs = clock.now();
    while (failures.waiting === 0 && clock.now() - startMs < 60_000) {
      clock.advance(stepMs);
      await settle();
    }
    return clock.now() - startMs;
  };
  return { transport, clock, failures, connected, link, failsAfter };
}

const REQUEST = hex("22F190");
const NEVER = Number.POSITIVE_INFINITY;

const TARGET = (addressing: "physical" | "functional", field: keyof DoipParams): Effect => ({
  seen: [
    [0x1000, 0x1000],
    [0x1001, 0x1001],
  ],
  see: async (value: number, t: TestContext) => {
    const entity = await Entity.start(t);
    const { connected, link } = gateway(t, { [field]: value }, entity.port);
    await connected();
    link(addressing).send(REQUEST, NEVER);
    return (await entity.hear("diagnosticMessage")).targetAddress;
  },
});

/** How often a way that cannot be opened is tried within `ms`. */
async function tries(t: TestContext, changes: Partial<DoipParams>, ms: number) {
  const times: number[] = [];
  const { transport, clock } = gateway(t, changes, 1, () => {
    times.push(clock.now());
    throw new Error("no way");
  });
  transport.connection.open();
  await clock.advanceAsync(ms);
  return times;
}

async function refused(t: TestContext, changes: Partial<DoipParams>) {
  const entity = await Entity.start(t);
  const sentMs: number[] = [];
  const { clock, connected, link, failures } = gateway(t, changes, entity.port);
  entity.script = (message, say) => {
    if (message.kind !== "diagnosticMessage") return undefined;
    sentMs.push(clock.now());
    say(nack(message.targetAddress, 0x06));
    return true;
  };
  await connected();
  link("physical").send(REQUEST, NEVER);
  const { retryPeriodMs } = { ...DEFAULT_COM_PARAMS.doip, ...changes };
  const failed = failures.next().then(() => "failed");
  while ((await Promise.race([failed, clock.timer(retryPeriodMs)])) !== "failed") clock.advance(retryPeriodMs);
  return { sends: sentMs.length, gapMs: sentMs[1]! - sentMs[0]! };
}

/** A peer that activates routing and takes no byte. */
class Stuck extends Duplex {
  override _read(): void {}
  override _write(): void {
    this.push(encode(2, activated()));
  }
  setNoDelay(): void {}
  setKeepAlive(): void {}
}

/** What configuration and a database say, as one record. */
function resolved(field: string, global: Record<string, unknown>, database: Record<string, ComParamValue> = {}) {
  const sources = {
    rows: COM_PARAM_ROWS,
    readers: { parse: parseComParam, readConfig: readComParamConfig },
    global: global as Parameters<typeof resolveFrom>[1]["global"] & object,
  };
  return resolveFrom(new Map(Object.entries(database)), sources).get(field)?.value;
}

const TABLE: ComParamValue = {
  kind: "complex",
  parts: new Map([
    ["CP_DoIPLogicalEcuAddress", { kind: "simple", text: "8192", unit: undefined }],
    ["CP_CanPhysReqId", { kind: "simple", text: "0x641", unit: undefined }],
  ]),
};

const DOIP: { readonly [F in keyof DoipParams]: Effect } = {
  logicalGatewayAddress: {
    seen: [
      [0x1000, 0x1000],
      [0x2000, 0x2000],
    ],
    see: (value: number) => {
      const config = defaultConfig();
      const com_params = { ...config.com_params, doip: { logical_gateway_address: { value, precedence: "Config" } } };
      const stored = {
        database: "a.mdd",
        version: "1",
        converter: undefined,
        bytes: writeEcuData(demoDatabase(DEMO_ECUS[0]!)),
      };
      const { entries } = buildCatalog([stored], { ...config, com_params } as unknown as typeof config);
      return entries[0]!.gatewayAddress;
    },
  },
  logicalEcuAddress: TARGET("physical", "logicalEcuAddress"),
  logicalFunctionalAddress: TARGET("functional", "logicalFunctionalAddress"),
  logicalResponseIdTableName: {
    seen: [
      ["CP_UniqueRespIdTable", 0],
      ["CP_MyTable", 8_192],
    ],
    see: (value: string) =>
      resolved("doip.logicalEcuAddress", { doip: { logical_response_id_table_name: value } }, { CP_MyTable: TABLE }),
  },
  logicalTesterAddress: {
    seen: [
      [0x0e00, 0x0e00],
      [0x0e80, 0x0e80],
    ],
    see: async (logicalTesterAddress: number, t: TestContext) => {
      const entity = await Entity.start(t);
      await gateway(t, { logicalTesterAddress }, entity.port).connected();
      return (await entity.hear("routingActivationRequest")).sourceAddress;
    },
  },
  nackNumberOfRetries: {
    seen: [
      [{}, 1],
      [{ "6": 2 }, 3],
      [{ "5": 2 }, 1],
    ],
    see: async (nackNumberOfRetries: DoipParams["nackNumberOfRetries"], t: TestContext) =>
      (await refused(t, { nackNumberOfRetries })).sends,
  },
  retryPeriodMs: {
    seen: [
      [200, 200],
      [700, 700],
    ],
    see: async (retryPeriodMs: number, t: TestContext) =>
      (await refused(t, { nackNumberOfRetries: { "6": 1 }, retryPeriodMs })).gapMs,
  },
  diagnosticAckTimeoutMs: {
    seen: [
      [1_000, 1_000],
      [300, 300],
    ],
    see: async (diagnosticAckTimeoutMs: number, t: TestContext) => {
      const entity = await Entity.start(t);
      entity.script = (message) => message.kind === "diagnosticMessage";
      const { connected, link, failsAfter } = gateway(t, { diagnosticAckTimeoutMs }, entity.port);
      await connected();
      link("physical").send(REQUEST, NEVER);
      await entity.hear("diagnosticMessage");
      return failsAfter(100);
    },
  },
  routingActivationTimeoutMs: {
    seen: [
      [30_000, 30_000],
      [2_000, 2_000],
    ],
    see: async (routingActivationTimeoutMs: number, t: TestContext) => {
      const entity = await Entity.start(t);
      entity.script = () => true;
      const { transport, failsAfter } = gateway(t, { routingActivationTimeoutMs }, entity.port);
      transport.connection.open();
      await entity.hear("routingActivationRequest");
      return failsAfter(500);
    },
  },
  repeatReqCountTrans: {
    seen: [
      [0, 1_000],
      [3, 4_000],
    ],
    see: async (repeatReqCountTrans: number, t: TestContext) => {
      const socket = new Stuck();
      const { connected, link, failsAfter } = gateway(t, { repeatReqCountTrans }, 1, () => {
        setImmediate(() => socket.emit("connect"));
        return socket as never;
      });
      await connected();
      link("physical").send(REQUEST, NEVER);
      return failsAfter(500);
    },
  },
  connectionTimeoutMs: {
    seen: [
      [30_000, 30_000],
      [2_000, 2_000],
    ],
    see: async (connectionTimeoutMs: number, t: TestContext) => {
      const { transport, failsAfter } = gateway(t, { connectionTimeoutMs }, 1, () => new Stuck() as never);
      transport.connection.open();
      return failsAfter(500);
    },
  },
  connectionRetryDelayMs: {
    seen: [
      [5_000, 5_000],
      [700, 700],
    ],
    see: async (connectionRetryDelayMs: number, t: TestContext) => {
      const [first, second] = await tries(t, { connectionRetryDelayMs }, 6_000);
      return second! - first!;
    },
  },
  connectionRetryAttempts: {
    seen: [
      [1, 2],
      [3, 4],
    ],
    see: async (connectionRetryAttempts: number, t: TestContext) =>
      (await tries(t, { connectionRetryAttempts }, 60_000)).length,
  },
};

// ---- CAN: kept in the record for a transport that comes ----------------------------------------------------------------

const CAN_ID = (field: string, key: string): Effect => ({
  seen: [
    [0x641, 0x641],
    ["0x1FFFFFFF", 0x1fff_ffff],
  ],
  see: (value: unknown) => resolved(`can.${field}`, { can: { [key]: { value } } }),
});
const CAN: { readonly [F in keyof ComParams["can"]]: Effect } = {
  physicalRequestId: CAN_ID("physicalRequestId", "physical_request_id"),
  physicalResponseId: CAN_ID("physicalResponseId", "physical_response_id"),
  functionalId: CAN_ID("functionalId", "functional_id"),
  uniqueRespIdTableName: {
    seen: [
      ["CP_UniqueRespIdTable", undefined],
      ["CP_MyTable", 0x641],
    ],
    see: (value: string) =>
      resolved("can.physicalRequestId", { can: { unique_resp_id_table_name: value } }, { CP_MyTable: TABLE }),
  },
};

const EFFECTS = { uds: UDS, doip: DOIP, can: CAN } as const;

for (const { group, field, def } of COM_PARAM_ROWS) {
  const effect = (EFFECTS[group] as Readonly<Record<string, Effect>>)[field];
  test(`${def.name || def.key}: ${def.doc}`, async (t) => {
    assert.ok(effect !== undefined, `${group}.${field} has no effect that is tested`);
    assert.ok(effect.seen.length >= 2);
    for (const [value, seen] of effect.seen) {
      assert.deepEqual(await effect.see(value as never, t), seen, `with ${JSON.stringify(value)}`);
    }
  });
}
