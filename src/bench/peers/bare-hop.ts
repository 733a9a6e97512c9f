/**
 * The shortest way from HTTP to an ECU and back with a worker between: front end, one message down, one DoIP exchange, one message
 * back. No authorization, locks, codec, queues, deadlines or time-outs: what the server does beside this is its own cost.
 */
import type { MessagePort, Worker } from "node:worker_threads";
import { JSON_TYPE } from "#core/media-types.ts";
import { loadUws } from "./uws.ts";

export interface HopEcu {
  /** Last path segment by which it is asked. */
  readonly path: string;
  readonly ip: string;
  readonly logicalAddress: number;
}

export interface HopTask {
  readonly ecus: readonly HopEcu[];
  readonly port: number;
}

/** What goes down and comes back. */
export interface HopCall {
  readonly id: number;
  readonly ecu: number;
}
export interface HopReply {
  readonly id: number;
  readonly body: Uint8Array;
}

/** `worker`: how to start the thread, which calls `runHopWorker` with its `workerData`. Resolves to the port. */
export async function startBareHop(task: HopTask, host: string, worker: (task: HopTask) => Worker): Promise<number> {
  const uws = loadUws();
  const indexOf = new Map(task.ecus.map(({ path }, i) => [path, i]));
  const waiting = new Map<number, { cork(run: () => void): void; end(body: Uint8Array): void }>();
  const port = await opened(worker(task));
  let nextId = 1;
  port.on("message", ({ id, body }: HopReply) => {
    const res = waiting.get(id);
    waiting.delete(id);
    res?.cork(() => res.end(body));
  });
  return new Promise((resolve, reject) => {
    uws
      .App()
      .any("/*", (res, req) => {
        const ecu = indexOf.get(req.getUrl());
        if (ecu === undefined) {
          res.writeStatus("404 Not Found").end();
          return;
        }
        const id = nextId++;
        res.onAborted(() => waiting.delete(id));
        waiting.set(id, {
          cork: (run) => void res.cork(run),
          end: (body) => {
            res.writeHeader("Content-Type", JSON_TYPE);
            res.end(body as Uint8Array<ArrayBuffer>);
          },
        });
        port.postMessage({ id, ecu } satisfies HopCall);
      })
      .listen(host, 0, (socket) => {
        if (socket === false) reject(new Error(`cannot listen on ${host}`));
        else resolve(uws.us_socket_local_port(socket));
      });
  });
}

/** The worker posts its port when all its connections stand. */
function opened(worker: Worker): Promise<MessagePort> {
  return new Promise((resolve, reject) => {
    worker.once("message", (port: MessagePort) => resolve(port));
    worker.once("error", reject);
  });
}
