/** Diagnostic databases of the demo's ECUs, described here and written by our own writer. */
import type { EcuData, Protocol } from "#mdd/generated/description.ts";
import {
  ascii,
  baseVariant,
  byteField,
  diagLayer,
  doipComParams,
  dtc,
  ecuVariant,
  endOfPduField,
  functClass,
  linear,
  normalDop,
  parentRef,
  physicalType,
  protocol,
  readService,
  routineService,
  service,
  sidRequest,
  sidResponse,
  standardLength,
  stateChart,
  stateTransition,
  structure,
  subFunctionService,
  textDop,
  textTable,
  unit,
  unsigned,
  value,
  variantPattern,
  writeService,
} from "#mdd/writer/dsl.ts";
import { DEMO_DATA, type DemoEcu, FUNCTIONAL_ADDRESS, TESTER_ADDRESS } from "./vehicle.ts";

const PROTOCOL = "UDS_Ethernet_DoIP_DOBT";
const ROUTINES = { selfTest: 0x1001, calibrate: 0x1002 } as const;
const SELF_TEST_VARIANT = "257";

const SESSIONS = { Default: 0x01, Programming: 0x02, Extended: 0x03 } as const;
const SESSION_NAMES = Object.keys(SESSIONS);
const sessionChart = stateChart(
  "Session",
  "SESSION",
  SESSION_NAMES,
  SESSION_NAMES.flatMap((from) => SESSION_NAMES.map((to) => [from, to] as const)),
);
const securityChart = stateChart(
  "SecurityAccess",
  "SECURITY",
  ["Locked", "Level_3"],
  [
    ["Locked", "Level_3"],
    ["Level_3", "Level_3"],
  ],
);

const sessionServices = Object.entries(SESSIONS).map(([name, subFunction]) =>
  subFunctionService(
    `${name}_Start`,
    0x10,
    subFunction,
    { response: [value("Timing", byteField("Timing", 4), { byte: 2 })] },
    {
      semantic: "SESSION",
      classes: [functClass("Session")],
      transitions: SESSION_NAMES.map((from) => stateTransition(from, name)),
    },
  ),
);

const security = { semantic: "SECURITY", classes: [functClass("SecurityAccess")] };
const seed = value("SecuritySeed", byteField("Seed", 8), { byte: 2, semantic: "DATA" });
const key = value("SecurityKey", byteField("Key", 8), { byte: 2, semantic: "DATA" });
const requestSeed = subFunctionService("Level_3_RequestSeed", 0x27, 0x03, { response: [seed] }, security);
const sendKey = subFunctionService(
  "Level_3_SendKey",
  0x27,
  0x04,
  { request: [key] },
  {
    ...security,
    transitions: [stateTransition("Locked", "Level_3"), stateTransition("Level_3", "Level_3")],
  },
);

const identification = readService("Identification_Read", 0xf100, [
  value("Identification", unsigned("Identification", 24), { byte: 3, semantic: "DATA" }),
]);
const vin = readService("VIN_Read", 0xf190, [value("VIN", ascii("VIN", 17), { byte: 3, semantic: "DATA" })], {
  semantic: "IDENTIFICATION",
  classes: [functClass("Ident")],
});
const activeSession = readService("ActiveSession_Read", 0xf186, [
  value("Session", textDop("Session", 8, textTable({ 1: "Default", 2: "Programming", 3: "Extended" })), {
    byte: 3,
    semantic: "DATA",
  }),
]);

const kilometres = normalDop("Kilometres", {
  coded: standardLength("A_UINT_32", 16),
  physical: physicalType("A_FLOAT_64"),
  compu: linear(0, 100),
  unit: unit("km", "km", 1000, 0),
});
const interval = value("Interval", kilometres, { byte: 3, semantic: "DATA" });
const serviceInterval = { semantic: "STOREDDATA", classes: [functClass("varcoding")] };
const celsius = normalDop("Celsius", {
  coded: standardLength("A_UINT_32", 8),
  physical: physicalType("A_FLOAT_64"),
  compu: linear(-40, 1),
  unit: unit("degC", "°C", 1, 273.15),
});
const dataServices = [
  vin,
  identification,
  activeSession,
  readService("ServiceInterval_Read", DEMO_DATA.serviceInterval.id, [interval], serviceInterval),
  writeService("ServiceInterval_Write", DEMO_DATA.serviceInterval.id, [interval], serviceInterval),
  readService(
    "AmbientTemperature_Read",
    DEMO_DATA.ambientTemperature.id,
    [value("Temperature", celsius, { byte: 3, semantic: "DATA" })],
    { semantic: "CURRENTDATA" },
  ),
];

