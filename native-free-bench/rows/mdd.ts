/** MDD: the container, the verifier, plans, and every shape of a value in both directions. */
import { ByteBuffer } from "flatbuffers";
import { decodeResponse, encodeRequest, writeResponseJson } from "#mdd/codec/codec.ts";
import { compileService } from "#mdd/codec/compile.ts";
import { JsonBytes } from "#mdd/codec/json-bytes.ts";
import { decodeContainer } from "#mdd/container/decode.ts";
import { encodeContainer } from "#mdd/container/encode.ts";
import { EcuData } from "#mdd/generated/dataformat.ts";
import { openDatabase } from "#mdd/query/database.ts";
import { baseVariant } from "#mdd/query/layers.ts";
import { findByPrefix } from "#mdd/query/lookup.ts";
import { serviceIndex } from "#mdd/query/service-index.ts";
import { verifyEcuData } from "#mdd/verify/verify.ts";
import { baseVariant as baseVariantOf, diagLayer, readService, writeService } from "#mdd/writer/dsl.ts";
import { writeMdd } from "#mdd/writer/mdd.ts";
import { writeEcuData } from "#mdd/writer/write.ts";
import { bytes, type Rows } from "./row.ts";
import { SHAPES } from "./shapes.ts";

const FIRST_IDENTIFIER = 0x0100;
const names = Object.keys(SHAPES);
const services = names.flatMap((name, i) => {
  const { params } = SHAPES[name]!;
  return [
    readService(`R${i}`, FIRST_IDENTIFIER + i, [...params]),
    writeService(`W${i}`, FIRST_IDENTIFIER + i, [...params]),
  ];
});
const description = { ecu_name: "BENCH", variants: [baseVariantOf(diagLayer("BENCH", { services }))] };
const database = writeEcuData(description);
const file = await writeMdd({ description });
const container = decodeContainer(file);
const layer = EcuData.getRootAsEcuData(new ByteBuffer(database)).variants(0)!.diagLayer()!;
const plan = (service: number) =>
  compileService(layer.diagServices(service)!, { positions: "sequential", shape: "iso" });
const index = serviceIndex(openDatabase(database), baseVariant(openDatabase(database))!);
const out = new JsonBytes();

/** Read and write of one shape; its own answer is what is encoded. */
function rowsOf(name: string, i: number): Rows {
  const identifier = (FIRST_IDENTIFIER + i).toString(16).padStart(4, "0");
  const { data } = SHAPES[name]!;
  const [read, write] = [plan(2 * i), plan(2 * i + 1)];
  const [request, response] = [bytes(`22${identifier}`), bytes(`62${identifier}${data}`)];
  const decoded = decodeResponse(read, response, request);
  if (decoded.errors.length > 0) throw new Error(`${name}: ${JSON.stringify(decoded.errors)}`);
  if (decoded.failure !== undefined || decoded.data === null) throw new Error(`${name}: ${JSON.stringify(decoded)}`);
  const { data: object } = decoded;
  return {
    [`MDD: decode ${name}`]: () => {
      out.reset();
      writeResponseJson(read, response, request, out);
      return out.take();
    },
    [`MDD: encode ${name}`]: () => encodeRequest(write, object),
  };
}

const vinRead = plan(0);
const [vinRequest, vinResponse] = [bytes("220100"), bytes("6201005343454454323654384244303035323631")];

export const MDD_ROWS: Rows = {
  ...Object.assign({}, ...names.map(rowsOf)),
  "MDD: decode a VIN to an object": () => decodeResponse(vinRead, vinResponse, vinRequest).data,
  "MDD: decode a container": () => decodeContainer(file),
  "MDD: encode a container": () => encodeContainer(container),
  "MDD: verify a database": () => verifyEcuData(database),
  "MDD: write a database": () => writeEcuData(description),
  "MDD: compile a plan of 24 signals": () => plan(2 * names.indexOf("24 signals")),
  "MDD: compile a plan of a VIN": () => plan(0),
  "MDD: find a service by its prefix": () => findByPrefix(index, bytes("220101")),
};
