/** Says everything that is wrong with an MDD file: what keeps it from being read, and what reads but cannot be meant. */
import { Fault } from "#core/errors.ts";
import { readingOf } from "../codec/options.ts";
import { inflateChunk } from "../container/chunk.ts";
import { decodeContainer } from "../container/decode.ts";
import { CHUNK_TYPE, type Chunk, type MddContainer, SHA512_UNCOMPRESSED } from "../container/messages.ts";
import { openDatabase } from "../query/database.ts";
import { verifyEcuData } from "../verify/verify.ts";
import { readDescription } from "../writer/read.ts";
import { type Finding, FindingList, type Rule } from "./findings.ts";
import type { LoadOptions } from "./load.ts";
import { checkReferences } from "./verify-references.ts";
import { checkScopes } from "./verify-scopes.ts";
import { checkVariants } from "./verify-variants.ts";

export interface VerifyMddOptions extends LoadOptions {
  /** Findings that are listed. Default 1000. */
  readonly maxFindings?: number;
}

export interface VerifyReport {
  readonly findings: readonly Finding[];
  /** Findings beyond the limit. */
  readonly dropped: number;
  /** No finding is an error. */
  readonly ok: boolean;
}

const DEFAULT_MAX_FINDINGS = 1000;

/** Verifies an MDD file. Never throws on its bytes: what is wrong is a finding. */
export async function verifyMdd(content: Uint8Array, options: VerifyMddOptions): Promise<VerifyReport> {
  const found = new FindingList(options.maxFindings ?? DEFAULT_MAX_FINDINGS);
  const container = await guarded(found, "container", "container", () =>
    decodeContainer(content, { limits: options.limits ?? {} }),
  );
  if (container !== undefined) await checkContent(container, options, found);
  const { all: findings, dropped } = found;
  return { findings, dropped, ok: findings.every(({ severity }) => severity !== "error") };
}

/** Runs a step; a fault becomes an error and the outcome is undefined. */
async function guarded<T>(
  found: FindingList,
  rule: Rule,
  place: string,
  step: () => T | Promise<T>,
): Promise<T | undefined> {
  try {
    return await step();
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    found.add("error", rule, placeOf(error) ?? place, error.message);
    return undefined;
  }
}

function placeOf({ details }: Fault): string | undefined {
  return typeof details?.offset === "number" ? `offset ${details.offset}` : undefined;
}

async function checkContent(container: MddContainer, options: VerifyMddOptions, found: FindingList): Promise<void> {
  const { inflate, limits = {}, verify = {} } = options;
  checkContainer(container, found);
  let description: Uint8Array | undefined;
  const first = container.chunks.find(isDescription);
  for (const [i, chunk] of container.chunks.entries()) {
    const place = `chunks[${chunk.name ?? i}]`;
    checkChunk(chunk, place, found);
    const rule = chunk.signatures.some(isHash) ? "checksum" : "chunk";
    const bytes = await guarded(found, rule, place, () => inflateChunk(chunk, { inflate, limits }));
    if (chunk === first) description = bytes;
  }
  if (first === undefined) found.add("error", "container", "chunks", "no DIAGNOSTIC_DESCRIPTION chunk");
  if (description === undefined) return;
  const verdict = verifyEcuData(description, verify);
  if (verdict.ok) await checkDatabase(description, container, options, found);
  else found.add("error", "flatbuffer", `${verdict.path} (offset ${verdict.offset})`, verdict.problem);
}

const isDescription = ({ type }: Chunk): boolean => type === CHUNK_TYPE.diagnosticDescription;
const isHash = ({ algorithm }: { readonly algorithm: string }): boolean => algorithm === SHA512_UNCOMPRESSED;
const KNOWN_TYPES: ReadonlySet<number> = new Set(Object.values(CHUNK_TYPE));

function checkContainer({ chunks, chunksSignature, unknown }: MddContainer, found: FindingList): void {
  if (chunks.filter(isDescription).length > 1)
    found.add("warning", "container", "chunks", "several DIAGNOSTIC_DESCRIPTION chunks: only the first is used");
  if (chunksSignature !== undefined)
    found.add("note", "container", "chunks_signature", "nothing defines what it covers: not checked");
  if (unknown.length > 0) found.add("note", "container", "container", `${unknown.length} fields of a later version`);
  const names = new Set<string>();
  for (const { type, name } of chunks) {
    const key = `${type}/${name ?? ""}`;
    if (names.has(key))
      found.add("warning", "duplicate-name", `chunks[${name ?? ""}]`, `stands twice with type ${type}`);
    names.add(key);
  }
}

function checkChunk({ type, signatures, unknown }: Chunk, place: string, found: FindingList): void {
  if (!KNOWN_TYPES.has(type)) {
    const severity = type > CHUNK_TYPE.vendorSpecific ? "note" : "warning";
    found.add(severity, "chunk", place, `type ${type} is not known`);
  }
  if (!signatures.some(isHash)) found.add("warning", "checksum", place, "has no checksum");
  for (const { algorithm } of signatures)
    if (algorithm !== SHA512_UNCOMPRESSED)
      found.add("note", "checksum", place, `signature '${algorithm}' is not checked here: it needs a key`);
  if (unknown.length > 0) found.add("note", "chunk", place, `${unknown.length} fields of a later version`);
}

async function checkDatabase(
  bytes: Uint8Array,
  container: MddContainer,
  { verify = {} }: VerifyMddOptions,
  found: FindingList,
): Promise<void> {
  const description = await guarded(found, "schema", "EcuData", () => readDescription(bytes, verify));
  const database = await guarded(found, "schema", "EcuData", () => openDatabase(bytes));
  if (description === undefined || database === undefined) return;
  if (database.ecuName !== container.ecuName)
    found.add(
      "warning",
      "container",
      "ecu_name",
      `'${container.ecuName}', but the database says '${database.ecuName}'`,
    );
  if (database.revision !== container.revision)
    found.add(
      "warning",
      "container",
      "revision",
      `'${container.revision ?? ""}', but the database says '${database.revision ?? ""}'`,
    );
  checkReferences(description, new Set(container.chunks.map(({ name }) => name ?? "")), found);
  checkVariants(description, found);
  const { positions } = readingOf(container.metadata.get("converter"));
  await guarded(found, "schema", "EcuData", () => checkScopes(database, positions, found));
}
