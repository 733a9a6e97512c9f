/** `sovd-edge update push`: upload, register, and begin. */
import type { KeyObject } from "node:crypto";
import { basename } from "node:path";
import { Fault } from "#core/errors.ts";
import { readKey } from "#security/keys.ts";
import { type Client, type Connection, connect, type Json, type StoredFile } from "./update-client.ts";
import { listOf, measure, plainId, signatureOf } from "./update-manifest.ts";
import { bar, follow, interruptible, isLive, type Output } from "./update-progress.ts";

export interface PushOptions extends Connection {
  readonly components: string;
  readonly policy: "coordinated" | "independent";
  readonly id?: string;
  readonly version?: string;
  readonly key?: string;
  readonly prepareOnly?: boolean;
  readonly watch?: boolean;
}

const CATEGORY = "firmware-artifacts";

/** @throws Fault when a call is refused or, with `--watch`, when the update fails */
export async function push(file: string, options: PushOptions, output: Output): Promise<void> {
  const components = listOf(options.components);
  const key = options.key === undefined ? undefined : readKey(options.key, "private", "--key");
  const { sha256 } = await measure(file);
  const client = await connect(options);
  const path = `/components/${components[0]}/bulk-data/${CATEGORY}`;
  const stored = await interruptible(
    output,
    "The upload goes on where it stopped when the same command is given again.",
    () => send(client, path, file, sha256, output),
  );
  const id = options.id ?? plainId(basename(file));
  await client.json("POST", "/updates", packageOf(id, basename(file), stored, components, { ...options, key }));
  const prepareOnly = options.prepareOnly === true;
  await (prepareOnly ? act(client, id, "prepare") : execute(client, id, output));
  output.write(`update ${id} is under way on ${components.join(", ")}\n`);
  if (options.watch === true) await follow(client, id, output, prepareOnly ? "prepared" : "new");
}

function act(client: Client, id: string, verb: "prepare" | "execute"): Promise<Json> {
  return client.json("PUT", `/updates/${encodeURIComponent(id)}/${verb}`);
}

/** How servers say that somebody has to ask for `prepare` first: ISO 17978-3, the CDA's spelling, ros2_medkit. */
const NOT_PREPARED: ReadonlySet<unknown> = new Set([
  "precondition-not-fulfilled",
  "preconditions-not-fulfilled",
  "x-medkit-update-not-prepared",
]);

/** Executes it; where the server does not prepare by itself, that is asked for and waited for first. */
async function execute(client: Client, id: string, output: Output): Promise<void> {
  try {
    await act(client, id, "execute");
  } catch (error) {
    if (!(error instanceof Fault) || !NOT_PREPARED.has(error.details?.code)) throw error;
    await act(client, id, "prepare");
    const left = `Update ${id} is being prepared, and not executed: give the same command again.`;
    await follow(client, id, output, "prepared", left);
    await act(client, id, "execute");
  }
}

async function send(client: Client, path: string, file: string, sha256: string, output: Output): Promise<StoredFile> {
  const live = isLive(output);
  const stored = await client.upload(path, file, sha256, (sent, total) => {
    const text = `${sent} of ${total} bytes`;
    const percent = Math.floor((100 * sent) / total);
    if (live) output.write(`\r\u001b[2K${bar("upload", 6, percent, text, output.columns || 80)}`);
  });
  output.write(`${live ? "\r\u001b[2K" : ""}uploaded ${basename(file)}: ${stored.size} bytes, SHA-256 ${sha256}\n`);
  if (stored.sha256 !== sha256)
    throw new Fault("corruption", `The server stored something else: SHA-256 ${stored.sha256}`);
  return stored;
}

function packageOf(
  id: string,
  name: string,
  { id: stored, size, sha256 }: StoredFile,
  components: readonly string[],
  { policy, version, key }: Pick<PushOptions, "policy" | "version"> & { readonly key: KeyObject | undefined },
): Json {
  const uri = `/components/${components[0]}/bulk-data/${CATEGORY}/${stored}`;
  const target = { uri, sha256, length: size, ...(version === undefined ? {} : { version }) };
  const targets = Object.fromEntries(components.map((component) => [component.toLowerCase(), target]));
  const manifest = { id, issued: new Date().toISOString(), targets };
  return {
    id,
    update_name: name,
    origins: ["proximity"],
    automated: false,
    rollback_policy: policy,
    affected_components: components,
    artifact_uri: uri,
    ...(version === undefined ? {} : { target_version: version }),
    "x-manifest": manifest,
    ...(key === undefined ? {} : { "x-signature": signatureOf(manifest, key) }),
  };
}
