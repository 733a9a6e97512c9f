/** Authentication, service 0x29 (ISO 14229-1 clause 10.6): the exchange with fixed values, no cryptography. */
import { accept, type Definition, type Handler, refuse } from "../matching.ts";
import { ROLES, type Role } from "../state.ts";

/** Authentication return parameters, ISO 14229-1 annex B.5. */
const RETURN = {
  accepted: 0x00,
  generalReject: 0x01,
  configurationApce: 0x02,
  deauthenticated: 0x10,
  certificateVerified: 0x11,
  complete: 0x12,
  transmitted: 0x13,
} as const;

const FIELD_BYTES = 16;
const ALGORITHM_BYTES = 16;

/** Fixed value of a field: its number, then 01 to 0F. */
function field(number: number): number[] {
  return [number, ...Array.from({ length: FIELD_BYTES - 1 }, (_, i) => i + 1)];
}

function sized(number: number): number[] {
  return [0x00, FIELD_BYTES, ...field(number)];
}

/** Reads fields from a request in order; undefined once one is cut short. */
type Part = number | "sized";

function parts(request: Uint8Array, layout: readonly Part[]): Uint8Array[] | undefined {
  const found: Uint8Array[] = [];
  let at = 2;
  for (const part of layout) {
    let bytes = part;
    if (bytes === "sized") {
      if (at + 2 > request.length) return undefined;
      bytes = (request[at]! << 8) | request[at + 1]!;
      at += 2;
    }
    if (at + bytes > request.length) return undefined;
    found.push(request.subarray(at, at + bytes));
    at += bytes;
  }
  return found;
}

/** A handler that answers once the request holds all fields of its layout. */
function exchange(
  layout: readonly Part[],
  tail: (fields: Uint8Array[], role: (proof: Uint8Array) => number) => number[],
): Handler {
  return (state, request) => {
    const fields = parts(request, layout);
    if (fields === undefined) return refuse(request, "incorrectMessageLengthOrInvalidFormat");
    return accept(
      request,
      tail(fields, (proof) => {
        state.authentication = roleOf(proof);
        return state.authentication === "UNAUTHENTICATED" ? RETURN.generalReject : RETURN.complete;
      }),
    );
  };
}

/** The role that a proof names; a proof that names none takes the role away. */
function roleOf(proof: Uint8Array): Role {
  const text = Buffer.from(proof).toString("latin1");
  return ROLES.find((role) => role === text) ?? "UNAUTHENTICATED";
}

const deAuthenticate: Handler = (state, request) => {
  state.authentication = "UNAUTHENTICATED";
  return accept(request, [RETURN.deauthenticated]);
};

export const AUTHENTICATION_SERVICES: readonly Definition[] = [
  ["2900[]", deAuthenticate],
  ["2901[]", exchange([1, "sized", "sized"], () => [RETURN.certificateVerified, ...sized(1), ...sized(2)])],
  [
    "2902[]",
    exchange([1, "sized", "sized"], () => [
      RETURN.certificateVerified,
      ...sized(1),
      ...sized(2),
      ...sized(4),
      ...sized(3),
    ]),
  ],
  ["2903[]", exchange(["sized", "sized"], ([proof], prove) => [prove(proof!), ...sized(1)])],
  ["2904[]", exchange([2, "sized"], () => [RETURN.transmitted])],
  ["2905[]", exchange([1, ALGORITHM_BYTES], () => [RETURN.accepted, ...field(1), ...sized(2), ...sized(3)])],
  [
    "2906[]",
    exchange([ALGORITHM_BYTES, "sized", "sized", "sized"], ([, proof], prove) => [
      prove(proof!),
      ...field(1),
      ...sized(2),
    ]),
  ],
  [
    "2907[]",
    exchange([ALGORITHM_BYTES, "sized", "sized", "sized"], ([, proof], prove) => [
      prove(proof!),
      ...field(1),
      ...sized(2),
      ...sized(3),
    ]),
  ],
  ["2908[]", (_, request) => accept(request, [RETURN.configurationApce])],
];
