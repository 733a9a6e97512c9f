/** The codec as service runs need it. Calls are synchronous and never nest: a thread has one decoder and one JSON buffer. */
import { Fault } from "#core/errors.ts";
import type { ServiceBody } from "#fleet/messages.ts";
import { decodeResponse, encodeRequest } from "#mdd/codec/codec.ts";
import type { ServicePlan } from "#mdd/codec/plan.ts";
import { nrcText } from "#uds/nrc.ts";

export { formatBytes } from "#mdd/codec/render.ts";

/** Requests without parameters: their bytes are always the same, and nobody writes to them. */
const BARE_REQUESTS = new WeakMap<ServicePlan, Uint8Array>();

function bareRequest(plan: ServicePlan): Uint8Array {
  let request = BARE_REQUESTS.get(plan);
  if (request === undefined) {
    request = encodeRequest(plan);
    BARE_REQUESTS.set(plan, request);
  }
  return request;
}

/** Bytes of a request. @throws Fault that names the parameter */
export function encodeService(plan: ServicePlan, body: ServiceBody, isStrict = false): Uint8Array {
  switch (body.type) {
    case "none":
      return bareRequest(plan);
    case "json":
      return encodeRequest(plan, body.parameters, { isStrict });
    case "raw":
      return encodeRequest(plan, body.bytes);
  }
}

/** Parameters of an answer for variant detection; undefined for a refusal, which is an answer too. */
export function decodeAnswer(
  plan: ServicePlan,
  request: Uint8Array,
  response: Uint8Array,
): Readonly<Record<string, unknown>> | undefined {
  const decoded = decodeResponse(plan, response, request);
  return decoded.type === "positive" ? (decoded.data ?? {}) : undefined;
}

/** The fault of a negative response: SID, NRC and the database's text for it, else the standard's (ISO 14229-1, A.1). */
export function refusalOf(plan: ServicePlan | undefined, response: Uint8Array): Fault {
  const decoded = plan === undefined ? undefined : decodeResponse(plan, response).nrc;
  const sid = decoded?.sid ?? response[1];
  const nrc = decoded?.code ?? response[2];
  const text = decoded?.description ?? (nrc === undefined ? "" : nrcText(nrc));
  return new Fault("ecuRefused", `A negative Response was received (${text})`, {
    ...(nrc === undefined ? {} : { nrc }),
    ...(sid === undefined ? {} : { sid }),
    text,
  });
}
