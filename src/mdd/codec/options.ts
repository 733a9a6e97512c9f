/** What is decided when plans are compiled; other options mean other plans. */
export interface CodecOptions {
  /** `cda`: members of a decoded structure stand in the object around it; `iso`: structures are nested. Encoding takes nested ones. */
  readonly shape: "cda" | "iso";
  /**
   * What an absent BYTE-POSITION means. `converter`: files of odx-converter, which cannot store a zero, so it means 0 for most kinds;
   * `sequential`: files that store it, so it means "behind the one before" (ISO 22901-1 §7.4.8).
   */
  readonly positions: "converter" | "sequential";
  /** What a LENGTH-KEY counts: bytes (CDA) or bits (ISO 22901-1 §7.3.6.2.2). */
  readonly lengthKeyUnit: "bytes" | "bits";
  /** SEMANTIC of parameters that answers show, and of the request's SID in negative responses. */
  readonly dataSemantic: string;
  readonly serviceIdSemantic: string;
  /** Text of an NRC that the database does not name. */
  readonly nrcText: (code: number) => string;
}

export const DEFAULT_CODEC_OPTIONS: CodecOptions = {
  shape: "cda",
  positions: "converter",
  lengthKeyUnit: "bytes",
  dataSemantic: "DATA",
  serviceIdSemantic: "SERVICEIDRQ",
  nrcText: () => "",
};

/** Value of the container's metadata key `converter` in files that our own writer made. */
const OWN_CONVERTER = "sovd-edge";

/**
 * How to read a file that `converter` (container metadata) made. Our own store zeros, so an absent position means "behind the one
 * before", and their length keys count bits, as ODX has them; other files are read as the CDA reads them.
 */
export function readingOf(converter: string | undefined): Pick<CodecOptions, "positions" | "lengthKeyUnit"> {
  return converter?.startsWith(OWN_CONVERTER)
    ? { positions: "sequential", lengthKeyUnit: "bits" }
    : { positions: "converter", lengthKeyUnit: "bytes" };
}
