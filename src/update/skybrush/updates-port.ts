/**
 * Uploads as updates of this node: each is a package of one component, installed by the component's provider, judged by the same health
 * gate, on record in the same audit. Objects are components, targets are kinds of providers.
 */
import { createHash } from "node:crypto";
import { Fault } from "#core/errors.ts";
import { isObject } from "#core/json.ts";
import { BYTES_TYPE } from "#core/media-types.ts";
import { Turns } from "#core/turns.ts";
import { attempt } from "#update/software/attempt.ts";
import { SYSTEM } from "#update/software/campaign/states.ts";
import { keyOfId } from "#update/software/package.ts";
import type { Updates } from "#update/software/updates.ts";
import { newId } from "./envelope.ts";
import type { FirmwarePort, FirmwareTarget, Requester, UploadRequest, UploadState } from "./port.ts";
import { decodeSignedImage } from "./signed-image.ts";

export interface UpdatesPortOptions {
  readonly updates: Updates;
  /** Component id → kind of its provider. */
  readonly components: Readonly<Record<string, string>>;
  /** Target id → its name and the kind of provider it stands for. */
  readonly targets: Readonly<Record<string, { readonly name: string; readonly provider: string }>>;
  readonly onProblem: (problem: unknown, where: string) => void;
}

/** Where blobs are kept, by their hash. */
const STORE = { component: "x-skybrush", category: "firmware" } as const;
const STORE_PATH = `/components/${STORE.component}/bulk-data/${STORE.category}/`;
const SLICE_BYTES = 1 << 20;
const ID_PREFIX = "fw-upload-";
const DEFAULT_TARGET_PREFIX = "dev.sovd-edge.firmware.";
/** As the protocol allows them. */
const OBJECT_ID = /^[^/]{1,64}$/;

export class UpdatesPort implements FirmwarePort {
  readonly #updates: Updates;
  readonly #onProblem: UpdatesPortOptions["onProblem"];
  readonly #components: ReadonlyMap<string, string>;
  readonly #targets: ReadonlyMap<string, { readonly name: string; readonly provider: string }>;
  /** Blobs whose update is not registered yet. */
  readonly #arriving = new Set<{ readonly sha256: string }>();
  /** Blobs are kept and removed one after the other. */
  readonly #turns = new Turns();

