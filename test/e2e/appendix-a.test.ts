/**
 * The CDA's route table over real HTTP: server, worker, DoIP and simulated ECUs. Each row wants the token and the lock that the
 * table names, answers the status written there, and a body of the reference's members in the reference's order.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { CHUNK_TYPE } from "#mdd/container/messages.ts";
import { functionalDescription, GROUP, richDatabase } from "./appendix-a-databases.ts";
import { type Answer, type Harness, startHarness, writeDatabase } from "./harness.ts";

const REFERENCE = new URL("../../../shared/facts/sovd-api.md", import.meta.url);
const ECU = "CENTRAL";
const FLASH_FILE_BYTES = 1_000;
const LOCK = { lock_expiration: 60 };
const KEY = "0D 0E 0F 10 11 12 13 14";
const BYTES = { "content-type": "application/octet-stream", accept: "application/octet-stream" };
const APPS = "/apps/sovd2uds";
const RUNTIME = `${APPS}/bulk-data/runtimefiles`;
const UPDATE = `${APPS}/operations/runtimefilesupdate/executions`;
const PLACES = {
  E: `/components/${ECU.toLowerCase()}`,
  G: `/functions/functionalgroups/${GROUP.toLowerCase()}`,
} as const;

type LockRule = "none" | "ecu" | "group" | "vehicle";

/** What a row needs beside its path; `id` of what `prepare` made stands for `{id}`. */
interface Row {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** As in the table: `E` the component, `G` the functional group, `//` outside the base path. */
  readonly path: string;
  readonly token: boolean;
  readonly lock: LockRule;
  readonly ok: number;
  /** Members in order, nested, `[…]` lists by their first item; absent: the body is empty or no JSON. */
  readonly shape?: string;
  /** Values of the path's parameters but `{id}`. */
  readonly of?: Readonly<Record<string, string>>;
  readonly query?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Makes what the row is about, under the lock the row asks for; its id. */
  readonly prepare?: (harness: Harness) => Promise<string>;
  /** Puts back what the row changed. */
  readonly undo?: (harness: Harness, answer: Answer, id: string) => Promise<unknown>;
  readonly check?: (answer: Answer, path: string) => void;
}

const rows: Row[] = [];
type More = Omit<Row, "method" | "path" | "token" | "lock" | "ok">;

/** `how`: T with token, else open; then the lock. */
function row(method: Row["method"], path: string, how: `${"T" | "-"} ${LockRule}`, ok: number, more: More = {}): void {
  const [token, lock] = how.split(" ") as ["T" | "-", LockRule];
  rows.push({ method, path, token: token === "T", lock, ok, ...more });
}

const LINKS = "{items[{href,name}]}";
const IDS = "{items[{id}]}";
const VERSION = "{data{api{version},implementation{build_date,commit,version},name},id}";

// 17.1, 14, 6.5, 4.1
row("GET", "//health", "- none", 200, { shape: "{status,version,components[{name,status}]}" });
row("GET", "//health/ready", "- none", 204);
row("GET", "//openapi.json", "- none", 200, {
  check: ({ json }) => {
    assert.match(json.openapi, /^3\.1/);
    assert.match(json.servers[0].url, /^http:\/\/127\.0\.0\.1:/);
  },
});
row("GET", "//swagger-ui", "- none", 200, {
  check: ({ headers }) => assert.match(headers.get("content-type")!, /^text\/html/),
});
row("GET", "/data/version", "- none", 200, { shape: VERSION, check: isVersion });
row("GET", `${APPS}/data/version`, "- none", 200, { shape: VERSION, check: isVersion });
row("POST", "/authorize", "- none", 200, {
  body: { client_id: "a", client_secret: "b" },
  shape: "{access_token,token_type,expires_in}",
  check: ({ json }) => assert.equal(json.token_type, "Bearer"),
});

function isVersion({ json }: Answer): void {
  assert.equal(json.id, "version");
  assert.equal(json.data.api.version, "1.1");
  assert.equal(json.data.name, "Eclipse OpenSOVD Classic Diagnostic Adapter");
}

