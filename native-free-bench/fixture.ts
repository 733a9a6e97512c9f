/** The services that the bench runs: out of a real database when one is beside the project, and always some of our own. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ByteBuffer } from "flatbuffers";
import { compileService } from "#mdd/codec/compile.ts";
import type { ServicePlan } from "#mdd/codec/plan.ts";
import { DiagService, EcuData } from "#mdd/generated/dataformat.ts";
import type { DiagService as DescribedService } from "#mdd/generated/description.ts";
import { openDatabase } from "#mdd/query/database.ts";
import { baseVariant } from "#mdd/query/layers.ts";
import { findService } from "#mdd/query/lookup.ts";
import { serviceIndex } from "#mdd/query/service-index.ts";
import {
  ascii,
  baseVariant as baseVariantOf,
  diagLayer,
  endOfPduField,
  linear,
  physicalType,
  readService,
  structure,
  textDop,
  textTable,
  unsigned,
  value,
  writeService,
} from "#mdd/writer/dsl.ts";
import { writeEcuData } from "#mdd/writer/write.ts";

const REAL_FILE = new URL("../../shared/mdd/FLXC1000.mdd", import.meta.url);

const MAX_DATABASE_BYTES = 64 << 20;

export interface Fixture {
  readonly source: string;
  readonly vinRead: ServicePlan;
  readonly vinWrite: ServicePlan;
}

/** VIN read and write of the real file, or of our own database. */
export function vinFixture(): Fixture {
  if (!existsSync(REAL_FILE)) {
    const vin = value("VIN", ascii("VIN", 17), { byte: 3 });
    const services = [readService("VIN_Read", 0xf190, [vin]), writeService("VIN_Write", 0xf190, [vin])];
    const [vinRead, vinWrite] = compileOwn(services);
    return { source: "own database", vinRead: vinRead!, vinWrite: vinWrite! };
  }
  const inflate = fileURLToPath(new URL("inflate.ts", import.meta.url));
  const bytes = execFileSync(process.execPath, ["--import", "tsx", inflate, fileURLToPath(REAL_FILE)], {
    maxBuffer: MAX_DATABASE_BYTES,
  });
  const database = openDatabase(new Uint8Array(bytes));
  const index = serviceIndex(database, baseVariant(database)!);
  const plan = (type: "Data" | "Configurations") => {
    const { table } = findService(index, database.naming, { type, name: "VINDataIdentifier" });
    return compileService(new DiagService().__init(table, database.buffer));
  };
  return { source: "FLXC1000.mdd", vinRead: plan("Data"), vinWrite: plan("Configurations") };
}

function compileOwn(services: readonly DescribedService[]): ServicePlan[] {
  const bytes = writeEcuData({ ecu_name: "BENCH", variants: [baseVariantOf(diagLayer("BENCH", { services }))] });
  const layer = EcuData.getRootAsEcuData(new ByteBuffer(bytes)).variants(0)!.diagLayer()!;
  return services.map((_, i) => compileService(layer.diagServices(i)!, { positions: "sequential" }));
}

/** A service of many small signals, and one of a list of records. */
export function ownFixture(): { readonly signals: ServicePlan; readonly records: ServicePlan } {
  const onOff = textDop("OnOff", 8, textTable({ 0: "Off", 1: "On" }));
  const volts = unsigned("Volts", 16, { compu: linear(0, 0.1), physical: physicalType("A_FLOAT_64") });
  const flags = Array.from({ length: 16 }, (_, i) =>
    value(`Flag${i}`, unsigned("Bit", 1), { byte: 3 + (i >> 3), bit: i & 7 }),
  );
  const values = Array.from({ length: 8 }, (_, i) => value(`Volts${i}`, volts, { byte: 5 + 2 * i }));
  const record = structure("Record", [
    value("Id", unsigned("Id", 24), { byte: 0 }),
    value("State", onOff, { byte: 3 }),
  ]);
  const list = value("Records", endOfPduField("List", record), { byte: 3 });
  const [signals, records] = compileOwn([
    readService("Signals_Read", 0x0100, [...flags, ...values]),
    readService("Records_Read", 0x0101, [list]),
  ]);
  return { signals: signals!, records: records! };
}
