/** A hostile entity: it answers our connection with damaged, doubled, foreign frames, or hangs up; and it floods our discovery. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { fromHex, toHex } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import { systemClock } from "#core/time.ts";
import { decodePayload, encode, type Message } from "#doip/codec.ts";
import { Discovery } from "#doip/discovery.ts";
import { StreamFramer } from "#doip/framing.ts";
import { UdsClient } from "#uds/client.ts";
import { DEFAULT_COM_PARAMS } from "#uds/com-params.ts";
import { doipTransport } from "#uds/over-doip.ts";
import { mutated } from "./mutate.ts";
import type { Random } from "./random.ts";
import type { FuzzRun, FuzzTarget } from "./target.ts";

interface EntityInput {
  /** Hex of what follows each activation request and each diagnostic message; `null` hangs up. */
  readonly onActivation: readonly (string | null)[];
  readonly onRequest: readonly (string | null)[];
  readonly datagram: string;
}

const TESTER = 0x0e00;
const ENTITY = 0x1000;
const HOST = "127.0.1.8";
const TESTER_IP = "127.0.0.1";
const VIN = "SCEDT26T8BD005261";
const REQUEST = "22F190";
const RIGHT = `62F190${toHex(Buffer.from(VIN))}`;
const CHECK_EVERY = 20;
const MAX_PAYLOAD_BYTES = 100_000;
const DEADLINE_MS = 400;
const CONNECT_MS = 100;
/** A machine that stalls is late, what hangs never comes. */
const TIMEOUT_MS = 60_000;
/** Content type of a TLS record (RFC 8446, 5.1). */
const TLS_HANDSHAKE = 0x16;

const PARAMS = {
  ...DEFAULT_COM_PARAMS,
  uds: {
    ...DEFAULT_COM_PARAMS.uds,
    timeoutDefaultMs: 25,
    rc78TimeoutMs: 25,
    rc78CompletionTimeoutMs: 60,
    repeatReqCountApp: 0,
  },
  doip: {
    ...DEFAULT_COM_PARAMS.doip,
    logicalTesterAddress: TESTER,
    logicalGatewayAddress: ENTITY,
    logicalEcuAddress: ENTITY,
    diagnosticAckTimeoutMs: 25,
    retryPeriodMs: 5,
    routingActivationTimeoutMs: 50,
    connectionTimeoutMs: 500,
    connectionRetryDelayMs: 5,
  },
};

const activated = {
  kind: "routingActivationResponse",
  testerAddress: TESTER,
  entityAddress: ENTITY,
  code: 0x10,
} as const satisfies Message;
const ack = {
  kind: "diagnosticAck",
  sourceAddress: ENTITY,
  targetAddress: TESTER,
  code: 0,
  echo: new Uint8Array(0),
} as const satisfies Message;
const answer = (uds: string): Message => ({
  kind: "diagnosticMessage",
  sourceAddress: ENTITY,
  targetAddress: TESTER,
  uds: fromHex(uds)!,
});
const announcement: Message = {
  kind: "vehicleAnnouncement",
  vin: VIN,
  logicalAddress: ENTITY,
  eid: "000000000000",
  gid: "000000000000",
  furtherAction: 0,
  syncStatus: 0,
};

function anything(random: Random): Message {
  switch (random.below(9)) {
    case 0:
      return { ...activated, code: random.below(256) };
    case 1:
      return { kind: "aliveCheckRequest" };
    case 2:
      return { kind: "aliveCheckResponse", sourceAddress: random.below(0x10000) };
    case 3:
      return { ...ack, kind: "diagnosticNack", code: random.below(10) };
    case 4:
      return { ...ack, sourceAddress: random.pick([ENTITY, 0x1001, 0xffff]), echo: random.bytes(random.below(6)) };
    case 5:
      return { kind: "genericNack", code: random.below(6) };
    case 6:
      return { ...answer(random.pick(["7F2278", "7F2221", "7F2231", "62F19000", "7E00", "", REQUEST])) };
    default:
      return answer(RIGHT);
  }
}

function frames(random: Random, right: readonly Message[]): (string | null)[] {
  const messages = random.chance(0.5) ? [...right] : [];
  for (let left = random.below(4); left > 0; left--)
    messages.splice(random.below(messages.length + 1), 0, anything(random));
  const bytes = messages.map((message) => {
    const whole = encode(random.pick([2, 2, 2, 3, 0xff]), message);
    return toHex(random.chance(0.3) ? mutated(whole, random) : whole);
  });
  return random.chance(0.1) ? [...bytes, null] : bytes;
}

export const doipEntityTarget: FuzzTarget<EntityInput> = {
  name: "doip-entity",
  generate(random) {
    const activation = random.chance(0.7) ? [toHex(encode(2, activated))] : frames(random, [activated]);
    const datagram = encode(random.pick([2, 3, 0xff]), random.chance(0.7) ? announcement : anything(random));
    return {
      onActivation: activation,
      onRequest: frames(random, [ack, answer(RIGHT)]),
      datagram: toHex(mutated(datagram, random)),
    };
  },
  start: startHostile,
};

