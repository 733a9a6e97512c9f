/** The device's side of each transport. */
import { Socket } from "node:net";
import { Fault } from "#core/errors.ts";
import { optionalPackage } from "#core/optional-package.ts";
import type { AjourLink } from "./ajour-device.ts";

export interface DeviceLogin {
  /** `device@application`. */
  readonly device: string;
  readonly password: string;
  /** Longest wait for an answer. */
  readonly timeoutMs: number;
}

const COAP_PORT = 5_683;
/** What the library's types leave out. */
interface ReceivedOption {
  readonly name: string;
  readonly value: Buffer;
}

/** Number of the option Echo, as the library names what it has no name for. */
const ECHO = "252";

/** The way that a URL names: `http(s)`, `coap`, `mqtt(s)` (to a broker). */
export async function linkTo(url: string, login: DeviceLogin): Promise<AjourLink> {
  const { protocol, hostname, port, origin } = new URL(url);
  if (/^https?:$/.test(protocol)) return httpLink(origin, login);
  if (protocol === "coap:") return coapLink(hostname.replace(/^\[|\]$/g, ""), Number(port || COAP_PORT), login);
  if (/^mqtts?:$/.test(protocol)) return mqttLink(url, login);
  throw new Fault("badRequest", `${url} is no http, https, coap, mqtt or mqtts`);
}

/** HTTP: `POST /v1/dfu?ct=<s>` of a server. `server`: scheme, host and port. */
export function httpLink(server: string, { device, password, timeoutMs }: DeviceLogin): AjourLink {
  const url = `${server}/v1/dfu?ct=${Math.ceil(timeoutMs / 1_000)}`;
  const headers = { authorization: basic(device, password), "content-type": "application/cbor" };
  const stop = new AbortController();
  return {
    async ask(report) {
      const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(timeoutMs)]);
      const body = new Uint8Array(report);
      const response = await fetch(url, { method: "POST", headers, body, signal });
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (!response.ok) throw new Error(`${response.status} ${Buffer.from(bytes).toString()}`);
      return response.status === 200 ? bytes : undefined;
    },
    async close() {
      stop.abort();
    },
  };
}

/** MQTT: `dfu/<device>` of a broker, at most once: what is lost is asked again. Answers that come late, to a report asked again meanwhile, are let go. */
export async function mqttLink(
  broker: string,
  { device, timeoutMs }: Omit<DeviceLogin, "password">,
): Promise<AjourLink> {
  const { default: mqtt } = await optionalPackage("mqtt", "mqtt://", () => import("mqtt"));
  const client = await mqtt.connectAsync(broker, { clean: true });
  if (client.stream instanceof Socket) client.stream.setNoDelay(true);
  let waiting: ((answer: Uint8Array) => void) | undefined;
  client.on("message", (_, payload) => waiting?.(payload));
  await client.subscribeAsync(`command/inbox/${device}/dfu`, { qos: 0 });
  return {
    ask: (report) =>
      bounded(timeoutMs, (resolve, reject) => {
        waiting = resolve;
        client.publish(`dfu/${device}`, Buffer.from(report), { qos: 0 }, (problem) => problem && reject(problem));
      }),
    close: () => client.endAsync(true),
  };
}

/** CoAP: `POST /v1/dfu?ct=<s>`, with the options of Drogue Cloud. */
export async function coapLink(host: string, port: number, login: DeviceLogin): Promise<AjourLink> {
  const { request, Agent } = await optionalPackage("coap", "coap://", () => import("coap"));
  const { device, password, timeoutMs } = login;
  const agent = new Agent({ type: host.includes(":") ? "udp6" : "udp4" });
  const query = `ct=${Math.ceil(timeoutMs / 1_000)}`;
  /** What the server gave us to prove our address by (RFC 9175). */
  let echo: Buffer | undefined;
  const send = (
    report: Uint8Array,
    resolve: (answer: Uint8Array | undefined) => void,
    reject: (error: Error) => void,
    again = true,
  ) => {
    const asked = request({ host, port, method: "POST", pathname: "/v1/dfu", query, agent });
    asked.setOption("4209" as never, Buffer.from(basic(device, password)));
    if (echo !== undefined) asked.setOption(ECHO as never, echo);
    asked.on("response", ({ code, payload, options }) => {
      const given = (options as readonly ReceivedOption[]).find(({ name }) => name === ECHO)?.value;
      echo = given ?? echo;
      if (code === "2.05") resolve(new Uint8Array(payload));
      else if (code === "2.04") resolve(undefined);
      else if (code === "4.01" && given !== undefined && again) send(report, resolve, reject, false);
      else reject(new Error(`${code} ${payload}`));
    });
    asked.on("error", reject);
    asked.end(Buffer.from(report));
  };
  return {
    ask: (report) => bounded(timeoutMs, (resolve, reject) => send(report, resolve, reject)),
    // between requests it has no socket, and then never calls back
    async close() {
      agent.close();
    },
  };
}

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

function bounded<T>(
  timeoutMs: number,
  begin: (resolve: (value: T) => void, reject: (error: Error) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("no answer")), timeoutMs);
    const settled =
      <V>(finish: (value: V) => void) =>
      (value: V) => {
        clearTimeout(timer);
        finish(value);
      };
    begin(settled(resolve), settled(reject));
  });
}
