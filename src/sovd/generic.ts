/** Any UDS request as bytes, for services that have no resource of their own. */
import { Fault } from "#core/errors.ts";
import { BYTES_TYPE } from "#core/media-types.ts";
import { callPermitted } from "./permit.ts";
import { type Route, route } from "./route.ts";

const NEGATIVE_RESPONSE = 0x7f;

export const genericRoutes: readonly Route[] = [
  route({
    method: "put",
    path: "/components/{ecu}/genericservice",
    summary: "Send a complete UDS request, get the complete answer",
    tag: "genericservice",
    lock: "dataWrite",
    body: { kind: "raw" },
    responses: {
      200: { description: "The ECU's answer, negative ones included.", contentType: BYTES_TYPE },
    },
    handle: async (request, context) => {
      const { body } = request;
      if (body.byteLength === 0) throw new Fault("badRequest", "The request is empty");
      const reply = await callPermitted(request, context, "genericService", { request: body });
      const answer = reply.body;
      if (context.options.genericRefusalStatus === 502 && answer?.[0] === NEGATIVE_RESPONSE) {
        throw new Fault("ecuRefused", "negative response", { sid: answer[1], nrc: answer[2] });
      }
      return reply;
    },
  }),
];