const faultOptions = { classes: [functClass("FaultMem")] };
const dtcRecord = structure("DTCAndStatus", [
  value("DTC", unsigned("DTC", 24), { byte: 0 }),
  value("Status", unsigned("Status", 8), { byte: 3 }),
]);
const faultServices = [
  subFunctionService(
    "FaultMem_ReportDTCByStatusMask",
    0x19,
    0x02,
    {
      request: [value("StatusMask", unsigned("StatusMask", 8), { byte: 2 })],
      response: [
        value("AvailabilityMask", unsigned("AvailabilityMask", 8), { byte: 2, semantic: "DATA" }),
        value("Records", endOfPduField("Records", dtcRecord), { byte: 3, semantic: "DATA" }),
      ],
    },
    faultOptions,
  ),
  service(
    "FaultMem_ClearDTCs",
    [sidRequest(0x14), value("Group", unsigned("Group", 24), { byte: 1 })],
    [sidResponse(0x14)],
    faultOptions,
  ),
];

const routineOptions = { classes: [functClass("Routines")] };
const routineServices = [
  routineService("SelfTest_Start", 1, ROUTINES.selfTest, {}, routineOptions),
  routineService("Calibrate_Start", 1, ROUTINES.calibrate, {}, routineOptions),
  routineService("Calibrate_Stop", 2, ROUTINES.calibrate, {}, routineOptions),
  routineService(
    "Calibrate_RequestResults",
    3,
    ROUTINES.calibrate,
    {
      response: [
        value("Result", textDop("Result", 8, textTable({ 0: "running", 1: "ended" })), { byte: 4, semantic: "DATA" }),
      ],
    },
    routineOptions,
  ),
];

const resets = [
  subFunctionService("HardReset", 0x11, 0x01, {}, { classes: [functClass("EcuReset")] }),
  subFunctionService("SoftReset", 0x11, 0x03, {}, { classes: [functClass("EcuReset")] }),
];

const CLASSES = ["Session", "SecurityAccess", "Ident", "varcoding", "FaultMem", "Routines", "EcuReset"];

/** The database of one ECU: a base variant with all services, and the variant that answers the demo's identification. */
export function demoDatabase(ecu: DemoEcu): EcuData {
  const uds: Protocol = protocol(PROTOCOL);
  const { name, gatewayAddress: gateway, logicalAddress } = ecu;
  const addresses = { gateway, ecu: logicalAddress, functional: FUNCTIONAL_ADDRESS, tester: TESTER_ADDRESS };
  const base = baseVariant(
    diagLayer(name, {
      classes: CLASSES,
      comParams: doipComParams(addresses, uds),
      stateCharts: [sessionChart, securityChart],
      services: [
        ...dataServices,
        ...sessionServices,
        requestSeed,
        sendKey,
        ...resets,
        ...faultServices,
        ...routineServices,
      ],
    }),
    [parentRef("Protocol", uds)],
  );
  const pattern = variantPattern({ service: identification, param: "Identification", expected: SELF_TEST_VARIANT });
  return {
    version: "2025-05-10",
    ecu_name: name,
    revision: "1.0.0",
    variants: [base, ecuVariant(diagLayer(`${name}_Series`), [parentRef("Variant", base)], [pattern])],
    dtcs: [
      dtc("SupplyVoltageLow", { code: 0x0a1b01, text: "Supply voltage too low", level: 2 }),
      dtc("SensorImplausible", { code: 0x0a1b02, text: "Sensor signal implausible", level: 1 }),
    ],
  };
}
