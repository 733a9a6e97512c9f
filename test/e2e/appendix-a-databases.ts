/** The demo's databases with what every row of the route table needs: flashing, modes, jobs, special data, files, a functional group. */
import type { DiagLayer, DiagService, EcuData, StateChart } from "#mdd/generated/description.ts";
import {
  byteField,
  codedConst,
  diagLayer,
  dtcDop,
  endOfPduField,
  functClass,
  functionalGroup,
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
  unsigned,
  value,
  writeService,
} from "#mdd/writer/dsl.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { DEMO_DATA, DEMO_ECUS } from "#sim/demo/vehicle.ts";

const PROTOCOL = "UDS_Ethernet_DoIP_DOBT";
/** The functional group's name in the database and, lower case, in paths. */
export const GROUP = "Everyone";
const FLASH = { classes: [functClass("flash_download_upload")] };
/** The whole communication, ISO 14229-1 B.1. */
const NORMAL_COMMUNICATION = 0x01;
const ERASE_MEMORY = 0xff00;
const WHOLE = 32;

const communicationControl = (name: string, subFunction: number): DiagService =>
  subFunctionService(`${name}_Control`, 0x28, subFunction, {
    request: [codedConst("CommunicationType", NORMAL_COMMUNICATION, 8, { byte: 2 })],
  });
const dtcSetting = (name: string, subFunction: number): DiagService =>
  subFunctionService(`DTC_Setting_Mode_${name}`, 0x85, subFunction);

const controls = [
  communicationControl("EnableRxAndEnableTx", 0x00),
  communicationControl("EnableRxAndDisableTx", 0x01),
  dtcSetting("On", 0x01),
  dtcSetting("Off", 0x02),
];

const security = { semantic: "SECURITY", classes: [functClass("SecurityAccess")] };
const level5 = [
  subFunctionService(
    "Level_5_RequestSeed",
    0x27,
    0x05,
    { response: [value("SecuritySeed", byteField("Seed", 8), { byte: 2, semantic: "DATA" })] },
    security,
  ),
  subFunctionService(
    "Level_5_SendKey",
    0x27,
    0x06,
    { request: [value("SecurityKey", byteField("Key", 8), { byte: 2, semantic: "DATA" })] },
    { ...security, transitions: [stateTransition("Locked", "Level_5"), stateTransition("Level_5", "Level_5")] },
  ),
];
const securityChart: StateChart = stateChart(
  "SecurityAccess",
  "SECURITY",
  ["Locked", "Level_3", "Level_5"],
  [
    ["Locked", "Level_3"],
    ["Level_3", "Level_3"],
    ["Locked", "Level_5"],
    ["Level_5", "Level_5"],
  ],
);

const flash = [
  routineService("EraseMemory_Start", 1, ERASE_MEMORY),
  service(
    "RequestDownload",
    [
      sidRequest(0x34),
      value("DataFormatIdentifier", unsigned("DataFormat", 8), { byte: 1 }),
      value("AddressAndLengthFormat", unsigned("AddressAndLength", 8), { byte: 2, default: "68" }),
      value("MemoryAddress", unsigned("Address", WHOLE), { byte: 3 }),
      value("MemorySize", unsigned("Size", WHOLE), { byte: 7 }),
    ],
    [
      sidResponse(0x34),
      value("LengthFormatIdentifier", unsigned("LengthFormat", 8), { byte: 1 }),
      value("MaxNumberOfBlockLength", unsigned("BlockLength", WHOLE), { byte: 2 }),
    ],
    FLASH,
  ),
  service(
    "TransferData",
    [sidRequest(0x36), value("BlockSequenceCounter", unsigned("Counter", 8), { byte: 1 })],
    [sidResponse(0x36), value("BlockSequenceCounter", unsigned("Counter", 8), { byte: 1 })],
    FLASH,
  ),
  service("RequestTransferExit", [sidRequest(0x37)], [sidResponse(0x37)], FLASH),
];

const dtcNumber = value("DTC", unsigned("DTC", 24), { byte: 2 });
const recordNumber = value("RecordNumber", unsigned("RecordNumber", 8), { byte: 5 });
const DTC_AND_STATUS = [
  value("DTC", unsigned("DTC", 24), { byte: 2 }),
  value("StatusOfDTC", unsigned("Status", 8), { byte: 5 }),
];
const environment = [
  subFunctionService("FaultMem_ReportDTCSnapshotRecordByDtcNumber", 0x19, 0x04, {
    request: [dtcNumber, recordNumber],
    response: [
      ...DTC_AND_STATUS,
      value(
        "DTCSnapshotRecords",
        endOfPduField(
          "DTCSnapshotRecords",
          structure("DTCSnapshot", [
            value("DTCSnapshotRecordNumber", unsigned("Number", 8), { byte: 0 }),
            value("DTCSnapshotRecordNumberOfIdentifiers", unsigned("Count", 8), { byte: 1 }),
            value("Identifier", unsigned("Identifier", 16), { byte: 2 }),
            value("Voltage", unsigned("Voltage", 8), { byte: 4 }),
          ]),
        ),
        { byte: 6 },
      ),
    ],
  }),
  subFunctionService("FaultMem_ReportDTCExtDataRecordByDtcNumber", 0x19, 0x06, {
    request: [dtcNumber, recordNumber],
    response: [
      ...DTC_AND_STATUS,
      value(
        "DTCExtDataRecords",
        endOfPduField(
          "DTCExtDataRecords",
          structure("ExtData", [
            value("DTCExtDataRecordNumber", unsigned("Number", 8), { byte: 0 }),
            value("OccurrenceCounter", unsigned("Occurrences", 8), { byte: 1 }),
          ]),
        ),
        { byte: 6 },
      ),
    ],
  }),
];

