/** `POST /ttn/v3`: the webhook of The Things Stack, for LoRaWAN devices that fetch their firmware by drogue-ajour. */
import { JSON_TYPE } from "#core/media-types.ts";
import { parseObject } from "#update/ajour/download.ts";
import type { TransportParts } from "#update/ajour/transport.ts";
import { MAX_EVENT_BYTES, readUplink, sendDownlink, type TtnOptions } from "#update/ajour/ttn.ts";
import { collect } from "./ajour.ts";
import { type Route, route } from "./route.ts";

/** `timeoutMs`: of the call that hands a command over. */
export function ajourTtnRoutes(
  { desk, registry }: TransportParts,
  options: TtnOptions & { readonly timeoutMs: number },
): readonly Route[] {
  return [
    route({
      method: "post",
      path: "/ttn/v3",
      mount: "root",
      summary: "Uplinks of LoRaWAN devices; reports of firmware are answered by a downlink (drogue-ajour)",
      tag: "updates",
      public: true,
      early: true,
      exclusive: false,
      headers: ["authorization", "x-downlink-replace", "x-downlink-apikey"],
      body: { kind: "upload", types: [JSON_TYPE] },
      responses: { 202: { description: "Taken; what is no report is passed over" } },
      async handle(request) {
        const uplink = readUplink(parseObject(await collect(request.body, MAX_EVENT_BYTES), "The event"));
        const authorization = request.header("authorization");
        // the webhook is a gateway, and proves that whatever it brings
        const identity = registry.identify({ authorization, as: uplink?.device });
        if (uplink === undefined) return { status: 202 };
        const command = desk.answer(identity, uplink.message, options.max_block_bytes);
        const [url, apiKey] = [request.header("x-downlink-replace"), request.header("x-downlink-apikey")];
        const { device } = uplink;
        await sendDownlink(command, { device, url, apiKey }, { ...options, signal: request.signal });
        return { status: 202 };
      },
    }),
  ];
}
