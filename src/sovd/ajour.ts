/** `POST /v1/dfu`: devices that fetch their firmware by drogue-ajour. They prove who they are to the protocol, not with our tokens. */
import { gathered } from "#core/bytes.ts";
import { Fault } from "#core/errors.ts";
import { BYTES_TYPE, JSON_TYPE, URL_ENCODED_TYPE } from "#core/media-types.ts";
import { Type } from "#core/schema.ts";
import { CHANNEL, MAX_REPORT_BYTES, type TransportParts } from "#update/ajour/transport.ts";
import { type Route, route, type Upload } from "./route.ts";

const QuerySchema = Type.Object({
  ct: Type.Optional(
    Type.Integer({ minimum: 0, description: "Seconds the device waits for a command; 0 or absent: none." }),
  ),
  application: Type.Optional(Type.String()),
  device: Type.Optional(Type.String()),
  as: Type.Optional(Type.String({ description: "Device that the sender speaks for." })),
});
/** Reports say themselves what they are; devices name many types, or none. */
const TYPES = [
  "",
  "application/cbor",
  BYTES_TYPE,
  JSON_TYPE,
  "text/plain",
  // what curl says of any body
  URL_ENCODED_TYPE,
];
const CBOR_TYPE = "application/cbor";

export function ajourRoutes({ desk, registry }: TransportParts): readonly Route[] {
  return [
    route({
      method: "post",
      path: `/v1/${CHANNEL}`,
      mount: "root",
      summary: "Report of a device's firmware, answered with its next step (drogue-ajour)",
      tag: "updates",
      public: true,
      early: true,
      exclusive: false,
      headers: ["authorization"],
      query: QuerySchema,
      body: { kind: "upload", types: TYPES },
      responses: {
        200: { description: "The command, CBOR", contentType: CBOR_TYPE },
        202: { description: "The device does not wait for a command" },
      },
      async handle(request) {
        const { ct, ...names } = request.query;
        const identity = registry.identify({ authorization: request.header("authorization"), ...names });
        const report = await collect(request.body, MAX_REPORT_BYTES);
        if (!ct) {
          desk.hear(identity, report);
          return { status: 202 };
        }
        const body = desk.answer(identity, report);
        return { status: 200, headers: { command: CHANNEL }, contentType: CBOR_TYPE, body };
      },
    }),
  ];
}

/** A small body, whole. @throws Fault payloadTooLarge */
export function collect({ chunks }: Upload, maxBytes: number): Promise<Uint8Array> {
  const tooLong = () => new Fault("payloadTooLarge", `The body has at most ${maxBytes} bytes`);
  return gathered(chunks, maxBytes, tooLong);
}