const interval = value("Raw", byteField("Raw", 2), { byte: 3, semantic: "DATA" });
const dtcList = dtcDop("Codes", [], standardLength("A_UINT_32", 24), physicalType("A_UINT_32"));

/** An ECU of the demo with more services than the demo shows. */
export function richDatabase(name: string): EcuData {
  const ecu = DEMO_ECUS.find((candidate) => candidate.name === name)!;
  const database = demoDatabase(ecu);
  const [base, ...variants] = database.variants!;
  const layer = base!.diag_layer!;
  const rich: DiagLayer = {
    ...layer,
    diag_services: [...layer.diag_services!.map(withSpecialData), ...controls, ...level5, ...flash, ...environment],
    state_charts: [layer.state_charts![0]!, securityChart],
    single_ecu_jobs: [
      {
        diag_comm: { short_name: "Calibrate_All", semantic: "CALIBRATION", long_name: { value: "Calibrate all" } },
        prog_codes: [{ code_file: "calibrate.jar", syntax: "JAR", revision: "1.2", entrypoint: "de.example.Main" }],
        input_params: [{ short_name: "Count", physical_default_value: "3", semantic: "DATA", dop_base: dtcList }],
        output_params: [{ short_name: "Done", long_name: { value: "Done at last", ti: "t1" } }],
        neg_output_params: [{ short_name: "Why" }],
      },
      { diag_comm: { short_name: "NoSemantic" }, prog_codes: [] },
    ],
    sdgs: { sdgs: [{ caption_sn: "Traits", sds: [{ sd_or_sdg_type: "SD", sd_or_sdg: { value: "yes", si: "CAN" } }] }] },
  };
  // The variants refer to the very object that is their base.
  Object.assign(base!, { diag_layer: rich });
  return { ...database, variants: [base!, ...variants] };
}

function withSpecialData(one: DiagService): DiagService {
  const { diag_comm: head } = one;
  if (head?.short_name !== "VIN_Read" && head?.short_name !== "SelfTest_Start") return one;
  const datum = { sd_or_sdg_type: "SD", sd_or_sdg: { value: head.short_name, si: "origin", ti: "t" } } as const;
  return Object.assign(one, { diag_comm: { ...head, sdgs: { sdgs: [{ caption_sn: "Notes", sds: [datum] }] } } });
}

/** The functional description: one group that every ECU of the protocol belongs to. */
export function functionalDescription(): EcuData {
  const sessions = ["Default", "Extended"];
  return {
    version: "2025-05-10",
    ecu_name: "functional_groups",
    revision: "1.0.0",
    functional_groups: [
      functionalGroup(
        diagLayer(GROUP, {
          stateCharts: [
            stateChart("Session", "SESSION", sessions, [
              ["Default", "Extended"],
              ["Extended", "Default"],
            ]),
          ],
          services: [
            ...controls,
            subFunctionService("Default_Start", 0x10, 0x01, session(), toState("Extended", "Default")),
            subFunctionService("Extended_Start", 0x10, 0x03, session(), toState("Default", "Extended")),
            readService("ServiceInterval_Read", DEMO_DATA.serviceInterval.id, [interval]),
            writeService("ServiceInterval_Write", DEMO_DATA.serviceInterval.id, [interval]),
            routineService("SelfTest_Start", 1, 0x1001),
            routineService("Calibrate_Start", 1, 0x1002),
            routineService("Calibrate_Stop", 2, 0x1002),
            routineService("Calibrate_RequestResults", 3, 0x1002, {
              response: [value("Result", unsigned("Result", 8), { byte: 4, semantic: "DATA" })],
            }),
          ],
        }),
        [parentRef("Protocol", protocol(PROTOCOL))],
      ),
    ],
  };
}

const session = () => ({ response: [value("Timing", byteField("Timing", 4), { byte: 2 })] });
const toState = (from: string, to: string) => ({
  semantic: "SESSION",
  transitions: [stateTransition(from, to), stateTransition(to, to)],
});
