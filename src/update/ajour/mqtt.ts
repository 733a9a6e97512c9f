/**
 * drogue-ajour over an MQTT broker, in two ways: devices publish to `dfu/<device>` and listen on `command/inbox/<device>/dfu`; and a
 * Drogue Cloud publishes the events of an application, as CloudEvents, and takes commands for its devices. The broker says who may
 * publish where, so topics are believed.
 */
import { readFileSync } from "node:fs";
import { Socket } from "node:net";
import type { IClientOptions, MqttClient } from "mqtt";
import { Fault, reasonOf } from "#core/errors.ts";
import { parsedObject } from "#core/json.ts";
import { optionalPackage } from "#core/optional-package.ts";
import { type Clock, systemClock, type TimerHandle } from "#core/time.ts";
import type { Identity } from "./registry.ts";
import { CHANNEL, MAX_REPORT_BYTES, type Transport, type TransportParts } from "./transport.ts";

export interface MqttOptions {
  readonly url: string;
  readonly version: "3.1.1" | "5";
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly client_id?: string | undefined;
  /** PEM file. */
  readonly ca?: string | undefined;
  /** Devices speak to this broker themselves. */
  readonly devices: boolean;
  /** The one device that publishes to the bare topic. */
  readonly bare_device?: string | undefined;
  readonly drogue_applications: readonly string[];
  readonly shared_group: string;
}

/** A report, and where its answer goes. */
export interface Delivery {
  readonly identity: Identity;
  readonly message: Uint8Array;
  readonly answerTo: string;
}

/** A Drogue Cloud names the topic of an event as it was subscribed to. */
const EVENT = /^(?:\$shared\/[^/]+\/)?app\/([^/]+)$/;
const DEVICE = /^dfu\/([^/]+)$/;
/** As devices send, up to at least once: a report that comes twice is answered twice, which a stateless protocol allows. */
const AT_LEAST_ONCE = { qos: 1 } as const;
const AT_MOST_ONCE = { qos: 0 } as const;
/** Pauses before a broker that is gone is called again: doubled each time, up to the last. */
const FIRST_PAUSE_MS = 1_000;
const LAST_PAUSE_MS = 60_000;
/** A start waits no longer for its broker. */
const START_WAIT_MS = 2_000;
const LEVELS = { "3.1.1": 4, "5": 5 } as const;

/** Connects, and again whenever the broker is gone. Resolves when the first connection stands or has failed. @throws Fault misconfigured */
export async function startMqtt(
  options: MqttOptions,
  parts: TransportParts,
  clock: Clock = systemClock,
): Promise<Transport> {
  const { default: mqtt } = await optionalPackage("mqtt", "update.ajour.mqtt", () => import("mqtt"));
  const client = connect(mqtt.connect, options);
  const stopCalling = callAgain(client, clock);
  const where = placeOf(options.url);
  client.on("error", (problem) => parts.onProblem(problem, where));
  client.on("message", (topic, payload, { retain, qos }) => {
    // what a broker kept says nothing of now
    if (!retain) answer(client, { topic, payload, qos }, options, parts);
  });
  let late: TimerHandle | undefined;
  await new Promise<void>((resolve) => {
    late = setTimeout(resolve, START_WAIT_MS);
    client.once("close", resolve);
    client.on("connect", () => {
      withoutDelay(client);
      client.subscribe(topicsOf(options), AT_LEAST_ONCE, (problem) => {
        if (problem) parts.onProblem(problem, where);
        resolve();
      });
    });
  }).finally(() => clearTimeout(late));
  const close = async (): Promise<void> => {
    stopCalling();
    // a broker that is gone would never take what is on its way
    await client.endAsync(true);
  };
  return { port: 0, close };
}

/** Calls a broker that is gone until it is there again. Returns what ends that. */
function callAgain(client: MqttClient, clock: Clock): () => void {
  let pauseMs = FIRST_PAUSE_MS;
  let timer: TimerHandle | undefined;
  let ended = false;
  const stop = (): void => {
    if (timer !== undefined) clock.clearTimeout(timer);
  };
  client.on("connect", () => {
    pauseMs = FIRST_PAUSE_MS;
  });
  client.on("close", () => {
    stop();
    if (ended) return;
    timer = clock.setTimeout(() => client.reconnect(), pauseMs);
    pauseMs = Math.min(2 * pauseMs, LAST_PAUSE_MS);
  });
  return () => {
    ended = true;
    stop();
  };
}

