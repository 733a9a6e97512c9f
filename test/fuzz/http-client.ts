/** Bytes to an HTTP server and the status lines that come back; no client library would send what we send. */
import { connect } from "node:net";

export interface RawAnswer {
  readonly status: number;
  readonly body: string;
  /** How many answers came. */
  readonly count: number;
}

const HEAD_END = "\r\n\r\n";

/** Sends and waits for the first whole answer, the end of the connection, or the time to be up (undefined). */
export function exchange(port: number, bytes: Uint8Array, timeoutMs: number): Promise<RawAnswer | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect(port, "127.0.0.1");
    const end = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answerIn(Buffer.concat(chunks).toString("latin1")));
    };
    const timer = setTimeout(end, timeoutMs);
    socket.on("data", (chunk) => {
      chunks.push(chunk);
      if (isWhole(Buffer.concat(chunks).toString("latin1"))) end();
    });
    socket.on("close", end);
    socket.on("error", () => {});
    socket.write(bytes);
  });
}

function isWhole(text: string): boolean {
  const at = text.indexOf(HEAD_END);
  if (at === -1) return false;
  const head = text.slice(0, at);
  if (/^HTTP\/1\.[01] (1\d\d|204|304)/.test(head)) return true;
  const length = /^content-length: (\d+)/im.exec(head)?.[1];
  return length !== undefined && text.length - at - HEAD_END.length >= Number(length);
}

function answerIn(text: string): RawAnswer | undefined {
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1];
  if (status === undefined) return undefined;
  const at = text.indexOf(HEAD_END);
  const body = at === -1 ? "" : text.slice(at + HEAD_END.length);
  return { status: Number(status), body, count: text.split(/HTTP\/1\.[01] \d{3} /).length - 1 };
}
