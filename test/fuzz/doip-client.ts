/** A hostile tester: damaged frames over TCP and UDP to the simulated entities, which must stay up and answer in frames. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { fromHex, toHex } from "#core/bytes.ts";
import { decodeDatagram, encode, type Message } from "#doip/codec.ts";
import { StreamFramer } from "#doip/framing.ts";
import { demoEntities } from "#sim/demo/vehicle.ts";
import { startVehicle } from "#sim/vehicle.ts";
import { mutated } from "./mutate.ts";
import type { Random } from "./random.ts";
import type { FuzzRun, FuzzTarget } from "./target.ts";

interface ClientInput {
  /** Hex of each write. */
  readonly tcp: readonly string[];
  readonly udp: string;
}

const TESTER = 0x0e00;
const ENTITY = 0x1000;
const HOST = "127.0.1.9";
/** Payload type (ISO 13400-2, table 17). */
const DIAGNOSTIC_MESSAGE = 0x8001;
const VERSIONS = [2, 2, 2, 3, 1, 4, 0xff, 0];
const UDS = ["22F190", "1003", "3E80", "2ED0010001", "1902FF", "27031122", "3101FF00", "36", "29", "3E00", "", "FF"];
const QUIET_MS = 15;
/** For what must come, on a machine that stalls too. */
const PATIENT_MS = 60_000;
const CHECK_EVERY = 50;
const MAX_PAYLOAD_BYTES = 1_000_000;

const ACTIVATION = {
  kind: "routingActivationRequest",
  sourceAddress: TESTER,
  activationType: 0,
} as const satisfies Message;

function message(random: Random): Message {
  const sourceAddress = random.pick([TESTER, TESTER, TESTER, 0, 0xffff, ENTITY]);
  switch (random.below(9)) {
    case 0:
      return { ...ACTIVATION, activationType: random.pick([0, 1, 0xe0, 0xff]) };
    case 1:
      return { kind: "aliveCheckRequest" };
    case 2:
      return { kind: "aliveCheckResponse", sourceAddress };
    case 3:
      return { kind: "entityStatusRequest" };
    case 4:
      return { kind: "vehicleIdentificationRequest" };
    default: {
      const targetAddress = random.pick([ENTITY, 0x1001, 0xe400, 0x4242]);
      return { kind: "diagnosticMessage", sourceAddress, targetAddress, uds: fromHex(random.pick(UDS))! };
    }
  }
}

function frame(random: Random): Uint8Array {
  const bytes = encode(random.pick(VERSIONS), message(random));
  return random.chance(0.4) ? mutated(bytes, random) : bytes;
}

/** The same bytes in other writes. */
function split(bytes: Uint8Array, random: Random): Uint8Array[] {
  const at = random.below(bytes.length + 1);
  return random.chance(0.3) ? [bytes.subarray(0, at), bytes.subarray(at)] : [bytes];
}

export const doipClientTarget: FuzzTarget<ClientInput> = {
  name: "doip-client",
  generate(random) {
    const frames = Array.from({ length: 1 + random.below(5) }, () => frame(random));
    const opening = random.chance(0.8) ? [encode(2, ACTIVATION)] : [];
    const writes = [...opening, ...frames.flatMap((bytes) => split(bytes, random))];
    return { tcp: writes.map((bytes) => toHex(bytes)), udp: toHex(frame(random)) };
  },
  async start(): Promise<FuzzRun<ClientInput>> {
    const vehicle = await startVehicle({
      entities: demoEntities(HOST, 0),
      announce: false,
      hearBroadcasts: false,
    });
    const { port } = vehicle;
    const udp = createSocket("udp4");
    udp.bind(0, "127.0.0.1");
    await once(udp, "listening");
    udp.on("message", (bytes) => {
      if ("nack" in decodeDatagram(bytes, MAX_PAYLOAD_BYTES)) throw new Error(`no datagram of ours: ${toHex(bytes)}`);
    });
    let done = 0;
    return {
      async run({ tcp, udp: datagram }) {
        udp.send(fromHex(datagram)!, port, HOST);
        const heard = await converse(port, tcp);
        if (++done % CHECK_EVERY === 0) await requireAnswer(port);
        return heard;
      },
      async close() {
        try {
          await requireDatagram(udp, port);
        } finally {
          udp.close();
          await vehicle.close();
        }
      },
    };
  },
};

/** Writes all, listens until a frame of type `last` comes or it is quiet that long; what came, by kind. Throws for a byte that is no frame. */
async function converse(port: number, writes: readonly string[], quietMs = QUIET_MS, last?: number): Promise<string> {
  const kinds = new Set<number>();
  const socket = connect({ port, host: HOST, noDelay: true });
  socket.on("error", () => {});
  let refused: string | undefined;
  const framer = new StreamFramer(
    {
      onMessage: (_version, type) => kinds.add(type),
      onRefused: (nack) => {
        refused = String(nack);
      },
    },
    { maxPayloadBytes: MAX_PAYLOAD_BYTES },
  );
  await new Promise<void>((resolve) => {
    let timer = setTimeout(resolve, quietMs * 4);
    socket.on("data", (chunk) => {
      framer.push(chunk);
      clearTimeout(timer);
      if (last !== undefined && kinds.has(last)) resolve();
      else timer = setTimeout(resolve, quietMs);
    });
    socket.on("close", () => {
      clearTimeout(timer);
      resolve();
    });
    for (const bytes of writes) socket.write(fromHex(bytes)!);
  });
  socket.destroy();
  if (refused !== undefined) throw new Error(`the entity sent what is no frame: ${refused}`);
  return (
    [...kinds]
      .toSorted()
      .map((type) => type.toString(16).padStart(4, "0"))
      .join("+") || "silence"
  );
}

async function requireAnswer(port: number): Promise<void> {
  const request: Message = {
    kind: "diagnosticMessage",
    sourceAddress: TESTER,
    targetAddress: ENTITY,
    uds: fromHex("22F190")!,
  };
  const writes = [ACTIVATION, request].map((message) => toHex(encode(2, message)));
  const heard = await converse(port, writes, PATIENT_MS, DIAGNOSTIC_MESSAGE);
  if (!heard.includes("8001")) throw new Error(`the entity answers no more: ${heard}`);
}

async function requireDatagram(udp: Socket, port: number): Promise<void> {
  const heard = once(udp, "message", { signal: AbortSignal.timeout(PATIENT_MS) });
  udp.send(encode(2, { kind: "vehicleIdentificationRequest" }), port, HOST);
  await heard;
}
