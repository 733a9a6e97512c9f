/** Prints the decompressed description of an MDD file: LZMA is native, so the bench lets a process of its own do it. */
import { readFileSync, writeSync } from "node:fs";
import { inflateChunk } from "#mdd/container/chunk.ts";
import { decodeContainer, diagnosticDescription } from "#mdd/container/decode.ts";
import { inflateLzma } from "#store/lzma.ts";

const file = process.argv[2];
if (file === undefined) throw new Error("usage: inflate <file.mdd>");
const container = decodeContainer(readFileSync(file));
const bytes = await inflateChunk(diagnosticDescription(container), { inflate: inflateLzma });
for (let written = 0; written < bytes.length; ) written += writeSync(1, bytes, written);