function connect(open: (url: string, options: IClientOptions) => MqttClient, options: MqttOptions): MqttClient {
  const { url, version, username, password, client_id, ca } = options;
  // the library takes any other for the first of these
  if (!/^(mqtts?|wss?):\/\//.test(url) || !URL.canParse(url)) {
    throw new Fault("misconfigured", "update.ajour.mqtt.url is no URL with mqtt, mqtts, ws or wss");
  }
  try {
    return open(url, {
      clean: true,
      protocolVersion: LEVELS[version],
      // the library's own way knows one pause only
      reconnectPeriod: 0,
      resubscribe: false,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(client_id === undefined ? {} : { clientId: client_id }),
      ...(ca === undefined ? {} : { ca: readFileSync(ca) }),
    });
  } catch (error) {
    throw new Fault("misconfigured", `MQTT at ${placeOf(url)}: ${reasonOf(error)}`, undefined, error);
  }
}

/** For the log: a URL may have name and password in it. */
function placeOf(url: string): string {
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}

/** A device waits for each answer: gathering small packets into larger ones would only slow it down. */
function withoutDelay({ stream }: MqttClient): void {
  if (stream instanceof Socket) stream.setNoDelay(true);
}

function topicsOf({ devices, bare_device, drogue_applications, shared_group }: MqttOptions): string[] {
  // as a Drogue Cloud has it, which is not the `$share` of brokers
  const share = shared_group === "" ? "" : `$shared/${shared_group}/`;
  const events = drogue_applications.map((application) => `${share}app/${application}`);
  const bare = bare_device === undefined ? [] : [CHANNEL];
  return [...events, ...bare, ...(devices ? [`${CHANNEL}/+`] : [])];
}

interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
}

/**
 * An answer goes as its report came, up to at least once. A device that asks again by itself gains nothing from acknowledgements, and where the broker gathers
 * small packets (Nagle) each costs it 40 ms a block.
 */
function answer(
  client: MqttClient,
  { topic, payload, qos }: Message,
  { bare_device }: MqttOptions,
  { registry, desk, onProblem }: TransportParts,
) {
  try {
    const delivery = readDelivery(
      topic,
      payload,
      (name, application) => registry.named(name, application),
      bare_device,
    );
    if (delivery === undefined) return;
    const command = desk.answer(delivery.identity, delivery.message);
    client.publish(delivery.answerTo, Buffer.from(command), qos === 0 ? AT_MOST_ONCE : AT_LEAST_ONCE, (problem) => {
      if (problem) onProblem(problem, delivery.answerTo);
    });
  } catch (error) {
    // a log as long as what is sent would be no bound
    if (!(error instanceof Fault && error.kind === "tooManyRequests")) onProblem(error, topic);
  }
}

/** What came on a topic; undefined for what is none of ours. @throws Fault invalidData, badRequest, payloadTooLarge */
export function readDelivery(
  topic: string,
  payload: Uint8Array,
  named: (name: string, application?: string) => Identity,
  bareDevice?: string,
): Delivery | undefined {
  // base64 and the envelope of an event
  if (payload.byteLength > 4 * MAX_REPORT_BYTES) throw new Fault("payloadTooLarge", `A report on ${topic} is too long`);
  if (topic === CHANNEL && bareDevice !== undefined) {
    return { identity: named(bareDevice), message: payload, answerTo: `command/inbox//${CHANNEL}` };
  }
  const [, device] = DEVICE.exec(topic) ?? [];
  if (device !== undefined) {
    return { identity: named(device), message: payload, answerTo: `command/inbox/${device}/${CHANNEL}` };
  }
  const [, application] = EVENT.exec(topic) ?? [];
  return application === undefined ? undefined : readEvent(application, payload, named);
}

function readEvent(
  application: string,
  payload: Uint8Array,
  named: (name: string, application?: string) => Identity,
): Delivery | undefined {
  const event = parse(payload);
  if (event.subject !== CHANNEL) return undefined;
  const { device, data, data_base64 } = event;
  if (typeof device !== "string" || /[/#+@]/.test(device)) throw new Fault("invalidData", "An event names no device");
  const message = typeof data_base64 === "string" ? Buffer.from(data_base64, "base64") : Buffer.from(textOf(data));
  const answerTo = `command/${application}/${device}/${CHANNEL}`;
  return { identity: named(device, application), message, answerTo };
}

function parse(payload: Uint8Array): Record<string, unknown> {
  const event = parsedObject(Buffer.from(payload).toString("utf8"));
  if (event === undefined) throw new Fault("invalidData", "The message is no CloudEvent in JSON");
  return event;
}

function textOf(data: unknown): string {
  return typeof data === "string" ? data : JSON.stringify(data ?? "");
}
