/**
 * Who may import whom. A row names a layer and what it may reach beside itself. `folder/file` allows one file: config/types holds
 * types only, fleet/messages types and tables of the contract, fleet/packets what crosses the port, uds/nrc, uds/com-params and mdd/query/naming-convention tables and types. src/cli, src/bench and src/main.ts may import anything.
 * Cycles are biome's (noImportCycles), which tells types from values; the parser below does not.
 */
const LAYERS = {
  core: [],
  config: ["core", "uds/com-params", "mdd/query/naming-convention"],
  store: ["core", "config/types"],
  telemetry: ["core", "config/types"],
  security: ["core", "config/types"],
  doip: ["core"],
  uds: ["core", "doip"],
  mdd: ["core", "doip"],
  // the device simulator speaks the protocol's messages, and nothing else of the update
  sim: ["core", "doip", "uds", "mdd", "update/ajour/codec"],
  ecu: ["core", "doip", "uds", "mdd", "store", "config", "telemetry", "fleet/messages"],
  fleet: ["core", "config", "store", "telemetry", "doip/discovery", "uds/com-params"],
  update: ["core", "config", "store", "telemetry", "security", "mdd", "fleet", "ecu/catalog", "uds/nrc"],
  sovd: ["core", "config", "store", "telemetry", "security", "update", "fleet", "uds/nrc"],
  http: ["core", "config", "store", "telemetry", "security", "update", "fleet", "sovd"],
  workers: ["core", "config", "store", "telemetry", "ecu", "mdd", "uds", "doip", "update", "fleet/messages", "fleet/packets"],
  "native-free-bench": ["core", "doip", "uds", "mdd", "ecu", "sim"],
};

/** These bench and test anywhere: no addon, no server. */
const NATIVE_FREE = ["core", "doip", "uds", "mdd"];
const NATIVE = "node_modules/(lmdb|uWebSockets\\.js|@uwsjs|@napi-rs|node-unix-socket|msgpackr-extract|piscina)(/|$)";
const SERVERS = "^(node:)?(http|https|http2)$";

const folderOf = (layer) => (["workers", "native-free-bench"].includes(layer) ? `^${layer}/` : `^src/${layer}/`);
const targetOf = (target) => (target.includes("/") ? `^src/${target}\\.ts$` : folderOf(target));

const layerRules = Object.entries(LAYERS).map(([layer, targets]) => ({
  name: `${layer}-imports-downward`,
  comment: `${layer} may import ${targets.join(", ") || "nothing of ours"}`,
  severity: "error",
  from: { path: folderOf(layer) },
  to: { path: "^(src|workers|native-free-bench|test|scripts)/", pathNot: [folderOf(layer), ...targets.map(targetOf)] },
}));

/** A folder without a row would escape every rule. */
const FREE = ["cli", "bench"];
const known = [...Object.keys(LAYERS), ...FREE].join("|");

module.exports = {
  forbidden: [
    ...layerRules,
    {
      name: "one-door-to-doip",
      comment: "DoIP is one transport: ECUs, calls and queues know the interface in uds/transport, and one file of theirs makes it DoIP",
      severity: "error",
      from: { path: "^src/ecu/", pathNot: "^src/ecu/doip-gateway\\.ts$" },
      to: { path: "^src/(doip/|uds/over-doip\\.ts$)" },
    },
    {
      name: "native-free",
      comment: "the codecs load no native addon and no server",
      severity: "error",
      from: { path: NATIVE_FREE.map(folderOf) },
      to: { path: [NATIVE, SERVERS] },
    },
    {
      name: "native-free-bench",
      comment: "nothing that the bench reaches is a native addon",
      severity: "error",
      from: { path: folderOf("native-free-bench") },
      to: { path: NATIVE, reachable: true },
    },
    {
      name: "typebox-stays-on-main",
      comment: "TypeBox costs memory and start-up time in every worker",
      severity: "error",
      from: { path: folderOf("workers") },
      to: { path: "node_modules/typebox/", reachable: true },
    },
    {
      name: "every-folder-has-a-row",
      severity: "error",
      from: { path: "^src/[^/]+/", pathNot: `^src/(${known})/` },
      to: {},
    },
    { name: "resolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "no-development-packages",
      severity: "error",
      from: { path: "^(src|workers)/" },
      to: { dependencyTypes: ["npm-dev"] },
    },
  ],
  options: {
    // TypeScript 7 has no compiler API for the cruiser: with another parser it sees no module and says all is well
    parser: "swc",
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"], extensions: [".ts", ".js", ".mjs", ".json"] },
  },
};
