// ODX of our own: small builders of XML, and the way from it to services that encode and decode.

import assert from "node:assert/strict";
import { ByteBuffer } from "flatbuffers";
import { Fault } from "#core/errors.ts";
import { compileService } from "#mdd/codec/compile.ts";
import type { CodecOptions } from "#mdd/codec/options.ts";
import type { ServicePlan } from "#mdd/codec/plan.ts";
import { EcuData } from "#mdd/generated/dataformat.ts";
import { type ConvertOptions, type ConvertResult, convertOdx } from "#mdd/odx/convert.ts";
import type { OdxSource } from "#mdd/odx/zip.ts";
import { isNearlyEqual } from "#mdd/tools/vectors-equal.ts";
import { writeEcuData } from "#mdd/writer/write.ts";

export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

/** An element; strings are XML already. */
export function x(
  tag: string,
  attributes: Attributes = {},
  ...content: readonly (string | number | undefined)[]
): string {
  const words = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}="${escaped(String(value))}"`);
  const inner = content.filter((one) => one !== undefined && one !== "").join("\n");
  return inner === "" ? `<${tag}${words.join("")}/>` : `<${tag}${words.join("")}>${inner}</${tag}>`;
}

/** An element that holds only text. */
export const t = (tag: string, text: string | number, attributes: Attributes = {}) =>
  x(tag, attributes, escaped(String(text)));
export const name = (text: string) => t("SHORT-NAME", text);
export const wrap = (tag: string, ...content: readonly string[]) =>
  content.length === 0 ? "" : x(tag, {}, ...content);
export const snref = (tag: string, shortName: string) => x(tag, { "SHORT-NAME": shortName });

export interface Link {
  readonly doc?: string;
  readonly type?: string;
}

export const ref = (tag: string, id: string, { doc, type }: Link = {}, ...content: readonly string[]) =>
  x(tag, { "ID-REF": id, DOCREF: doc, DOCTYPE: type }, ...content);

// coded types

type Coded = Readonly<Record<"encoding" | "mask", string | undefined>> & {
  readonly le?: boolean;
  readonly condensed?: boolean;
};

function coded(
  kind: string,
  type: string,
  { encoding, le, condensed }: Partial<Coded>,
  attributes: Attributes,
  ...content: readonly string[]
) {
  const all = {
    "BASE-DATA-TYPE": type,
    "xsi:type": kind,
    "BASE-TYPE-ENCODING": encoding,
    "IS-HIGHLOW-BYTE-ORDER": le === true ? false : undefined,
    "IS-CONDENSED": condensed,
    ...attributes,
  };
  return x("DIAG-CODED-TYPE", all, ...content);
}

export const std = (type: string, bits: number, options: Partial<Coded> = {}) =>
  coded(
    "STANDARD-LENGTH-TYPE",
    type,
    options,
    {},
    t("BIT-LENGTH", bits),
    options.mask === undefined ? "" : t("BIT-MASK", options.mask),
  );
export const uint = (bits: number, options: Partial<Coded> = {}) => std("A_UINT32", bits, options);
export const leading = (type: string, bits: number) =>
  coded("LEADING-LENGTH-INFO-TYPE", type, {}, {}, t("BIT-LENGTH", bits));
export const minMax = (type: string, min: number, max: number | undefined, termination: string) =>
  coded(
    "MIN-MAX-LENGTH-TYPE",
    type,
    {},
    { TERMINATION: termination },
    max === undefined ? "" : t("MAX-LENGTH", max),
    t("MIN-LENGTH", min),
  );
export const paramLength = (type: string, keyId: string) =>
  coded("PARAM-LENGTH-INFO-TYPE", type, {}, {}, ref("LENGTH-KEY-REF", keyId));

// compu methods

export const limit = (which: "LOWER" | "UPPER", value: string | number, interval?: string) =>
  t(`${which}-LIMIT`, value, { "INTERVAL-TYPE": interval });
export const scale = (...content: readonly string[]) => x("COMPU-SCALE", {}, ...content);
export const coefficients = (numerator: readonly number[], denominator: readonly number[] = []) =>
  x(
    "COMPU-RATIONAL-COEFFS",
    {},
    x("COMPU-NUMERATOR", {}, ...numerator.map((v) => t("V", v))),
    denominator.length === 0 ? "" : x("COMPU-DENOMINATOR", {}, ...denominator.map((v) => t("V", v))),
  );
export const compu = (
  category: string,
  scales: readonly string[] = [],
  inverse: readonly string[] = [],
  fallback = "",
) =>
  x(
    "COMPU-METHOD",
    {},
    t("CATEGORY", category),
    scales.length === 0 ? "" : x("COMPU-INTERNAL-TO-PHYS", {}, x("COMPU-SCALES", {}, ...scales), fallback),
    inverse.length === 0 ? "" : x("COMPU-PHYS-TO-INTERNAL", {}, x("COMPU-SCALES", {}, ...inverse)),
  );
export const text = (low: number, high: number, vt: string) =>
  scale(limit("LOWER", low), limit("UPPER", high), x("COMPU-CONST", {}, t("VT", vt)));

// DOPs; the id is the short name

export interface DopParts {
  readonly compu?: string;
  readonly physical?: string;
  readonly more?: string;
}

export function dop(
  id: string,
  type: string,
  { compu: method = compu("IDENTICAL"), physical = "A_UINT32", more = "" }: DopParts = {},
) {
  const content = [name(id), method, type, x("PHYSICAL-TYPE", { "BASE-DATA-TYPE": physical })];
  return x("DATA-OBJECT-PROP", { ID: id }, ...content, more);
}
export const structure = (id: string, params: readonly string[], byteSize?: number) =>
  x(
    "STRUCTURE",
    { ID: id },
    name(id),
    byteSize === undefined ? "" : t("BYTE-SIZE", byteSize),
    x("PARAMS", {}, ...params),
  );

// parameters

export interface Place {
  readonly byte?: number;
  readonly bit?: number;
  readonly semantic?: string;
  readonly id?: string;
}

export function param(kind: string, shortName: string, place: Place = {}, ...content: readonly string[]): string {
  return x(
    "PARAM",
    { ID: place.id, "xsi:type": kind, SEMANTIC: place.semantic },
    name(shortName),
    place.byte === undefined ? "" : t("BYTE-POSITION", place.byte),
    place.bit === undefined ? "" : t("BIT-POSITION", place.bit),
    ...content,
  );
}
export const value = (shortName: string, dopId: string, place: Place = {}) =>
  param("VALUE", shortName, place, ref("DOP-REF", dopId));
export const constant = (shortName: string, codedValue: string | number, type: string, place: Place = {}) =>
  param("CODED-CONST", shortName, place, t("CODED-VALUE", codedValue), type);

// services, layers, documents

/** A service that writes and answers: `2E <id>` and the parameters, `6E <id>` and the same. */
export function service(
  shortName: string,
  id: number,
  params: readonly string[],
  answers = params,
  more = "",
): ServiceParts {
  const head = (sid: number, which: string) => [
    constant("SID", sid, uint(8), { byte: 0, semantic: "SERVICE-ID" }),
    constant("DID", id, uint(16), { byte: 1, semantic: "ID", id: `${shortName}.${which}.DID` }),
  ];
  return {
    comm: x(
      "DIAG-SERVICE",
      { ID: shortName },
      name(shortName),
      more,
      ref("REQUEST-REF", `${shortName}.RQ`),
      x("POS-RESPONSE-REFS", {}, ref("POS-RESPONSE-REF", `${shortName}.PR`)),
    ),
    request: x(
      "REQUEST",
      { ID: `${shortName}.RQ` },
      name(`RQ_${shortName}`),
      x("PARAMS", {}, ...head(0x2e, "RQ"), ...params),
    ),
    response: x(
      "POS-RESPONSE",
      { ID: `${shortName}.PR` },
      name(`PR_${shortName}`),
      x(
        "PARAMS",
        {},
        ...head(0x6e, "PR"),
        ...answers.map((one) => one.replaceAll(/\bID="([^"]*)"/g, 'ID="$1.answer"')),
      ),
    ),
  };
}

export interface ServiceParts {
  readonly comm: string;
  readonly request: string;
  readonly response: string;
}

export interface LayerParts {
  readonly dictionary?: readonly string[];
  readonly services?: readonly ServiceParts[];
  readonly comms?: readonly string[];
  readonly head?: string;
  readonly more?: string;
}

export function layer(
  tag: string,
  shortName: string,
  { dictionary = [], services = [], comms = [], head = "", more = "" }: LayerParts = {},
) {
  return x(
    tag,
    { ID: shortName },
    name(shortName),
    head,
    wrap("DIAG-DATA-DICTIONARY-SPEC", ...dictionary),
    wrap("DIAG-COMMS", ...comms, ...services.map(({ comm }) => comm)),
    wrap("REQUESTS", ...services.map(({ request }) => request)),
    wrap("POS-RESPONSES", ...services.map(({ response }) => response)),
    more,
  );
}

export const parents = (...refs: readonly string[]) => x("PARENT-REFS", {}, ...refs);
export const parent = (shortName: string, kind: string, ...content: readonly string[]) =>
  x("PARENT-REF", { "ID-REF": shortName, DOCREF: shortName, DOCTYPE: "LAYER", "xsi:type": `${kind}-REF` }, ...content);

export function odx(category: string, shortName: string, ...content: readonly string[]): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${x(
    "ODX",
    { "MODEL-VERSION": "2.2.0", "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance" },
    x(category, { ID: shortName }, name(shortName), ...content),
  )}`;
}
export const container = (shortName: string, ...content: readonly string[]) =>
  odx("DIAG-LAYER-CONTAINER", shortName, ...content);

