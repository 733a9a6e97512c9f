/**
 * drogue-ajour over LoRaWAN, by The Things Stack (v3): its webhook brings uplinks, its API takes downlinks. Reports and commands go on a port
 * of their own, CBOR in base64.
 */
import { Fault } from "#core/errors.ts";
import { JSON_TYPE } from "#core/media-types.ts";
import { requireOk, send } from "./download.ts";

export interface TtnOptions {
  /** The only server that downlinks are sent to. */
  readonly url: string;
  /** Absent: what the webhook sends along. */
  readonly api_key?: string | undefined;
  /** What a downlink carries beside the envelope of a command. */
  readonly max_block_bytes: number;
}

export interface Uplink {
  /** `device_id` of The Things Stack. */
  readonly device: string;
  readonly message: Uint8Array;
}

/** Where the webhook says that the answer goes: `X-Downlink-Replace` and `X-Downlink-Apikey`. */
export interface Downlink {
  readonly device: string;
  readonly url: string;
  readonly apiKey: string;
}

/** Largest event of a webhook: an uplink comes with what every radio gateway says of it. */
export const MAX_EVENT_BYTES = 256 << 10;
const PORT = 223;
const REPLACE = "/down/replace";

/** A report; undefined for any other event. @throws Fault invalidData */
export function readUplink(event: Readonly<Record<string, unknown>>): Uplink | undefined {
  const { f_port, frm_payload } = (event.uplink_message ?? {}) as Record<string, unknown>;
  if (f_port !== PORT) return undefined;
  const { device_id: device } = (event.end_device_ids ?? {}) as Record<string, unknown>;
  if (typeof device !== "string" || typeof frm_payload !== "string") {
    throw new Fault("invalidData", "The uplink names no device, or has no payload");
  }
  return { device, message: Buffer.from(frm_payload, "base64") };
}

/** Puts a command in the place of what waits for the device. @throws Fault forbidden, notReady, notResponding */
export async function sendDownlink(
  command: Uint8Array,
  { device, url, apiKey }: Downlink,
  options: TtnOptions & { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<void> {
  // who sends the webhook's event must not choose what we call, with a key of ours
  const place = URL.canParse(url) ? new URL(url) : undefined;
  const isOwn =
    place?.origin === new URL(options.url).origin && place.pathname.endsWith(`/devices/${device}${REPLACE}`);
  if (!isOwn) throw new Fault("forbidden", `Downlinks go to ${options.url} only, for the device that reported`);
  const frm_payload = Buffer.from(command).toString("base64");
  const response = await send(url, {
    method: "POST",
    headers: { authorization: `Bearer ${options.api_key ?? apiKey}`, "content-type": JSON_TYPE },
    body: JSON.stringify({ downlinks: [{ f_port: PORT, frm_payload, priority: "NORMAL" }] }),
    signal: options.signal,
    timeoutMs: options.timeoutMs,
  });
  await response.body?.cancel();
  requireOk(response);
}
