/**
 * Changes of bulk data in the thread for uploads. Many jobs run beside each other in it; all of them share one writer, which has the
 * environment open as long as there is one.
 */
import { storePath } from "#config/derived.ts";
import type { Config } from "#config/types.ts";
import { openStoreEnvironment } from "#store/environments.ts";
import { createLmdbStorage } from "#store/lmdb-storage.ts";
import type { BulkJobTable } from "#update/jobs.ts";
import { receiveUpload } from "#update/upload-port.ts";
import type { BulkInfo } from "./files.ts";
import { type KnownHashes, StorageBulkWriter } from "./writer.ts";

interface Session {
  readonly writer: StorageBulkWriter;
  close(): Promise<void>;
}

/** Outlives a session: an upload in parts is one session after the other. */
const hashes: KnownHashes = new Map();
let users = 0;
let session: Promise<Session> | undefined;
let closed: Promise<void> = Promise.resolve();

export function writeBulk({ config, port, start, offset, last }: BulkJobTable["write"]["args"]): Promise<BulkInfo> {
  return withWriter(config, port, (writer) => writer.write(start, offset, { chunks: receiveUpload(port) }, last));
}

export function createBulk({ config, port, form }: BulkJobTable["create"]["args"]): Promise<BulkInfo> {
  return withWriter(config, port, (writer) => writer.create(form, { chunks: receiveUpload(port) }));
}

export function removeBulk({ config, key }: BulkJobTable["remove"]["args"]): Promise<void> {
  return withWriter(config, undefined, (writer) => writer.remove(key));
}

/** `port` is closed when the work has ended: nobody shall wait for more of it. */
async function withWriter<T>(
  config: Config,
  port: { close(): void } | undefined,
  work: (writer: StorageBulkWriter) => Promise<T>,
): Promise<T> {
  users++;
  session ??= open(config, closed);
  try {
    return await work((await session).writer);
  } finally {
    port?.close();
    users--;
    if (users === 0) {
      closed = close(session);
      session = undefined;
      // whoever ends the thread waits for its jobs, not for what they leave behind
      await closed;
    }
  }
}

async function open(config: Config, before: Promise<void>): Promise<Session> {
  await before;
  const { store, update } = config;
  const env = await openStoreEnvironment(storePath(config), "bulk", { maxBytes: store.max_bytes.bulk });
  const storage = createLmdbStorage(env, { maxMappedBytes: store.max_mapped_bytes });
  const limits = { maxBytes: store.max_upload_bytes, maxFiles: update.max_files };
  return { writer: new StorageBulkWriter(storage, limits, hashes), close: () => env.close() };
}

async function close(session: Promise<Session>): Promise<void> {
  const opened = await session.catch(() => undefined);
  await opened?.close();
}
