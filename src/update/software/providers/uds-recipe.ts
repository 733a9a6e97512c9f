/**
 * A flash sequence as data (ISO 14229-1 clause 15; seed 002, 3.4.1). A recipe is a list of steps; each is one kind. Requests are hex
 * text with places that are filled as bytes: `{version}` and `{previous}` as ASCII; `{address}`, `{size}` and `{crc32}` of the segment
 * (of the whole image outside of `each_segment`), four bytes each.
 */
import { readFileSync } from "node:fs";
import { parse } from "smol-toml";
import { fromHex } from "#core/bytes.ts";
import { Fault, reasonOf } from "#core/errors.ts";
import { type Static, Type } from "#core/schema.ts";
import { fits, problems } from "#core/validate.ts";

const CLOSED = { additionalProperties: false } as const;
const Hex = Type.String({ pattern: "^([0-9a-fA-F]{2}|\\s|\\{(version|previous|size|address|crc32)\\})+$" });
const Milliseconds = Type.Integer({ minimum: 1, maximum: 24 * 3_600_000 });
const Address = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Common = {
  /** What is shown as progress. */
  name: Type.Optional(Type.String()),
  /** Longest wait for the final answer, 0x78 included. */
  timeout_ms: Type.Optional(Milliseconds),
  /** Left out when a transfer goes on after a restart, e.g. the erasing. */
  skip_on_resume: Type.Optional(Type.Boolean()),
  /** Done also when a step before it failed or was stopped: what makes good again what an earlier step switched off. */
  always: Type.Optional(Type.Boolean()),
};
const Tolerant = {
  /** A negative answer is as good. */
  ignore_refusal: Type.Optional(Type.Boolean()),
  /** So is none: an ECU may start anew before it has answered. */
  ignore_silence: Type.Optional(Type.Boolean()),
};

const StepSchema = Type.Union([
  /** `expect`: bytes the positive answer begins with; default: the service's own. `ecu`: another one than that of the update. */
  Type.Object(
    {
      ...Common,
      ...Tolerant,
      request: Hex,
      expect: Type.Optional(Hex),
      ecu: Type.Optional(Type.String()),
      each_segment: Type.Optional(Type.Boolean()),
      /** Leaves the ECU as it is, e.g. a routine that checks preconditions: a failure up to here needs no flashing back. */
      harmless: Type.Optional(Type.Boolean()),
    },
    CLOSED,
  ),
  /** A mode of a functional group, as its database describes it: silences the other ECUs (28), stops their DTCs (85). */
  Type.Object(
    {
      ...Common,
      ...Tolerant,
      group: Type.String(),
      mode: Type.Enum(["session", "commctrl", "dtcsetting"]),
      value: Type.String(),
    },
    CLOSED,
  ),
  /** SecurityAccess: the sub-function that requests the seed. */
  Type.Object({ ...Common, security: Type.Integer({ minimum: 1, maximum: 0x7d }) }, CLOSED),
  /** RequestDownload, TransferData, RequestTransferExit, for each segment of the image. */
  Type.Object(
    {
      ...Common,
      download: Type.Object(
        {
          /** Start address of an image without segments. */
          address: Type.Optional(Address),
          /** Compression (high nibble) and encryption method. */
          data_format: Type.Optional(Type.Integer({ minimum: 0, maximum: 0xff })),
          /** Bytes of the size (high nibble) and of the address (low nibble). */
          address_and_length_format: Type.Optional(Type.Integer({ minimum: 0x11, maximum: 0x66 })),
          /** Bounds what the ECU offers. */
          max_block_bytes: Type.Optional(Type.Integer({ minimum: 8, maximum: 1 << 20 })),
          /** The ECU takes a download that begins behind what it has. */
          resumable: Type.Optional(Type.Boolean()),
        },
        CLOSED,
      ),
    },
    CLOSED,
  ),
  /** A pause, e.g. until an ECU that was told to start anew has really gone. The session is kept alive. */
  Type.Object({ ...Common, wait_ms: Milliseconds }, CLOSED),
  /** Waits until the ECU answers again and its variant is known. */
  Type.Object({ ...Common, detect: Type.Literal(true) }, CLOSED),
]);

