/** The worker of the bare exchange: one socket per ECU, requests in order, the VIN put between fixed JSON bytes. */
import { connect, type Socket } from "node:net";
import { MessageChannel, parentPort } from "node:worker_threads";
import { encode, encodeDiagnosticMessage } from "#doip/codec.ts";
import { ACTIVATION_TYPES, HEADER_BYTES, PAYLOAD_TYPES } from "#doip/tables.ts";
import type { HopCall, HopEcu, HopReply, HopTask } from "./bare-hop.ts";

const TESTER_ADDRESS = 0x0e42;
const VERSION = 2;
const READ_VIN = new Uint8Array([0x22, 0xf1, 0x90]);
/** SID and identifier before the value; source and target address before them. */
const VALUE_AT = HEADER_BYTES + 4 + 3;
const BEFORE = Buffer.from('{"id":"vin","data":{"VIN":"');
const AFTER = Buffer.from('"}}');

/** Connects to every ECU, then tells the main thread its port and answers calls for as long as the thread lives. */
export async function runHopWorker({ ecus, port }: HopTask): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  const links = await Promise.all(ecus.map((ecu) => openLink(ecu, port, (reply) => port1.postMessage(reply))));
  port1.on("message", ({ id, ecu }: HopCall) => links[ecu]!(id));
  parentPort!.postMessage(port2, [port2]);
}

/** Resolves, when routing is activated, to what asks the ECU. One request is open at a time, as UDS demands. */
function openLink(ecu: HopEcu, port: number, reply: (reply: HopReply) => void): Promise<(id: number) => void> {
  const request = encodeDiagnosticMessage(VERSION, TESTER_ADDRESS, ecu.logicalAddress, READ_VIN);
  const queue: number[] = [];
  let open: number | undefined;
  const socket: Socket = connect({ host: ecu.ip, port, noDelay: true });
  const ask = (id: number) => {
    if (open !== undefined) {
      queue.push(id);
      return;
    }
    open = id;
    socket.write(request);
  };
  socket.write(
    encode(VERSION, {
      kind: "routingActivationRequest",
      sourceAddress: TESTER_ADDRESS,
      activationType: ACTIVATION_TYPES.default,
    }),
  );
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("data", (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; ) {
        const type = chunk.readUInt16BE(at + 2);
        const end = at + HEADER_BYTES + chunk.readUInt32BE(at + 4);
        if (type === PAYLOAD_TYPES.routingActivationResponse.type) resolve(ask);
        else if (type === PAYLOAD_TYPES.diagnosticMessage.type && open !== undefined) {
          reply({ id: open, body: bodyOf(chunk.subarray(at + VALUE_AT, end)) });
          open = undefined;
          const next = queue.shift();
          if (next !== undefined) ask(next);
        }
        at = end;
      }
    });
  });
}

function bodyOf(value: Uint8Array): Uint8Array {
  const body = new Uint8Array(BEFORE.length + value.length + AFTER.length);
  body.set(BEFORE);
  body.set(value, BEFORE.length);
  body.set(AFTER, BEFORE.length + value.length);
  return body;
}