  constructor({ updates, components, targets, onProblem }: UpdatesPortOptions) {
    this.#updates = updates;
    this.#onProblem = onProblem;
    const sorted = Object.entries(components).sort(([a], [b]) => (a < b ? -1 : 1));
    this.#components = new Map(sorted.filter(([id]) => OBJECT_ID.test(id)));
    const kinds = [...new Set(this.#components.values())].sort();
    const byKind = kinds.map((kind) => [DEFAULT_TARGET_PREFIX + kind, { name: `Firmware by ${kind}`, provider: kind }]);
    const named = Object.keys(targets).length > 0;
    this.#targets = new Map(
      named ? Object.entries(targets) : (byKind as [string, { name: string; provider: string }][]),
    );
  }

  /** Packages and blobs that an earlier process left behind. What was under way then goes on. */
  async sweep(): Promise<void> {
    for (const id of this.#updates.list({})) {
      // nobody else may, as long as what was under way has not gone on
      if (this.#blobOf(id) !== undefined && this.#mayGo(id)) await this.#updates.remove(id, SYSTEM);
    }
    await this.#collect();
  }

  objects(): readonly string[] {
    return [...this.#components.keys()];
  }

  targets(): readonly FirmwareTarget[] {
    return [...this.#targets].map(([id, { name }]) => ({ id, name }));
  }

  supports(object: string, target: string): boolean {
    const kind = this.#components.get(object);
    return kind !== undefined && this.#targets.get(target)?.provider === kind;
  }

  async register(request: UploadRequest): Promise<string> {
    const { object, blob, version, manifest: given, signature, actor, caller } = request;
    const packed = given === undefined ? decodeSignedImage(blob) : undefined;
    const signed = packed === undefined ? { manifest: given, signature } : packed.manifests.get(object);
    if (signed === undefined) throw new Fault("badRequest", `The signed image is not for ${object}`);
    const { manifest } = signed;
    const id = isObject(manifest) && typeof manifest.id === "string" ? manifest.id : `${ID_PREFIX}${newId()}`;
    await caller?.mayUpdate(id, [object], "register");
    this.#requireOwn(id);
    const image = packed?.image ?? blob;
    const sha256 = await hashOf(image);
    const arrival = { sha256 };
    this.#arriving.add(arrival);
    try {
      await this.#turns.run(() => this.#keep(sha256, object, image));
      const about = { id, update_name: `Upload for ${object}`, automated: true, origins: ["proximity"] };
      return await this.#updates.register(
        {
          ...about,
          updated_components: [object],
          artifact_uri: STORE_PATH + sha256,
          ...(version === undefined ? {} : { target_version: version }),
          ...(manifest === undefined ? {} : { "x-manifest": manifest }),
          ...(signed.signature === undefined ? {} : { "x-signature": signed.signature }),
        },
        actor,
      );
    } catch (error) {
      this.#arriving.delete(arrival);
      await this.#collect().catch((problem: unknown) => this.#onProblem(problem, id));
      throw error;
    } finally {
      this.#arriving.delete(arrival);
    }
  }

  start(upload: string, requester: Requester): Promise<void> {
    return this.#act(upload, "automated", requester, (actor) => this.#updates.automated(upload, actor));
  }

  state(upload: string): UploadState {
    const { phase, status, progress = 0, error, "x-state": step } = this.#updates.status(upload, true);
    if (status === "failed") return { state: "failed", error: typeof error === "string" ? error : "The update failed" };
    if (phase === "execute" && status === "completed") return { state: "done" };
    // a preparation is the first half
    const percent = phase === "prepare" ? Math.floor(progress / 2) : 50 + Math.floor(progress / 2);
    // a trial has nothing to show until `health_timeout_ms` ends it
    return { state: "running", percent, step: String(step), limited: step === "trial" };
  }

  watch(upload: string, changed: () => void): () => void {
    return this.#updates.watch(upload, { changed });
  }

  cancel(upload: string, requester: Requester, reason: string): Promise<void> {
    return this.#act(upload, "x-rollback", requester, (actor) => this.#updates.rollback(upload, actor, reason));
  }

  /** The audit keeps what became of it. */
  async forget(upload: string): Promise<void> {
    const known = this.#updates.list({}).includes(upload);
    if (known && !this.#mayGo(upload)) return;
    if (known) await this.#updates.remove(upload, "skybrush");
    await this.#collect();
  }

  /** Asks whether the requester may, acts, and puts a refusal on record. */
  #act(
    upload: string,
    action: string,
    { actor, caller }: Requester,
    work: (actor: string) => Promise<void>,
  ): Promise<void> {
    return attempt(
      this.#updates,
      { id: upload, action, actor },
      async (components) => {
        await caller?.mayUpdate(upload, components, action);
        await work(actor);
      },
      (problem) => this.#onProblem(problem, upload),
    );
  }

  #mayGo(upload: string): boolean {
    return this.#updates.record(upload).state === "registered" || this.#updates.isOver(upload);
  }

  /** An update that came another way is not put aside. @throws Fault conflict */
  #requireOwn(id: string): void {
    const known = this.#updates.list({}).find((each) => keyOfId(each) === keyOfId(id));
    if (known === undefined || this.#blobOf(known) !== undefined) return;
    throw new Fault("conflict", `There is an update ${known} already`);
  }

  /** Hash of an upload's blob; undefined for an update that came another way. */
  #blobOf(id: string): string | undefined {
    const { artifact_uri: uri } = this.#updates.get(id);
    return typeof uri === "string" && uri.startsWith(STORE_PATH) ? uri.slice(STORE_PATH.length) : undefined;
  }

  async #keep(sha256: string, object: string, blob: Uint8Array): Promise<void> {
    const key = { ...STORE, id: sha256 };
    if (this.#updates.bulk.find(key)?.complete === true) return;
    const start = { ...key, name: `${object}.bin`, mimetype: BYTES_TYPE };
    const info = await this.#updates.bulk.write(start, 0, once(blob), true);
    if (info.sha256 !== sha256) throw new Fault("corruption", "The blob was not kept as it came");
  }

  /** A blob goes with the last upload of it. */
  #collect(): Promise<void> {
    return this.#turns.run(async () => {
      for (const { id } of this.#updates.bulk.list(STORE.component, STORE.category)) {
        if (!this.#isUsed(id)) await this.#updates.bulk.remove({ ...STORE, id });
      }
    });
  }

  #isUsed(sha256: string): boolean {
    const arrives = [...this.#arriving].some((arrival) => arrival.sha256 === sha256);
    return arrives || this.#updates.list({}).some((id) => this.#blobOf(id) === sha256);
  }
}

/** SHA-256 as hex, in slices: nobody waits for all of it. */
async function hashOf(bytes: Uint8Array): Promise<string> {
  const hash = createHash("sha256");
  for (let at = 0; at < bytes.byteLength; at += SLICE_BYTES) {
    hash.update(bytes.subarray(at, at + SLICE_BYTES));
    await new Promise((resolve) => setImmediate(resolve));
  }
  return hash.digest("hex");
}

async function* once(blob: Uint8Array): AsyncGenerator<Uint8Array> {
  yield blob;
}
