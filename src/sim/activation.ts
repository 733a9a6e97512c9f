/** Routing activation on the entity's side (ISO 13400-2 clause 8.3, socket handler): the decision, pure. */
import { ACTIVATION_CODES, ACTIVATION_TYPES } from "#doip/tables.ts";
import type { EntityMisbehaviour } from "./misbehaviour.ts";

export interface ActivationRequest {
  readonly sourceAddress: number;
  readonly activationType: number;
}

/** A connection as the decision sees it; without a source address it is not activated. */
export interface SocketEntry {
  readonly sourceAddress: number | undefined;
  readonly secure: boolean;
}

/** Either a code, or whose life must be checked first, and the code when that does not make room. */
export type Decision<S> =
  | { readonly kind: "answer"; readonly code: number }
  | { readonly kind: "checkAlive"; readonly sockets: readonly S[]; readonly codeIfAlive: number };

const SUPPORTED_TYPES: readonly number[] = [ACTIVATION_TYPES.default, ACTIVATION_TYPES.regulatory];

function supports(activationType: number, rules: EntityMisbehaviour): boolean {
  if (activationType === ACTIVATION_TYPES.centralSecurity) return rules.centralSecurity === true;
  return SUPPORTED_TYPES.includes(activationType);
}

/** What to answer to a request on `own`, given the other connections of the entity. */
export function decideActivation<S extends SocketEntry>(
  request: ActivationRequest,
  own: S,
  others: readonly S[],
  rules: EntityMisbehaviour,
): Decision<S> {
  const code = immediateCode(request, own, rules);
  if (code !== undefined) return { kind: "answer", code };
  const sameSource = others.filter(({ sourceAddress }) => sourceAddress === request.sourceAddress);
  if (rules.denySecondConnection === true && sameSource.length > 0) {
    return { kind: "checkAlive", sockets: sameSource, codeIfAlive: ACTIVATION_CODES.sourceAddressInUse.code };
  }
  const registered = others.filter(({ sourceAddress }) => sourceAddress !== undefined);
  if (registered.length >= (rules.maxSockets ?? Number.POSITIVE_INFINITY)) {
    return { kind: "checkAlive", sockets: registered, codeIfAlive: ACTIVATION_CODES.noFreeSocket.code };
  }
  return { kind: "answer", code: ACTIVATION_CODES.activated.code };
}

function immediateCode(request: ActivationRequest, own: SocketEntry, rules: EntityMisbehaviour): number | undefined {
  if (!supports(request.activationType, rules)) return ACTIVATION_CODES.unsupportedActivationType.code;
  if (rules.tlsRequired === true && !own.secure) return ACTIVATION_CODES.tlsRequired.code;
  if (own.sourceAddress === undefined) return undefined;
  return own.sourceAddress === request.sourceAddress
    ? ACTIVATION_CODES.activated.code
    : ACTIVATION_CODES.differentSourceAddress.code;
}
