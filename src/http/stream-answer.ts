/** Writes an answer that is read while it goes out: no more is read than the socket takes. */
import type { AnswerStream } from "#sovd/route.ts";
import { writeHead } from "./respond.ts";
import type { HttpResponse } from "./uws.ts";

export interface StreamedAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly contentType?: string;
  readonly stream: AnswerStream;
}

/** An answer on its way: `stop` must be called when the client is gone. */
export interface Sending {
  stop(): void;
}

/**
 * To be called corked. `onDone` is called once, when the last byte was handed over or reading failed; then the connection is closed,
 * as its length cannot be kept.
 */
export function writeStream(
  res: HttpResponse,
  answer: StreamedAnswer,
  head: boolean,
  onDone: (problem?: unknown) => void,
): Sending {
  const { stream } = answer;
  const { sizeBytes } = stream;
  let open = true;
  const end = (problem?: unknown): void => {
    if (!open) return;
    open = false;
    stream.close();
    onDone(problem);
  };
  writeHead(res, answer);
  if (head || sizeBytes === 0) {
    res.writeHeader("Content-Length", String(sizeBytes));
    res.endWithoutBody();
    end();
    return { stop: ignore };
  }
  let rest: Uint8Array = NO_BYTES;
  let restAt = 0;
  /** Sends a piece. Returns false when the socket takes no more for now. */
  const pump = (): boolean => {
    if (!open) return true;
    try {
      if (rest.byteLength === 0) {
        const { value, done } = stream.chunks.next();
        if (done === true) throw new Error(`${restAt} of ${sizeBytes} bytes could be read`);
        rest = value;
      }
      const [taken, finished] = res.tryEnd(rest as Uint8Array<ArrayBuffer>, sizeBytes);
      if (finished) end();
      if (finished || !taken) return finished;
      restAt += rest.byteLength;
      rest = NO_BYTES;
      // a reader that is as fast as memory would keep everybody else waiting for gigabytes
      setImmediate(() => {
        if (open) res.cork(pump);
      });
    } catch (error) {
      const gone = !open;
      // closing tells whoever sends, who ends this as if the client had gone
      end(error);
      if (!gone) res.close();
    }
    return true;
  };
  res.onWritable((offset) => {
    if (!open || rest.byteLength === 0) return true;
    rest = rest.subarray(offset - restAt);
    restAt = offset;
    return pump();
  });
  pump();
  return { stop: () => end() };
}

const NO_BYTES = new Uint8Array(0);
const ignore = (): void => undefined;