/** A container with one base variant. */
export const ecu = (parts: LayerParts, ...before: readonly string[]) =>
  container("DLC", ...before, x("BASE-VARIANTS", {}, layer("BASE-VARIANT", "ECU", parts)));

export function source(fileName: string, content: string | Uint8Array): OdxSource {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return { name: fileName, read: () => bytes };
}

/** Converts documents: by file name, or one alone. */
export function convert(
  documents: string | Readonly<Record<string, string>>,
  options: ConvertOptions = {},
): ConvertResult {
  const files = typeof documents === "string" ? { "test.odx-d": documents } : documents;
  return convertOdx(
    Object.entries(files).map(([file, content]) => source(file, content)),
    options,
  );
}

/** The fault that a conversion ends with. */
export function refusal(documents: string | Readonly<Record<string, string>>, options: ConvertOptions = {}): Fault {
  try {
    convert(documents, options);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("was converted");
}

/** Plans of the first database's first variant, by service name, read from a FlatBuffer as our own files are. */
export function plansOf({ databases }: ConvertResult, options: Partial<CodecOptions> = {}): Map<string, ServicePlan> {
  const bytes = writeEcuData(databases[0]!.description);
  const diagLayer = EcuData.getRootAsEcuData(new ByteBuffer(bytes)).variants(0)!.diagLayer()!;
  const plans = new Map<string, ServicePlan>();
  for (let i = 0; i < diagLayer.diagServicesLength(); i++) {
    const plan = compileService(diagLayer.diagServices(i)!, { positions: "sequential", shape: "iso", ...options });
    plans.set(plan.shortName, plan);
  }
  return plans;
}

/** Equal but for the last digits of numbers. */
export function isNearly(actual: unknown, expected: unknown): void {
  if (!isNearlyEqual(actual, expected)) assert.deepEqual(actual, expected);
}
