/** `sovd-edge update pack`: an image with its signed manifests before it, for clients that upload one file and know of no signatures. */
import { createReadStream, createWriteStream } from "node:fs";
import { basename, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { Fault } from "#core/errors.ts";
import { readKey } from "#security/keys.ts";
import { encodeHead } from "#update/skybrush/signed-image.ts";
import { listOf, measure, plainId, signatureOf } from "./update-manifest.ts";
import type { Output } from "./update-progress.ts";
import { wrongUsage } from "./usage.ts";

export interface PackOptions {
  readonly components: string;
  readonly key: string;
  readonly id?: string;
  readonly version?: string;
  readonly expires?: string;
  readonly output?: string;
}

/** @throws Fault badRequest */
export async function pack(file: string, options: PackOptions, output: Output): Promise<void> {
  const { version, expires, output: to = `${file}.signed` } = options;
  if (expires !== undefined && Number.isNaN(Date.parse(expires))) {
    throw wrongUsage(`--expires ${expires} is no time, such as 2030-01-31T00:00:00Z`);
  }
  if (resolve(to) === resolve(file)) throw new Fault("badRequest", `--output ${to} is the image itself`);
  const key = readKey(options.key, "private", "--key");
  const components = listOf(options.components).map((name) => name.toLowerCase());
  const image = { ...(await measure(file)), ...(version === undefined ? {} : { version }) };
  const id = options.id ?? plainId(version === undefined ? basename(file) : `${basename(file)}-${version}`);
  const manifests = Object.fromEntries(
    components.map((component) => {
      const about = { id: `${id}.${component}`, ...(expires === undefined ? {} : { expires }) };
      const manifest = { ...about, targets: { [component]: image } };
      return [component, { manifest, signature: signatureOf(manifest, key) }];
    }),
  );
  const sink = createWriteStream(to);
  sink.write(encodeHead(manifests));
  await pipeline(createReadStream(file), sink).catch((error: Error) => {
    throw new Fault("badRequest", `${to}: ${error.message}`, undefined, error);
  });
  output.write(`${to}: ${image.length} bytes for ${components.join(", ")}, SHA-256 ${image.sha256}\n`);
}