/** A part of the image and where it goes. */
const SegmentSchema = Type.Object(
  {
    name: Type.Optional(Type.String()),
    address: Address,
    /** First byte in the image, and how many; without them: from where the segment before ends, to the image's end. */
    offset: Type.Optional(Address),
    length: Type.Optional(Type.Integer({ minimum: 1 })),
    /** Bytes in the ECU, where the image is compressed. */
    memory_bytes: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  CLOSED,
);

export const RecipeSchema = Type.Object(
  {
    /** Request whose answer, behind `skip` bytes, is the installed version as ASCII. */
    version: Type.Optional(Type.Object({ request: Hex, skip: Type.Optional(Type.Integer({ minimum: 0 })) }, CLOSED)),
    segment: Type.Optional(Type.Array(SegmentSchema, { minItems: 1 })),
    step: Type.Array(StepSchema, { minItems: 1 }),
  },
  CLOSED,
);

export type Recipe = Static<typeof RecipeSchema>;
export type RecipeStep = Recipe["step"][number];
export type DownloadStep = Extract<RecipeStep, { download: unknown }>;
export type RequestStep = Extract<RecipeStep, { request: unknown }>;
export type ModeStep = Extract<RecipeStep, { group: unknown }>;

/** ECUs and functional groups that a recipe speaks to beside the ECU of the update. */
export function othersOf({ step }: Recipe): { readonly ecus: readonly string[]; readonly groups: readonly string[] } {
  const ecus = step.flatMap((each) => ("ecu" in each && each.ecu !== undefined ? [each.ecu] : []));
  const groups = step.flatMap((each) => ("group" in each ? [each.group] : []));
  return { ecus: [...new Set(ecus)], groups: [...new Set(groups)] };
}

/** @throws Fault invalidConfig that names the file and what is wrong with it */
export function readRecipe(file: string): Recipe {
  let value: unknown;
  try {
    value = parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Fault("invalidConfig", `flash recipe ${file}: ${reasonOf(error)}`, undefined, error);
  }
  return checkedRecipe(value, file);
}

export function checkedRecipe(value: unknown, name: string): Recipe {
  if (!fits(RecipeSchema, value)) {
    const [first] = problems(RecipeSchema, value);
    throw new Fault(
      "invalidConfig",
      `flash recipe ${name}: ${first?.instancePath ?? ""} ${first?.message ?? "is not one"}`,
    );
  }
  // what was compressed cannot be cut at a place that the ECU's memory knows
  const cut = value.step.some((step) => "download" in step && step.download.resumable && step.download.data_format);
  if (cut) throw new Fault("invalidConfig", `flash recipe ${name}: a download with a data_format is not resumable`);
  // odd sub-functions ask for a seed, the even ones behind them send its key (ISO 14229-1, 10.4.2)
  const even = value.step.some((step) => "security" in step && step.security % 2 === 0);
  if (even)
    throw new Fault("invalidConfig", `flash recipe ${name}: security is the odd sub-function, which asks for the seed`);
  if (endsBlind(value.step)) {
    throw new Fault(
      "invalidConfig",
      `flash recipe ${name}: nothing switches DTC setting on again (85 01, a reset, the default session): the health check would see no faults`,
    );
  }
  return value;
}

/** ControlDTCSetting off and on (ISO 14229-1, 10.8), also without answer; a reset and the default session switch it on as well. */
const DTC_SETTING_OFF = /^85[08]2/;
const DTC_SETTING_ON = /^(85[08]1|11|10[08]1)/;

/** Whether the ECU of the update is left with its DTC setting off. */
function endsBlind(steps: readonly RecipeStep[]): boolean {
  const requests = steps.map((step) => {
    return "request" in step && step.ecu === undefined ? step.request.replaceAll(/\s/g, "") : "";
  });
  const off = requests.findLastIndex((request) => DTC_SETTING_OFF.test(request));
  return off !== -1 && !requests.slice(off).some((request) => DTC_SETTING_ON.test(request));
}

export interface Segment {
  readonly address: number;
  /** In the image. */
  readonly offset: number;
  readonly length: number;
  /** Length in the ECU's memory. */
  readonly memoryBytes: number;
}

/** The parts of an image of `size` bytes. @throws Fault invalidData when it is too short for them */
export function segmentsOf(recipe: Recipe, size: number): readonly Segment[] {
  let end = 0;
  return (recipe.segment ?? [{ address: startOf(recipe) }]).map((part) => {
    const { address, offset = end, length = size - offset, memory_bytes = length } = part;
    end = offset + length;
    if (length < 0 || end > size)
      throw new Fault("invalidData", `The image of ${size} bytes ends before its segment at byte ${offset}`);
    return { address, offset, length, memoryBytes: memory_bytes };
  });
}

/** Where an image begins. */
function startOf({ segment, step }: Recipe): number {
  const download = step.find((each): each is DownloadStep => "download" in each)?.download;
  return segment?.[0]?.address ?? download?.address ?? 0;
}

/** What a request goes out for: each segment, or once for the whole image. @throws Fault invalidData as `segmentsOf` */
export function partsOf(recipe: Recipe, { each_segment }: RequestStep, size: number): readonly Segment[] {
  if (each_segment === true) return segmentsOf(recipe, size);
  return [{ address: startOf(recipe), offset: 0, length: size, memoryBytes: size }];
}

/** Finds before anything is sent what a recipe could not do with an image of `size` bytes. @throws Fault invalidData, invalidConfig */
export function checkFits(recipe: Recipe, size: number, versions: Pick<Fillings, "version" | "previous">): void {
  const segments = segmentsOf(recipe, size);
  for (const step of recipe.step) {
    if ("request" in step) {
      for (const { address, memoryBytes } of partsOf(recipe, step, size))
        requestBytes(step.request + (step.expect ?? ""), { ...versions, address, size: memoryBytes, crc32: 0 });
    }
    if (!("download" in step)) continue;
    for (const { address, memoryBytes } of segments) requestDownload(step.download, address, memoryBytes);
  }
}

export interface Fillings {
  readonly version: string | undefined;
  readonly previous: string | undefined;
  readonly size: number;
  readonly address: number;
  readonly crc32: number;
}

/** What requests outside of an update are filled with. */
export const NO_FILLINGS: Fillings = { version: "", previous: "", size: 0, address: 0, crc32: 0 };

/** Of an address, a size, a checksum. */
const PLACE_BYTES = 4;

/** Bytes of a request. @throws Fault invalidData when a place has nothing to be filled with, invalidConfig when it is too small for that */
export function requestBytes(text: string, fillings: Fillings): Uint8Array {
  const filled = text.replace(/\{(\w+)\}/g, (_, name: keyof Fillings) => {
    const value = fillings[name];
    if (value === undefined) throw new Fault("invalidData", `The recipe needs the ${name}, which is not known`);
    if (typeof value === "number") return Buffer.from(bigEndian(value, PLACE_BYTES)).toString("hex");
    return Buffer.from(value, "latin1").toString("hex");
  });
  const bytes = fromHex(filled);
  if (bytes === undefined) throw new Fault("invalidConfig", `"${text}" is no request`);
  return bytes;
}

/** RequestDownload (ISO 14229-1, 14.2). @throws Fault invalidConfig when the format has no room for address or size */
export function requestDownload(
  { data_format = 0, address_and_length_format: format = FOUR_AND_FOUR }: DownloadStep["download"],
  address: number,
  bytes: number,
): Uint8Array {
  return Uint8Array.of(
    REQUEST_DOWNLOAD,
    data_format,
    format,
    ...bigEndian(address, format & 0x0f),
    ...bigEndian(bytes, format >> 4),
  );
}

const REQUEST_DOWNLOAD = 0x34;
const FOUR_AND_FOUR = 0x44;

function bigEndian(value: number, bytes: number): number[] {
  if (value >= 2 ** (8 * bytes))
    throw new Fault("invalidConfig", `0x${value.toString(16)} needs more than ${bytes} bytes`);
  return Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * (bytes - 1 - i))) & 0xff);
}
