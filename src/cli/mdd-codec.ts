/** `sovd-edge mdd decode` and `mdd encode`: messages of one service, both ways. */
import { type Command, Option } from "commander";
import { fromHex, toHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import { isObject } from "#core/json.ts";
import { type DecodedObject, decodeRequest, decodeResponse, encodeRequest } from "#mdd/codec/codec.ts";
import { compileService } from "#mdd/codec/compile.ts";
import type { CodecOptions } from "#mdd/codec/options.ts";
import type { ServicePlan } from "#mdd/codec/plan.ts";
import type { ByteFormat } from "#mdd/codec/render.ts";
import { DiagService } from "#mdd/generated/dataformat.ts";
import type { ServiceEntry } from "#mdd/query/service-entry.ts";
import { serviceIndex } from "#mdd/query/service-index.ts";
import { chooseScope, chooseService, isResponse, serviceOfMessage } from "#mdd/tools/choose.ts";
import { inFile, type LoadedMdd } from "#mdd/tools/load.ts";
import { nrcText } from "#uds/nrc.ts";
import { addLimits, type LimitFlags, parseJson, withMdd } from "./mdd-files.ts";
import { jsonText, processTerminal, type Terminal } from "./mdd-terminal.ts";

interface CodecFlags extends LimitFlags {
  readonly variant?: string;
  readonly service?: string;
  readonly shape: CodecOptions["shape"];
  readonly lengthKey?: CodecOptions["lengthKeyUnit"];
  readonly byteFormat: ByteFormat;
}

export interface DecodeFlags extends CodecFlags {
  readonly hex: string;
  readonly request?: string;
}

export interface EncodeFlags extends CodecFlags {
  readonly service: string;
  readonly raw?: string;
  readonly strict?: boolean;
}

export function registerCodec(mdd: Command): void {
  addCodecOptions(
    mdd
      .command("decode <file>")
      .description("Decode a message to JSON; requests are told from responses by their first byte")
      .requiredOption("--hex <bytes>", "the message, as 62 F1 90 …")
      .option("--request <bytes>", "the request that a response answers")
      .option("--service <name>", "its service; else the request or the message tell"),
  ).action((file: string, flags: DecodeFlags) => decode(file, flags));
  addCodecOptions(
    mdd
      .command("encode <file> [json]")
      .description("Encode a request from its parameters, given as a JSON object")
      .requiredOption("--service <name>", "short name, or resource id where that is clear")
      .option("--raw <bytes>", "bytes behind the constants, instead of parameters")
      .option("--strict", "refuse parameters that the service does not have"),
  ).action((file: string, json: string | undefined, flags: EncodeFlags) => encode(file, json, flags));
}

function addCodecOptions(command: Command): Command {
  const choice = (flags: string, what: string, values: readonly string[], value: string) =>
    new Option(flags, what).choices(values).default(value);
  return addLimits(
    command
      .option("--variant <name>", "variant or functional group (default: the base variant)")
      .addOption(choice("--shape <shape>", "structures flattened or nested", ["cda", "iso"], "cda"))
      .addOption(
        new Option("--length-key <unit>", "what length keys count (default: bits in our own files)").choices([
          "bytes",
          "bits",
        ]),
      )
      .addOption(choice("--byte-format <format>", "byte fields in JSON", ["hex", "base64"], "hex")),
  );
}

/** Bytes of hex text with blanks, commas or 0x. @throws Fault badRequest */
function hexBytes(text: string, option: string): Uint8Array {
  const bytes = fromHex(text.replaceAll(/0x|[,:]/gi, " "));
  if (bytes === undefined || bytes.length === 0) throw new Fault("badRequest", `${option}: '${text}' is no hex`);
  return bytes;
}

function planOf(mdd: LoadedMdd, service: ServiceEntry, flags: CodecFlags): ServicePlan {
  const { database, positions } = mdd;
  const { shape, lengthKey: lengthKeyUnit = mdd.lengthKeyUnit } = flags;
  const table = new DiagService().__init(service.table, database.buffer);
  return compileService(table, { shape, positions, lengthKeyUnit, nrcText });
}

/** Prints what the message says. @throws Fault when nothing of it can be decoded */
export async function decode(file: string, flags: DecodeFlags, terminal: Terminal = processTerminal()): Promise<void> {
  const message = hexBytes(flags.hex, "--hex");
  const request = flags.request === undefined ? undefined : hexBytes(flags.request, "--request");
  const { scope, service, plan } = await withMdd(file, flags, (loaded) => {
    const scope = chooseScope(loaded.database, flags.variant);
    const index = serviceIndex(loaded.database, scope);
    const service =
      flags.service === undefined ? serviceOfMessage(index, message, request) : chooseService(index, flags.service);
    return { scope, service, plan: planOf(loaded, service, flags) };
  });
  const { byteFormat } = flags;
  const decoded = isResponse(message)
    ? decodeResponse(plan, message, request, { byteFormat })
    : decodeRequest(plan, message, { byteFormat });
  const type = isResponse(message) ? `${decoded.type} response` : "request";
  terminal.out(jsonText({ service: service.shortName, variant: scope.name, type, ...shown(decoded) }));
  if (decoded.failure !== undefined || (!decoded.isMapped && decoded.nrc === undefined)) process.exitCode = 1;
}

function shown({ data, nrc, errors, notes, failure, isMapped, raw }: DecodedObject): Readonly<Record<string, unknown>> {
  return {
    ...(nrc !== undefined && { nrc }),
    ...(isMapped && failure === undefined && { data }),
    ...(!isMapped && { raw: toHex(raw, " "), problem: "no message of the service begins like this" }),
    ...(errors.length > 0 && { errors }),
    ...(notes.length > 0 && { notes }),
    ...(failure !== undefined && { failure }),
  };
}

/** Prints the bytes of the request. @throws Fault naming the parameter that is wrong */
export async function encode(
  file: string,
  json: string | undefined,
  flags: EncodeFlags,
  terminal: Terminal = processTerminal(),
): Promise<void> {
  if (json !== undefined && flags.raw !== undefined) throw new Fault("badRequest", "either parameters or --raw");
  const parameters = flags.raw === undefined ? objectOf(json) : hexBytes(flags.raw, "--raw");
  const bytes = await withMdd(file, flags, (loaded) => {
    const index = serviceIndex(loaded.database, chooseScope(loaded.database, flags.variant));
    const service = chooseService(index, flags.service);
    const call = { isStrict: flags.strict === true, byteFormat: flags.byteFormat };
    return inFile(service.shortName, () => encodeRequest(planOf(loaded, service, flags), parameters, call));
  });
  terminal.out(`${toHex(bytes, " ")}\n`);
}

function objectOf(json: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (json === undefined) return undefined;
  const value = parseJson(json, "parameters");
  if (!isObject(value)) throw new Fault("badRequest", "parameters: a JSON object is expected");
  return value;
}
