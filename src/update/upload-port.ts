/**
 * The way of an upload from the main thread to the jobs thread: chunks over a port, and word back of how many bytes are
 * taken, so that no more than a window of them is ever under way.
 */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { Fault, type FaultData, fromFaultData, toFaultData } from "#core/errors.ts";

/** Bytes on their way between the threads. */
const WINDOW_BYTES = 1024 * 1024;

type ToJobs = { readonly chunk: Uint8Array } | { readonly end: true } | { readonly fault: FaultData };
interface ToMain {
  readonly takenBytes: number;
}

/** A body on its way in. */
export interface UploadSource {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Nobody else has the chunks' buffers: they change their owner instead of being copied. */
  readonly own?: boolean;
}

/** Runs a job that reads `source` from the port it is given. Its result; rejects with the fault of the body, else with that of the job. */
export async function uploadTo<T>(source: UploadSource, job: (port: MessagePort) => Promise<T>): Promise<T> {
  const { port1, port2 } = new MessageChannel();
  // also where the job never got the port: nobody would take what is sent
  const done = job(port2).finally(() => port1.close());
  const [sent, result] = await Promise.allSettled([sendUpload(source, port1), done]);
  if (sent.status === "rejected") throw sent.reason;
  if (result.status === "rejected") throw result.reason;
  return result.value;
}

/** Sends a body to its end. Resolves early when the other side has closed the port: its job says why. Rejects with the body's fault. */
async function sendUpload({ chunks, own = false }: UploadSource, port: MessagePort): Promise<void> {
  const post = (message: ToJobs, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
  let untaken = 0;
  let closed = false;
  let wake = (): void => undefined;
  port.on("message", ({ takenBytes }: ToMain) => {
    untaken -= takenBytes;
    wake();
  });
  const ended = new Promise<void>((resolve) => {
    port.on("close", () => {
      closed = true;
      wake();
      resolve();
    });
  });
  const send = async (): Promise<void> => {
    for await (const chunk of chunks) {
      if (closed) return;
      untaken += chunk.byteLength;
      post({ chunk }, own ? [chunk.buffer as ArrayBuffer] : []);
      while (untaken > WINDOW_BYTES && !closed) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    post({ end: true });
  };
  const sent = send().catch((error: unknown) => {
    post({ fault: toFaultData(error) });
    throw error;
  });
  // a client that sends nothing more would hold up what the job has to say
  await Promise.race([sent, ended]);
}

/** The body on the other side; a chunk counts as taken when the next one is asked for. Throws the sender's fault. */
export async function* receiveUpload(port: MessagePort): AsyncGenerator<Uint8Array, void, undefined> {
  const queue: ToJobs[] = [];
  let wake = (): void => undefined;
  const receive = (message: ToJobs) => {
    queue.push(message);
    wake();
  };
  port.on("message", receive);
  port.on("close", () => receive({ fault: LOST }));
  try {
    for (;;) {
      const message = queue.shift();
      if (message === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else if ("chunk" in message) {
        yield message.chunk;
        port.postMessage({ takenBytes: message.chunk.byteLength } satisfies ToMain);
      } else if ("fault" in message) throw fromFaultData(message.fault);
      else return;
    }
  } finally {
    port.close();
  }
}

const LOST: FaultData = toFaultData(new Fault("badRequest", "The upload broke off"));