const PEACEFUL: EntityInput = {
  onActivation: [toHex(encode(2, activated))],
  onRequest: [toHex(encode(2, ack)), toHex(encode(2, answer(RIGHT)))],
  datagram: toHex(encode(2, announcement)),
};

async function startHostile(): Promise<FuzzRun<EntityInput>> {
  let play = PEACEFUL;
  const sockets = new Set<Socket>();
  const server = await listen(
    takeFrames(() => play),
    sockets,
  );
  const tlsServer = await listen(
    takeHandshake(() => play),
    sockets,
  );
  const port = portOf(server);
  const connection = { gatewayAddress: ENTITY, ip: HOST, version: 2, port, testerIp: TESTER_IP };
  const transport = doipTransport({
    ...connection,
    tlsPort: portOf(tlsServer),
    params: PARAMS,
    clock: systemClock,
  });
  let wake = () => {};
  const client = new UdsClient({
    transport,
    target: { name: "HOSTILE", addressing: "physical", params: PARAMS },
    clock: systemClock,
    onConnectivity: () => wake(),
  });
  const announced = new Set<() => void>();
  const discovery = new Discovery({
    testerAddress: TESTER_IP,
    testerSubnet: "255.0.0.0",
    clock: systemClock,
    gatewayPort: port,
    targets: [],
    repeatMs: 0,
    onAnnouncement: () => {
      for (const tell of announced) tell();
    },
  });
  await discovery.start();
  const udp = createSocket("udp4");
  udp.bind(0, HOST);
  await once(udp, "listening");
  const datagram = (hex: string) => udp.send(fromHex(hex)!, discovery.address!.port, TESTER_IP);
  /** Until the connection stands, or has had its time. */
  const connected = () =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, CONNECT_MS);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
      transport.announce(HOST, 2);
      if (client.connected) wake();
    });
  const ask = async () => {
    await connected();
    return client.request(fromHex(REQUEST)!, { deadlineMs: systemClock.now() + DEADLINE_MS });
  };
  const requirePeace = async () => {
    play = PEACEFUL;
    for (const socket of sockets) socket.destroy();
    const heard = new Promise<void>((resolve) => announced.add(resolve));
    datagram(PEACEFUL.datagram);
    await within(heard, "an announcement is told");
    announced.clear();
    const endMs = performance.now() + TIMEOUT_MS;
    for (;;) {
      const response = await ask().catch(() => undefined);
      if (response !== undefined && toHex(response) === RIGHT) return;
      if (performance.now() > endMs) throw new Error("no answer from an entity that behaves again");
    }
  };
  let done = 0;
  return {
    async run(input) {
      play = input;
      datagram(input.datagram);
      const outcome = await within(
        ask().then(
          (response) => (toHex(response) === RIGHT ? "right" : `other ${toHex(response).slice(0, 6)}`),
          (error) => {
            if (!(error instanceof Fault)) throw error;
            return error.kind;
          },
        ),
        "a request ends",
      );
      if (outcome.startsWith("other") && !/^other (62F190|7F22)/.test(outcome)) throw new Error(`took ${outcome}`);
      if (++done % CHECK_EVERY === 0) await requirePeace();
      return outcome;
    },
    async close() {
      await transport.close();
      await discovery.close();
      udp.close();
      for (const socket of sockets) socket.destroy();
      for (const each of [server, tlsServer]) await new Promise((resolve) => each.close(resolve));
    },
  };
}

type Conversation = (socket: Socket) => void;

async function listen(converse: Conversation, sockets: Set<Socket>): Promise<Server> {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    converse(socket);
  });
  server.listen(0, HOST);
  await once(server, "listening");
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function takeFrames(play: () => EntityInput): Conversation {
  return (socket) => {
    const framer = new StreamFramer(
      {
        onMessage: (version, type, payload) => {
          const message = decodePayload(version, type, Uint8Array.from(payload));
          if (message === undefined) throw new Error(`our connection sent no message: ${type}`);
          if (message.kind === "routingActivationRequest") say(socket, play().onActivation);
          if (message.kind === "diagnosticMessage") say(socket, play().onRequest);
        },
        onRefused: (nack) => {
          throw new Error(`our connection sent what is no frame: ${nack}`);
        },
      },
      { maxPayloadBytes: MAX_PAYLOAD_BYTES },
    );
    socket.on("data", (chunk) => framer.push(chunk));
  };
}

/** An activation refused with 0x07 brings a TLS handshake, and that gets frames for an answer. */
function takeHandshake(play: () => EntityInput): Conversation {
  return (socket) => {
    // what follows is an alert, or nothing
    socket.once("data", ([contentType]) => {
      if (contentType !== TLS_HANDSHAKE) throw new Error(`our connection sent no handshake: ${contentType}`);
      socket.resume();
      say(socket, play().onActivation);
    });
  };
}

function say(socket: Socket, frames: readonly (string | null)[]): void {
  for (const frame of frames) {
    if (frame === null) socket.destroy();
    else socket.write(fromHex(frame)!);
  }
}

async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not in ${TIMEOUT_MS} ms: ${what}`)), TIMEOUT_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
