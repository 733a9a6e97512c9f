// One input after another out of a seed; shared by the script and its short test.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { Fault } from "#core/errors.ts";
import { inflateChunk } from "#mdd/container/chunk.ts";
import { decodeContainer, diagnosticDescription } from "#mdd/container/decode.ts";
import type { EcuData } from "#mdd/generated/description.ts";
import { loadMdd } from "#mdd/tools/load.ts";
import { verifyMdd } from "#mdd/tools/verify.ts";
import { writeMdd } from "#mdd/writer/mdd.ts";
import { readDescription } from "#mdd/writer/read.ts";
import { writeEcuData } from "#mdd/writer/write.ts";
import { demoDatabase } from "#sim/demo/databases.ts";
import { DEMO_ECUS } from "#sim/demo/vehicle.ts";
import { deflateLzma, inflateLzma } from "#store/lzma.ts";
import { SMALL_ECU } from "../fixtures/small-ecu.ts";
import { mutateBytes, mutateDescription, randomOf } from "./mdd-fuzz-mutate.ts";
import { walkDatabase } from "./mdd-fuzz-walk.ts";

/** A good database that inputs are made of. */
export interface SeedFile {
  readonly name: string;
  readonly container: Uint8Array;
  readonly flatBuffer: Uint8Array;
  readonly description: EcuData;
}

const SHARED = new URL("../../../shared/", import.meta.url);

/** Our own databases, and the real ones where they are. */
export async function seedFiles(): Promise<readonly SeedFile[]> {
  const own = [SMALL_ECU, demoDatabase(DEMO_ECUS[0]!)].map(async (description) =>
    seedOf(description.ecu_name ?? "", await writeMdd({ description, deflate: deflateLzma })),
  );
  const real = ["mdd", "facts"].flatMap((folder) => {
    const url = new URL(`${folder}/`, SHARED);
    const files = existsSync(url) ? readdirSync(url).filter((file) => file.endsWith(".mdd")) : [];
    return files.map((file) => seedOf(file, readFileSync(new URL(file, url))));
  });
  return Promise.all([...own, ...real]);
}

async function seedOf(name: string, container: Uint8Array): Promise<SeedFile> {
  const chunk = diagnosticDescription(decodeContainer(container));
  const flatBuffer = await inflateChunk(chunk, { inflate: inflateLzma });
  return { name, container, flatBuffer, description: readDescription(flatBuffer) };
}

/** What damage is done to; most inputs go where reading goes deepest. */
const KINDS = ["container", "flatBuffer", "flatBuffer", "description", "description"] as const;
export type Kind = (typeof KINDS)[number];

export interface Outcome {
  readonly kind: Kind;
  readonly file: string;
  /** It got past the verifier, so all readers saw it. */
  readonly isWalked: boolean;
}

/** Makes the input of a seed and runs everything over it. Throws what is neither an answer nor a Fault. */
export async function runInput(files: readonly SeedFile[], seed: number): Promise<Outcome> {
  const random = randomOf(seed);
  const file = random.pick(files);
  const kind = random.pick(KINDS);
  const isWalked = await RUNNERS[kind](file, random);
  return { kind, file: file.name, isWalked };
}

const RUNNERS: Readonly<Record<Kind, (file: SeedFile, random: ReturnType<typeof randomOf>) => Promise<boolean>>> = {
  async container({ container }, random) {
    const bytes = mutateBytes(container, random, false);
    await verifyMdd(bytes, { inflate: inflateLzma });
    const loaded = await faultOr(() => loadMdd(bytes, "fuzz.mdd", { inflate: inflateLzma }));
    return loaded !== undefined;
  },
  flatBuffer: ({ flatBuffer, description }, random) =>
    walkDatabase(mutateBytes(flatBuffer, random, random.below(8) > 0), description, random),
  async description({ description }, random) {
    const bytes = await faultOr(() => writeEcuData(mutateDescription(description, random)));
    return bytes !== undefined && walkDatabase(bytes, description, random);
  },
};

async function faultOr<T>(work: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}
