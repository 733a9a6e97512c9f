/** A DoIP entity in a thread of its own: it answers in time whatever the tester's thread does meanwhile. */
import { createServer } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import { decodePayload, encode, type Message } from "#doip/codec.ts";
import { StreamFramer } from "#doip/framing.ts";

export interface PunctualData {
  /** Counts the late answers that have left. */
  readonly left: Int32Array;
  /** Kind of answer that takes its time, the others come at once. */
  readonly late: "activation" | "ack" | "answer" | "afterPending" | "alive";
  readonly delayMs: number;
}

const { left, late, delayMs } = workerData as PunctualData;
const NO_ECHO = new Uint8Array(0);
const PENDING = 0x78;

const server = createServer((socket) => {
  const say = (kind: PunctualData["late"], message: Message) => {
    const send = () => socket.write(encode(2, message));
    if (kind !== late) {
      send();
      return;
    }
    setTimeout(() => {
      send();
      Atomics.add(left, 0, 1);
      Atomics.notify(left, 0);
    }, delayMs);
  };
  const answer = (message: Message) => {
    if (message.kind === "routingActivationRequest") {
      const testerAddress = message.sourceAddress;
      say("activation", { kind: "routingActivationResponse", testerAddress, entityAddress: 0x1000, code: 0x10 });
    } else if (message.kind === "aliveCheckRequest") {
      say("alive", { kind: "aliveCheckResponse", sourceAddress: 0x1000 });
    } else if (message.kind === "diagnosticMessage") {
      const { sourceAddress: targetAddress, targetAddress: asked, uds } = message;
      const sourceAddress = asked === 0xffff ? 0x1000 : asked;
      const sid = uds[0]!;
      say("ack", { kind: "diagnosticAck", sourceAddress: asked, targetAddress, code: 0, echo: NO_ECHO });
      if (late === "ack") return;
      const response = (bytes: Uint8Array) =>
        ({ kind: "diagnosticMessage", sourceAddress, targetAddress, uds: bytes }) as const;
      if (late === "afterPending") say("answer", response(Uint8Array.of(0x7f, sid, PENDING)));
      say(late === "afterPending" ? late : "answer", response(Uint8Array.of(sid + 0x40, ...uds.subarray(1), 0x55)));
    }
  };
  const framer = new StreamFramer(
    {
      onMessage: (version, type, payload) => {
        const message = decodePayload(version, type, Uint8Array.from(payload));
        if (message !== undefined) answer(message);
      },
      onRefused: () => socket.destroy(),
    },
    { maxPayloadBytes: 4_096 },
  );
  socket.setNoDelay(true);
  socket.on("data", (chunk) => framer.push(chunk));
  socket.on("error", () => {});
});
server.listen(0, "127.0.0.1", () => parentPort!.postMessage((server.address() as { port: number }).port));
