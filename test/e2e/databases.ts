/** Databases that the tests add to the demo's: a functional description, and an ECU with what the demo's lack. */
import type { EcuData, SingleEcuJob } from "#mdd/generated/description.ts";
import {
  ascii,
  diagLayer,
  functClass,
  functionalGroup,
  minMaxLength,
  normalDop,
  parentRef,
  physicalType,
  protocol,
  readService,
  routineService,
  stateChart,
  stateTransition,
  subFunctionService,
  unsigned,
  value,
} from "#mdd/writer/dsl.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { DEMO_ECUS } from "#sim/demo/vehicle.ts";

const PROTOCOL = "UDS_Ethernet_DoIP_DOBT";
const SESSIONS = { Default: 0x01, Extended: 0x03 } as const;
const names = Object.keys(SESSIONS);

/** One group of all ECUs of the demo's protocol, and one that nobody is in. */
export function groupDatabase(): EcuData {
  const uds = protocol(PROTOCOL);
  const session = stateChart(
    "Session",
    "SESSION",
    names,
    names.flatMap((from) => names.map((to) => [from, to] as const)),
  );
  const services = [
    readService("VIN_Read_Func", 0xf190, [value("VIN", ascii("VIN", 17), { byte: 3, semantic: "DATA" })], {
      functional: true,
    }),
    ...Object.entries(SESSIONS).map(([name, subFunction]) =>
      subFunctionService(
        `${name}_Start`,
        0x10,
        subFunction,
        { response: [value("Timing", unsigned("Timing", 32), { byte: 2 })] },
        {
          semantic: "SESSION",
          functional: true,
          transitions: names.map((from) => stateTransition(from, name)),
        },
      ),
    ),
    routineService("SelfTest_Start_Func", 1, 0x1001, {}, { functional: true }),
    routineService("Calibrate_Start_Func", 1, 0x1002, {}, { functional: true }),
    routineService("Calibrate_Stop_Func", 2, 0x1002, {}, { functional: true }),
    routineService(
      "Calibrate_RequestResults_Func",
      3,
      0x1002,
      { response: [value("Result", unsigned("Result", 8), { byte: 4, semantic: "DATA" })] },
      { functional: true },
    ),
  ];
  return {
    version: "2025-05-10",
    ecu_name: "functional_groups",
    revision: "1.0.0",
    functional_groups: [
      functionalGroup(diagLayer("Everyone", { services, stateCharts: [session] }), [parentRef("Protocol", uds)]),
      functionalGroup(diagLayer("Nobody", { services }), [parentRef("Protocol", protocol("UDS_CAN"))]),
    ],
  };
}

const text = normalDop("text", {
  coded: minMaxLength("A_UTF_8_STRING", { minBytes: 1, maxBytes: 8, termination: "ZERO" }),
  physical: physicalType("A_UNICODE_2_STRING"),
});

const job: SingleEcuJob = {
  diag_comm: { short_name: "Flash", semantic: "FLASHING", funct_class: [functClass("Flash")] },
  prog_codes: [{ code_file: "flash.jar", syntax: "JAR", revision: "1", entrypoint: "run" }],
  input_params: [{ short_name: "file", physical_default_value: "a.bin", dop_base: text }],
};

/** The demo's BODY with a job in its base variant. */
export function bodyDatabase(): EcuData {
  const database = demoDatabase(DEMO_ECUS.find(({ name }) => name === "BODY")!);
  // In place: the other variant refers to this very layer.
  Object.assign(database.variants![0]!.diag_layer!, { single_ecu_jobs: [job] });
  return database;
}