// 5
for (const place of ["", "E", "G"]) {
  const path = `${place}/locks`;
  const make = async ({ http }: Harness) => (await http.post(at(path), LOCK)).json.id as string;
  const release = ({ http }: Harness, _: Answer, id: string) => http.delete(`${at(path)}/${id}`);
  row("POST", path, "T none", 201, {
    body: LOCK,
    shape: "{id,owned}",
    check: ({ json, headers }) => {
      assert.match(json.id, UUID);
      assert.equal(headers.get("location"), null);
    },
    undo: ({ http }, { json }) => http.delete(`${at(path)}/${json.id}`),
  });
  row("GET", path, "T none", 200, { prepare: make, shape: "{items[{id,owned}]}", undo: release });
  row("GET", `${path}/{id}`, "T none", 200, {
    prepare: make,
    shape: "{lock_expiration}",
    check: ({ json }) => assert.match(json.lock_expiration, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    undo: release,
  });
  row("PUT", `${path}/{id}`, "T none", 204, { prepare: make, body: LOCK, undo: release });
  row("DELETE", `${path}/{id}`, "T none", 204, { prepare: make });
}
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

// 6
row("GET", "/apps", "- none", 200, { shape: LINKS, check: names("sovd2uds") });
row("GET", APPS, "- none", 200, { shape: LINKS, check: names("bulk-data", "data", "operations") });
row("GET", `${APPS}/bulk-data`, "- none", 200, {
  shape: LINKS,
  check: names("flashfiles", "runtimefiles-current", "runtimefiles-nextupdate", "runtimefiles-backup"),
});
row("GET", `${APPS}/bulk-data/flashfiles`, "- none", 200, {
  shape: "{items[{id,mimetype,name,size,x-sovd2uds-OrigPath}]}",
  check: ({ json }) => assert.deepEqual(json.items[0], flashFile),
});
const flashFile = {
  id: "image_bin",
  mimetype: "application/octet-stream",
  name: "image.bin",
  size: FLASH_FILE_BYTES,
  "x-sovd2uds-OrigPath": "image.bin",
};
const ECU_ENTRY = "{Qualifier,Variant,EcuState,LogicalAddress,LogicalLink}";
row("GET", `${APPS}/data/networkstructure`, "- none", 200, {
  shape: `{id,data[{FunctionalGroups[{Qualifier,Ecus[${ECU_ENTRY}]}],Gateways[{Name,NetworkAddress,LogicalAddress,Ecus[${ECU_ENTRY}]}]}]}`,
  check: ({ json }) => {
    assert.equal(json.data.length, 1);
    const [ecu] = json.data[0].Gateways.flatMap(({ Ecus }: { Ecus: object[] }) => Ecus);
    assert.equal(ecu.EcuState, "Online");
    assert.match(ecu.LogicalAddress, /^0x[0-9a-f]{4}$/);
    assert.match(ecu.LogicalLink, /_on_UDS_Ethernet_DoIP_DOBT$/);
  },
});
row("GET", "/components", "- none", 200, {
  shape: "{items[{href,id,name}],x-sovd2uds-can-ecus[{href,id,name}],x-sovd2uds-lin-ecus[]}",
});

// 15
row("GET", `${RUNTIME}-current`, "T none", 200, { shape: "{items[{id,mimetype,name}]}" });
row("GET", `${RUNTIME}-nextupdate`, "T none", 200, { shape: "{items[{id,mimetype,name}]}" });
row("POST", `${RUNTIME}-nextupdate`, "T vehicle", 201, {
  headers: { ...BYTES, accept: "*/*", "content-disposition": 'attachment; filename="BODY.mdd"' },
  body: "BODY.mdd",
  shape: IDS,
  check: ({ headers }) => assert.match(headers.get("location")!, /runtimefiles-nextupdate\/body\.mdd$/),
  undo: forgetPending,
});
row("DELETE", `${RUNTIME}-nextupdate`, "T vehicle", 200, { shape: "{deleted_ids[],errors[]}" });
row("DELETE", `${RUNTIME}-nextupdate/{id}`, "T vehicle", 204, { prepare: async () => "body.mdd", undo: forgetPending });
row("GET", `${RUNTIME}-backup`, "T none", 200, { shape: "{items[]}" });
row("DELETE", `${RUNTIME}-backup`, "T vehicle", 200, { shape: "{deleted_ids[],errors[]}" });
row("GET", UPDATE, "- none", 200, { shape: "{items[]}" });
row("POST", UPDATE, "T vehicle", 202, {
  body: { parameters: { mode: "cleanup" } },
  shape: "{id}",
  check: (answer, path) => followable(answer, path),
});
row("GET", `${UPDATE}/{id}`, "- none", 200, {
  prepare: async ({ http }) => (await http.get(UPDATE)).json.items[0].id,
  shape: "{status,parameters{mode}}",
});

function forgetPending({ http }: Harness): Promise<Answer> {
  return http.delete(`${RUNTIME}-nextupdate`);
}

// 7
row("GET", "E", "- none", 200, {
  shape:
    "{id,name,variant{name,is_base_variant,state,logical_address},locks,operations,data,configurations,x-single-ecu-jobs,faults,modes}",
  check: ({ json }) =>
    assert.deepEqual(json.variant, {
      name: "CENTRAL_Series",
      is_base_variant: false,
      state: "Online",
      logical_address: "0x1000",
    }),
});
row("GET", "E", "- none", 200, {
  query: "?x-sovd2uds-includesdgs=true",
  shape:
    "{id,name,variant{name,is_base_variant,state,logical_address},locks,operations,data,configurations,sdgs[{caption,sdgs[{value,si}]}],x-single-ecu-jobs,faults,modes}",
});
row("PUT", "E", "- none", 201);
row("POST", "E", "- none", 201);

// 8
row("GET", "E/data", "T none", 200, { shape: "{items[{category,id,name}]}" });
row("GET", "E/configurations", "T none", 200, {
  shape: "{items[{id,name,configurations_type,type,x-sovd2uds-ServiceAbstract[],x-sovd2uds-serviceAbstract[]}]}",
  check: ({ json }) => assert.deepEqual(json.items[0]["x-sovd2uds-ServiceAbstract"].toSorted(), ["22D001", "2ED001"]),
});
for (const resource of ["data", "configurations"]) {
  const path = `E/${resource}/{svc}`;
  const of = { svc: "ServiceInterval" };
  row("GET", path, "T none", 200, {
    of,
    shape: "{id,data{Interval}}",
    check: ({ json }) => assert.deepEqual(json, { id: "serviceinterval", data: { Interval: 15_000 } }),
  });
  row("GET", path, "T none", 200, {
    of,
    headers: { accept: "application/octet-stream" },
    check: ({ bytes }) => assert.deepEqual([...bytes], [0x00, 0x96]),
  });
  row("PUT", path, "T none", 204, { of, body: { data: { Interval: 15_000 } } });
  row("GET", `${path}/docs`, "T none", 200, {
    of,
    shape: undefined as never,
    check: ({ json }) => {
      assert.deepEqual(Object.keys(json), ["openapi", "info", "paths"]);
      const word = resource === "data" ? "Data" : "Configuration";
      assert.deepEqual(json.info, { title: `${word}: serviceinterval`, version: "1.0.0" });
      const described = json.paths[`/components/central/${resource}/serviceinterval`];
      assert.deepEqual(Object.keys(described), ["x-sovd-proximity-proof-required", "get", "put"]);
    },
  });
}
row("GET", "E/data/{svc}", "T none", 200, {
  of: { svc: "vin" },
  query: "?x-include-sdgs=true",
  shape: "{items{vin_read{sdgs[{caption,sdgs[{value,si,ti}]}]}}}",
});
row("PUT", "E/genericservice", "T none", 200, {
  headers: BYTES,
  body: Uint8Array.of(0x22, 0xd0, 0x01),
  check: ({ bytes }) => assert.deepEqual([...bytes], [0x62, 0xd0, 0x01, 0x00, 0x96]),
});

// 10
const OPERATION = "{items[{id,name,proximity_proof_required,asynchronous_execution}]}";
row("GET", "E/operations", "T none", 200, { shape: OPERATION });
row("GET", "E/operations/{svc}", "T none", 200, { of: { svc: "selftest" }, shape: OPERATION });
row("GET", "E/operations/{svc}/docs", "T none", 200, {
  of: { svc: "calibrate" },
  check: ({ json }) => {
    assert.equal(json.info.title, "Operation: calibrate");
    const base = "/components/central/operations/calibrate/executions";
    assert.deepEqual(Object.keys(json.paths), [base, `${base}/{execution-id}`]);
    assert.equal(json.paths[base]["x-sovd-proximity-proof-required"], false);
  },
});
row("GET", "E/operations/{svc}/executions", "T none", 200, { of: { svc: "calibrate" }, shape: "{items[]}" });
row("POST", "E/operations/{svc}/executions", "T ecu", 200, {
  of: { svc: "selftest" },
  body: { parameters: {} },
  shape: "{}",
});
row("POST", "E/operations/{svc}/executions", "T ecu", 202, {
  of: { svc: "calibrate" },
  body: { parameters: {} },
  shape: "{id,status}",
  check: (answer, path) => {
    assert.equal(answer.json.status, "running");
    followable(answer, path);
  },
  undo: ({ http }, { json }) => http.delete(at(`E/operations/calibrate/executions/${json.id}`)),
});
row("POST", "E/operations/reset/executions", "T ecu", 204, { body: { parameters: { value: "softreset" } } });
const startCalibration = (place: "E" | "G") => async (harness: Harness) => {
  const path = at(`${place}/operations/calibrate/executions`);
  const lock = await harness.http.post(at(`${place}/locks`), LOCK);
  const { json } = await harness.http.post(path, { parameters: {} });
  await harness.http.delete(`${at(`${place}/locks`)}/${lock.json.id}`);
  return json.id as string;
};
const stopCalibration = (place: "E" | "G") => async (harness: Harness, _: Answer, id: string) => {
  const lock = await harness.http.post(at(`${place}/locks`), LOCK);
  await harness.http.delete(at(`${place}/operations/calibrate/executions/${id}`));
  await harness.http.delete(`${at(`${place}/locks`)}/${lock.json.id}`);
};
row("GET", "E/operations/{svc}/executions/{id}", "T none", 200, {
  of: { svc: "calibrate" },
  prepare: startCalibration("E"),
  shape: "{status,capability,parameters{Result}}",
  check: ({ json }) => assert.equal(json.capability, "execute"),
  undo: stopCalibration("E"),
});
row("DELETE", "E/operations/{svc}/executions/{id}", "T ecu", 204, {
  of: { svc: "calibrate" },
  prepare: startCalibration("E"),
});
// 10.3
const COMPARAM = "E/operations/comparam/executions";
const override = async ({ http }: Harness) => (await http.post(at(COMPARAM), {})).json.id as string;
const restore = ({ http }: Harness, _: Answer, id: string) => http.delete(`${at(COMPARAM)}/${id}`);
row("GET", COMPARAM, "- none", 200, { prepare: override, shape: IDS, undo: restore });
row("POST", COMPARAM, "- none", 202, {
  body: { parameters: { CP_P6Max: { value: "1000000" } } },
  shape: "{id,status}",
  check: followable,
  undo: ({ http }, { json }) => http.delete(`${at(COMPARAM)}/${json.id}`),
});
row("GET", `${COMPARAM}/{id}`, "- none", 200, {
  prepare: override,
  check: ({ json }) => {
    assert.deepEqual(Object.keys(json), ["capability", "parameters", "status"]);
    assert.deepEqual(json.parameters.CP_DoIPLogicalGatewayAddress, { value: "4096", unit: null });
    assert.equal(json.status, "running");
  },
  undo: restore,
});
row("PUT", `${COMPARAM}/{id}`, "- none", 202, {
  prepare: override,
  body: {},
  shape: "{id,status}",
  check: ({ headers }, path) => assert.ok(headers.get("location")!.endsWith(path)),
  undo: restore,
});
row("DELETE", `${COMPARAM}/{id}`, "- none", 204, { prepare: override });

// 9
row("GET", "E/modes", "- none", 200, {
  shape: "{items[{id,name}]}",
  check: ({ json }) =>
    assert.deepEqual(json.items.slice(0, 4), [
      { id: "session", name: "Diagnostic session" },
      { id: "security", name: "Security access" },
      { id: "commctrl", name: "Communication control" },
      { id: "dtcsetting", name: "DTC setting" },
    ]),
});
const MODES = [
  ["session", "Extended"],
  ["commctrl", "EnableRxAndEnableTx"],
  ["dtcsetting", "On"],
] as const;
for (const [mode, wanted] of MODES) {
  row("GET", `E/modes/${mode}`, "T none", 200, { shape: "{name,value}" });
  row("PUT", `E/modes/${mode}`, "T ecu", 200, {
    body: { value: wanted },
    shape: "{id,value}",
    check: ({ json }) => assert.deepEqual(json, { id: mode, value: wanted }),
  });
}
row("GET", "E/modes/security", "T ecu", 200, { shape: "{name,value}" });
row("PUT", "E/modes/security", "T ecu", 200, {
  body: { value: "Level_3_RequestSeed" },
  shape: "{id,seed{Request_Seed}}",
  check: ({ json }) => assert.match(json.seed.Request_Seed, /^0x[0-9A-F]{2}( 0x[0-9A-F]{2}){7}$/),
});
row("PUT", "E/modes/security", "T ecu", 200, {
  prepare: async ({ http }) => {
    await http.put(at("E/modes/security"), { value: "Level_3_RequestSeed" });
    return "";
  },
  body: { value: "Level_3", Key: { Send_Key: KEY } },
  shape: "{id,value}",
});

// 11
const STATUS =
  "{test_failed,test_failed_this_operation_cycle,pending_dtc,confirmed_dtc,test_not_completed_since_last_clear,test_failed_since_last_clear,test_not_completed_this_operation_cycle,warning_indicator_requested,mask}";
const FAULT = `{code,scope,fault_name,severity,status${STATUS}}`;
row("GET", "E/faults", "T none", 200, {
  shape: `{items[${FAULT}]}`,
  check: ({ json }) => {
    const stored = json.items.find(({ code }: { code: string }) => code === "0A1B01");
    assert.deepEqual([stored.status.mask, stored.status.confirmed_dtc], ["09", true]);
  },
});
row("GET", "E/faults/{id}", "T none", 200, {
  prepare: async () => "0a1b01",
  check: ({ json }) => {
    assert.deepEqual(Object.keys(json), ["item", "environment_data"]);
    assert.equal(shapeOf(json.item), FAULT);
    const { extended_data_records: extended, snapshots } = json.environment_data;
    assert.equal(extended.data.OccurrenceCounter, 7);
    const [snapshot] = Object.values(snapshots.data) as Record<string, unknown>[];
    assert.deepEqual(Object.keys(snapshot!), ["DTCSnapshotRecordNumberOfIdentifiers", "DTCSnapshotRecord"]);
  },
});
row("DELETE", "E/faults", "T ecu", 204, { undo: storeFault });
row("DELETE", "E/faults/{id}", "T ecu", 204, { prepare: async () => "0A1B01", undo: storeFault });

// 12
row("GET", "E/x-single-ecu-jobs", "- none", 200, { shape: "{items[{category,id,name}]}" });
row("GET", "E/x-single-ecu-jobs/{job}", "- none", 200, {
  of: { job: "calibrate_all" },
  shape:
    "{x-input-params[{short_name,physical_default_value,semantic}],x-output-params[{short_name,long_name{value,ti}}],x-neg-output-params[{short_name}],x-prog-code[{code_file,syntax,revision,entrypoint}]}",
});
const FILES = "E/x-sovd2uds-bulk-data/mdd-embedded-files";
row("GET", "E/x-sovd2uds-bulk-data", "- none", 200, { shape: LINKS, check: names("mdd-embedded-files") });
row("GET", FILES, "- none", 200, { shape: "{items[{id,mimetype,name,size,x-sovd2uds-OrigPath}]}" });
row("GET", `${FILES}/{id}`, "- none", 200, {
  prepare: async ({ http }) => (await http.get(at(FILES))).json.items[0].id,
  check: ({ text, headers }) => {
    assert.equal(text, "hello");
    assert.equal(headers.get("content-type"), "text/plain");
  },
});
const DOWNLOAD = "E/x-sovd2uds-download";
row("GET", DOWNLOAD, "- none", 200, {
  shape: LINKS,
  check: ({ json }) => assert.match(json.items[0].href, /x-sovd2uds-download\/requestdownload$/),
});
// A lock by default here, where the CDA wants none: sovd-api.md §18, row 5.3.
row("PUT", `${DOWNLOAD}/requestdownload`, "T ecu", 200, {
  prepare: programming,
  body: { requestdownload: { DataFormatIdentifier: 0, MemoryAddress: "0x1000", MemorySize: FLASH_FILE_BYTES } },
  shape: "{requestdownload{LengthFormatIdentifier,MaxNumberOfBlockLength}}",
  undo: endDownload,
});
const TRANSFER = `${DOWNLOAD}/flashtransfer`;
const M = "{acknowledgedBytes,blocksize,nextBlockSequenceCounter,id,fileId,status}";
const PART = { blocksequencecounter: 1, blocksize: 128, offset: 0, length: FLASH_FILE_BYTES, id: "image_bin" };
row("POST", TRANSFER, "T ecu", 200, { prepare: download, body: PART, shape: "{id}", undo: forgetTransfer });
row("GET", TRANSFER, "- none", 200, { prepare: transferred, shape: `{items[${M}]}`, undo: forgetTransfer });
row("GET", `${TRANSFER}/{id}`, "- none", 200, {
  prepare: transferred,
  shape: M,
  check: ({ json }) => {
    assert.equal(json.status, "finished");
    assert.equal(json.acknowledgedBytes, FLASH_FILE_BYTES);
    assert.deepEqual([json.blocksize, json.nextBlockSequenceCounter, json.fileId], [128, 9, "image_bin"]);
  },
  undo: forgetTransfer,
});
row("DELETE", `${TRANSFER}/{id}`, "T none", 204, { prepare: transferred, undo: endDownload });
row("PUT", `${DOWNLOAD}/transferexit`, "T ecu", 204, { prepare: download });

// 13
row("GET", "/functions", "- none", 200, { shape: "{items[{href,id,name}]}" });
row("GET", "/functions/functionalgroups", "- none", 200, { shape: "{items[{href,id,name}]}" });
row("GET", "G", "- none", 200, { shape: "{id,locks,operations,data,modes}" });
row("GET", "G/modes", "- none", 200, {
  shape: "{items[{id,name}]}",
  check: ({ json }) =>
    assert.deepEqual(
      json.items.map(({ id }: { id: string }) => id),
      ["commctrl", "dtcsetting", "session"],
    ),
});
row("GET", "G/data", "T none", 200, { shape: "{items[{category,id,name}]}" });
row("GET", "G/operations", "T none", 200, { shape: OPERATION });
row("GET", "G/operations/{svc}/docs", "T none", 200, {
  of: { svc: "selftest" },
  check: ({ json }) => assert.equal(json.info.title, "Operation: selftest"),
});
row("GET", "G/data/{svc}", "T none", 200, {
  of: { svc: "serviceinterval" },
  check: ({ json }) => {
    assert.deepEqual(Object.keys(json), ["data"]);
    assert.deepEqual(Object.keys(json.data).toSorted(), MEMBERS);
    assert.deepEqual(json.data.engine, { Raw: "0x00 0x96" });
  },
});
row("PUT", "G/data/{svc}", "T none", 200, {
  of: { svc: "serviceinterval" },
  body: { data: { Raw: "0096" } },
  check: ({ json }) => assert.deepEqual(Object.keys(json.data).toSorted(), MEMBERS),
});
const MEMBERS = ["body", "brakes", "camera", "central", "climate", "engine"];
for (const [mode, wanted] of MODES) {
  row("GET", `G/modes/${mode}`, "T none", 200, {
    check: ({ json }) => {
      assert.deepEqual(Object.keys(json.modes).toSorted(), MEMBERS);
      assert.equal(shapeOf(json.modes.body), "{name,value}");
    },
  });
  row("PUT", `G/modes/${mode}`, "T group", 200, {
    body: { value: wanted },
    check: ({ json }) => assert.deepEqual(json.modes.camera, { id: mode, value: wanted }),
  });
}
row("GET", "G/operations/{svc}/executions", "T none", 200, { of: { svc: "calibrate" }, shape: "{items[]}" });
row("POST", "G/operations/{svc}/executions", "T group", 200, {
  of: { svc: "selftest" },
  body: { parameters: {} },
  check: ({ json }) => assert.deepEqual(Object.keys(json.parameters).toSorted(), MEMBERS),
});
row("POST", "G/operations/{svc}/executions", "T group", 202, {
  of: { svc: "calibrate" },
  body: { parameters: {} },
  check: (answer, path) => {
    assert.equal(answer.json.status, "running");
    followable(answer, path);
  },
  undo: ({ http }, { json }) => http.delete(at(`G/operations/calibrate/executions/${json.id}`)),
});
row("GET", "G/operations/{svc}/executions/{id}", "T group", 200, {
  of: { svc: "calibrate" },
  prepare: startCalibration("G"),
  check: ({ json }) => {
    assert.deepEqual(Object.keys(json), ["status", "capability", "parameters"]);
    assert.deepEqual(json.parameters.body, { Result: 0 });
  },
  undo: stopCalibration("G"),
});
row("DELETE", "G/operations/{svc}/executions/{id}", "T group", 204, {
  of: { svc: "calibrate" },
  prepare: startCalibration("G"),
});

function at(path: string): string {
  return path.replace(/^[EG](?=\/|$)/, (place) => PLACES[place as "E" | "G"]);
}

function names(...wanted: string[]): (answer: Answer) => void {
  return ({ json }) =>
    assert.deepEqual(
      json.items.map(({ name }: { name: string }) => name),
      wanted,
    );
}

/** The execution stands at `Location`, an absolute URL. */
function followable({ json, headers }: Answer, path: string): void {
  const location = headers.get("location") ?? "";
  assert.match(location, /^http:\/\/127\.0\.0\.1:\d+\/vehicle\/v15\//);
  assert.ok(location.endsWith(`${path}/${json.id}`), location);
}

/** Member names in order, of lists those of the first item; values left out. */
function shapeOf(json: unknown): string {
  if (Array.isArray(json)) return `[${json.length === 0 ? "" : shapeOf(json[0])}]`;
  if (typeof json !== "object" || json === null) return "";
  return `{${Object.entries(json).map(([name, value]) => `${name}${shapeOf(value)}`)}}`;
}

async function storeFault({ vehicle }: Harness): Promise<void> {
  vehicle.ecu(ECU).state.dtcs.Standard.set(0x0a1b01, {
    id: 0x0a1b01,
    status: 0x09,
    emissionsRelated: false,
    snapshots: [{ recordNumber: 1, records: [{ did: 0xd001, data: Uint8Array.of(0x55) }] }],
    extendedData: [{ recordNumber: 1, data: Uint8Array.of(7) }],
  });
}

/** Boot loader, programming session, security level 5, nothing open: what the simulator wants before a download. */
async function programming({ http, vehicle }: Harness): Promise<string> {
  await http.put(at("E/modes/session"), { value: "Programming" });
  await http.put(at("E/modes/security"), { value: "Level_5_RequestSeed" });
  await http.put(at("E/modes/security"), { value: "Level_5", Key: { Send_Key: KEY } });
  vehicle.ecu(ECU).state.transfers = [];
  return "";
}

async function download(harness: Harness): Promise<string> {
  await programming(harness);
  await harness.http.put(at(`${DOWNLOAD}/requestdownload`), {
    requestdownload: { DataFormatIdentifier: 0, MemoryAddress: 0x1000, MemorySize: FLASH_FILE_BYTES },
  });
  return "";
}

async function transferred(harness: Harness): Promise<string> {
  return harness.locked(ECU, async () => {
    await download(harness);
    const { json } = await harness.http.post(at(TRANSFER), PART);
    await ended(harness, json.id);
    return json.id as string;
  });
}

async function ended({ http }: Harness, id: string): Promise<void> {
  for (;;) {
    const { json } = await http.get(`${at(TRANSFER)}/${id}`);
    if (json.status !== "running" && json.status !== "queued") return;
  }
}

async function forgetTransfer(harness: Harness, answer: Answer, id: string): Promise<void> {
  const transfer = id === "" ? (answer.json.id as string) : id;
  await ended(harness, transfer);
  await harness.http.delete(`${at(TRANSFER)}/${transfer}`);
  await endDownload(harness);
}

async function endDownload({ http }: Harness): Promise<void> {
  await http.put(at(`${DOWNLOAD}/transferexit`));
}

describe("appendix A", () => {
  let harness: Harness;
  before(async () => {
    harness = await startHarness({
      prepare: async (databases) => {
        const chunk = { type: CHUNK_TYPE.embeddedFile, name: "docs/readme.txt", mimeType: "text/plain" };
        await writeDatabase(databases, richDatabase(ECU), { chunks: [{ ...chunk, content: Buffer.from("hello") }] });
        await writeDatabase(databases, functionalDescription());
      },
    });
    await writeFile(join(harness.folder, "flash", "image.bin"), Buffer.alloc(FLASH_FILE_BYTES, 7));
    await harness.online(...MEMBERS);
    await storeFault(harness);
  });
  after(() => harness?.close());

  for (const one of rows) {
    test(`${one.method} ${one.path}${one.query ?? ""} → ${one.ok}`, async () => {
      const lockPath = { none: "", ecu: at("E/locks"), group: at("G/locks"), vehicle: "/locks" }[one.lock];
      const unnamed = withParams(one, "00000000-0000-4000-8000-000000000000");
      if (one.token) await expectRefused(harness, one, unnamed);
      if (one.lock !== "none") await expectUnlocked(harness, one, unnamed);
      const early = one.lock === "none" || one.path.includes("executions/{id}");
      let id = early ? ((await one.prepare?.(harness)) ?? "") : "";
      const lock = lockPath === "" ? undefined : await harness.http.post(lockPath, LOCK);
      try {
        if (!early) id = (await one.prepare?.(harness)) ?? "";
        const path = withParams(one, id);
        const answer = await call(harness, one, path, one.token ? {} : { as: null });
        assert.equal(answer.status, one.ok, answer.text);
        if (one.ok === 204 || (one.ok === 201 && one.shape === undefined)) assert.equal(answer.text, "");
        if (one.shape !== undefined) assert.equal(shapeOf(answer.json), one.shape);
        one.check?.(answer, path.split("?")[0]!);
        await one.undo?.(harness, answer, id);
      } finally {
        if (lock !== undefined) await harness.http.delete(`${lockPath}/${lock.json.id}`);
      }
    });
  }
});

function withParams({ path, of = {}, query = "" }: Row, id: string): string {
  return `${at(path).replace(/\{(\w+)\}/g, (_, name: string) => (name === "id" ? id : of[name]!))}${query}`;
}

async function call({ http, folder }: Harness, one: Row, path: string, options: { as?: null }): Promise<Answer> {
  const { headers = {} } = one;
  // An upload's body is the file of that name.
  const body = one.headers?.["content-disposition"] === undefined ? one.body : await fileOf(folder, String(one.body));
  if (one.method === "GET") return http.get(path, { headers, ...options });
  if (one.method === "DELETE") return http.delete(path, { headers, ...options });
  return one.method === "PUT"
    ? http.put(path, body, { headers, ...options })
    : http.post(path, body, { headers, ...options });
}

async function fileOf(folder: string, name: string): Promise<Uint8Array> {
  return new Uint8Array(await readFile(join(folder, "databases", name)));
}

async function expectRefused(harness: Harness, one: Row, path: string): Promise<void> {
  const answer = await call(harness, one, path, { as: null });
  assert.equal(answer.status, 401, `without token: ${answer.text}`);
  assert.match(answer.headers.get("www-authenticate") ?? "", /^Bearer/);
}

async function expectUnlocked(harness: Harness, one: Row, path: string): Promise<void> {
  const answer = await call(harness, one, path, {});
  assert.equal(answer.status, 403, `without lock: ${answer.text}`);
  assert.equal(answer.json.error_code, "insufficient-access-rights");
}

const without = existsSync(REFERENCE) ? false : "needs ../shared/facts, which is not there";

test("every route of the reference's table has its row here", { skip: without }, async () => {
  const appendix = (await readFile(REFERENCE, "utf8")).split("## Appendix A")[1]!.split("## Appendix B")[0]!;
  const wanted = [...routesIn(appendix)];
  const here = new Set(rows.map(({ method, path }) => `${method} ${generic(path)}`));
  assert.ok(wanted.length > 100, `only ${wanted.length} routes read`);
  assert.deepEqual(
    wanted.filter((one) => !here.has(one)),
    [],
  );
});

/** Names of path parameters do not matter here, nor which of its words a `{svc}` stands for. */
function generic(path: string): string {
  return path.replace(/^\/\//, "root/").replaceAll(/\{\w+\}/g, "{}");
}

/** `METHOD path` of each cell pair of the appendix, paths as in `rows`. */
function* routesIn(appendix: string): Generator<string> {
  let below = "";
  for (const line of appendix.split("\n")) {
    if (line.includes("`V/components/{ecu}`:")) below = "E";
    if (line.includes("`V/functions`")) below = "G";
    const [, methods, paths] = line.split("|").map((cell) => cell.trim());
    if (methods === undefined || paths === undefined || !/^(GET|PUT|POST|DELETE)/.test(methods)) continue;
    // One row writes its second path among its methods.
    const [first = "", second] = methods.split("`/{id}`");
    const places = [...paths.matchAll(/`(\/[^`]*|V\/[^`]*|…[^`]*|)`/g)].map(([, path]) => path!);
    for (const path of expanded(places)) {
      for (const method of first.match(/[A-Z]{3,}/g) ?? []) yield `${method} ${generic(placed(path, below))}`;
      for (const method of second?.match(/[A-Z]{3,}/g) ?? [])
        yield `${method} ${generic(placed(`${path}/{id}`, below))}`;
    }
  }
}

let previous = "";

/** `…/tail` goes on from the path before it. */
function* expanded(paths: readonly string[]): Generator<string> {
  for (const path of paths) {
    const full = path.startsWith("…") ? `${continued(path.slice(1))}` : path;
    previous = full;
    yield full;
  }
}

function continued(tail: string): string {
  const head = tail.split("/")[1]!;
  const known = [`V${APPS}/bulk-data`, `V${APPS}/operations`, previous.split(`/${head}`)[0]!];
  const parent = head.startsWith("runtimefiles-") ? known[0]! : head === "runtimefilesupdate" ? known[1]! : known[2]!;
  return `${parent}${tail}`;
}

function placed(path: string, below: string): string {
  if (path.startsWith("V")) return path.slice(1);
  if (below === "") return `/${path}`;
  return `${below}${path}`;
}
