/**
 * A flash sequence as data. A recipe is a list of steps; each is one kind. Requests are hex text with places that are filled as bytes:
 * `{version}` and `{previous}` as ASCII. `{size}` and `{address}` stand for four bytes each.
 */
import { readFileSync } from "node:fs";
import { parse } from "smol-toml";
import { type Static, Type } from "typebox";
import { Value } from "typebox/value";
import { fromHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";

const CLOSED = { additionalProperties: false } as const;
const Hex = Type.String({ pattern: "^([0-9a-fA-F]{2}|\\s|\\{(version|previous|size|address)\\})+$" });
const Common = {
  /** What is shown as progress. */
  name: Type.Optional(Type.String()),
  /** Longest wait for the final answer, 0x78 included. */
  timeout_ms: Type.Optional(Type.Integer({ minimum: 1 })),
  /** Left out when a transfer goes on after a restart, e.g. the erasing. */
  skip_on_resume: Type.Optional(Type.Boolean()),
};

const StepSchema = Type.Union([
  /** `expect`: bytes the positive answer begins with; default: the service's own. */
  Type.Object(
    { ...Common, request: Hex, expect: Type.Optional(Hex), ignore_refusal: Type.Optional(Type.Boolean()) },
    CLOSED,
  ),
  /** SecurityAccess: the sub-function that requests the seed. */
  Type.Object({ ...Common, security: Type.Integer({ minimum: 1, maximum: 0x7d }) }, CLOSED),
  /** RequestDownload, TransferData, RequestTransferExit over the whole image. */
  Type.Object(
    {
      ...Common,
      download: Type.Object(
        {
          /** Start address, four bytes. */
          address: Type.Optional(Type.Integer({ minimum: 0, maximum: 0xffff_ffff })),
          data_format: Type.Optional(Type.Integer({ minimum: 0, maximum: 0xff })),
          /** Bounds what the ECU offers. */
          max_block_bytes: Type.Optional(Type.Integer({ minimum: 8 })),
          /** The ECU takes a download that begins behind what it has. */
          resumable: Type.Optional(Type.Boolean()),
        },
        CLOSED,
      ),
    },
    CLOSED,
  ),
  /** Waits until the ECU answers again and its variant is known. */
  Type.Object({ ...Common, detect: Type.Literal(true) }, CLOSED),
]);

export const RecipeSchema = Type.Object(
  {
    /** Request whose answer, behind `skip` bytes, is the installed version as ASCII. */
    version: Type.Optional(Type.Object({ request: Hex, skip: Type.Optional(Type.Integer({ minimum: 0 })) }, CLOSED)),
    step: Type.Array(StepSchema, { minItems: 1 }),
  },
  CLOSED,
);

export type Recipe = Static<typeof RecipeSchema>;
export type RecipeStep = Recipe["step"][number];
export type DownloadStep = Extract<RecipeStep, { download: unknown }>;

/** @throws Fault invalidConfig that names the file and what is wrong with it */
export function readRecipe(file: string): Recipe {
  let value: unknown;
  try {
    value = parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Fault("invalidConfig", `flash recipe ${file}: ${(error as Error).message}`, undefined, error);
  }
  return checkedRecipe(value, file);
}

export function checkedRecipe(value: unknown, name: string): Recipe {
  if (Value.Check(RecipeSchema, value)) return value;
  const [first] = Value.Errors(RecipeSchema, value);
  throw new Fault(
    "invalidConfig",
    `flash recipe ${name}: ${first?.instancePath ?? ""} ${first?.message ?? "is not one"}`,
  );
}

export interface Fillings {
  readonly version: string | undefined;
  readonly previous: string | undefined;
  readonly size: number;
  readonly address: number;
}

/** Bytes of a request. @throws Fault invalidData when a place has nothing to be filled with */
export function requestBytes(text: string, fillings: Fillings): Uint8Array {
  const filled = text.replace(/\{(\w+)\}/g, (_, name: keyof Fillings) => {
    const value = fillings[name];
    if (value === undefined) throw new Fault("invalidData", `The recipe needs the ${name}, which is not known`);
    if (typeof value === "number") return value.toString(16).padStart(8, "0");
    return Buffer.from(value, "latin1").toString("hex");
  });
  const bytes = fromHex(filled);
  if (bytes === undefined) throw new Fault("invalidConfig", `"${text}" is no request`);
  return bytes;
}
